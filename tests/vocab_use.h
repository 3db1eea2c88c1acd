/* tests/vocab_use.h  Everything that is done with a vocabulary, once. */
#ifndef JIELONG_TESTS_VOCAB_USE_H
#define JIELONG_TESTS_VOCAB_USE_H

#include <stdlib.h>

#include "engine/vocab.h"

/* Encodes, decodes and shows something; sanitizers tell what is wrong. */
static inline void
vocab_use(const struct vocab *v)
{
    static const char text[] =
        "The cat's  12 \xE4\xB8\xAD\xE6\x96\x87\xEF\xBC\x8C [CLS]a\xCC\x81"
        "\xF0\x9F\x98\x80\n<|endoftext|>\xFF abcabc";
    struct err err = { 0 };
    size_t n, len;
    char buf[32], *out;
    int *ids;

    for (int flags = 0; flags <= VOCAB_SPECIAL; flags++) {
        if (!vocab_encode(v, text, sizeof text - 1, flags, &ids, &n, &err))
            continue;
        if (vocab_decode(v, ids, n, &out, &len, &err))
            free(out);
        for (size_t i = 0; i < n; i++)
            vocab_show(v, ids[i], buf, sizeof buf);
        free(ids);
    }
}

#endif
