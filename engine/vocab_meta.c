/* engine/vocab_meta.c  The vocabulary that a GGUF file carries.
 *
 * Keys are those of ggml's docs/gguf.md ("Tokenizer"). Two kinds are read:
 * byte-level BPE ("gpt2"), whose ordinary tokens are written in GPT-2's byte
 * alphabet and whose control and user tokens are plain text; and WordPiece
 * ("bert", and files of Chinese models that say "gpt2" but have "##" tokens
 * and no merges). llama.cpp's converter writes a word's first piece with
 * U+2581 before it and the others without "##"; that is undone here.
 *
 * The metadata came out of a jail, and is still a file from outside: every
 * list is compared with the number of tokens, every number with its range.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/base/unicode.h"
#include "engine/load/meta.h"
#include "engine/vocab.h"
#include "engine/vocab_keys.h"

#define KEY(s) VOCAB_KEY(s)
#define WORD   VOCAB_WORD

struct source {
    const struct meta *m;
    struct err *err;
    size_t n;       /* tokens */
    bool has_types; /* types is there to be walked */
    size_t n_words; /* tokens with U+2581 before them */
    bool hashes;    /* some have ## before them */
    bool unk_there; /* a token [UNK] */
    bool bert;      /* the file says so */
    bool own;       /* we wrote it: more is known than the types tell */
};

bool
vocab_in_meta(const struct meta *m)
{
    return meta_has(m, KEY("tokens"));
}

static bool
starts(const char *s, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && memcmp(s, with, n) == 0;
}

/* --- looking at it --- */

/* A list of this kind, or none; a value of another kind is refused. */
static bool
find_list(struct source *x, const char *key, enum meta_kind kind,
          const char *of, struct meta_list *l, bool *there)
{
    *there = meta_find(x->m, key, kind, l);
    if (*there || !meta_has(x->m, key))
        return true;
    return err_set(x->err, ERR_MODEL, "%s is not a list of %s", key, of);
}

static bool
model_is(const struct source *x, const char *what)
{
    struct meta_list l;
    const char *s;
    size_t len;

    return meta_find(x->m, KEY("model"), META_TEXT, &l) &&
           meta_next_text(&l, &s, &len) && len == strlen(what) &&
           memcmp(s, what, len) == 0;
}

static bool
check_lengths(struct source *x)
{
    struct meta_list l;
    bool there;

    if (!find_list(x, KEY("token_type"), META_INT, "whole numbers", &l,
                   &x->has_types))
        return false;
    if (x->has_types && l.n != x->n)
        return err_set(x->err, ERR_MODEL, "%s has %llu entries for %zu tokens",
                       KEY("token_type"), (unsigned long long)l.n, x->n);
    if (!find_list(x, KEY("scores"), META_REAL, "numbers", &l, &there))
        return false;
    if (there && l.n != x->n)
        return err_set(x->err, ERR_MODEL, "%s has %llu entries for %zu tokens",
                       KEY("scores"), (unsigned long long)l.n, x->n);
    return true;
}

static bool
look(struct source *x)
{
    struct meta_list l;
    const char *s;
    size_t len;
    bool there;

    if (!find_list(x, KEY("tokens"), META_TEXT, "texts", &l, &there))
        return false;
    if (!there || l.n < 2) /* a single text is stored like a list of one */
        return err_set(x->err, ERR_MODEL, "%s is not a list of texts",
                       KEY("tokens"));
    if (l.n > VOCAB_MAX_TOKENS)
        return err_set(x->err, ERR_MODEL, "%s has more than %d entries",
                       KEY("tokens"), VOCAB_MAX_TOKENS);
    x->n = (size_t)l.n;
    while (meta_next_text(&l, &s, &len)) {
        x->n_words += len > 3 && starts(s, len, WORD);
        x->hashes |= len > 2 && starts(s, len, "##");
        x->unk_there |= len == 5 && starts(s, len, "[UNK]");
        if (!uni_valid(s, len) || memchr(s, '\0', len))
            return err_set(x->err, ERR_MODEL,
                           "token %zu is not UTF-8 or holds a zero byte",
                           x->n - (size_t)l.n - 1);
    }
    x->bert = model_is(x, "bert");
    x->own = meta_find(x->m, VOCAB_OWN("added"), META_INT, &l);
    return check_lengths(x);
}

