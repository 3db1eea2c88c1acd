/* engine/tokenizer_json.c  tokenizer.json of the tokenizers library.
 *
 * Two kinds are read: byte-level BPE (merges as "a b" or as ["a","b"]) and
 * WordPiece with a BertNormalizer; everything else is refused by its name.
 * The members stand in any order and the model is by far the largest, so the
 * text is walked twice: first for the kind and the switches, then, with a
 * tokenizer of that kind in hand, for vocabulary and merges.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/load/texts.h"
#include "engine/vocab.h"

#define DEPTH 32

enum model_kind { KIND_NONE, KIND_BPE, KIND_WORDPIECE };

struct plan {
    enum model_kind kind;
    bool byte_level;     /* a ByteLevel pre-tokenizer was seen */
    bool bert_pre;       /* a BertPreTokenizer was seen */
    bool has_normalizer; /* BertNormalizer */
    bool use_regex;
    int prefix_space, clean, han, strip, lower; /* -1: not said */
    int64_t limit;
    char *unk, *prefix;
    struct tok_config added; /* only its list */
};

static bool
refuse(struct json *j, const char *what, const char *name)
{
    if (j->type == JSON_ERROR)
        return false;
    return err_set(j->err, ERR_MODEL, "%s \"%.60s\" is not supported", what,
                   name);
}

static bool
wrong(struct json *j, const char *what)
{
    if (j->type == JSON_ERROR)
        return false;
    return err_set(j->err, ERR_MODEL, "\"%s\" is not what it should be", what);
}

static bool
next_bool(struct json *j, const char *name, int *to)
{
    switch (json_next(j)) {
    case JSON_TRUE: *to = 1; return true;
    case JSON_FALSE: *to = 0; return true;
    case JSON_NULL: return true;
    default: return wrong(j, name);
    }
}

/* Text or null. */
static bool
next_text(struct json *j, const char *name, char **to)
{
    if (json_next(j) == JSON_NULL)
        return true;
    if (j->type != JSON_STRING)
        return wrong(j, name);
    free(*to);
    *to = json_dup(j, NULL);
    return true;
}

/* The "type" of the object that begins at j, looked up without moving j. */
static bool
type_of(const struct json *j, char *buf, size_t cap)
{
    struct json look = *j;
    struct err none = { 0 };

    look.err = &none;
    buf[0] = '\0';
    while (json_next(&look) == JSON_KEY) {
        if (!json_is(&look, "type")) {
            if (!json_skip(&look))
                return false;
            continue;
        }
        return json_next(&look) == JSON_STRING &&
               json_text(&look, buf, cap) != (size_t)-1;
    }
    return false;
}

/* --- normalizer and pre-tokenizer --- */

typedef bool part_fn(struct plan *p, struct json *j, const char *type);

/* An object with a type, a Sequence of such, or null. */
static bool
walk_parts(struct plan *p, struct json *j, const char *list, part_fn *part)
{
    char type[64];

    if (json_next(j) == JSON_NULL)
        return true;
    if (j->type != JSON_OBJECT || !type_of(j, type, sizeof type))
        return wrong(j, list);
    if (strcmp(type, "Sequence") != 0)
        return part(p, j, type);
    while (json_next(j) == JSON_KEY) {
        if (!json_is(j, list)) {
            if (!json_skip(j))
                return false;
            continue;
        }
        if (json_next(j) != JSON_ARRAY)
            return wrong(j, list);
        while (json_next(j) == JSON_OBJECT) {
            if (!type_of(j, type, sizeof type))
                return wrong(j, list);
            if (!part(p, j, type))
                return false;
        }
        if (j->type != JSON_ARRAY_END)
            return wrong(j, list);
    }
    return j->type == JSON_OBJECT_END;
}

