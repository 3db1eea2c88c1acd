/* engine/bpe.c  Byte-level BPE as GPT-2 does it.
 *
 * Text is cut into pieces by GPT-2's pattern (written out by hand: it is six
 * alternatives over four classes of characters), then the bytes of a piece
 * are merged pair by pair, lowest rank first, leftmost on ties. Short pieces
 * scan an array of ranks; above 64 symbols a heap with lazy deletion takes
 * over, so that a piece of n bytes costs n log n whatever it holds.
 *
 * Symbols are token ids; symbols that only the merges know get ids behind
 * the vocabulary and fall back to their bytes. Bytes that are not UTF-8 are
 * each a character that is neither letter, number nor white space. Sources:
 * openai/gpt-2 src/encoder.py, transformers GPT2Tokenizer; doc/models.md.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/load/texts.h"
#include "engine/vocab.h"

#define HEAP_ABOVE 64
#define NO_RANK    0xFFFFFFFFu
#define EXTRA      (1 << 28) /* symbols from here on are no tokens */
#define EXTRA_MAX  65536     /* more of them are no damage but an attack */

struct merge {
    int a, b; /* a < 0: empty slot */
    uint32_t rank;
    int to;
};

struct bpe {
    struct merge *slot;
    size_t n_slots, n_merges;
    uint32_t rank;       /* of the next merge */
    int byte_id[256];    /* symbol of a byte */
    struct vocab *extra; /* symbols that only the merges know */
};

/* --- the byte alphabet --- */

/* GPT-2 writes the bytes 33-126, 161-172 and 174-255 as the character of
 * that number, the other 68 in order as U+0100, U+0101, ... */
static int
byte_of(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) ||
        (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp >= 256 + 68)
        return -1;
    cp -= 256;
    return cp < 33 ? (int)cp : cp < 67 ? (int)(127 + cp - 33) : 173;
}

/* Into out (at least len bytes); false: not written in the alphabet. */
static bool
to_bytes(const char *s, size_t len, char *out, size_t *n)
{
    uint32_t cp;

    *n = 0;
    for (size_t i = 0; i < len;) {
        int b;

        i += uni_decode(s + i, len - i, &cp);
        b = byte_of(cp);
        if (b < 0)
            return false;
        out[(*n)++] = (char)b;
    }
    return true;
}

static uint32_t
letter_of(unsigned char b)
{
    if ((b >= 33 && b <= 126) || (b >= 161 && b != 173))
        return b;
    return b < 33 ? 256u + b : b < 161 ? 256u + 33 + b - 127 : 256u + 67;
}

char *
bpe_letters(const char *s, size_t len)
{
    char *out = xmalloc(2 * len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += uni_encode(letter_of((unsigned char)s[i]), out + n);
    out[n] = '\0';
    return out;
}

/* --- making one --- */

static bool bpe_encode(const struct vocab *v, const char *text, size_t len,
                       int flags, struct tok_ids *out, struct err *err);

static void
bpe_free(struct vocab *v)
{
    vocab_close(v->bpe->extra);
    free(v->bpe->slot);
    free(v->bpe);
}

static void
extra_free(struct vocab *v)
{
}

static const struct tok_ops bpe_ops = {
    .kind = "bpe",
    .encode = bpe_encode,
    .free = bpe_free,
};

static const struct tok_ops extra_ops = {
    .kind = "symbols",
    .free = extra_free,
};

struct vocab *
bpe_new(void)
{
    struct vocab *v = vocab_new(&bpe_ops);

    v->bpe = xcalloc(1, sizeof *v->bpe);
    v->bpe->extra = vocab_new(&extra_ops);
    return v;
}

bool
bpe_put(struct vocab *v, int id, const char *s, size_t len, struct err *err)
{
    char *bytes;
    size_t n;
    bool known;

    if (id < 0 || id >= VOCAB_MAX_TOKENS)
        return err_set(err, ERR_MODEL, "token \"%.40s\" has number %d", s, id);
    if ((size_t)id < v->n && !(v->token[id].flags & TOKEN_HOLE))
        return err_set(err, ERR_MODEL,
                       "number %d stands for two tokens, one "
                       "of them \"%.40s\"",
                       id, s);
    bytes = xmalloc(len + 1);
    known = to_bytes(s, len, bytes, &n);
    if (known)
        vocab_put(v, id, bytes, n, n == 0 ? TOKEN_BLANK : 0);
    else
        vocab_put(v, id, s, len, TOKEN_RAW);
    free(bytes);
    return true;
}

static size_t
merge_slot(const struct bpe *b, int x, int y)
{
    uint64_t h =
        ((uint64_t)(uint32_t)x << 32 | (uint32_t)y) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32) & (b->n_slots - 1);

    while (b->slot[i].a >= 0 && (b->slot[i].a != x || b->slot[i].b != y))
        i = (i + 1) & (b->n_slots - 1);
    return i;
}