/* --- tokens --- */

/* A token's type; the list was counted. */
static enum token_type
next_type(const struct source *x, struct meta_list *types)
{
    int64_t t = TYPE_NORMAL;

    if (x->has_types)
        meta_next_int(types, &t);
    return t > 0 && t <= TYPE_BYTE ? (enum token_type)t : TYPE_NORMAL;
}

static void
remember_added(struct vocab *v, const char *s, size_t len, int id, bool special)
{
    struct added a = {
        .text = xstrndup(s, len), .len = len, .id = id, .special = special
    };

    tok_config_add(&v->config, &a);
    free(a.text);
}

static bool
put_bytes(struct vocab *v, const struct source *x, int id, const char *s,
          size_t len, enum token_type type)
{
    if (type == TYPE_NORMAL || type == TYPE_BYTE)
        return bpe_put(v, id, s, len, x->err);
    vocab_put(v, id, s, len,
              TOKEN_RAW | (type == TYPE_UNUSED ? TOKEN_UNUSED
                           : len == 0          ? TOKEN_BLANK
                                               : 0));
    if (type != TYPE_UNUSED && !x->own)
        remember_added(v, s, len, id, type != TYPE_USER);
    return true;
}

static void
put_piece(struct vocab *v, const struct source *x, int id, const char *s,
          size_t len, bool undo, enum token_type type)
{
    int flags = type == TYPE_UNUSED ? TOKEN_UNUSED | TOKEN_RAW : 0;
    char *own = NULL;

    if (undo && starts(s, len, WORD)) {
        s += 3;
        len -= 3;
    } else if (undo && len > 0 && type != TYPE_UNUSED &&
               !vocab_in_brackets(s, len)) {
        s = own = xasprintf("##%.*s", (int)len, s);
        len += 2;
    }
    vocab_put(v, id, s, len, flags);
    if (!x->own && (type == TYPE_CONTROL || type == TYPE_USER))
        remember_added(v, s, len, id, type == TYPE_CONTROL);
    free(own);
}

static bool
put_tokens(struct vocab *v, const struct source *x, bool undo)
{
    struct meta_list tokens, types = { 0 };
    const char *s;
    size_t len;
    int id = 0;

    meta_find(x->m, KEY("tokens"), META_TEXT, &tokens);
    meta_find(x->m, KEY("token_type"), META_INT, &types);
    for (; meta_next_text(&tokens, &s, &len); id++) {
        enum token_type type = next_type(x, &types);

        if (v->config.n_added >= VOCAB_MAX_ADDED)
            return err_set(x->err, ERR_MODEL,
                           "more than %d control and user tokens",
                           VOCAB_MAX_ADDED);
        if (!v->bpe)
            put_piece(v, x, id, s, len, undo, type);
        else if (!put_bytes(v, x, id, s, len, type))
            return false;
    }
    return true;
}

/* --- special tokens --- */

/* The names of the tokens whose numbers the file tells; numbers out of range
 * count as not told, and nothing is made up for them. */
static void
name_specials(struct vocab *v, const struct source *x)
{
    struct tok_config *c = &v->config;
    const struct {
        const char *key, *usual; /* for WordPiece */
        char **to;
    } row[] = {
        { KEY("unknown_token_id"), "[UNK]", &c->unk },
        { KEY("padding_token_id"), "[PAD]", &c->pad },
        { KEY("cls_token_id"), "[CLS]", &c->cls },
        { KEY("seperator_token_id"), "[SEP]", &c->sep },
        { KEY("mask_token_id"), "[MASK]", &c->mask },
        { KEY("bos_token_id"), NULL, &c->bos },
        { KEY("eos_token_id"), NULL, &c->eos },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t id = meta_int(x->m, row[i].key, -1);
        const char *s;
        size_t len = 0;

        if (id >= 0 && (uint64_t)id < v->n)
            s = vocab_text(v, (int)id, &len);
        if (len > 0 && !memchr(s, '\0', len))
            *row[i].to = xstrndup(s, len);
        else if (!v->bpe && row[i].usual)
            *row[i].to = xstrdup(row[i].usual);
    }
    if (v->bpe && !c->eos)
        c->eos = xstrdup("<|endoftext|>"); /* if the vocabulary has it */
    c->prefix_space = (int)meta_int(x->m, KEY("add_space_prefix"), -1) == 1;
}