static bool
take_normalizer(struct plan *p, struct json *j, const char *type)
{
    const struct {
        const char *name;
        int *to;
    } flag[] = {
        { "clean_text", &p->clean },
        { "handle_chinese_chars", &p->han },
        { "strip_accents", &p->strip },
        { "lowercase", &p->lower },
    };

    if (strcmp(type, "BertNormalizer") != 0)
        return refuse(j, "the normalizer", type);
    p->has_normalizer = true;
    while (json_next(j) == JSON_KEY) {
        size_t i = 0;

        while (i < 4 && !json_is(j, flag[i].name))
            i++;
        if (i < 4 ? !next_bool(j, flag[i].name, flag[i].to) : !json_skip(j))
            return false;
    }
    return j->type == JSON_OBJECT_END;
}

static bool
take_pre_tokenizer(struct plan *p, struct json *j, const char *type)
{
    int regex = 1;

    if (strcmp(type, "BertPreTokenizer") == 0)
        p->bert_pre = true;
    else if (strcmp(type, "ByteLevel") == 0)
        p->byte_level = true;
    else
        return refuse(j, "the pre-tokenizer", type);
    while (json_next(j) == JSON_KEY) {
        bool ok;

        if (json_is(j, "add_prefix_space"))
            ok = next_bool(j, "add_prefix_space", &p->prefix_space);
        else if (json_is(j, "use_regex"))
            ok = next_bool(j, "use_regex", &regex);
        else
            ok = json_skip(j);
        if (!ok)
            return false;
    }
    p->use_regex = regex == 1;
    return j->type == JSON_OBJECT_END;
}

/* --- added tokens --- */

static bool
take_added_token(struct plan *p, struct json *j)
{
    struct added a = { .id = -1 };
    bool ok = tok_read_added(j, "added_tokens", &a);

    if (ok && (!a.text || a.id < 0))
        ok = wrong(j, "added_tokens");
    if (ok)
        tok_config_add(&p->added, &a);
    free(a.text);
    return ok;
}

static bool
take_added(struct plan *p, struct json *j)
{
    if (json_next(j) == JSON_NULL)
        return true;
    if (j->type != JSON_ARRAY)
        return wrong(j, "added_tokens");
    while (json_next(j) == JSON_OBJECT)
        if (!take_added_token(p, j))
            return false;
    return j->type == JSON_ARRAY_END || wrong(j, "added_tokens");
}

/* --- the model --- */

/* What must be empty for our BPE: other programs' word marks. */
static bool
must_be_empty(struct json *j, const char *name)
{
    char *s = NULL;
    bool ok = next_text(j, name, &s);

    if (ok && s && s[0])
        ok = refuse(j, name, s);
    free(s);
    return ok;
}

static bool
plan_model_member(struct plan *p, struct json *j)
{
    int flag = 0;

    if (json_is(j, "unk_token"))
        return next_text(j, "unk_token", &p->unk);
    if (json_is(j, "max_input_chars_per_word")) {
        if (json_next(j) != JSON_INT || j->i < 1 || j->i > 1000000)
            return wrong(j, "max_input_chars_per_word");
        p->limit = j->i;
        return true;
    }
    if (json_is(j, "continuing_subword_prefix"))
        return p->kind == KIND_BPE
                   ? must_be_empty(j, "continuing_subword_prefix")
                   : next_text(j, "continuing_subword_prefix", &p->prefix);
    if (json_is(j, "end_of_word_suffix"))
        return must_be_empty(j, "end_of_word_suffix");
    if (json_is(j, "byte_fallback")) {
        if (!next_bool(j, "byte_fallback", &flag))
            return false;
        return !flag || refuse(j, "the option", "byte_fallback");
    }
    if (json_is(j, "ignore_merges")) {
        if (!next_bool(j, "ignore_merges", &flag))
            return false;
        return !flag || refuse(j, "the option", "ignore_merges");
    }
    return json_skip(j);
}

