/* engine/tokenizer.h  What both tokenizers promise, and the profile.
 * Inside the engine only; outside see struct vocab in model.h.
 *
 * A struct vocab is constant after opening and shared by threads. A
 * struct detok is the state of one stream of output and belongs to one
 * thread. Formats and rules: doc/models.md.
 */
#ifndef JIELONG_TOKENIZER_H
#define JIELONG_TOKENIZER_H

#include "engine/model.h"

struct tok_ids { /* a growing list of ids */
    int *v;
    size_t n, cap;
};

/* One family of vocabulary. Two exist: wordpiece.c and bpe.c. */
struct tok_ops {
    const char *kind;
    bool (*encode)(const struct vocab *v, const char *text, size_t len,
                   int flags, struct tok_ids *out, struct err *err);
    void (*free)(struct vocab *v);
};

/* How a family of models wants to be fed: data, not code
 * (doc/models.md). Ids are -1 where there is none. */
struct profile {
    char name[32];     /* "jielong", "uer", "gpt2-ml", "openai", "config" */
    int begin;         /* stands at the head of a document */
    int newline;       /* stands for a line break; -1: see newline_text */
    bool newline_text; /* the tokenizer itself can express "\n" (BPE) */
    int end;           /* ends a text; never part of it */
    bool head_always;  /* begin also stands before a window in mid-story */
    bool lower;        /* prompts are lower-cased whatever the config says */
    bool soft;         /* prompts: near ones for characters the vocabulary lacks */
    bool characters;   /* every character is a word of its own (CDial-GPT) */
    const int *ban;    /* ids never sampled; owned by the vocab */
    size_t n_ban;
};

const struct profile *vocab_profile(const struct vocab *v);
/* Finds and stores the profile (in this order: the "jielong" object of
 * tokenizer_config.json, the families, bos/eos of the config). n_rows: rows
 * of the matrix (ids >= vocab_size are banned); network: "gpt2", "grover".
 * bos/eos: from config/generation_config, -1 when absent or out of range. */
bool vocab_choose_profile(struct vocab *v, const char *network, int n_rows,
                          int bos, int eos, struct err *err);

/* Before vocab_choose_profile: take the family of this name ("gpt2-ml",
 * "openai", "cdial", "gpt2-chinese", "uer") whatever the model looks like.
 * ERR_USAGE: there is none of this name. */
bool vocab_set_family(struct vocab *v, const char *name, struct err *err);
/* The vocabulary among the files *vocab*.txt of a folder whose number of
 * tokens fits a matrix of n_rows: as many, or up to 64 fewer. The checkpoints
 * of gpt2-ml come without one. NULL and err when none or several fit. */
struct vocab *vocab_open_sized(const char *dir, int n_rows, struct err *err);

/* Prompt text to ids: line breaks through the profile, lower-casing, soft
 * substitution, the trailing-space rule for BPE. Appends to out. */
bool vocab_encode_prompt(const struct vocab *v, const char *text, size_t len,
                         struct tok_ids *out, struct err *err);
/* Does text end in the one space that vocab_encode_prompt leaves out of the
 * ids (byte-level vocabularies only: their words carry it in front)? */
bool vocab_leaves_space(const struct vocab *v, const char *text, size_t len);
/* The id of a token by its text, added tokens included; -1: none. */
int vocab_lookup(const struct vocab *v, const char *s);
/* The token's bytes as they stand in the vocabulary; borrowed. */
const char *vocab_bytes(const struct vocab *v, int id, size_t *len);
/* 64 hex digits: SHA-256 over the tokenizer's files, one after the other
 * (vocabulary, merges, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json; those that are there). */
const char *vocab_hash(const struct vocab *v);
/* The 60 commonest characters and all punctuation, digits, line break: ids
 * exempt from the repetition penalty, one bool per id (vocab_size many). The
 * commonest are fixed by a list in profile.c, looked up in this vocabulary.
 * NULL before vocab_choose_profile. */
const bool *vocab_exempt(const struct vocab *v);
const char *vocab_note(const struct vocab *v, int i); /* as model_note */

/* --- a stream of output --- */

struct detok;

/* before: text that stands before the first token (its last few hundred
 * bytes are enough), copied. */
struct detok *detok_new(const struct vocab *v, const char *before, size_t len);
void detok_free(struct detok *d);
/* Appends the whole characters that this id completes to *out (grown with
 * realloc, *len advanced). Specials give nothing, the newline id "\n". */
void detok_add(struct detok *d, int id, char **out, size_t *len, size_t *cap);
/* When no more ids come: appends what is whole but was kept back because it
 * might have grown (the last Hangul syllable of a WordPiece vocabulary). */
void detok_flush(struct detok *d, char **out, size_t *len, size_t *cap);
/* Is there such a one? */
bool detok_holds(const struct detok *d);
/* Bytes of an unfinished character, 0..3 (before detok_flush also a Hangul
 * syllable that is kept back). */
size_t detok_tail(const struct detok *d, unsigned char tail[4]);

/* --- by the names of their files --- */

struct vocab *wordpiece_open_file(const char *vocab_txt, const char *config,
                                  struct err *err);
struct vocab *bpe_open_files(const char *vocab_json, const char *merges_txt,
                             struct err *err);
struct vocab *tokenizer_json_open(const char *path, struct err *err);

#endif