/* --- what we write beside it --- */

/* The tokens that are matched as a whole, in their order. */
static bool
read_added(struct vocab *v, const struct source *x)
{
    struct meta_list l;
    int64_t id, flags;

    if (!x->own)
        return true;
    meta_find(x->m, VOCAB_OWN("added"), META_INT, &l);
    if (l.n > 2 * VOCAB_MAX_ADDED)
        return err_set(x->err, ERR_MODEL, "more than %d added tokens",
                       VOCAB_MAX_ADDED);
    while (meta_next_int(&l, &id) && meta_next_int(&l, &flags)) {
        struct added a = { .id = (int)id };
        const char *s;

        if (id < 0 || (uint64_t)id >= v->n)
            return err_set(x->err, ERR_MODEL, "%s names token %lld of %zu",
                           VOCAB_OWN("added"), (long long)id, v->n);
        s = vocab_text(v, a.id, &a.len);
        a.text = xstrndup(s, a.len);
        added_set_flags(&a, flags);
        tok_config_add(&v->config, &a);
        free(a.text);
    }
    return true;
}

static void
read_wordpiece(struct vocab *v, const struct meta *m)
{
    struct wp_settings *w = &v->wp;
    int64_t drop = meta_int(m, VOCAB_OWN("drop"), w->drop);
    int64_t limit = meta_int(m, VOCAB_OWN("limit"), (int64_t)w->limit);

    if (drop >= 0 && drop <= WP_DROP_NONE)
        w->drop = (enum wp_drop)drop;
    if (limit > 0 && limit <= 10000)
        w->limit = (size_t)limit;
    w->lower = meta_int(m, VOCAB_OWN("lower"), w->lower) == 1;
    w->strip_accents =
        meta_int(m, VOCAB_OWN("strip_accents"), w->strip_accents) == 1;
    w->han = meta_int(m, VOCAB_OWN("han"), w->han) == 1;
    w->final_sigma = meta_int(m, VOCAB_OWN("final_sigma"), false) == 1;
    v->config.lower = w->lower;
    if (meta_int(m, VOCAB_OWN("strip_accents_said"), 0) == 1)
        v->config.strip_accents = w->strip_accents;
}

/* Its text, or NULL where no token is named. */
static char *
token_named(const struct vocab *v, const struct meta *m, const char *key)
{
    int64_t id = meta_int(m, key, -1);
    const char *s;
    size_t len;

    if (id < 0 || (uint64_t)id >= v->n)
        return NULL;
    s = vocab_text(v, (int)id, &len);
    return xstrndup(s, len);
}

static void
read_profile(struct vocab *v, const struct meta *m)
{
    struct tok_config *c = &v->config;

    c->force_lower = (int)meta_int(m, VOCAB_OWN("force_lower"), -1);
    if (meta_int(m, VOCAB_OWN("profile"), 0) != 1)
        return;
    c->has_profile = true;
    c->begin = token_named(v, m, VOCAB_OWN("begin"));
    c->newline = token_named(v, m, VOCAB_OWN("newline"));
    c->end = token_named(v, m, VOCAB_OWN("end"));
    c->head_always = meta_int(m, VOCAB_OWN("head_always"), 0) == 1;
    c->soft = meta_int(m, VOCAB_OWN("soft"), 1) == 1;
}

/* --- the two kinds --- */

