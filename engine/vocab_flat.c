/* engine/vocab_flat.c  A vocabulary through the pipe of the jail.
 *
 * The parsers of vocab.txt, vocab.json, merges.txt, tokenizer.json and what
 * lies beside them run in a child (vocab_open.c), which makes a whole struct
 * vocab of them. It is sent as named values: tokens with their flags, merges
 * by number, added tokens, special tokens by number, switches. This process
 * makes its own of them: every number is compared with its range, every list
 * with its length, and all that is computed from tokens (the tables) is
 * computed here again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/load/meta.h"
#include "engine/vocab.h"
#include "engine/vocab_keys.h"

#define NOTES_MAX 1000

/* --- what is one number, and what is one text --- */

#define AT(member) offsetof(struct vocab, member)

enum form { AS_INT, AS_SIZE, AS_BOOL, AS_DROP };

#define TOKEN_ID       -1, VOCAB_MAX_TOKENS - 1
#define SWITCH(member) #member, AT(member), AS_BOOL, 0, 1
#define SAID(member)   "config." #member, AT(config.member), AS_INT, -1, 1

static const struct number {
    const char *key;
    size_t at;
    enum form form;
    int64_t lo, hi;
} numbers[] = {
    { "n_base", AT(n_base), AS_SIZE, 0, VOCAB_MAX_TOKENS },
    { "n_looked", AT(n_looked), AS_SIZE, 0, VOCAB_MAX_TOKENS },
    { "unk", AT(unk), AS_INT, TOKEN_ID },
    { "pad", AT(pad), AS_INT, TOKEN_ID },
    { "cls", AT(cls), AS_INT, TOKEN_ID },
    { "sep", AT(sep), AS_INT, TOKEN_ID },
    { "mask", AT(mask), AS_INT, TOKEN_ID },
    { "bos", AT(bos), AS_INT, TOKEN_ID },
    { "eos", AT(eos), AS_INT, TOKEN_ID },
    { "wp.drop", AT(wp.drop), AS_DROP, 0, WP_DROP_NONE },
    { "wp.limit", AT(wp.limit), AS_SIZE, 0, 1000000 },
    { SWITCH(wp.lower) },
    { SWITCH(wp.strip_accents) },
    { SWITCH(wp.han) },
    { SWITCH(wp.final_sigma) },
    { SWITCH(prefix_space) },
    { SWITCH(config.has_profile) },
    { SAID(lower) },
    { SAID(strip_accents) },
    { SAID(han) },
    { SAID(prefix_space) },
    { SAID(byte_level) },
    { SAID(head_always) },
    { SAID(force_lower) },
    { SAID(soft) },
};

static const struct text {
    const char *key;
    size_t at;
} texts[] = {
    { "config.unk", AT(config.unk) },
    { "config.pad", AT(config.pad) },
    { "config.cls", AT(config.cls) },
    { "config.sep", AT(config.sep) },
    { "config.mask", AT(config.mask) },
    { "config.bos", AT(config.bos) },
    { "config.eos", AT(config.eos) },
    { "config.begin", AT(config.begin) },
    { "config.newline", AT(config.newline) },
    { "config.end", AT(config.end) },
};

#define N_NUMBERS (sizeof numbers / sizeof *numbers)
#define N_TEXTS   (sizeof texts / sizeof *texts)

/* --- in the child --- */

static void
begin(struct meta *m, const char *key, enum meta_kind kind, size_t n)
{
    meta_begin(m, key, strlen(key), kind, n);
}

static void
put_numbers(const struct vocab *v, struct meta *m)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        const char *at = (const char *)v + numbers[i].at;

        begin(m, numbers[i].key, META_INT, 1);
        switch (numbers[i].form) {
        case AS_INT: meta_put_int(m, *(const int *)at); break;
        case AS_SIZE: meta_put_int(m, (int64_t) * (const size_t *)at); break;
        case AS_BOOL: meta_put_int(m, *(const bool *)at); break;
        case AS_DROP: meta_put_int(m, *(const enum wp_drop *)at); break;
        }
    }
}

static void
put_list(struct meta *m, const char *key, char *const *list, size_t n)
{
    begin(m, key, META_TEXT, n);
    for (size_t i = 0; i < n; i++)
        meta_put_text(m, list[i], strlen(list[i]));
}

/* A text that is not there is a list of none. */
static void
put_texts(const struct vocab *v, struct meta *m)
{
    for (size_t i = 0; i < N_TEXTS; i++) {
        char *const *s = (char *const *)((const char *)v + texts[i].at);

        put_list(m, texts[i].key, s, *s != NULL);
    }
    begin(m, "wp.prefix", META_TEXT, 1);
    meta_put_text(m, v->wp.prefix, v->wp.prefix_len);
    put_list(m, "config.never_split", v->config.never_split, v->config.n_never);
    put_list(m, "notes", v->note, v->n_note);
    begin(m, "files", META_INT, v->n_file);
    for (size_t i = 0; i < v->n_file; i++)
        meta_put_int(m, (int64_t)v->file[i]);
}

