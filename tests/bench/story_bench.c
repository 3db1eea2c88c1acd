/* tests/bench/story_bench.c  What a long story costs: opening, memory, an op.
 *
 *     meson test --benchmark -C build story --verbose
 *     build/tests/bench/story_bench [FOLDER]
 *
 * Prints one row each; nothing is judged here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/storyfile.h"

#define CHARS 1000000
#define STEPS 50000

static double
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
resident_mb(void)
{
    long total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &total, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static double
file_mb(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
}

static struct storyfile *
open_story(const char *path)
{
    struct storyfile_options opt = { .create = true };
    struct err err;
    struct storyfile *f = storyfile_open(path, &opt, &err);
    if (!f) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return f;
}

static void
reopen(const char *path, const char *what)
{
    double t = now_ms();
    struct storyfile *f = open_story(path);
    t = now_ms() - t;
    printf("%-44s %8.1f ms  (file %.1f MB, resident %.1f MB)\n", what, t,
           file_mb(path), resident_mb());
    storyfile_close(f);
}

static void
apply(struct storyfile *f, struct story_op *op)
{
    struct err err;
    if (!story_apply(storyfile_story(f), op, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

/* Types n times one character as a step of its own, here and there. */
static void
type_steps(struct storyfile *f, int n)
{
    uint32_t rng = 1;
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        struct story *s = storyfile_story(f);
        if (i % 20 == 0) {
            rng = rng * 1664525u + 1013904223u;
            at = rng % (text_len(story_text(s)) / 3 + 1) * 3;
        }
        struct story_op op = { .type = OP_EDIT,
                               .p = story_head(s),
                               .at = at,
                               .s = "雪",
                               .len = 3,
                               .w = 1 };
        apply(f, &op);
        at += 3;
    }
}

static void
tokens(struct storyfile *f, int n)
{
    struct story *s = storyfile_story(f);
    struct op_token t = { 1234, -2.3456789f, -1.2345678f };
    uint32_t len = 3;
    struct story_op op = { .type = OP_RUN,
                           .p = story_head(s),
                           .at = text_len(story_text(s)),
                           .run = 1 };
    apply(f, &op);
    for (int i = 0; i < n; i++) {
        op = (struct story_op){ .type = OP_TOK,
                                .of = story_head(s),
                                .tok = &t,
                                .tok_len = &len,
                                .n_tok = 1,
                                .s = "风",
                                .len = 3 };
        apply(f, &op);
    }
}

int
main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "/tmp";
    char path[300];
    char *text = malloc(3 * CHARS);
    struct err err;
    snprintf(path, sizeof path, "%s/jielong-bench-%d.jl", dir, (int)getpid());
    for (int i = 0; i < CHARS; i++)
        memcpy(text + 3 * i, i % 100 == 99 ? "ab\n" : "水", 3);
    printf("resident at the start %.1f MB\n", resident_mb());

    struct storyfile *f = open_story(path);
    double t = now_ms();
    storyfile_import(f, text, 3 * CHARS, &err);
    free(text);
    printf("import of %d characters %35.1f ms\n", CHARS, now_ms() - t);
    storyfile_close(f);
    reopen(path, "open: one import of 10^6 characters");

    f = open_story(path);
    t = now_ms();
    type_steps(f, STEPS);
    t = now_ms() - t;
    printf("%d typing steps in it: %.2f us each, resident %.1f MB\n", STEPS,
           t * 1e3 / STEPS, resident_mb());
    t = now_ms();
    tokens(f, STEPS);
    t = now_ms() - t;
    printf("%d tokens: %.2f us each, resident %.1f MB\n", STEPS,
           t * 1e3 / STEPS, resident_mb());
    storyfile_close(f);
    reopen(path, "open: the same, 50,000 steps, 50,000 tokens");
    unlink(path);

    f = open_story(path);
    type_steps(f, 20000);
    storyfile_close(f);
    reopen(path, "open: 20,000 small records");
    unlink(path);
    return 0;
}
