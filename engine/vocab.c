/* engine/vocab.c  The table of tokens, and added tokens.
 *
 * Invariant: every token's text lies in the arena, also an empty one; the
 * table finds the last of equal tokens, as the original tokenizers do.
 */
#include "engine/vocab.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

/* --- the table --- */

struct vocab *
vocab_new(const struct tok_ops *ops)
{
    struct vocab *v = xcalloc(1, sizeof *v);

    v->ops = ops;
    v->arena = mem_grow(NULL, &v->arena_cap, 1, 1); /* empty texts lie there */
    v->unk = v->pad = v->cls = v->sep = v->mask = v->bos = v->eos = -1;
    v->profile.begin = v->profile.newline = v->profile.end = -1;
    tok_config_init(&v->config);
    return v;
}

void
vocab_close(struct vocab *v)
{
    if (!v)
        return;
    v->ops->free(v);
    for (size_t i = 0; i < v->n_added; i++)
        free(v->added[i].text);
    for (size_t i = 0; i < v->n_note; i++)
        free(v->note[i]);
    tok_config_free(&v->config);
    free(v->added);
    free(v->note);
    free(v->arena);
    free(v->token);
    free(v->slot);
    free(v->ban);
    free(v->exempt);
    free(v);
}

void
vocab_put(struct vocab *v, int id, const char *s, size_t len, int flags)
{
    size_t at = (size_t)id;

    if (at >= v->cap)
        v->token = mem_grow(v->token, &v->cap, at + 1, sizeof *v->token);
    for (; v->n <= at; v->n++)
        v->token[v->n] = (struct token){ .flags = TOKEN_HOLE };
    if (v->arena_len + len > v->arena_cap)
        v->arena = mem_grow(v->arena, &v->arena_cap, v->arena_len + len, 1);
    if (len > 0)
        memcpy(v->arena + v->arena_len, s, len);
    v->token[at] = (struct token){ (uint32_t)v->arena_len, (uint32_t)len,
                                   (unsigned char)flags };
    v->arena_len += len;
}

int
vocab_id_end(size_t file_len)
{
    size_t end = 32768 + file_len / 2;

    return end < VOCAB_MAX_TOKENS ? (int)end : VOCAB_MAX_TOKENS;
}

int
vocab_push(struct vocab *v, const char *s, size_t len, int flags)
{
    int id = (int)v->n;

    vocab_put(v, id, s, len, flags);
    return id;
}

static uint32_t
hash_bytes(uint32_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = vocab_hash_step(h, (unsigned char)s[i]);
    return h;
}

/* FNV's low bits are weak for short keys. */
static size_t
slot_of(const struct vocab *v, uint32_t h)
{
    return (h ^ h >> 15) * 0x9E3779B1u >> 7 & (v->n_slots - 1);
}

int
vocab_find_hashed(const struct vocab *v, uint32_t h, const char *a,
                  size_t a_len, const char *b, size_t b_len)
{
    if (v->n_slots == 0)
        return -1;
    for (size_t i = slot_of(v, h);; i = (i + 1) & (v->n_slots - 1)) {
        const struct token *t;
        const char *s;

        if (v->slot[i] < 0)
            return -1;
        t = &v->token[v->slot[i]];
        s = v->arena + t->at;
        if (t->len == a_len + b_len && memcmp(s, a, a_len) == 0 &&
            memcmp(s + a_len, b, b_len) == 0)
            return v->slot[i];
    }
}

int
vocab_find(const struct vocab *v, const char *s, size_t len)
{
    return vocab_find_hashed(v, hash_bytes(VOCAB_HASH_SEED, s, len), "", 0, s,
                             len);
}

int
vocab_lookup(const struct vocab *v, const char *s)
{
    size_t len = strlen(s);
    int id = vocab_find(v, s, len);

    for (size_t i = 0; id < 0 && i < v->n_added; i++)
        if (v->added[i].len == len && memcmp(v->added[i].text, s, len) == 0)
            id = v->added[i].id;
    return id;
}

/* Makes the table twice as large as n, empty. */
static void
make_slots(struct vocab *v, size_t n)
{
    v->n_slots = 64;
    while (v->n_slots < n * 2)
        v->n_slots *= 2;
    free(v->slot);
    v->slot = xmalloc(v->n_slots * sizeof *v->slot);
    for (size_t i = 0; i < v->n_slots; i++)
        v->slot[i] = -1;
    v->n_used = 0;
}

static bool
slot_insert(struct vocab *v, int id)
{
    const struct token *t = &v->token[id];
    const char *s = v->arena + t->at;
    size_t i = slot_of(v, hash_bytes(VOCAB_HASH_SEED, s, t->len));

    for (; v->slot[i] >= 0; i = (i + 1) & (v->n_slots - 1)) {
        const struct token *o = &v->token[v->slot[i]];

        if (o->len == t->len && memcmp(v->arena + o->at, s, t->len) == 0) {
            v->slot[i] = id;
            return true;
        }
    }
    v->slot[i] = id;
    v->n_used++;
    return false;
}

