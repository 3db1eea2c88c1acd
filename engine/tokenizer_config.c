/* engine/tokenizer_config.c  What lies beside a vocabulary.
 *
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json of
 * Hugging Face folders, and the "jielong" object that names the profile of a
 * model (doc/models.md). Special tokens are either text or an object with
 * "content". What is unknown is skipped; what is known but of the wrong kind
 * is an error that names the member.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/load/texts.h"
#include "engine/vocab.h"

void
tok_config_init(struct tok_config *c)
{
    memset(c, 0, sizeof *c);
    c->lower = c->strip_accents = c->han = c->prefix_space = -1;
    c->byte_level = c->head_always = c->force_lower = c->soft = -1;
}

void
tok_config_free(struct tok_config *c)
{
    char *all[] = { c->unk, c->pad, c->cls,   c->sep,     c->mask,
                    c->bos, c->eos, c->begin, c->newline, c->end };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (size_t i = 0; i < c->n_never; i++)
        free(c->never_split[i]);
    for (size_t i = 0; i < c->n_added; i++)
        free(c->added[i].text);
    free(c->never_split);
    free(c->added);
    tok_config_init(c);
}

void
tok_config_add(struct tok_config *c, const struct added *a)
{
    struct added *to;

    if (c->n_added == c->cap_added)
        c->added =
            mem_grow(c->added, &c->cap_added, c->n_added + 1, sizeof *c->added);
    to = &c->added[c->n_added++];
    *to = *a;
    to->text = xstrndup(a->text, a->len);
}

static bool
wrong(struct json *j, const char *name, const char *want)
{
    if (j->type == JSON_ERROR)
        return false;
    return err_set(j->err, ERR_MODEL, "\"%s\" must be %s", name, want);
}

/* true, false or null (nothing is said). */
static bool
take_bool(struct json *j, const char *name, int *to)
{
    switch (json_next(j)) {
    case JSON_TRUE: *to = 1; return true;
    case JSON_FALSE: *to = 0; return true;
    case JSON_NULL: return true;
    default: return wrong(j, name, "true or false");
    }
}

/* A string without inner NULs, in new memory. */
static bool
text_here(struct json *j, const char *name, char **to)
{
    size_t len;
    char *s = json_dup(j, &len);

    if (strlen(s) != len) {
        free(s);
        return wrong(j, name, "text without U+0000");
    }
    free(*to);
    *to = s;
    return true;
}

static bool
take_text(struct json *j, const char *name, char **to)
{
    enum json_type t = json_next(j);

    if (t == JSON_NULL)
        return true;
    return t == JSON_STRING ? text_here(j, name, to) : wrong(j, name, "text");
}

bool
tok_read_added(struct json *j, const char *name, struct added *a)
{
    static const char *const names[] = { "special", "normalized", "lstrip",
                                         "rstrip", "single_word" };
    int said[5] = { -1, -1, -1, -1, -1 };
    int64_t id = a->id;

    while (json_next(j) == JSON_KEY) {
        size_t k = 0;

        while (k < 5 && !json_is(j, names[k]))
            k++;
        if (k < 5) {
            if (!take_bool(j, names[k], &said[k]))
                return false;
        } else if (json_is(j, "content")) {
            if (!take_text(j, name, &a->text))
                return false;
        } else if (json_is(j, "id")) {
            if (json_next(j) != JSON_INT)
                return wrong(j, "id", "a number");
            id = j->i;
        } else if (!json_skip(j)) {
            return false;
        }
    }
    if (j->type != JSON_OBJECT_END)
        return wrong(j, name, "an object");
    if (id < -1 || id > INT_MAX)
        return wrong(j, name, "a token with a number from 0 to 2^31-1");
    a->id = (int)id;
    a->len = a->text ? strlen(a->text) : 0;
    a->special = said[0] == -1 ? a->special : said[0] == 1;
    a->normalized = said[1] == 1;
    a->lstrip = said[2] == 1;
    a->rstrip = said[3] == 1;
    a->single_word = said[4] == 1;
    return true;
}