static void
grow_merges(struct bpe *b)
{
    struct merge *old = b->slot;
    size_t n = b->n_slots;

    b->n_slots = n ? n * 2 : 1024;
    b->slot = xmalloc(b->n_slots * sizeof *b->slot);
    for (size_t i = 0; i < b->n_slots; i++)
        b->slot[i].a = -1;
    for (size_t i = 0; i < n; i++)
        if (old[i].a >= 0)
            b->slot[merge_slot(b, old[i].a, old[i].b)] = old[i];
    free(old);
}

static void
keep_merge(struct bpe *b, const struct merge *m)
{
    size_t at;

    if (b->n_merges * 4 >= b->n_slots * 3)
        grow_merges(b);
    at = merge_slot(b, m->a, m->b);
    b->n_merges += b->slot[at].a < 0;
    b->slot[at] = *m;
}

/* The symbol of these bytes; those the vocabulary lacks (damaged files) get
 * numbers of their own from EXTRA on. */
static int
symbol(struct vocab *v, const char *s, size_t len)
{
    struct vocab *x = v->bpe->extra;
    int id = vocab_find(v, s, len);

    if (id >= 0)
        return id;
    id = vocab_find(x, s, len);
    if (id < 0) {
        id = vocab_push(x, s, len, 0);
        vocab_insert(x, id);
    }
    return EXTRA + id;
}

/* More than any vocabulary has: bpe_finish() will refuse it, and until then
 * nothing more is kept. */
static bool
is_flooded(const struct bpe *b)
{
    return b->n_merges > VOCAB_MAX_TOKENS || b->extra->n > EXTRA_MAX;
}

bool
bpe_merge(struct vocab *v, const char *a, size_t a_len, const char *b,
          size_t b_len)
{
    struct bpe *t = v->bpe;
    char *bytes;
    size_t n, m;
    struct merge new;
    bool ok;

    bytes = xmalloc(a_len + b_len + 1);
    ok = a_len > 0 && b_len > 0 && to_bytes(a, a_len, bytes, &n) &&
         to_bytes(b, b_len, bytes + n, &m);
    if (ok && !is_flooded(t)) {
        new.a = symbol(v, bytes, n);
        new.b = symbol(v, bytes + n, m);
        new.to = symbol(v, bytes, n + m);
        new.rank = t->rank++;
        keep_merge(t, &new);
    }
    free(bytes);
    return ok;
}

bool
bpe_finish(struct vocab *v, struct err *err)
{
    if (v->bpe->extra->n > EXTRA_MAX)
        return err_set(err, ERR_MODEL,
                       "the merges make more than %d symbols that the "
                       "vocabulary does not have: they do not belong together",
                       EXTRA_MAX);
    if (is_flooded(v->bpe))
        return err_set(err, ERR_MODEL, "more than %d merges", VOCAB_MAX_TOKENS);
    if (v->bpe->n_slots == 0)
        grow_merges(v->bpe);
    for (int i = 0; i < 256; i++) {
        char c = (char)i;

        v->bpe->byte_id[i] = symbol(v, &c, 1);
    }
    return true;
}

/* --- the merges again --- */

static char *
symbol_letters(const struct vocab *v, int sym)
{
    const struct vocab *of = sym >= EXTRA ? v->bpe->extra : v;
    size_t len;
    const char *s = vocab_text(of, sym >= EXTRA ? sym - EXTRA : sym, &len);

    return bpe_letters(s, len);
}