/* "type" may be missing in old files; merges tell BPE from WordPiece. */
static bool
plan_model(struct plan *p, struct json *j)
{
    char type[64] = "";

    if (json_next(j) != JSON_OBJECT)
        return wrong(j, "model");
    if (!type_of(j, type, sizeof type)) {
        struct json look = *j;
        struct err none = { 0 };

        look.err = &none;
        strcpy(type, "WordPiece");
        while (json_next(&look) == JSON_KEY) {
            if (json_is(&look, "merges"))
                strcpy(type, "BPE");
            if (!json_skip(&look))
                break;
        }
    }
    if (strcmp(type, "BPE") == 0)
        p->kind = KIND_BPE;
    else if (strcmp(type, "WordPiece") == 0)
        p->kind = KIND_WORDPIECE;
    else
        return refuse(j, "the tokenizer model", type);
    while (json_next(j) == JSON_KEY)
        if (!plan_model_member(p, j))
            return false;
    return j->type == JSON_OBJECT_END;
}

static bool
make_plan(struct plan *p, struct json *j)
{
    bool ok = json_next(j) == JSON_OBJECT || wrong(j, "tokenizer.json");

    while (ok && json_next(j) == JSON_KEY) {
        if (json_is(j, "model"))
            ok = plan_model(p, j);
        else if (json_is(j, "normalizer"))
            ok = walk_parts(p, j, "normalizers", take_normalizer);
        else if (json_is(j, "pre_tokenizer"))
            ok = walk_parts(p, j, "pretokenizers", take_pre_tokenizer);
        else if (json_is(j, "added_tokens"))
            ok = take_added(p, j);
        else
            ok = json_skip(j);
    }
    if (!ok || j->type != JSON_OBJECT_END || json_next(j) != JSON_END)
        return false;
    if (p->kind == KIND_NONE)
        return err_set(j->err, ERR_MODEL, "there is no \"model\" in it");
    if (p->kind == KIND_BPE && (!p->byte_level || p->bert_pre))
        return err_set(j->err, ERR_MODEL,
                       "a BPE without a ByteLevel "
                       "pre-tokenizer is not supported");
    if (p->kind == KIND_BPE && !p->use_regex)
        return err_set(j->err, ERR_MODEL,
                       "a ByteLevel pre-tokenizer without "
                       "\"use_regex\" is not supported");
    if (p->kind == KIND_BPE && p->has_normalizer)
        return err_set(j->err, ERR_MODEL,
                       "a byte-level BPE with a "
                       "BertNormalizer is not supported");
    if (p->kind == KIND_WORDPIECE && (!p->bert_pre || p->byte_level))
        return err_set(j->err, ERR_MODEL,
                       "a WordPiece without a "
                       "BertPreTokenizer is not supported");
    return true;
}

/* --- second walk: vocabulary, then merges --- */

/* Moves to the value of model.NAME; false when it is not there. */
static bool
find_in_model(struct json *j, const char *data, size_t len, const char *name,
              struct err *err)
{
    json_init(j, data, len, DEPTH, err);
    json_next(j);
    while (json_next(j) == JSON_KEY) {
        if (!json_is(j, "model")) {
            json_skip(j);
            continue;
        }
        json_next(j);
        while (json_next(j) == JSON_KEY) {
            if (json_is(j, name))
                return true;
            json_skip(j);
        }
        return false;
    }
    return false;
}

static bool
put_token(struct vocab *v, const struct plan *p, int id, const char *s,
          size_t len, struct err *err)
{
    if (p->kind == KIND_BPE)
        return bpe_put(v, id, s, len, err);
    if ((size_t)id < v->n && !(v->token[id].flags & TOKEN_HOLE))
        return err_set(err, ERR_MODEL,
                       "number %d stands for two tokens, one "
                       "of them \"%.40s\"",
                       id, s);
    vocab_put(v, id, s, len, 0);
    return true;
}

static bool
read_vocab(struct vocab *v, const struct plan *p, struct json *j)
{
    if (json_next(j) != JSON_OBJECT)
        return wrong(j, "model.vocab");
    while (json_next(j) == JSON_KEY) {
        size_t n;
        char *s = json_dup(j, &n);
        int end = vocab_id_end(j->len);
        bool ok = json_next(j) == JSON_INT && j->i >= 0 && j->i < end;

        if (ok)
            ok = put_token(v, p, (int)j->i, s, n, j->err);
        else if (j->type != JSON_ERROR)
            err_set(j->err, ERR_MODEL,
                    "the number of token \"%.40s\" is not "
                    "one from 0 to %d",
                    s, end - 1);
        free(s);
        if (!ok)
            return false;
    }
    return j->type == JSON_OBJECT_END &&
           (v->n > 0 || err_set(j->err, ERR_MODEL, "the vocabulary is empty"));
}