/* "[CLS]" or {"content": "[CLS]", ...}; to may be NULL. */
static bool
take_special(struct tok_config *c, struct json *j, const char *name, char **to)
{
    struct added a = { .id = -1, .special = true };
    bool ok = true;

    switch (json_next(j)) {
    case JSON_NULL: return true;
    case JSON_STRING: ok = text_here(j, name, &a.text); break;
    case JSON_OBJECT: ok = tok_read_added(j, name, &a); break;
    default: return wrong(j, name, "text or an object with \"content\"");
    }
    if (ok && a.text) {
        a.len = strlen(a.text);
        a.special = true;
        tok_config_add(c, &a);
        if (to) {
            free(*to);
            *to = a.text;
            a.text = NULL;
        }
    }
    free(a.text);
    return ok;
}

static bool
take_special_list(struct tok_config *c, struct json *j, const char *name)
{
    enum json_type t = json_next(j);

    if (t == JSON_NULL)
        return true;
    if (t == JSON_OBJECT) /* extra_special_tokens of newer versions */
        return json_skip(j);
    if (t != JSON_ARRAY)
        return wrong(j, name, "a list");
    for (;;) {
        struct added a = { .id = -1, .special = true };
        bool ok;

        t = json_next(j);
        if (t == JSON_ARRAY_END)
            return true;
        if (t == JSON_STRING)
            ok = text_here(j, name, &a.text);
        else if (t == JSON_OBJECT)
            ok = tok_read_added(j, name, &a);
        else
            return wrong(j, name, "a list of tokens");
        if (ok && a.text) {
            a.len = strlen(a.text);
            tok_config_add(c, &a);
        }
        free(a.text);
        if (!ok)
            return false;
    }
}

static bool
take_never_split(struct tok_config *c, struct json *j)
{
    enum json_type t = json_next(j);

    if (t == JSON_NULL)
        return true;
    if (t != JSON_ARRAY)
        return wrong(j, "never_split", "a list of texts");
    while ((t = json_next(j)) == JSON_STRING) {
        char *s = NULL;

        if (!text_here(j, "never_split", &s))
            return false;
        if (c->n_never == c->cap_never)
            c->never_split = mem_grow(c->never_split, &c->cap_never,
                                      c->n_never + 1, sizeof *c->never_split);
        c->never_split[c->n_never++] = s;
    }
    return t == JSON_ARRAY_END || wrong(j, "never_split", "a list of texts");
}

/* {"21128": {"content": "[EOS]", "special": true}, ...} */
static bool
take_decoder(struct tok_config *c, struct json *j)
{
    enum json_type t = json_next(j);

    if (t == JSON_NULL)
        return true;
    if (t != JSON_OBJECT)
        return wrong(j, "added_tokens_decoder", "an object");
    while ((t = json_next(j)) == JSON_KEY) {
        char name[32];
        struct added a = { .id = -1 };
        bool ok;
        char *rest;
        long id;

        if (json_text(j, name, sizeof name) == (size_t)-1)
            return wrong(j, "added_tokens_decoder", "named by numbers");
        id = strtol(name, &rest, 10);
        if (*rest || rest == name || id < 0 || id > INT_MAX)
            return wrong(j, "added_tokens_decoder", "named by numbers");
        a.id = (int)id;
        if (json_next(j) != JSON_OBJECT)
            return wrong(j, "added_tokens_decoder", "an object of objects");
        ok = tok_read_added(j, name, &a);
        if (ok && a.text)
            tok_config_add(c, &a);
        free(a.text);
        if (!ok)
            return false;
    }
    return t == JSON_OBJECT_END;
}

/* The "jielong" object: how this model wants to be fed. */
static bool
take_profile(struct tok_config *c, struct json *j)
{
    char *head = NULL;
    bool ok = true;

    if (json_next(j) != JSON_OBJECT)
        return wrong(j, "jielong", "an object");
    c->has_profile = true;
    while (ok && json_next(j) == JSON_KEY) {
        if (json_is(j, "begin"))
            ok = take_text(j, "jielong.begin", &c->begin);
        else if (json_is(j, "newline"))
            ok = take_text(j, "jielong.newline", &c->newline);
        else if (json_is(j, "end"))
            ok = take_text(j, "jielong.end", &c->end);
        else if (json_is(j, "head"))
            ok = take_text(j, "jielong.head", &head);
        else if (json_is(j, "lower"))
            ok = take_bool(j, "jielong.lower", &c->force_lower);
        else if (json_is(j, "soft"))
            ok = take_bool(j, "jielong.soft", &c->soft);
        else
            ok = json_skip(j);
    }
    ok = ok && j->type == JSON_OBJECT_END;
    if (ok && head) {
        c->head_always = strcmp(head, "always") == 0;
        if (!c->head_always && strcmp(head, "document") != 0)
            ok = wrong(j, "jielong.head", "\"always\" or \"document\"");
    }
    free(head);
    return ok;
}