static bool
pattern_is_known(struct vocab *v, struct source *x)
{
    /* Those that cut text by GPT-2's own pattern. */
    static const char *const same[] = { "gpt-2", "default",     "phi-2",
                                        "mpt",   "roberta-bpe", "olmo",
                                        "jais" };
    struct meta_list l;
    const char *s;
    size_t len;

    if (!meta_find(x->m, KEY("pre"), META_TEXT, &l) ||
        !meta_next_text(&l, &s, &len)) {
        vocab_add_note(v,
                       "the file does not say how text is cut before it is "
                       "encoded (%s): as GPT-2 does",
                       KEY("pre"));
        return true;
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (len == strlen(same[i]) && memcmp(s, same[i], len) == 0)
            return true;
    return err_set(x->err, ERR_FAILED,
                   "text is to be cut as \"%.*s\" before it is encoded, which "
                   "is not supported (gpt-2 is)",
                   (int)(len > 40 ? 40 : len), s);
}

static bool
put_merges(struct vocab *v, struct source *x)
{
    struct meta_list l;
    const char *s, *space;
    size_t len, i;
    bool there;

    if (!find_list(x, KEY("merges"), META_TEXT, "texts", &l, &there))
        return false;
    if (!there || l.n == 0)
        return err_set(x->err, ERR_MODEL,
                       "a byte-level vocabulary needs %s, and there are none",
                       KEY("merges"));
    for (i = 0; meta_next_text(&l, &s, &len); i++) {
        space = len > 1 ? memchr(s + 1, ' ', len - 1) : NULL;
        if (!space || !bpe_merge(v, s, (size_t)(space - s), space + 1,
                                 len - (size_t)(space + 1 - s)))
            return err_set(x->err, ERR_MODEL,
                           "merge %zu is not two symbols of a byte-level "
                           "vocabulary with a space between them",
                           i);
    }
    return true;
}

static struct vocab *
open_bytes(struct source *x, const char *name)
{
    struct vocab *v = bpe_new();

    if (pattern_is_known(v, x) && put_tokens(v, x, false) && read_added(v, x)) {
        vocab_index(v, name);
        name_specials(v, x);
        read_profile(v, x->m);
        if (put_merges(v, x) && bpe_finish(v, x->err) &&
            vocab_apply_config(v, x->err))
            return v;
    }
    vocab_close(v);
    return NULL;
}

static struct vocab *
open_pieces(struct source *x, const char *name)
{
    bool undo = x->own || (!(x->unk_there && x->hashes) &&
                           (x->bert || x->n_words * 2 > x->n));
    struct vocab *v = wordpiece_new();
    bool capitals = false;

    if (put_tokens(v, x, undo) && read_added(v, x)) {
        vocab_index(v, name);
        for (char c = 'A'; c <= 'Z'; c++)
            capitals |= vocab_find(v, &c, 1) >= 0;
        v->wp.lower = v->wp.strip_accents = !capitals;
        v->config.lower = v->wp.lower;
        read_wordpiece(v, x->m);
        read_profile(v, x->m);
        name_specials(v, x);
        if (vocab_apply_config(v, x->err) && wordpiece_finish(v, name, x->err))
            return v;
    }
    vocab_close(v);
    return NULL;
}

static void
hash_meta(const struct meta *m, char hex[65])
{
    struct sha256 *sha = sha256_new();
    const char *key, *record;
    size_t key_len, len, at = 0;

    while (meta_next_record(m, &at, &key, &key_len, &record, &len))
        if (starts(key, key_len, "tokenizer."))
            sha256_add(sha, record, len);
    sha256_finish(sha, hex);
}

struct vocab *
vocab_from_meta(const struct meta *m, const char *name, struct err *err)
{
    struct err why = { 0 };
    struct source x = { .m = m, .err = &why };
    struct vocab *v = NULL;

    if (look(&x)) {
        bool merges = meta_has(m, KEY("merges"));

        if (x.bert || (model_is(&x, "gpt2") && !merges && x.hashes))
            v = open_pieces(&x, name);
        else if (model_is(&x, "gpt2"))
            v = open_bytes(&x, name);
        else
            err_set(&why, ERR_FAILED,
                    "a vocabulary of this kind is not supported (%s is "
                    "neither gpt2 nor bert)",
                    KEY("model"));
    }
    if (v)
        hash_meta(m, v->hash);
    else
        err_set(err, why.kind, "%s: %s", name, why.msg);
    return v;
}