/* One merge: "a b", or ["a", "b"] with j after the '['. */
static bool
read_merge(struct vocab *v, struct json *j, size_t index)
{
    size_t n = 0, m = 0;
    char *a = NULL, *b = NULL, *space = NULL;
    bool ok = false;

    if (j->type == JSON_STRING) {
        a = json_dup(j, &n);
        space = memchr(a, ' ', n);
        ok = space && !memchr(space + 1, ' ', n - (size_t)(space + 1 - a)) &&
             bpe_merge(v, a, (size_t)(space - a), space + 1,
                       n - (size_t)(space + 1 - a));
    } else if (j->type == JSON_ARRAY && json_next(j) == JSON_STRING) {
        a = json_dup(j, &n);
        if (json_next(j) == JSON_STRING) {
            b = json_dup(j, &m);
            ok = json_next(j) == JSON_ARRAY_END && bpe_merge(v, a, n, b, m);
        }
    }
    free(a);
    free(b);
    if (!ok && j->type != JSON_ERROR)
        err_set(j->err, ERR_MODEL,
                "merge %zu is not two symbols of a "
                "byte-level vocabulary",
                index);
    return ok;
}

static bool
read_merges(struct vocab *v, struct json *j)
{
    size_t index = 0;

    if (json_next(j) != JSON_ARRAY)
        return wrong(j, "model.merges");
    while (json_next(j) == JSON_STRING || j->type == JSON_ARRAY)
        if (!read_merge(v, j, index++))
            return false;
    return j->type == JSON_ARRAY_END || wrong(j, "model.merges");
}

/* --- putting it together --- */

static bool
apply_plan(struct vocab *v, struct plan *p, struct err *err)
{
    struct wp_settings *s = &v->wp;
    size_t prefix = p->prefix ? strlen(p->prefix) : 2;

    v->prefix_space = p->prefix_space == 1;
    if (p->unk) {
        free(v->config.unk);
        v->config.unk = p->unk;
        p->unk = NULL;
    }
    if (p->kind == KIND_BPE)
        return true;
    if (!v->config.unk)
        v->config.unk = xstrdup("[UNK]");
    s->drop =
        p->has_normalizer && p->clean != 0 ? WP_DROP_CC_CF_CO : WP_DROP_NONE;
    s->lower = p->has_normalizer && p->lower != 0;
    s->strip_accents =
        p->has_normalizer && (p->strip < 0 ? s->lower : p->strip == 1);
    s->han = p->has_normalizer && p->han != 0;
    v->config.lower = s->lower;
    v->config.strip_accents = p->strip;
    s->limit = p->limit > 0 ? (size_t)p->limit : 100;
    if (prefix == 0 || prefix >= sizeof s->prefix)
        return err_set(err, ERR_MODEL,
                       "a \"continuing_subword_prefix\" of "
                       "%zu bytes is not supported",
                       prefix);
    if (p->prefix)
        memcpy(s->prefix, p->prefix, prefix + 1);
    s->prefix_len = prefix;
    return true;
}

/* A token that is looked for in normalised text is normalised itself. */
static bool
take_all_added(struct vocab *v, const struct plan *p, struct err *err)
{
    for (size_t i = 0; i < p->added.n_added; i++) {
        struct added a = p->added.added[i];
        char *own = NULL;
        bool ok;

        if ((size_t)a.id >= v->n && a.id < VOCAB_MAX_TOKENS &&
            (size_t)a.id < v->n_base + 65536)
            vocab_put(v, a.id, a.text, a.len, TOKEN_RAW);
        if (a.normalized && p->kind == KIND_WORDPIECE)
            a.text = own = wordpiece_normalised(v, a.text, a.len, &a.len);
        ok = vocab_take_added(v, &a, err);
        free(own);
        if (!ok)
            return false;
    }
    return true;
}

