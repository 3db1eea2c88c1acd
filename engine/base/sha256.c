/* engine/base/sha256.c  FIPS 180-4, computed by libcrypto, which has the
 * instructions of every CPU. It fails only when memory is gone, and then so
 * do we. */
#include "engine/base/sha256.h"

#include <openssl/evp.h>

#include "engine/base/mem.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

static void
must(int ok)
{
    if (!ok)
        mem_fail();
}

struct sha256 *
sha256_new(void)
{
    struct sha256 *s = xmalloc(sizeof *s);

    s->ctx = EVP_MD_CTX_new();
    must(s->ctx != NULL);
    must(EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL));
    return s;
}

void
sha256_add(struct sha256 *s, const void *p, size_t len)
{
    must(EVP_DigestUpdate(s->ctx, p, len));
}

void
sha256_finish(struct sha256 *s, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0, i;

    must(EVP_DigestFinal_ex(s->ctx, sum, &n));
    for (i = 0; i < 32; i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    hex[64] = '\0';
    EVP_MD_CTX_free(s->ctx);
    free(s);
}