static void
put_added(const struct vocab *v, struct meta *m)
{
    begin(m, "added", META_INT, 2 * v->n_added);
    for (size_t i = 0; i < v->n_added; i++) {
        meta_put_int(m, v->added[i].id);
        meta_put_int(m, added_flags(&v->added[i]));
    }
    begin(m, "added.text", META_TEXT, v->n_added);
    for (size_t i = 0; i < v->n_added; i++)
        meta_put_text(m, v->added[i].text, v->added[i].len);
}

static void
put_tokens(const struct vocab *v, const char *flags_key, const char *key,
           struct meta *m)
{
    unsigned char *flags = xmalloc(v->n + 1);

    for (size_t i = 0; i < v->n; i++)
        flags[i] = v->token[i].flags;
    meta_put_list(m, flags_key, strlen(flags_key), META_INT, 1, false, v->n,
                  flags);
    free(flags);
    begin(m, key, META_TEXT, v->n);
    for (size_t i = 0; i < v->n; i++) {
        size_t len;
        const char *s = vocab_text(v, (int)i, &len);

        meta_put_text(m, s, len);
    }
}

void
vocab_to_flat(const struct vocab *v, struct meta *m)
{
    static const char merges[] = "merges";

    begin(m, "kind", META_TEXT, 1);
    meta_put_text(m, v->ops->kind, strlen(v->ops->kind));
    put_numbers(v, m);
    put_texts(v, m);
    put_added(v, m);
    put_tokens(v, "flags", "tokens", m);
    if (v->bpe) {
        size_t n;
        int32_t *list = bpe_numbers(v, &n);

        put_tokens(bpe_extra(v), "extra.flags", "extra", m);
        meta_put_list(m, merges, strlen(merges), META_INT, 4, true, n, list);
        free(list);
    }
}

/* --- in this process; false: no reader of ours would say so --- */

static bool
take_numbers(struct vocab *v, const struct meta *m)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        const struct number *x = &numbers[i];
        char *at = (char *)v + x->at;
        int64_t n = meta_int(m, x->key, INT64_MIN);

        if (n < x->lo || n > x->hi)
            return false;
        switch (x->form) {
        case AS_INT: *(int *)at = (int)n; break;
        case AS_SIZE: *(size_t *)at = (size_t)n; break;
        case AS_BOOL: *(bool *)at = n == 1; break;
        case AS_DROP: *(enum wp_drop *)at = (enum wp_drop)n; break;
        }
    }
    return true;
}

/* Was the last item read, and all of it there? */
static bool
is_done(const struct meta_list *l)
{
    return l->n == 0 && rd_ok(&l->r);
}

/* The next text without a NUL in it; given, NULL where there is none. */
static char *
next_text(struct meta_list *l)
{
    const char *s;
    size_t len;

    if (!meta_next_text(l, &s, &len) || memchr(s, '\0', len))
        return NULL;
    return xstrndup(s, len);
}

static bool
take_texts(struct vocab *v, const struct meta *m)
{
    struct tok_config *c = &v->config;
    struct meta_list l;
    const char *s;
    size_t len;

    for (size_t i = 0; i < N_TEXTS; i++) {
        char **to = (char **)((char *)v + texts[i].at);

        if (!meta_find(m, texts[i].key, META_TEXT, &l) || l.n > 1 ||
            (l.n == 1 && !(*to = next_text(&l))))
            return false;
    }
    if (!meta_find(m, "wp.prefix", META_TEXT, &l) ||
        !meta_next_text(&l, &s, &len) || len >= sizeof v->wp.prefix)
        return false;
    memset(v->wp.prefix, 0, sizeof v->wp.prefix);
    memcpy(v->wp.prefix, s, len);
    v->wp.prefix_len = len;
    if (!meta_find(m, "config.never_split", META_TEXT, &l))
        return false;
    while (l.n > 0) {
        char *own = next_text(&l);

        if (!own)
            return false;
        if (c->n_never == c->cap_never)
            c->never_split = mem_grow(c->never_split, &c->cap_never,
                                      c->n_never + 1, sizeof *c->never_split);
        c->never_split[c->n_never++] = own;
    }
    return true;
}

static bool
take_notes(struct vocab *v, const struct meta *m)
{
    struct meta_list l;
    const char *s;
    size_t len;

    if (!meta_find(m, "notes", META_TEXT, &l) || l.n > NOTES_MAX)
        return false;
    while (meta_next_text(&l, &s, &len))
        vocab_add_note(v, "%.*s", len > 4096 ? 4096 : (int)len, s);
    return is_done(&l);
}

static bool
take_files(struct vocab *v, size_t n_files, const struct meta *m)
{
    struct meta_list l;
    int64_t i;

    if (!meta_find(m, "files", META_INT, &l) || l.n > VOCAB_MAX_FILES)
        return false;
    while (meta_next_int(&l, &i)) {
        if (i < 0 || (uint64_t)i >= n_files)
            return false;
        v->file[v->n_file++] = (size_t)i;
    }
    return is_done(&l);
}

