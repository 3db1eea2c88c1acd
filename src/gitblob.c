/* src/gitblob.c  See gitblob.h. The format: Pro Git (2nd edition), section
 * 10.2 "Git Objects"; libcrypto does the sum. */
#include "src/gitblob.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"

struct gitblob {
    EVP_MD_CTX *ctx;
};

static void
must(int ok)
{
    if (!ok)
        mem_fail();
}

struct gitblob *
gitblob_new(uint64_t size)
{
    struct gitblob *g = xmalloc(sizeof *g);
    char head[32];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);

    g->ctx = EVP_MD_CTX_new();
    must(g->ctx != NULL);
    must(EVP_DigestInit_ex(g->ctx, EVP_sha1(), NULL));
    must(EVP_DigestUpdate(g->ctx, head, (size_t)n + 1));
    return g;
}

void
gitblob_add(struct gitblob *g, const void *p, size_t len)
{
    must(EVP_DigestUpdate(g->ctx, p, len));
}

void
gitblob_finish(struct gitblob *g, char hex[41])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    must(EVP_DigestFinal_ex(g->ctx, sum, &n));
    for (unsigned i = 0; i < 20; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    EVP_MD_CTX_free(g->ctx);
    free(g);
}