bool
vocab_insert(struct vocab *v, int id)
{
    if ((v->n_used + 1) * 2 > v->n_slots) {
        int *old = v->slot;
        size_t n = v->n_slots;

        v->slot = NULL;
        make_slots(v, n ? n : 32);
        for (size_t i = 0; i < n; i++)
            if (old[i] >= 0)
                slot_insert(v, old[i]);
        free(old);
    }
    return slot_insert(v, id);
}

void
vocab_index(struct vocab *v, const char *file)
{
    size_t twice = 0;

    make_slots(v, v->n);
    for (size_t i = 0; i < v->n; i++)
        if (!(v->token[i].flags & (TOKEN_HOLE | TOKEN_RAW)) &&
            v->token[i].len > 0)
            twice += slot_insert(v, (int)i);
    v->n_base = v->n;
    if (twice > 0 && file)
        vocab_add_note(v,
                       "%s: %zu tokens stand there twice; the later "
                       "number is used for text",
                       file, twice);
}

void
vocab_add_note(struct vocab *v, const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    if (v->n_note == v->cap_note)
        v->note =
            mem_grow(v->note, &v->cap_note, v->n_note + 1, sizeof *v->note);
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = xstrdup("(no memory for a note)");
    va_end(ap);
    v->note[v->n_note++] = s;
}

const char *
vocab_note(const struct vocab *v, int i)
{
    return i >= 0 && (size_t)i < v->n_note ? v->note[i] : NULL;
}

void
tok_ids_add(struct tok_ids *ids, int id)
{
    if (ids->n == ids->cap)
        ids->v = mem_grow(ids->v, &ids->cap, ids->n + 1, sizeof *ids->v);
    ids->v[ids->n++] = id;
}

/* --- added and special tokens --- */

static struct added *
find_added(struct vocab *v, const char *s, size_t len)
{
    for (size_t i = 0; i < v->n_added; i++)
        if (v->added[i].len == len && memcmp(v->added[i].text, s, len) == 0)
            return &v->added[i];
    return NULL;
}

bool
vocab_take_added(struct vocab *v, const struct added *a, struct err *err)
{
    int id = a->id >= 0 ? a->id : vocab_find(v, a->text, a->len);
    struct added *to;

    if (a->len == 0 || id < 0)
        return true; /* a name this vocabulary does not have */
    if ((size_t)id >= v->n_base + 65536 || id >= VOCAB_MAX_TOKENS)
        return err_set(err, ERR_MODEL,
                       "added token \"%.40s\" has number %d, far beyond the "
                       "%zu tokens of the vocabulary",
                       a->text, id, v->n_base);
    if ((size_t)id >= v->n || (v->token[id].flags & TOKEN_HOLE))
        vocab_put(v, id, a->text, a->len, TOKEN_RAW);
    if (a->special)
        v->token[id].flags |= TOKEN_SPECIAL;
    to = find_added(v, a->text, a->len);
    if (to)
        return true; /* the first definition wins */
    if (v->n_added == VOCAB_MAX_ADDED)
        return err_set(err, ERR_MODEL, "more than %d added tokens",
                       VOCAB_MAX_ADDED);
    if (v->n_added == v->cap_added)
        v->added =
            mem_grow(v->added, &v->cap_added, v->n_added + 1, sizeof *v->added);
    to = &v->added[v->n_added++];
    *to = *a;
    to->id = id;
    to->text = xstrndup(a->text, a->len);
    v->added_first[(unsigned char)a->text[0]] = true;
    v->has_normalized |= a->normalized;
    return true;
}

int
vocab_special(struct vocab *v, const char *s)
{
    int id = s ? vocab_lookup(v, s) : -1;
    struct added a = { .text = (char *)(uintptr_t)s,
                       .id = id,
                       .special = true };

    if (id < 0)
        return -1;
    a.len = strlen(s);
    v->token[id].flags |= TOKEN_SPECIAL;
    vocab_take_added(v, &a, NULL);
    return id;
}

bool
vocab_apply_config(struct vocab *v, struct err *err)
{
    struct tok_config *c = &v->config;

    for (size_t i = 0; i < c->n_added; i++)
        if (!vocab_take_added(v, &c->added[i], err))
            return false;
    v->unk = vocab_special(v, c->unk);
    v->pad = vocab_special(v, c->pad);
    v->cls = vocab_special(v, c->cls);
    v->sep = vocab_special(v, c->sep);
    v->mask = vocab_special(v, c->mask);
    v->bos = vocab_special(v, c->bos);
    v->eos = vocab_special(v, c->eos);
    v->prefix_space = c->prefix_space == 1;
    return true;
}