static int
by_rank(const void *a, const void *b)
{
    const struct merge *x = *(struct merge *const *)a;
    const struct merge *y = *(struct merge *const *)b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

char **
bpe_merges(const struct vocab *v, size_t *n)
{
    const struct bpe *b = v->bpe;
    const struct merge **order = xcalloc(b->n_merges + 1, sizeof *order);
    char **out = xcalloc(b->n_merges + 1, sizeof *out);

    *n = 0;
    for (size_t i = 0; i < b->n_slots; i++)
        if (b->slot[i].a >= 0)
            order[(*n)++] = &b->slot[i];
    qsort(order, *n, sizeof *order, by_rank);
    for (size_t i = 0; i < *n; i++) {
        char *x = symbol_letters(v, order[i]->a);
        char *y = symbol_letters(v, order[i]->b);

        out[i] = xasprintf("%s %s", x, y);
        free(x);
        free(y);
    }
    free(order);
    return out;
}

/* --- the merges as numbers --- */

int32_t *
bpe_numbers(const struct vocab *v, size_t *n)
{
    const struct bpe *b = v->bpe;
    int32_t *out = xreallocarray(NULL, b->n_merges + 1, 4 * sizeof *out);

    *n = 0;
    for (size_t i = 0; i < b->n_slots; i++)
        if (b->slot[i].a >= 0) {
            out[(*n)++] = b->slot[i].a;
            out[(*n)++] = b->slot[i].b;
            out[(*n)++] = b->slot[i].to;
            out[(*n)++] = (int32_t)b->slot[i].rank;
        }
    return out;
}

struct vocab *
bpe_extra(const struct vocab *v)
{
    return v->bpe->extra;
}

/* The bytes of a symbol; false: there is none of this number. */
static bool
symbol_text(const struct vocab *v, int64_t sym, const char **s, size_t *len)
{
    const struct vocab *of = sym >= EXTRA ? v->bpe->extra : v;

    if (sym >= EXTRA)
        sym -= EXTRA;
    if (sym < 0 || (uint64_t)sym >= of->n)
        return false;
    *s = vocab_text(of, (int)sym, len);
    return true;
}

bool
bpe_take_numbers(struct vocab *v, const int64_t x[4])
{
    struct merge m = { (int)x[0], (int)x[1], (uint32_t)x[3], (int)x[2] };
    const char *a, *b, *to;
    size_t a_len, b_len, len;

    if (x[3] < 0 || x[3] > INT32_MAX || v->bpe->n_merges > VOCAB_MAX_TOKENS ||
        !symbol_text(v, x[0], &a, &a_len) ||
        !symbol_text(v, x[1], &b, &b_len) || !symbol_text(v, x[2], &to, &len) ||
        a_len == 0 || b_len == 0 || len != a_len + b_len ||
        memcmp(to, a, a_len) != 0 || memcmp(to + a_len, b, b_len) != 0)
        return false;
    keep_merge(v->bpe, &m);
    return true;
}

/* --- merging one piece --- */

static uint32_t
rank_of(const struct bpe *b, int x, int y, int *to)
{
    const struct merge *m = &b->slot[merge_slot(b, x, y)];

    if (m->a < 0)
        return NO_RANK;
    *to = m->to;
    return m->rank;
}

/* A symbol of the vocabulary is its id; one that is not (damaged files) is
 * its bytes' ids; a byte without an id is [UNK] or an error. */
static bool
emit(const struct vocab *v, int id, struct tok_ids *out, struct err *err)
{
    size_t len;
    const char *s;

    if (id < EXTRA) {
        tok_ids_add(out, id);
        return true;
    }
    s = vocab_text(v->bpe->extra, id - EXTRA, &len);
    for (size_t i = 0; i < len; i++) {
        int b = v->bpe->byte_id[(unsigned char)s[i]];

        if (b >= EXTRA)
            b = v->unk;
        if (b < 0)
            return err_set(err, ERR_MODEL,
                           "the vocabulary has no token for "
                           "byte 0x%02X and none for unknown text",
                           (unsigned char)s[i]);
        tok_ids_add(out, b);
    }
    return true;
}

static bool
merge_short(const struct vocab *v, const char *s, size_t n, struct tok_ids *out,
            struct err *err)
{
    const struct bpe *b = v->bpe;
    int sym[HEAP_ABOVE], to[HEAP_ABOVE];
    uint32_t rank[HEAP_ABOVE]; /* of the pair that begins at i */

    for (size_t i = 0; i < n; i++)
        sym[i] = b->byte_id[(unsigned char)s[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = rank_of(b, sym[i], sym[i + 1], &to[i]);
    while (n > 1) {
        size_t best = 0;

        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == NO_RANK)
            break;
        sym[best] = to[best];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            sym[i] = sym[i + 1];
            if (i + 1 < n) {
                rank[i] = rank[i + 1];
                to[i] = to[i + 1];
            }
        }
        if (best + 1 < n)
            rank[best] = rank_of(b, sym[best], sym[best + 1], &to[best]);
        if (best > 0)
            rank[best - 1] =
                rank_of(b, sym[best - 1], sym[best], &to[best - 1]);
    }
    for (size_t i = 0; i < n; i++)
        if (!emit(v, sym[i], out, err))
            return false;
    return true;
}

/* Keys are rank << 32 | position: the least is the lowest rank, leftmost. An
 * entry is stale when the pair at its position no longer has its rank. */
struct heap {
    uint64_t *v;
    size_t n, cap;
};

static void
heap_push(struct heap *h, uint64_t key)
{
    size_t i;

    if (h->n == h->cap)
        h->v = mem_grow(h->v, &h->cap, h->n + 1, sizeof *h->v);
    for (i = h->n++; i > 0 && h->v[(i - 1) / 2] > key; i = (i - 1) / 2)
        h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = key;
}

static uint64_t
heap_pop(struct heap *h)
{
    uint64_t top = h->v[0], key = h->v[--h->n];
    size_t i = 0;

    for (;;) {
        size_t k = 2 * i + 1;

        if (k >= h->n)
            break;
        if (k + 1 < h->n && h->v[k + 1] < h->v[k])
            k++;
        if (h->v[k] >= key)
            break;
        h->v[i] = h->v[k];
        i = k;
    }
    h->v[i] = key;
    return top;
}

struct node {
    int sym;               /* -1: merged into the one before */
    int32_t before, after; /* -1 at the ends */
    uint32_t rank;         /* of the pair that begins here */
    int to;
};

static void
look_at_pair(const struct bpe *b, struct node *nodes, int32_t i,
             struct heap *heap)
{
    struct node *x = &nodes[i];

    x->rank = x->after < 0 ? NO_RANK
                           : rank_of(b, x->sym, nodes[x->after].sym, &x->to);
    if (x->rank != NO_RANK)
        heap_push(heap, (uint64_t)x->rank << 32 | (uint32_t)i);
}

static bool
merge_long(const struct vocab *v, const char *s, size_t n, struct tok_ids *out,
           struct err *err)
{
    const struct bpe *b = v->bpe;
    struct node *nodes = xreallocarray(NULL, n, sizeof *nodes);
    struct heap heap = { 0 };
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        nodes[i] =
            (struct node){ b->byte_id[(unsigned char)s[i]], (int32_t)i - 1,
                           i + 1 < n ? (int32_t)i + 1 : -1, NO_RANK, 0 };
    for (size_t i = 0; i + 1 < n; i++)
        look_at_pair(b, nodes, (int32_t)i, &heap);
    while (heap.n > 0) {
        uint64_t key = heap_pop(&heap);
        int32_t i = (int32_t)(key & 0x7FFFFFFF);
        struct node *x = &nodes[i], *y;

        if (x->sym < 0 || x->rank != key >> 32)
            continue;
        y = &nodes[x->after];
        x->sym = x->to;
        x->after = y->after;
        y->sym = -1;
        if (x->after >= 0)
            nodes[x->after].before = i;
        look_at_pair(b, nodes, i, &heap);
        if (x->before >= 0)
            look_at_pair(b, nodes, x->before, &heap);
    }
    for (int32_t i = 0; ok && i >= 0; i = nodes[i].after)
        ok = emit(v, nodes[i].sym, out, err);
    free(nodes);
    free(heap.v);
    return ok;
}

static bool
merge_piece(const struct vocab *v, const char *s, size_t n, struct tok_ids *out,
            struct err *err)
{
    if (n <= HEAP_ABOVE)
        return merge_short(v, s, n, out, err);
    if (n > INT32_MAX)
        return err_set(err, ERR_FAILED, "a word of %zu bytes", n);
    return merge_long(v, s, n, out, err);
}

/* --- cutting text into pieces --- */

enum klass { LETTER, NUMBER, WHITE, OTHER };

static enum klass
klass_at(const char *s, size_t len, size_t *n)
{
    uint32_t cp;

    *n = uni_decode(s, len, &cp);
    if (cp >= 0x4E00 && cp <= 0x9FFF)
        return LETTER;
    if (uni_is_white(cp))
        return WHITE;
    if (uni_is_letter(cp))
        return LETTER;
    return uni_is_number(cp) ? NUMBER : OTHER;
}

/* 's 't 're 've 'm 'll 'd */
static size_t
contraction(const char *s, size_t len)
{
    if (len < 2 || s[0] != '\'')
        return 0;
    if (s[1] == 's' || s[1] == 't' || s[1] == 'm' || s[1] == 'd')
        return 2;
    if (len >= 3 &&
        ((s[1] == 'r' && s[2] == 'e') || (s[1] == 'v' && s[2] == 'e') ||
         (s[1] == 'l' && s[2] == 'l')))
        return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : all but the last white character before a word. */
static size_t
white_piece(const char *s, size_t len)
{
    size_t at = 0, last = 0, n;

    while (at < len && klass_at(s + at, len - at, &n) == WHITE) {
        last = at;
        at += n;
    }
    return at == len || last == 0 ? at : last;
}

/* Length of the piece at s:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t
piece_length(const char *s, size_t len)
{
    size_t at = contraction(s, len), n;
    enum klass k;

    if (at > 0)
        return at;
    k = klass_at(s, len, &n);
    if (k == WHITE) {
        if (s[0] != ' ' || len == 1)
            return white_piece(s, len);
        k = klass_at(s + 1, len - 1, &n);
        if (k == WHITE)
            return white_piece(s, len);
        n++;
    }
    for (at = n; at < len; at += n)
        if (klass_at(s + at, len - at, &n) != k)
            break;
    return at;
}

bool
bpe_encode_piece(const struct vocab *v, const char *text, size_t len, int flags,
                 struct tok_ids *out, struct err *err)
{
    char *own = NULL;
    bool ok = true;

    if (v->prefix_space && !(flags & VOCAB_MIDDLE) && len > 0 &&
        text[0] != ' ') {
        own = xmalloc(len + 1);
        own[0] = ' ';
        memcpy(own + 1, text, len);
        text = own;
        len++;
    }
    for (size_t i = 0, n; i < len && ok; i += n) {
        n = piece_length(text + i, len - i);
        ok = merge_piece(v, text + i, n, out, err);
    }
    free(own);
    return ok;
}

static bool
encode_normalized(const struct vocab *v, const char *text, size_t len,
                  int flags, struct tok_ids *out, struct err *err)
{
    return vocab_cut_added(v, text, len, true, flags, bpe_encode_piece, out,
                           err);
}

static bool
bpe_encode(const struct vocab *v, const char *text, size_t len, int flags,
           struct tok_ids *out, struct err *err)
{
    if (!(flags & VOCAB_SPECIAL) || v->n_added == 0)
        return bpe_encode_piece(v, text, len, flags, out, err);
    return vocab_cut_added(v, text, len, false, flags,
                           v->has_normalized ? encode_normalized
                                             : bpe_encode_piece,
                           out, err);
}

/* --- vocab.json and merges.txt --- */

static bool
read_vocab(struct vocab *v, const char *data, size_t len, struct err *err)
{
    struct json j;

    json_init(&j, data, len, 0, err);
    if (json_next(&j) != JSON_OBJECT)
        return j.type == JSON_ERROR
                   ? false
                   : err_set(err, ERR_MODEL, "not a JSON object");
    while (json_next(&j) == JSON_KEY) {
        size_t n;
        char *s = json_dup(&j, &n);
        bool ok = json_next(&j) == JSON_INT;

        if (!ok && j.type != JSON_ERROR)
            err_set(err, ERR_MODEL, "the number of token \"%.40s\" is none", s);
        if (ok && (j.i < 0 || j.i >= vocab_id_end(len)))
            ok = err_set(err, ERR_MODEL,
                         "token \"%.40s\" has number %lld, in a file of this "
                         "size it must be below %d",
                         s, (long long)j.i, vocab_id_end(len));
        ok = ok && bpe_put(v, (int)j.i, s, n, err);
        free(s);
        if (!ok)
            return false;
    }
    if (j.type != JSON_OBJECT_END || json_next(&j) != JSON_END)
        return false;
    return v->n > 0 || err_set(err, ERR_MODEL, "the vocabulary is empty");
}

/* One line: two symbols and one space between them. */
static bool
read_merge(struct vocab *v, const char *s, size_t n)
{
    const char *space = memchr(s, ' ', n);
    size_t a;

    if (!space)
        return false;
    a = (size_t)(space - s);
    return !memchr(space + 1, ' ', n - a - 1) &&
           bpe_merge(v, s, a, space + 1, n - a - 1);
}

static bool
read_merges(struct vocab *v, const char *data, size_t len, const char *path,
            struct err *err)
{
    size_t line = 1, n;

    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        data += 3;
        len -= 3;
    }
    for (size_t i = 0; i < len; i += n + 1, line++) {
        const char *end = memchr(data + i, '\n', len - i);
        size_t m;

        n = end ? (size_t)(end - data) - i : len - i;
        m = n > 0 && data[i + n - 1] == '\r' ? n - 1 : n;
        if (m == 0 ||
            (line == 1 && m >= 8 && memcmp(data + i, "#version", 8) == 0))
            continue;
        if (!read_merge(v, data + i, m))
            return err_set(err, ERR_MODEL,
                           "%s: line %zu is not two symbols "
                           "of a byte-level vocabulary with one space "
                           "between them",
                           path, line);
    }
    return v->bpe->n_merges > 0 ||
           err_set(err, ERR_MODEL, "%s: no merges in it", path);
}

/* Special tokens of GPT-2 are one: it begins, ends and stands for unknown. */
static void
default_names(struct vocab *v)
{
    struct tok_config *c = &v->config;
    char **names[] = { &c->bos, &c->eos, &c->unk };

    for (size_t i = 0; i < 3; i++)
        if (!*names[i])
            *names[i] = xstrdup("<|endoftext|>");
}

struct vocab *
bpe_read(const struct texts *t, const char *vocab_json, const char *merges_txt,
         struct err *err)
{
    struct vocab *v = bpe_new();
    char *dir = file_folder(vocab_json);
    char *conf = xasprintf("%s/tokenizer_config.json", dir);
    char *special = xasprintf("%s/special_tokens_map.json", dir);
    char *added = xasprintf("%s/added_tokens.json", dir);
    const char *files[] = { vocab_json, merges_txt, conf, special, added };
    char *data = NULL, *merges = NULL;
    size_t len, merges_len;
    bool ok;

    ok = tok_config_read(&v->config, t, dir, NULL, err) &&
         vocab_read_file(t, vocab_json, &data, &len, err) &&
         vocab_read_file(t, merges_txt, &merges, &merges_len, err);
    if (ok && !read_vocab(v, data, len, err))
        ok = err_wrap(err, "%s", vocab_json);
    if (ok) {
        vocab_index(v, vocab_json);
        ok = read_merges(v, merges, merges_len, merges_txt, err);
    }
    if (ok) {
        default_names(v);
        ok = (bpe_finish(v, err) || err_wrap(err, "%s", merges_txt)) &&
             (vocab_apply_config(v, err) || err_wrap(err, "%s", vocab_json));
        vocab_set_files(v, t, files, 5);
    }
    free(data);
    free(merges);
    free(dir);
    free(conf);
    free(special);
    free(added);
    if (ok)
        return v;
    if (err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    vocab_close(v);
    return NULL;
}