static bool
take_added(struct vocab *v, const struct meta *m)
{
    struct meta_list l, texts_of;
    int64_t id, flags;
    const char *s;

    if (!meta_find(m, "added", META_INT, &l) ||
        !meta_find(m, "added.text", META_TEXT, &texts_of) ||
        l.n > 2 * VOCAB_MAX_ADDED || l.n != 2 * texts_of.n)
        return false;
    while (meta_next_int(&l, &id) && meta_next_int(&l, &flags)) {
        struct added a = { 0 };
        bool ok;

        if (id < 0 || (uint64_t)id >= v->n ||
            !meta_next_text(&texts_of, &s, &a.len))
            return false;
        a.id = (int)id;
        added_set_flags(&a, flags);
        a.text = xstrndup(s, a.len);
        ok = strlen(a.text) == a.len && vocab_take_added(v, &a, NULL);
        free(a.text);
        if (!ok)
            return false;
    }
    return is_done(&l);
}

/* --- tokens and merges --- */

struct tokens { /* two lists of one length */
    struct meta_list flags, text;
};

static bool
find_tokens(const struct meta *m, const char *flags_key, const char *key,
            uint64_t max, struct tokens *t)
{
    return meta_find(m, flags_key, META_INT, &t->flags) &&
           meta_find(m, key, META_TEXT, &t->text) && t->flags.n == t->text.n &&
           t->text.n <= max;
}

/* The next n of them, at the end of v. */
static bool
take_tokens(struct vocab *v, struct tokens *t, uint64_t n)
{
    int64_t flags;
    const char *s;
    size_t len;

    for (; n > 0; n--) {
        if (!meta_next_int(&t->flags, &flags) ||
            !meta_next_text(&t->text, &s, &len) || flags < 0 ||
            flags > TOKEN_FLAGS || len > UINT32_MAX - v->arena_len)
            return false;
        vocab_push(v, s, len, (int)flags);
    }
    return true;
}

static bool
take_merges(struct vocab *v, const struct meta *m)
{
    struct vocab *extra = bpe_extra(v);
    struct meta_list l;
    struct tokens t;
    int64_t x[4];

    if (!find_tokens(m, "extra.flags", "extra", VOCAB_MAX_TOKENS, &t) ||
        !take_tokens(extra, &t, t.text.n) ||
        !meta_find(m, "merges", META_INT, &l) || l.n % 4 != 0)
        return false;
    for (size_t i = 0; i < extra->n; i++)
        vocab_insert(extra, (int)i);
    while (meta_next_int(&l, &x[0]) && meta_next_int(&l, &x[1]) &&
           meta_next_int(&l, &x[2]) && meta_next_int(&l, &x[3]))
        if (!bpe_take_numbers(v, x))
            return false;
    return is_done(&l) && bpe_finish(v, NULL);
}

static bool
ids_are_tokens(const struct vocab *v)
{
    const int ids[] = {
        v->unk, v->pad, v->cls, v->sep, v->mask, v->bos, v->eos
    };

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= 0 && (size_t)ids[i] >= v->n)
            return false;
    return true;
}

/* WordPiece's tables are made when the tokens that its file has are there;
 * tokens behind them were added. */
static bool
take_vocabulary(struct vocab *v, size_t n_files, const struct meta *m)
{
    size_t n_base, first;
    struct tokens t;

    if (!find_tokens(m, "flags", "tokens", VOCAB_MAX_TOKENS, &t) ||
        !take_numbers(v, m) || !take_texts(v, m) || !take_notes(v, m) ||
        !take_files(v, n_files, m))
        return false;
    n_base = v->n_base;
    first = v->bpe ? (size_t)t.text.n : v->n_looked;
    if (first > t.text.n || n_base > t.text.n || first == 0 ||
        !take_tokens(v, &t, first))
        return false;
    vocab_index(v, NULL);
    if (!v->bpe && (v->wp.prefix_len == 0 || !wordpiece_finish(v, "", NULL) ||
                    !take_tokens(v, &t, t.text.n)))
        return false;
    v->n_base = n_base;
    return ids_are_tokens(v) && (!v->bpe || take_merges(v, m)) &&
           take_added(v, m);
}

struct vocab *
vocab_from_flat(const struct meta *m, size_t n_files, const char *name,
                struct err *err)
{
    struct vocab *v = NULL;
    struct meta_list l;
    const char *s;
    size_t len;

    if (meta_find(m, "kind", META_TEXT, &l) && meta_next_text(&l, &s, &len)) {
        if (len == 3 && memcmp(s, "bpe", len) == 0)
            v = bpe_new();
        else if (len == 9 && memcmp(s, "wordpiece", len) == 0)
            v = wordpiece_new();
    }
    if (v && take_vocabulary(v, n_files, m))
        return v;
    vocab_close(v);
    err_set(err, ERR_MODEL, "%s: its reader gave an impossible answer", name);
    return NULL;
}
