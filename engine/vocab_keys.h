/* engine/vocab_keys.h  Keys and numbers of a vocabulary in a GGUF file: for
 * vocab_meta.c, which reads them, and vocab_write.c. ggml's docs/gguf.md
 * ("Tokenizer"); "tokenizer.jielong." is ours (doc/models.md). */
#ifndef JIELONG_VOCAB_KEYS_H
#define JIELONG_VOCAB_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/vocab.h"

#define VOCAB_KEY(s) "tokenizer.ggml." s
#define VOCAB_OWN(s) "tokenizer.jielong." s
#define VOCAB_WORD   "\xE2\x96\x81" /* U+2581: a word begins */

enum token_type { /* of VOCAB_KEY("token_type") */
                  TYPE_NORMAL = 1,
                  TYPE_UNKNOWN,
                  TYPE_CONTROL,
                  TYPE_USER,
                  TYPE_UNUSED,
                  TYPE_BYTE
};

enum added_flag { /* of VOCAB_OWN("added"): pairs of number and flags; also
                   * between the jail and this process (vocab_flat.c) */
                  ADDED_SPECIAL = 1,
                  ADDED_NORMALIZED = 2,
                  ADDED_LSTRIP = 4,
                  ADDED_RSTRIP = 8,
                  ADDED_SINGLE = 16
};

static inline int
added_flags(const struct added *a)
{
    return (a->special ? ADDED_SPECIAL : 0) |
           (a->normalized ? ADDED_NORMALIZED : 0) |
           (a->lstrip ? ADDED_LSTRIP : 0) | (a->rstrip ? ADDED_RSTRIP : 0) |
           (a->single_word ? ADDED_SINGLE : 0);
}

static inline void
added_set_flags(struct added *a, int64_t flags)
{
    a->special = flags & ADDED_SPECIAL;
    a->normalized = flags & ADDED_NORMALIZED;
    a->lstrip = flags & ADDED_LSTRIP;
    a->rstrip = flags & ADDED_RSTRIP;
    a->single_word = flags & ADDED_SINGLE;
}

/* "[UNK]": such tokens are never marked as words or pieces. */
static inline bool
vocab_in_brackets(const char *s, size_t len)
{
    return len > 2 && s[0] == '[' && s[len - 1] == ']';
}

#endif
