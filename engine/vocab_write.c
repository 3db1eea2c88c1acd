/* engine/vocab_write.c  A vocabulary as the metadata of a GGUF file.
 *
 * What vocab_meta.c reads, written. WordPiece becomes what llama.cpp's
 * converter makes of BERT's: "bert", U+2581 before whole words and nothing
 * before the pieces that continue one. The first and last token of a text
 * stand as bos and eos, as the profile has them.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/load/gguf_write.h"
#include "engine/vocab.h"
#include "engine/vocab_keys.h"

/* --- tokens --- */

static enum token_type
type_of(const struct vocab *v, int id)
{
    unsigned flags = v->token[id].flags;

    if (flags & TOKEN_HOLE)
        return TYPE_UNUSED;
    if (flags & TOKEN_SPECIAL)
        return TYPE_CONTROL;
    if (v->bpe && flags & TOKEN_UNUSED)
        return TYPE_UNUSED;
    return v->bpe && flags & TOKEN_RAW ? TYPE_USER : TYPE_NORMAL;
}

/* A word's first piece; the others lose what marks them. */
static char *
piece_text(const struct vocab *v, const char *s, size_t len)
{
    size_t n = v->wp.prefix_len;

    if (vocab_in_brackets(s, len))
        return xstrndup(s, len);
    if (n > 0 && len > n && memcmp(s, v->wp.prefix, n) == 0)
        return xstrndup(s + n, len - n);
    return xasprintf(VOCAB_WORD "%.*s", (int)len, s);
}

static char *
token_text(const struct vocab *v, int id)
{
    size_t len;
    const char *s = vocab_text(v, id, &len);

    if (v->token[id].flags & TOKEN_HOLE)
        return xasprintf("[PAD%d]", id);
    if (!v->bpe)
        return piece_text(v, s, len);
    return type_of(v, id) == TYPE_NORMAL ? bpe_letters(s, len)
                                         : xstrndup(s, len);
}

static void
put_item(struct gguf_out *o, char *s)
{
    gguf_item_text(o, s, strlen(s));
    free(s);
}

static void
put_tokens(const struct vocab *v, int n_rows, struct gguf_out *o)
{
    int n = (int)v->n;

    gguf_put_texts(o, VOCAB_KEY("tokens"), (size_t)n_rows);
    for (int id = 0; id < n_rows; id++)
        put_item(o, id < n ? token_text(v, id) : xasprintf("[PAD%d]", id));
    gguf_put_ints(o, VOCAB_KEY("token_type"), (size_t)n_rows);
    for (int id = 0; id < n_rows; id++)
        gguf_item_int(o, id < n ? (int)type_of(v, id) : TYPE_UNUSED);
}

static void
put_merges(const struct vocab *v, struct gguf_out *o)
{
    size_t n;
    char **list = bpe_merges(v, &n);

    gguf_put_texts(o, VOCAB_KEY("merges"), n);
    for (size_t i = 0; i < n; i++)
        put_item(o, list[i]);
    free(list);
}

/* --- numbers of tokens, switches --- */

static void
put_id(struct gguf_out *o, const char *key, int id)
{
    if (id >= 0)
        gguf_put_u32(o, key, (uint32_t)id);
}

static void
put_specials(const struct vocab *v, struct gguf_out *o)
{
    put_id(o, VOCAB_KEY("bos_token_id"), v->profile.begin);
    put_id(o, VOCAB_KEY("eos_token_id"), v->profile.end);
    put_id(o, VOCAB_KEY("unknown_token_id"), v->unk);
    put_id(o, VOCAB_KEY("seperator_token_id"), v->sep); /* the format's word */
    put_id(o, VOCAB_KEY("padding_token_id"), v->pad);
    put_id(o, VOCAB_KEY("cls_token_id"), v->cls);
    put_id(o, VOCAB_KEY("mask_token_id"), v->mask);
    if (v->profile.begin < 0)
        gguf_put_bool(o, VOCAB_KEY("add_bos_token"), false);
    if (v->prefix_space)
        gguf_put_bool(o, VOCAB_KEY("add_space_prefix"), true);
}

