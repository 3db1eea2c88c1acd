/* tests/level_digest.c  What a network says, as one number for each level and
 * type of weights: a program that also runs where no test library is (arm.sh).
 * Lines "LEVEL TYPE DIGEST"; the digest is FNV-1a over the bits of all logits.
 */
#include <stdio.h>

#include "engine/kernels/kernels.h"
#include "engine/session.h"
#include "tests/random_gpt2.h"

#define N 40 /* tokens; read in pieces of 1, 2, 3 ... */

static uint64_t
digest_of(const struct gpt2 *g, uint64_t h)
{
    struct session_options opt = { .n_threads = 2 };
    struct err err = { 0 };
    struct session *s = session_new_gpt2(g, &opt, &err);
    int ids[N];

    for (int i = 0; i < N; i++)
        ids[i] = (i * i + 3 * i) % g->V;
    for (size_t n = 1, step = 1; s && n <= N; n += step++) {
        const unsigned char *p;

        if (!session_sync(s, ids, n, &err))
            break;
        p = (const unsigned char *)session_logits(s);
        for (size_t i = 0; i < (size_t)g->V * 4; i++)
            h = (h ^ p[i]) * 0x100000001b3u;
    }
    if (err.kind != ERR_NONE || !s) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    session_free(s);
    return h;
}

int
main(void)
{
    /* Heads of 20: parts of vectors everywhere; inputs beyond one run. */
    static const struct shape shape = { 101, N, 60, 2, 3, 300, true };
    const struct kernels *k;

    for (int i = 0; (k = kernels_get(i)); i++) {
        setenv("JIELONG_CPU", k->name, 1);
        for (int t = WT_F32; t < WT_COUNT; t++) {
            struct gpt2 *g = random_gpt2(&shape, 1, 7);
            uint64_t h = 0xcbf29ce484222325u;

            if (t != WT_F32)
                retype_gpt2(g, (enum weight_type)t);
            h = digest_of(g, h);
            g->act = ACT_GELU_ERF;
            h = digest_of(g, h);
            printf("%s %s %016llx\n", k->name,
                   weight_type_name((enum weight_type)t),
                   (unsigned long long)h);
            gpt2_free(g);
        }
    }
    return 0;
}