/* The tables of WordPiece are needed for these only. */
static bool
any_normalized(const struct plan *p)
{
    for (size_t i = 0; i < p->added.n_added; i++)
        if (p->added.added[i].normalized)
            return true;
    return false;
}

static bool
build(struct vocab *v, struct plan *p, const char *data, size_t len,
      const char *path, struct err *err)
{
    struct json j;

    if (!find_in_model(&j, data, len, "vocab", err))
        return err_set(err, ERR_MODEL, "there is no \"vocab\" in its model");
    if (!apply_plan(v, p, err) || !read_vocab(v, p, &j))
        return false;
    vocab_index(v, path);
    if (p->kind == KIND_BPE) {
        if (!find_in_model(&j, data, len, "merges", err))
            return err_set(err, ERR_MODEL,
                           "there are no \"merges\" in its "
                           "model");
        if (!read_merges(v, &j) || !bpe_finish(v, err))
            return false;
    } else {
        v->unk = vocab_find(v, v->config.unk, strlen(v->config.unk));
        if (!(any_normalized(p) ? wordpiece_finish : wordpiece_look)(v, path,
                                                                     err))
            return false;
    }
    return take_all_added(v, p, err);
}

/* Names of the special tokens: a BERT vocabulary has the usual ones. */
static void
name_specials(struct vocab *v, enum model_kind kind)
{
    struct tok_config *c = &v->config;
    const struct {
        char **to;
        const char *name;
    } usual[] = {
        { &c->pad, "[PAD]" },
        { &c->cls, "[CLS]" },
        { &c->sep, "[SEP]" },
        { &c->mask, "[MASK]" },
    };

    for (size_t i = 0; kind == KIND_WORDPIECE && i < 4; i++)
        if (!*usual[i].to)
            *usual[i].to = xstrdup(usual[i].name);
    if (kind == KIND_BPE && !c->eos && vocab_lookup(v, "<|endoftext|>") >= 0)
        c->eos = xstrdup("<|endoftext|>");
}

struct vocab *
tokenizer_json_read(const struct texts *t, const char *path, struct err *err)
{
    struct plan p = { .prefix_space = -1,
                      .clean = -1,
                      .han = -1,
                      .strip = -1,
                      .lower = -1,
                      .use_regex = true };
    char *dir = file_folder(path);
    char *conf = xasprintf("%s/tokenizer_config.json", dir);
    char *special = xasprintf("%s/special_tokens_map.json", dir);
    const char *files[] = { path, conf, special };
    struct err own = { 0 };
    struct vocab *v = NULL;
    struct json j;
    char *data = NULL;
    size_t len;
    bool ok;

    tok_config_init(&p.added);
    ok = vocab_read_file(t, path, &data, &len, err);
    if (ok) {
        json_init(&j, data, len, DEPTH, &own);
        ok = make_plan(&p, &j);
        if (ok) {
            v = p.kind == KIND_BPE ? bpe_new() : wordpiece_new();
            ok = build(v, &p, data, len, path, &own);
        }
        if (!ok)
            err_set(err, ERR_MODEL, "%s: %s", path,
                    own.msg[0] ? own.msg : "not a tokenizer");
    }
    if (ok) { /* names of special tokens, the profile */
        int prefix_space = v->prefix_space;
        char *unk = v->config.unk;
        int lower = v->config.lower, strip = v->config.strip_accents;

        v->config.unk = NULL;
        ok = tok_config_read(&v->config, t, dir, NULL, err);
        free(v->config.unk);
        v->config.unk = unk;
        v->config.lower = lower;
        v->config.strip_accents = strip;
        name_specials(v, p.kind);
        ok = ok && (vocab_apply_config(v, err) || err_wrap(err, "%s", path));
        vocab_set_files(v, t, files, 3);
        v->prefix_space = prefix_space;
    }
    free(data);
    free(dir);
    free(conf);
    free(special);
    free(p.unk);
    free(p.prefix);
    tok_config_free(&p.added);
    if (ok)
        return v;
    if (err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    vocab_close(v);
    return NULL;
}