static bool
take_class(struct tok_config *c, struct json *j)
{
    char *s = NULL;

    if (!take_text(j, "tokenizer_class", &s))
        return false;
    if (s)
        c->byte_level = strncmp(s, "GPT2", 4) == 0 ? 1 : 0;
    free(s);
    return true;
}

/* One member of tokenizer_config.json or special_tokens_map.json. */
static bool
take_member(struct tok_config *c, struct json *j)
{
    const struct {
        const char *name;
        char **to;
    } special[] = {
        { "unk_token", &c->unk },   { "pad_token", &c->pad },
        { "cls_token", &c->cls },   { "sep_token", &c->sep },
        { "mask_token", &c->mask }, { "bos_token", &c->bos },
        { "eos_token", &c->eos },
    };
    const struct {
        const char *name;
        int *to;
    } flag[] = {
        { "do_lower_case", &c->lower },
        { "strip_accents", &c->strip_accents },
        { "tokenize_chinese_chars", &c->han },
        { "add_prefix_space", &c->prefix_space },
    };

    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (json_is(j, special[i].name))
            return take_special(c, j, special[i].name, special[i].to);
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
        if (json_is(j, flag[i].name))
            return take_bool(j, flag[i].name, flag[i].to);
    if (json_is(j, "additional_special_tokens"))
        return take_special_list(c, j, "additional_special_tokens");
    if (json_is(j, "extra_special_tokens"))
        return take_special_list(c, j, "extra_special_tokens");
    if (json_is(j, "never_split"))
        return take_never_split(c, j);
    if (json_is(j, "added_tokens_decoder"))
        return take_decoder(c, j);
    if (json_is(j, "jielong"))
        return take_profile(c, j);
    if (json_is(j, "tokenizer_class"))
        return take_class(c, j);
    return json_skip(j);
}

/* added_tokens.json: {"[HL]": 21129} */
static bool
take_added(struct tok_config *c, struct json *j)
{
    struct added a = { .id = -1 };
    bool ok = text_here(j, "added token", &a.text);

    if (ok && (json_next(j) != JSON_INT || j->i < 0 || j->i > INT_MAX))
        ok = wrong(j, a.text, "a number");
    if (ok) {
        a.id = (int)j->i;
        a.len = strlen(a.text);
        tok_config_add(c, &a);
    }
    free(a.text);
    return ok;
}

static bool
read_object(struct tok_config *c, const struct texts *t, const char *path,
            bool (*take)(struct tok_config *, struct json *), struct err *err)
{
    char *data;
    size_t len;
    struct json j;
    bool ok;
    struct err own = { 0 };

    if (!texts_read(t, path, VOCAB_FILE_MAX, &data, &len, err))
        return false;
    json_init(&j, data, len, 32, &own);
    ok = json_next(&j) == JSON_OBJECT;
    if (!ok && j.type != JSON_ERROR)
        err_set(&own, ERR_MODEL, "not a JSON object");
    while (ok && json_next(&j) == JSON_KEY)
        ok = take(c, &j);
    ok = ok && j.type == JSON_OBJECT_END && json_next(&j) == JSON_END;
    free(data);
    return ok || err_set(err, ERR_MODEL, "%s: %s", path,
                         own.msg[0] ? own.msg : "not a JSON object");
}

bool
tok_config_read(struct tok_config *c, const struct texts *t, const char *dir,
                const char *path, struct err *err)
{
    static const char *const names[] = { "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "added_tokens.json" };
    bool ok = true;

    for (size_t i = 0; i < 3 && ok; i++) {
        char *p =
            i == 0 && path ? xstrdup(path) : xasprintf("%s/%s", dir, names[i]);
        const struct text_file *f = texts_find(t, p);

        if (f && f->there)
            ok = read_object(c, t, p, i == 2 ? take_added : take_member, err);
        free(p);
    }
    return ok;
}
