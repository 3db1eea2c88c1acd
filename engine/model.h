/* engine/model.h  A loaded model: configuration, weights, tokenizer, hashes.
 * A door of the engine.
 *
 * Made once, constant afterwards, shared read-only by all threads. Nothing
 * here prints. Paths: a Hugging Face directory, a weights file in one, and
 * whatever later formats add a row for (load/load.c).
 */
#ifndef JIELONG_MODEL_H
#define JIELONG_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct model;
struct vocab; /* a tokenizer alone */

struct model_options {
    const char *vocab; /* folder or file to take the tokenizer from, or NULL */
    /* Called with done/total bytes while loading, on the loading thread;
     * returning false cancels (ERR_CANCELLED). May be NULL. */
    bool (*progress)(void *ud, size_t done, size_t total);
    void *ud;
    /* `logits`: a tokenizer that is missing or not known is no error; one
     * that has more tokens than the model is. */
    bool no_vocab_needed;
    /* The family that the model is to be treated as ("gpt2-ml", "uer" ...),
     * or NULL: found by what is there. */
    const char *profile;
    /* "f32", "bf16", "int8", "int4", or "auto": what the file has (BF16, Q8_0,
     * Q4_0), else f32 up to 200 MB of it, else int8. NULL: f32. */
    const char *type;
    /* The fast arithmetic: last bits may depend on the processor, on how a
     * text came to be read, and on its length. Else the usual one. */
    bool fast;
    /* Bytes on the disk for converted weights (engine/cache.h): 0 the default,
     * below 0 none. */
    int64_t cache_limit;
    /* gen_local(): hashing the weights and keeping them goes on to its end
     * even in gen_free(), or till this is set (by a signal's handler, say).
     * NULL: gen_free() does not wait. */
    const atomic_bool *finishes_until;
    bool vocab_only; /* `tokens`: check all but leave the weights unread; only
                      * info, notes, vocabulary and hashes are there then */
};

struct model_info {
    char name[128];   /* last part of the path */
    char network[16]; /* "gpt2" */
    int n_vocab;      /* V: rows of wte */
    int n_pos;        /* P: positions usable (min of wpe rows and n_ctx) */
    int n_embd, n_layer, n_head, n_ff; /* D L H F */
    size_t n_params;
    size_t weight_bytes; /* resident, in the running type */
    bool tied;
    bool has_vocab;
    bool char_like;   /* lengths are shown as 字 rather than 词元 */
    char type[8];     /* running type: "f32", "bf16", "int8", "int4" */
    bool fast;        /* opened for the fast arithmetic */
    bool from_cache;  /* the weights were kept from an earlier start */
};

/* NULL and err (ERR_MODEL or ERR_MEMORY) on failure. */
struct model *model_open(const char *path, const struct model_options *opt,
                         struct err *err);
void model_close(struct model *m);
const struct model_info *model_info(const struct model *m);
/* Things to tell once (ignored rows, forced lower case ...), one per index;
 * NULL after the last. Borrowed till model_close. */
const char *model_note(const struct model *m, int i);
const struct vocab *model_vocab(const struct model *m); /* NULL: none */

/* What a folder's heads tell, for a list of models: no weight is read and no
 * tokenizer kept. info.n_params is counted, info.weight_bytes is 0, info.type
 * is that of the file: of most of its bytes ("f16", "q4_0"). */
struct model_peek {
    struct model_info info;
    uint64_t file_bytes;  /* of all weight files */
    char vocab_kind[16];  /* "wordpiece", "bpe" */
    int vocab_size;       /* tokens of the tokenizer */
};
/* false and err as model_open() would say, but for what only the weights
 * themselves can tell. */
bool model_peek(const char *path, struct model_peek *out, struct err *err);

/* SHA-256 in hex of all weights in file order, of the configuration, of the
 * tokenizer files. Computing reads the files: on the worker, not on main.
 * Remembered in $XDG_CACHE_HOME/jielong/sha by device, inode, size, mtime;
 * a cache that cannot be read or written is simply not used. *stop (may be
 * NULL) ends it early: false. */
struct model_hashes {
    char weights[65], config[65], tokenizer[65];
};
bool model_hash(const struct model *m, struct model_hashes *out,
                const atomic_bool *stop, struct err *err);
/* What is known as soon as the model is open: `weights` names the weight files
 * by device, inode, size and time (hex; "" when they could not be looked at),
 * so as long as they are not touched; config and tokenizer are as above. */
const struct model_hashes *model_early(const struct model *m);
/* Keeps the converted weights on the disk for the next start, where that is
 * worth it and they did not come from there: h->weights names them. Takes as
 * long as writing them; *stop (may be NULL) ends it early. Any thread. false:
 * not kept, for whatever reason. */
bool model_keep(const struct model *m, const struct model_hashes *h,
                const atomic_bool *stop);
/* The tokenizer's hash alone, cheap, always known after model_open ("" when
 * there is no tokenizer). Spans with ids are matched by it. */
const char *model_tok_hash(const struct model *m);

/* Name of the arithmetic that runs, as the journal records it: by this a
 * replay knows whether it may compare. The arithmetic, then the type of the
 * weights: "strict/1/f32", or "fast/avx512bf16/bf16".
 * Lives as long as the model. */
const char *model_arithmetic(const struct model *m);

/* Logits of every position of ids[n]: row i (n_vocab floats) goes to
 * row(ud, i, logits) in order; borrowed during the call. n <= n_pos. row
 * returning false stops early (still true here). */
bool model_logits(const struct model *m, const int *ids, size_t n,
                  bool (*row)(void *ud, size_t i, const float *logits),
                  void *ud, struct err *err);
/* Plain argmax (ties: lower id) over every row of the matrix, n_new times
 * after ids[n]; n + n_new - 1 <= n_pos. End tokens do not stop it. */
bool model_greedy(const struct model *m, const int *ids, size_t n, int *out,
                  size_t n_new, struct err *err);

/* --- a vocabulary --- */

/* A folder (vocab.txt with optional tokenizer_config.json; vocab.json +
 * merges.txt; tokenizer.json), one such file, or a GGUF file that carries a
 * vocabulary. */
struct vocab *vocab_open(const char *path, struct err *err);
/* The same in the variant of a family of models: "gpt2-ml" cuts text as its
 * own tokenization.py does, "cdial" character by character. NULL: as above. */
struct vocab *vocab_open_as(const char *path, const char *profile,
                            struct err *err);
void vocab_close(struct vocab *v); /* not for one borrowed from a model */
int vocab_size(const struct vocab *v);
const char *vocab_kind(const struct vocab *v); /* "wordpiece", "bpe" */

enum {
    VOCAB_SPECIAL = 1, /* special tokens typed as text become their ids */
};
/* Text (any bytes) to ids, as the original tokenizer does it, obeying
 * tokenizer_config.json to the letter; no tokens added around. *ids is given
 * to the caller (free). */
bool vocab_encode(const struct vocab *v, const char *text, size_t len,
                  int flags, int **ids, size_t *n, struct err *err);
/* Ids to text, by our detokenizer; given (free). Ids out
 * of range: err. */
bool vocab_decode(const struct vocab *v, const int *ids, size_t n, char **text,
                  size_t *len, struct err *err);
/* The token's own text for a person ("##x" and specials as they stand; byte
 * tokens with ill-formed bytes as <E4>); into buf, always NUL-terminated. */
void vocab_show(const struct vocab *v, int id, char *buf, size_t cap);

#endif