/* \w of the tokenizers library. */
static bool
word_char(uint32_t cp)
{
    const char *c;

    if (cp < 0x80)
        return uni_is_letter(cp) || uni_is_number(cp) || cp == '_';
    c = uni_category(cp);
    return c[0] == 'L' || c[0] == 'M' || strcmp(c, "Nd") == 0 ||
           strcmp(c, "Nl") == 0 || strcmp(c, "Pc") == 0 || cp == 0x200C ||
           cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9);
}

/* The longest added token that begins at `at`. */
static const struct added *
added_at(const struct vocab *v, const char *text, size_t at, size_t len,
         bool normalized)
{
    const struct added *best = NULL;

    if (!v->added_first[(unsigned char)text[at]])
        return NULL;
    for (size_t i = 0; i < v->n_added; i++) {
        const struct added *a = &v->added[i];

        if (a->normalized == normalized && a->len <= len - at &&
            (!best || a->len > best->len) &&
            memcmp(a->text, text + at, a->len) == 0)
            best = a;
    }
    return best;
}

static bool
stands_alone(const char *text, size_t from, size_t to, size_t len)
{
    uint32_t cp;

    if (from > 0) {
        size_t p = uni_prev(text, from);

        uni_decode(text + p, from - p, &cp);
        if (word_char(cp))
            return false;
    }
    if (to < len) {
        uni_decode(text + to, len - to, &cp);
        if (word_char(cp))
            return false;
    }
    return true;
}

static size_t
white_before(const char *text, size_t from, size_t stop)
{
    while (from > stop) {
        size_t p = uni_prev(text, from);
        uint32_t cp;

        uni_decode(text + p, from - p, &cp);
        if (!uni_is_white(cp))
            break;
        from = p;
    }
    return from;
}

static size_t
white_after(const char *text, size_t at, size_t len)
{
    while (at < len) {
        uint32_t cp;
        size_t n = uni_decode(text + at, len - at, &cp);

        if (!uni_is_white(cp))
            break;
        at += n;
    }
    return at;
}

bool
vocab_cut_added(const struct vocab *v, const char *text, size_t len,
                bool normalized, int flags, vocab_leaf *leaf,
                struct tok_ids *out, struct err *err)
{
    size_t done = 0;

    for (size_t i = 0; i < len;) {
        const struct added *a = added_at(v, text, i, len, normalized);
        size_t from = i, to;

        if (!a) {
            i++;
            continue;
        }
        to = i += a->len;
        if (from < done ||
            (a->single_word && !stands_alone(text, from, to, len)))
            continue;
        if (a->lstrip)
            from = white_before(text, from, done);
        if (a->rstrip)
            to = white_after(text, to, len);
        if (from > done && !leaf(v, text + done, from - done, flags, out, err))
            return false;
        tok_ids_add(out, a->id);
        done = to;
    }
    return done == len || leaf(v, text + done, len - done, flags, out, err);
}

bool
vocab_encode(const struct vocab *v, const char *text, size_t len, int flags,
             int **ids, size_t *n, struct err *err)
{
    struct tok_ids out = { 0 };
    char *spaced = NULL;
    bool ok;

    if (v->characters)
        text = spaced = vocab_spaced_out(text, len, &len);
    ok = v->ops->encode(v, text, len, flags, &out, err);
    free(spaced);
    if (!ok) {
        free(out.v);
        return false;
    }
    *ids = out.v ? out.v : xmalloc(sizeof(int)); /* never NULL */
    *n = out.n;
    return true;
}

/* --- looking at one --- */

int
vocab_size(const struct vocab *v)
{
    return (int)v->n;
}

const char *
vocab_kind(const struct vocab *v)
{
    return v->ops->kind;
}

const char *
vocab_bytes(const struct vocab *v, int id, size_t *len)
{
    return vocab_text(v, id, len);
}

const char *
vocab_hash(const struct vocab *v)
{
    return v->hash;
}

void
vocab_show(const struct vocab *v, int id, char *buf, size_t cap)
{
    const char *s;
    size_t len, used = 0;

    if (cap == 0)
        return;
    buf[0] = '\0';
    if (id < 0 || (size_t)id >= v->n)
        return;
    s = vocab_text(v, id, &len);
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = uni_decode(s + i, len - i, &cp);
        size_t need = cp == UNI_BAD ? 4 : n;

        if (used + need + 1 > cap)
            break;
        if (cp == UNI_BAD)
            snprintf(buf + used, cap - used, "<%02X>", (unsigned char)s[i]);
        else
            memcpy(buf + used, s + i, n);
        used += need;
        i += n;
    }
    buf[used] = '\0';
}