/* Every token that is matched as a whole: its number and how. */
static void
put_added(const struct vocab *v, struct gguf_out *o)
{
    gguf_put_ints(o, VOCAB_OWN("added"), 2 * v->n_added);
    for (size_t i = 0; i < v->n_added; i++) {
        const struct added *a = &v->added[i];

        gguf_item_int(o, a->id);
        gguf_item_int(o, added_flags(a));
    }
}

static void
put_wordpiece(const struct vocab *v, struct gguf_out *o)
{
    const struct tok_config *c = &v->config;

    gguf_put_u32(o, VOCAB_OWN("drop"), (uint32_t)v->wp.drop);
    gguf_put_u32(o, VOCAB_OWN("limit"), (uint32_t)v->wp.limit);
    gguf_put_bool(o, VOCAB_OWN("lower"), v->wp.lower);
    gguf_put_bool(o, VOCAB_OWN("strip_accents"), v->wp.strip_accents);
    gguf_put_bool(o, VOCAB_OWN("han"), v->wp.han);
    gguf_put_bool(o, VOCAB_OWN("final_sigma"), v->wp.final_sigma);
    if (c->strip_accents >= 0)
        gguf_put_bool(o, VOCAB_OWN("strip_accents_said"), true);
}

/* The "jielong" object of tokenizer_config.json, by numbers of tokens. */
static void
put_profile(const struct vocab *v, struct gguf_out *o)
{
    const struct tok_config *c = &v->config;
    const struct profile *p = &v->profile;

    if (c->force_lower >= 0)
        gguf_put_bool(o, VOCAB_OWN("force_lower"), c->force_lower == 1);
    if (!c->has_profile)
        return;
    gguf_put_bool(o, VOCAB_OWN("profile"), true);
    put_id(o, VOCAB_OWN("begin"), p->begin);
    put_id(o, VOCAB_OWN("newline"), p->newline);
    put_id(o, VOCAB_OWN("end"), p->end);
    gguf_put_bool(o, VOCAB_OWN("head_always"), p->head_always);
    gguf_put_bool(o, VOCAB_OWN("soft"), p->soft);
}

void
vocab_to_meta(const struct vocab *v, int n_rows, struct gguf_out *o)
{
    gguf_put_text(o, VOCAB_KEY("model"), v->bpe ? "gpt2" : "bert");
    if (v->bpe)
        gguf_put_text(o, VOCAB_KEY("pre"), "gpt-2");
    put_tokens(v, n_rows, o);
    if (v->bpe)
        put_merges(v, o);
    put_specials(v, o);
    put_added(v, o);
    if (!v->bpe)
        put_wordpiece(v, o);
    put_profile(v, o);
}

size_t
vocab_count_twice(const struct vocab *v)
{
    size_t twice = 0;

    for (size_t id = 0; id < v->n; id++) {
        size_t len;
        const char *s = vocab_text(v, (int)id, &len);
        int other = v->token[id].flags & (TOKEN_HOLE | TOKEN_RAW)
                        ? -1
                        : vocab_find(v, s, len);

        twice += len > 0 && other >= 0 && other != (int)id;
    }
    return twice;
}

/* --- one that means nothing --- */

void
vocab_stand_in(int n_rows, struct gguf_out *o)
{
    gguf_put_text(o, VOCAB_KEY("model"), "gpt2");
    gguf_put_text(o, VOCAB_KEY("pre"), "gpt-2");
    gguf_put_texts(o, VOCAB_KEY("tokens"), (size_t)n_rows);
    for (int id = 0; id < n_rows; id++) {
        char c = (char)id;

        put_item(o, id < 256           ? bpe_letters(&c, 1)
                    : id == 256        ? xstrdup("ab")
                    : id == n_rows - 1 ? xstrdup("<|endoftext|>")
                                       : xasprintf("x%06d", id));
    }
    gguf_put_ints(o, VOCAB_KEY("token_type"), (size_t)n_rows);
    for (int id = 0; id < n_rows; id++)
        gguf_item_int(o, id == n_rows - 1 ? TYPE_CONTROL : TYPE_NORMAL);
    gguf_put_texts(o, VOCAB_KEY("merges"), 1);
    put_item(o, xstrdup("a b"));
    put_id(o, VOCAB_KEY("bos_token_id"), n_rows - 1);
    put_id(o, VOCAB_KEY("eos_token_id"), n_rows - 1);
}
