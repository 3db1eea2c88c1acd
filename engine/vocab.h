/* engine/vocab.h  The inside of a struct vocab.
 *
 * For the tokenizer's own files only; everybody else sees model.h and
 * tokenizer.h. Tokens are byte strings in one arena, found by id through
 * `token` and by text through an open-addressing table. The table holds the
 * tokens of the model proper; tokens that were added to it (and special
 * tokens, which text must not reach by accident) stand in `added` and are
 * matched only when the caller asks (VOCAB_SPECIAL).
 */
#ifndef JIELONG_VOCAB_H
#define JIELONG_VOCAB_H

#include "engine/tokenizer.h"

struct json;
struct meta;
struct texts;

#define VOCAB_FILE_MAX   ((size_t)64 << 20) /* bytes of one tokenizer file */
#define VOCAB_MAX_TOKENS (1 << 19) /* the table of them: some 10 MB */
#define VOCAB_MAX_ADDED  16384
#define VOCAB_MAX_FILES  8 /* that one tokenizer is made of */
#define VOCAB_LOWER      (1 << 8) /* flag: lower-case in any case */
#define VOCAB_MIDDLE     (1 << 9) /* flag: other text stands before */

enum token_flag {
    TOKEN_HOLE = 1,    /* no token has this id */
    TOKEN_SPECIAL = 2, /* never part of a text: [CLS], <|endoftext|> */
    TOKEN_UNUSED = 4,  /* [unusedN] */
    TOKEN_BLANK = 8,   /* empty or white space where that has no meaning */
    TOKEN_RAW = 16     /* not reachable through the table */
};
#define TOKEN_FLAGS 31 /* all of them */

struct token {
    uint32_t at, len; /* in the arena */
    unsigned char flags;
};

/* A token that is matched in the text as a whole. */
struct added {
    char *text; /* owned */
    size_t len;
    int id;
    bool special, normalized, lstrip, rstrip, single_word;
};

/* What tokenizer_config.json and its neighbours say; -1 is "not said". */
struct tok_config {
    int lower, strip_accents, han, prefix_space;
    int byte_level; /* 1 for GPT2Tokenizer, 0 for Bert*: tokenizer_class */
    char *unk, *pad, *cls, *sep, *mask, *bos, *eos; /* owned, NULL if unsaid */
    char **never_split;
    size_t n_never, cap_never;
    struct added *added; /* id -1: to be looked up */
    size_t n_added, cap_added;
    /* the "jielong" object */
    bool has_profile;
    char *begin, *newline, *end;
    int head_always, force_lower, soft;
};

/* Which categories the first step of the basic tokenizer deletes. */
enum wp_drop {
    WP_DROP_ALL_C,    /* transformers: Cc Cf Co Cn Cs */
    WP_DROP_CC_CF,    /* Google's tokenization.py */
    WP_DROP_CC_CF_CO, /* the tokenizers library */
    WP_DROP_NONE      /* clean_text off */
};

struct wp_settings {
    enum wp_drop drop;
    bool lower, strip_accents, han;
    bool final_sigma; /* lower-case whole words, as Google does */
    size_t limit;     /* code points of a word; longer ones are [UNK] */
    char prefix[16];  /* "##" */
    size_t prefix_len;
};

struct wordpiece; /* wordpiece.c */
struct bpe;       /* bpe.c */

struct vocab {
    const struct tok_ops *ops;
    char *arena;
    size_t arena_len, arena_cap;
    struct token *token;
    size_t n, cap; /* ids 0..n-1 */
    size_t n_base; /* of these, the model's own: the rest was added */
    size_t n_looked; /* WordPiece: as many there were in wordpiece_look() */
    int *slot;     /* hash -> id or -1; n_slots is a power of two */
    size_t n_slots, n_used;

    struct added *added;
    size_t n_added, cap_added;
    bool added_first[256]; /* first bytes of all added tokens */
    bool has_normalized;   /* any added token with normalized == true */

    int unk, pad, cls, sep, mask, bos, eos; /* -1: none */
    struct wp_settings wp;
    struct wordpiece *wordpiece;
    struct bpe *bpe;
    bool prefix_space;
    bool characters;    /* text is encoded character by character */
    const char *family; /* asked for by name, or NULL */

    struct tok_config config;
    struct profile profile;
    int *ban;
    bool *exempt;
    size_t file[VOCAB_MAX_FILES]; /* what hash is of: numbers of texts */
    size_t n_file;
    char hash[65];
    char **note;
    size_t n_note, cap_note;
};

/* --- vocab.c: making one --- */

struct vocab *vocab_new(const struct tok_ops *ops);
/* The first number that is too high for a token of a file of so many bytes:
 * holes cost memory, and a file must not get more of it than it is worth. */
int vocab_id_end(size_t file_len);
/* Appends a token, or fills id (with holes before it as needed). */
int vocab_push(struct vocab *v, const char *s, size_t len, int flags);
void vocab_put(struct vocab *v, int id, const char *s, size_t len, int flags);
/* Builds the table over tokens 0..n-1 in the order of ids, so that of equal
 * tokens the later one is found; notes duplicates, where there is a name of
 * the file to do it with. Sets n_base. */
void vocab_index(struct vocab *v, const char *file);
/* Puts one token into the table; true when an equal one stood there (the
 * new one is found from now on). */
bool vocab_insert(struct vocab *v, int id);
/* The id of a token of the model, or -1. */
int vocab_find(const struct vocab *v, const char *s, size_t len);
void vocab_add_note(struct vocab *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Marks a token special, if the vocabulary has it, and lets VOCAB_SPECIAL
 * find it. Returns its id or -1. */
int vocab_special(struct vocab *v, const char *s);
/* Takes over one added token (copied); id >= n makes room. At most
 * VOCAB_MAX_ADDED: they are searched one after the other. */
bool vocab_take_added(struct vocab *v, const struct added *a, struct err *err);
/* The special names, added tokens and switches of v->config, after
 * vocab_index(). */
bool vocab_apply_config(struct vocab *v, struct err *err);
/* --- vocab_open.c --- */

/* A whole file in memory (free), unless it is what a failed download leaves
 * in a vocabulary's place. */
bool vocab_read_file(const struct texts *t, const char *path, char **data,
                     size_t *len, struct err *err);
/* The files that the hash is to be of, in this order, at most
 * VOCAB_MAX_FILES; NULL names and files that do not exist are left out. */
void vocab_set_files(struct vocab *v, const struct texts *t,
                     const char *const *paths, size_t n);
/* vocab_open() without a jail around its parsers, for the fuzz targets. */
struct vocab *vocab_open_unjailed(const char *path, struct err *err);

/* --- the parsers, in the jail --- */

/* What they may read, by path, is in t (load/texts.h). They make what
 * vocab_to_flat() sends: a WordPiece may have no tables yet, none has a
 * hash. */
struct vocab *wordpiece_read(const struct texts *t, const char *vocab_txt,
                             const char *config, struct err *err);
struct vocab *bpe_read(const struct texts *t, const char *vocab_json,
                       const char *merges_txt, struct err *err);
struct vocab *tokenizer_json_read(const struct texts *t, const char *path,
                                  struct err *err);

/* --- vocab_flat.c: a vocabulary through the pipe of the jail --- */

/* Puts all of a vocabulary that its file's reader just made: before a profile
 * was chosen, and without the hash. */
void vocab_to_flat(const struct vocab *v, struct meta *m);
/* The same vocabulary, its tables made anew; m is not believed. NULL and
 * ERR_MODEL, with `name`, where it holds what no reader says that was given
 * n_files files. */
struct vocab *vocab_from_flat(const struct meta *m, size_t n_files,
                              const char *name, struct err *err);

/* --- vocab.c: looking things up --- */

/* Hashing in steps, so that a prefix's hash is a step of the longer one's. */
#define VOCAB_HASH_SEED 2166136261u
static inline uint32_t
vocab_hash_step(uint32_t h, unsigned char b)
{
    return (h ^ b) * 16777619u;
}
/* The token "a" + "b" by its hash, or -1. */
int vocab_find_hashed(const struct vocab *v, uint32_t h, const char *a,
                      size_t a_len, const char *b, size_t b_len);

static inline const char *
vocab_text(const struct vocab *v, int id, size_t *len)
{
    *len = v->token[id].len;
    return v->arena + v->token[id].at;
}

/* Cuts text at added tokens (those with this `normalized`): their ids go to
 * out, what lies between is given to leaf. */
typedef bool vocab_leaf(const struct vocab *v, const char *s, size_t len,
                        int flags, struct tok_ids *out, struct err *err);
bool vocab_cut_added(const struct vocab *v, const char *text, size_t len,
                     bool normalized, int flags, vocab_leaf *leaf,
                     struct tok_ids *out, struct err *err);

void tok_ids_add(struct tok_ids *ids, int id);

/* --- profile.c --- */

/* The text without white space and with a space between all characters;
 * given (free). */
char *vocab_spaced_out(const char *text, size_t len, size_t *n);

/* --- tokenizer_config.c --- */

void tok_config_init(struct tok_config *c);
void tok_config_free(struct tok_config *c);
/* Reads DIR/tokenizer_config.json (or `path` if not NULL), then
 * special_tokens_map.json and added_tokens.json; a missing file says
 * nothing, a broken one is an error. */
bool tok_config_read(struct tok_config *c, const struct texts *t,
                     const char *dir, const char *path, struct err *err);
/* Appends (copied). */
void tok_config_add(struct tok_config *c, const struct added *a);
/* Reads the members of a token object, {"id":, "content":, "special":, ...};
 * j stands after its '{'. What is said replaces what a holds; a->text is
 * given to the caller, NULL where there is no "content". */
bool tok_read_added(struct json *j, const char *name, struct added *a);

/* --- vocab_meta.c: the vocabulary that a GGUF file carries --- */

/* Has the file one (whatever it is worth)? */
bool vocab_in_meta(const struct meta *m);
/* name: of the file, for messages. ERR_MODEL: what is there is broken;
 * ERR_FAILED: it is of a kind that is not supported. The hash is that of the
 * metadata whose keys begin with "tokenizer.", so that the same vocabulary in a
 * file of other block types is the same. */
struct vocab *vocab_from_meta(const struct meta *m, const char *name,
                              struct err *err);

/* --- vocab_write.c: and the way into one --- */

struct gguf_out;
/* Metadata that vocab_from_meta() makes the same vocabulary of, its profile
 * chosen, for a matrix of n_rows rows (>= v->n; those without a token get
 * unused ones). Keys of ggml's docs/gguf.md, and for what these cannot say
 * (switches, added tokens, the "jielong" object) keys "tokenizer.jielong.*",
 * which other programs step over. */
void vocab_to_meta(const struct vocab *v, int n_rows, struct gguf_out *o);
/* A byte-level vocabulary of n_rows >= 300 tokens that means nothing. */
void vocab_stand_in(int n_rows, struct gguf_out *o);
/* Texts that stand for more than one token of the file: some readers refuse
 * such a vocabulary. */
size_t vocab_count_twice(const struct vocab *v);

/* --- wordpiece.c, bpe.c: after the tokens are in --- */

/* An empty one with the settings of transformers' BertTokenizer. */
struct vocab *wordpiece_new(void);
/* Checks for [UNK] and marks the tokens; enough to look at a vocabulary. */
bool wordpiece_look(struct vocab *v, const char *file, struct err *err);
/* That, and the tables that encoding needs; v->wp must be set. */
bool wordpiece_finish(struct vocab *v, const char *file, struct err *err);
/* The variant of Google's tokenization.py (gpt2-ml, and UER's own programs):
 * whole-word lower-casing, only Cc and Cf deleted, words up to `limit`. */
void wordpiece_set_google(struct vocab *v, size_t limit);
/* A text as the first step leaves it, in UTF-8 (free). */
char *wordpiece_normalised(const struct vocab *v, const char *s, size_t len,
                           size_t *out_len);
/* The vocabulary contains a plain capital letter. */
bool wordpiece_has_capitals(const struct vocab *v);

struct vocab *bpe_new(void);
/* A vocabulary entry in the byte alphabet of GPT-2. */
bool bpe_put(struct vocab *v, int id, const char *s, size_t len,
             struct err *err);
/* The next merge, in order of rank; before vocab_index() nothing is known,
 * so call it after. false: not two symbols of the byte alphabet. */
bool bpe_merge(struct vocab *v, const char *a, size_t a_len, const char *b,
               size_t b_len);
/* After the last merge; refuses what no vocabulary has. */
bool bpe_finish(struct vocab *v, struct err *err);
/* The way back. Bytes in the byte alphabet; given (free). */
char *bpe_letters(const char *s, size_t len);
/* All merges, first rank first, each "a b" in the byte alphabet; list and
 * texts given (free). */
char **bpe_merges(const struct vocab *v, size_t *n);
/* The merges as numbers, four each: two symbols, what they become, the rank.
 * Symbols that are no tokens stand in bpe_extra(). *n numbers; given (free). */
int32_t *bpe_numbers(const struct vocab *v, size_t *n);
struct vocab *bpe_extra(const struct vocab *v);
/* One of them back, after the tokens and the extra ones; false: it is none. */
bool bpe_take_numbers(struct vocab *v, const int64_t x[4]);
vocab_leaf bpe_encode_piece;

#endif
