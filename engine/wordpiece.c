/* engine/wordpiece.c  BERT's basic tokenizer and WordPiece.
 *
 * Text goes through two steps. normalise(): delete, turn white space into
 * spaces, lower-case, decompose and drop accents, giving code points.
 * split(): cut at spaces, Chinese characters and punctuation, and match each
 * word greedily from the left against the vocabulary. Both are linear: a
 * word longer than the limit is [UNK] without being looked at.
 *
 * A class of a few bits is known for each code point of the BMP, so an
 * ordinary character costs one look. Variants (which categories are deleted,
 * lower-casing by word or by character, the limit) are settings, since
 * Google's code and the two of Hugging Face differ; doc/models.md has the
 * table. Sources: google-research/bert tokenization.py; transformers
 * BertTokenizer 4.29.2; checked against recorded outputs.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/load/texts.h"
#include "engine/vocab.h"

enum {
    K_DROP = 1,  /* deleted */
    K_SPACE = 2, /* separates words */
    K_PUNCT = 4, /* a word of its own */
    K_HAN = 8,   /* a word of its own: "Chinese character" */
    K_CASE = 16, /* lower-casing changes it */
    K_MARK = 32  /* decomposes, is a mark, or has a combining class */
};

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#    define CLASSES   0x400u /* small tables, quickly filled */
#    define HAN_FIRST 0x4E00u
#    define HAN_LAST  0x4E2Fu
#else
#    define CLASSES   0x10000u
#    define HAN_FIRST 0x3400u
#    define HAN_LAST  0x9FFFu
#endif

struct wordpiece {
    unsigned char klass[CLASSES];
    int han_id[HAN_LAST - HAN_FIRST + 1]; /* or -1 */
    size_t longest;                       /* bytes of the longest token */
    bool capitals;
};

struct cps { /* code points */
    uint32_t *v;
    size_t n, cap;
};

static void
push(struct cps *c, uint32_t cp)
{
    if (c->n == c->cap)
        c->v = mem_grow(c->v, &c->cap, c->n + 1, sizeof *c->v);
    c->v[c->n++] = cp;
}

/* --- classes --- */

static bool
dropped(enum wp_drop drop, uint32_t cp)
{
    const char *c;

    if (drop == WP_DROP_NONE || cp == '\t' || cp == '\n' || cp == '\r')
        return false;
    if (cp == 0 || cp == 0xFFFD)
        return true;
    c = uni_category(cp);
    if (c[0] != 'C')
        return false;
    switch (drop) {
    case WP_DROP_CC_CF: return c[1] == 'c' || c[1] == 'f';
    case WP_DROP_CC_CF_CO: return c[1] == 'c' || c[1] == 'f' || c[1] == 'o';
    default: return true;
    }
}

static unsigned char
classify(const struct wp_settings *s, uint32_t cp)
{
    uint32_t nfd[18];
    unsigned char k = 0;

    if (dropped(s->drop, cp))
        return K_DROP;
    if (uni_is_white(cp))
        return K_SPACE;
    if (s->han && uni_is_han(cp))
        k |= K_HAN;
    if (cp < 0x80
            ? cp > 0x20 && cp < 0x7F && !uni_is_letter(cp) && !uni_is_number(cp)
            : uni_is_punctuation(cp))
        k |= K_PUNCT;
    if (uni_lower(cp) != cp)
        k |= K_CASE;
    if (uni_is_mn(cp) || uni_ccc(cp) != 0 || uni_nfd(cp, nfd) > 1 ||
        nfd[0] != cp)
        k |= K_MARK;
    return k;
}

static unsigned char
klass(const struct vocab *v, uint32_t cp)
{
    return cp < CLASSES ? v->wordpiece->klass[cp] : classify(&v->wp, cp);
}

static void
fill_classes(struct vocab *v)
{
    for (uint32_t cp = 0; cp < CLASSES; cp++)
        v->wordpiece->klass[cp] = classify(&v->wp, cp);
}

/* --- step 1: normalise --- */

/* Stable sort by combining class of the marks between two starters: by
 * insertion when few, by counting when a hostile text has thousands. */
static void
order_marks(uint32_t *v, size_t n)
{
    size_t at[256] = { 0 }, sum = 0;
    uint32_t *copy;

    if (n <= 32) {
        for (size_t i = 1; i < n; i++) {
            uint32_t x = v[i];
            size_t k = i;

            for (; k > 0 && uni_ccc(v[k - 1]) > uni_ccc(x); k--)
                v[k] = v[k - 1];
            v[k] = x;
        }
        return;
    }
    copy = xmalloc(n * sizeof *copy);
    memcpy(copy, v, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        at[uni_ccc(v[i]) & 0xFF]++;
    for (size_t k = 0; k < 256; k++) {
        size_t count = at[k];

        at[k] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        v[at[uni_ccc(copy[i]) & 0xFF]++] = copy[i];
    free(copy);
}

/* Decomposes out[from..], orders it canonically and drops Mn. */
static void
strip_accents(struct cps *out, size_t from)
{
    struct cps full = { 0 };
    uint32_t nfd[18];

    for (size_t i = from; i < out->n; i++) {
        size_t n = uni_nfd(out->v[i], nfd);

        for (size_t k = 0; k < n; k++)
            push(&full, nfd[k]);
    }
    for (size_t i = 0; i < full.n;) {
        size_t k = i;

        while (k < full.n && uni_ccc(full.v[k]) != 0)
            k++;
        order_marks(full.v + i, k - i);
        i = k + (k == i);
    }
    out->n = from;
    for (size_t i = 0; i < full.n; i++)
        if (!uni_is_mn(full.v[i]))
            push(out, full.v[i]);
    free(full.v);
}

static bool
case_ignorable(uint32_t cp)
{
    const char *c = uni_category(cp);

    return strcmp(c, "Mn") == 0 || strcmp(c, "Me") == 0 ||
           strcmp(c, "Cf") == 0 || strcmp(c, "Lm") == 0 ||
           strcmp(c, "Sk") == 0 || cp == '\'' || cp == '.' || cp == ':' ||
           cp == 0xB7 || cp == 0x387 || cp == 0x2018 || cp == 0x2019 ||
           cp == 0x2024 || cp == 0x2027 || cp == 0xFE13 || cp == 0xFE52 ||
           cp == 0xFE55 || cp == 0xFF07 || cp == 0xFF0E || cp == 0xFF1A;
}

static bool
cased(uint32_t cp)
{
    const char *c = uni_category(cp);

    return c[0] == 'L' && (c[1] == 'u' || c[1] == 'l' || c[1] == 't');
}

/* Final_Sigma of SpecialCasing.txt: the last cased letter of a word. */
static bool
sigma_is_final(const struct cps *w, size_t from, size_t at)
{
    size_t i = at;

    while (i > from && case_ignorable(w->v[i - 1]))
        i--;
    if (i == from || !cased(w->v[i - 1]))
        return false;
    for (i = at + 1; i < w->n && case_ignorable(w->v[i]); i++)
        ;
    return i == w->n || !cased(w->v[i]);
}

static bool
is_never_split(const struct vocab *v, const uint32_t *w, size_t n)
{
    for (size_t i = 0; i < v->config.n_never; i++) {
        const char *s = v->config.never_split[i];
        size_t len = strlen(s), at = 0, k = 0;
        uint32_t cp;

        for (; at < len && k < n; k++) {
            at += uni_decode(s + at, len - at, &cp);
            if (cp != w[k])
                break;
        }
        if (at == len && k == n)
            return true;
    }
    return false;
}

/* A word without spaces and Chinese characters stands in out[from..]; seen
 * is the union of its classes. */
static void
finish_word(const struct vocab *v, struct cps *out, size_t from, unsigned seen,
            bool lower, bool strip)
{
    if (lower && v->wp.final_sigma && (seen & K_CASE)) {
        /* The context is the word before lower-casing; cased() and
         * case_ignorable() do not change by it, so in place is the same. */
        for (size_t i = from; i < out->n; i++)
            if (out->v[i] == 0x3A3)
                out->v[i] = sigma_is_final(out, from, i) ? 0x3C2 : 0x3C3;
    }
    if (v->config.n_never > 0 &&
        is_never_split(v, out->v + from, out->n - from))
        return;
    if (strip && (seen & K_MARK))
        strip_accents(out, from);
}

static void
normalise(const struct vocab *v, const char *text, size_t len, bool force,
          struct cps *out)
{
    bool lower = v->wp.lower || force;
    bool strip = v->wp.strip_accents || (force && v->config.strip_accents < 0);
    size_t word = 0;
    unsigned seen = 0;

    for (size_t i = 0; i < len;) {
        uint32_t cp;
        unsigned k;

        i += uni_decode(text + i, len - i, &cp);
        if (cp == UNI_BAD)
            cp = 0xFFFD;
        k = klass(v, cp);
        if (k & K_DROP)
            continue;
        if (k & (K_SPACE | K_HAN)) {
            if (seen & (K_CASE | K_MARK) || v->config.n_never > 0)
                finish_word(v, out, word, seen, lower, strip);
            push(out, k & K_SPACE ? ' ' : cp);
            if (strip && (k & K_MARK)) /* a compatibility ideograph */
                strip_accents(out, out->n - 1);
            word = out->n;
            seen = 0;
            continue;
        }
        if (lower && (k & K_CASE)) {
            if (cp == 0x130) { /* the only one that becomes two */
                push(out, 'i');
                cp = 0x307;
                k |= K_MARK;
            } else if (cp != 0x3A3 || !v->wp.final_sigma) {
                cp = uni_lower(cp);
                k |= klass(v, cp);
            }
        }
        seen |= k;
        push(out, cp);
    }
    finish_word(v, out, word, seen, lower, strip);
}

/* --- step 2: split and match --- */

struct matcher {
    const struct vocab *v;
    struct tok_ids *out;
    char *bytes;   /* the word in UTF-8 */
    uint32_t *end; /* end[i]: bytes up to and with character i */
    size_t cap, end_cap;
};

/* The longest token that begins at character `from`; *to is where it ends.
 * Every prefix's hash is one step of the next one's. */
static int
longest_token(struct matcher *m, size_t from, size_t n, size_t *to)
{
    const struct wp_settings *s = &m->v->wp;
    const char *pre = from > 0 ? s->prefix : "";
    size_t pre_len = from > 0 ? s->prefix_len : 0;
    size_t start = from > 0 ? m->end[from - 1] : 0;
    uint32_t h = VOCAB_HASH_SEED;
    int best = -1;

    for (size_t i = 0; i < pre_len; i++)
        h = vocab_hash_step(h, (unsigned char)pre[i]);
    for (size_t i = from, at = start; i < n; i++) {
        int id;

        for (; at < m->end[i]; at++)
            h = vocab_hash_step(h, (unsigned char)m->bytes[at]);
        if (pre_len + at - start > m->v->wordpiece->longest)
            break;
        id = vocab_find_hashed(m->v, h, pre, pre_len, m->bytes + start,
                               at - start);
        if (id >= 0) {
            best = id;
            *to = i + 1;
        }
    }
    return best;
}

static void
match_word(struct matcher *m, const uint32_t *w, size_t n)
{
    const struct vocab *v = m->v;
    size_t len = 0, mark = m->out->n;

    if (n == 0)
        return;
    if (n == 1 && w[0] >= HAN_FIRST && w[0] <= HAN_LAST) {
        int id = v->wordpiece->han_id[w[0] - HAN_FIRST];

        tok_ids_add(m->out, id >= 0 ? id : v->unk);
        return;
    }
    if (n > v->wp.limit) {
        tok_ids_add(m->out, v->unk);
        return;
    }
    if (n * 4 > m->cap)
        m->bytes = mem_grow(m->bytes, &m->cap, n * 4, 1);
    if (n > m->end_cap)
        m->end = mem_grow(m->end, &m->end_cap, n, sizeof *m->end);
    for (size_t i = 0; i < n; i++) {
        len += uni_encode(w[i], m->bytes + len);
        m->end[i] = (uint32_t)len;
    }
    for (size_t i = 0; i < n;) {
        int id = longest_token(m, i, n, &i);

        if (id < 0) { /* one bad place spoils the word */
            m->out->n = mark;
            tok_ids_add(m->out, v->unk);
            return;
        }
        tok_ids_add(m->out, id);
    }
}

/* The word as it stands, by never_split. */
static void
match_whole(struct matcher *m, const uint32_t *w, size_t n)
{
    char *s = xmalloc(n * 4 + 1);
    size_t len = 0;
    int id;

    for (size_t i = 0; i < n; i++)
        len += uni_encode(w[i], s + len);
    id = vocab_find(m->v, s, len);
    tok_ids_add(m->out, id >= 0 ? id : m->v->unk);
    free(s);
}

static size_t
raw_word_end(const struct vocab *v, const uint32_t *w, size_t i, size_t n)
{
    while (i < n && !(klass(v, w[i]) & (K_SPACE | K_HAN)))
        i++;
    return i;
}

static void
split(const struct vocab *v, const uint32_t *w, size_t n, struct tok_ids *out)
{
    struct matcher m = { .v = v, .out = out };
    size_t word = 0;
    bool raw_start = v->config.n_never > 0;

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        unsigned k = klass(v, w[i]);

        if (raw_start && !(k & (K_SPACE | K_HAN))) {
            size_t end = raw_word_end(v, w, i, n);

            raw_start = false;
            if (is_never_split(v, w + i, end - i)) {
                match_whole(&m, w + i, end - i);
                word = end;
                i = end - 1;
                continue;
            }
        }
        if (!(k & (K_SPACE | K_HAN | K_PUNCT)))
            continue;
        match_word(&m, w + word, i - word);
        if (!(k & K_SPACE))
            match_word(&m, w + i, 1);
        word = i + 1;
        if (k & (K_SPACE | K_HAN))
            raw_start = v->config.n_never > 0;
    }
    match_word(&m, w + word, n - word);
    free(m.bytes);
    free(m.end);
}

/* --- encoding --- */

/* What normalise() left; added tokens were cut out of it. */
static bool
split_utf8(const struct vocab *v, const char *s, size_t len, int flags,
           struct tok_ids *out, struct err *err)
{
    struct cps w = { 0 };
    uint32_t cp;

    for (size_t i = 0; i < len;) {
        i += uni_decode(s + i, len - i, &cp);
        push(&w, cp);
    }
    split(v, w.v, w.n, out);
    free(w.v);
    return true;
}

static char *
to_utf8(const struct cps *w, size_t *len)
{
    char *s = xmalloc(w->n * 4 + 1);

    *len = 0;
    for (size_t i = 0; i < w->n; i++)
        *len += uni_encode(w->v[i], s + *len);
    s[*len] = '\0';
    return s;
}

char *
wordpiece_normalised(const struct vocab *v, const char *s, size_t len,
                     size_t *out_len)
{
    struct cps w = { 0 };
    char *out;

    normalise(v, s, len, false, &w);
    out = to_utf8(&w, out_len);
    free(w.v);
    return out;
}

/* Added tokens with `normalized` are looked for in the normalised text. */
static bool
encode_piece(const struct vocab *v, const char *text, size_t len, int flags,
             struct tok_ids *out, struct err *err)
{
    struct cps w = { 0 };
    bool ok = true;

    normalise(v, text, len, (flags & VOCAB_LOWER) != 0, &w);
    if ((flags & VOCAB_SPECIAL) && v->has_normalized) {
        size_t n;
        char *s = to_utf8(&w, &n);

        ok = vocab_cut_added(v, s, n, true, flags, split_utf8, out, err);
        free(s);
    } else {
        split(v, w.v, w.n, out);
    }
    free(w.v);
    return ok;
}

static bool
wordpiece_encode(const struct vocab *v, const char *text, size_t len, int flags,
                 struct tok_ids *out, struct err *err)
{
    if ((flags & VOCAB_SPECIAL) && v->n_added > 0)
        return vocab_cut_added(v, text, len, false, flags, encode_piece, out,
                               err);
    return encode_piece(v, text, len, flags, out, err);
}

static void
wordpiece_free(struct vocab *v)
{
    free(v->wordpiece);
}

static const struct tok_ops wordpiece_ops = {
    .kind = "wordpiece",
    .encode = wordpiece_encode,
    .free = wordpiece_free,
};

/* --- making one --- */

/* [unused7], [unused_7], <unused7> */
static bool
is_unused(const char *s, size_t len)
{
    size_t i = 7;

    if (len < 9 || (memcmp(s, "[unused", 7) && memcmp(s, "<unused", 7)))
        return false;
    if (s[i] == '_' || s[i] == '-')
        i++;
    for (; i + 1 < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return s[len - 1] == ']' || s[len - 1] == '>';
}

static int
flags_of(const char *s, size_t len)
{
    uint32_t cp;

    if (is_unused(s, len))
        return TOKEN_UNUSED;
    for (size_t i = 0; i < len;) {
        i += uni_decode(s + i, len - i, &cp);
        if (!uni_is_white(cp))
            return 0;
    }
    return TOKEN_BLANK;
}

/* What the tokens say about the vocabulary as a whole. */
static void
look_at_tokens(struct vocab *v)
{
    struct wordpiece *w = v->wordpiece;

    v->n_looked = v->n;
    for (size_t i = 0; i < v->n; i++) {
        size_t len;
        const char *s = vocab_text(v, (int)i, &len);

        v->token[i].flags |= (unsigned char)flags_of(s, len);
        if (len > w->longest)
            w->longest = len;
        if (len == 1 && s[0] >= 'A' && s[0] <= 'Z')
            w->capitals = true;
    }
}

static void
fill_han(struct vocab *v)
{
    struct wordpiece *w = v->wordpiece;
    char c[4];

    for (uint32_t cp = HAN_FIRST; cp <= HAN_LAST; cp++)
        w->han_id[cp - HAN_FIRST] = vocab_find(v, c, uni_encode(cp, c));
}

bool
wordpiece_has_capitals(const struct vocab *v)
{
    return v->wordpiece->capitals;
}

bool
wordpiece_look(struct vocab *v, const char *file, struct err *err)
{
    if (v->unk < 0)
        return err_set(err, ERR_MODEL,
                       "%s: no token \"%s\" in it; this is no BERT "
                       "vocabulary",
                       file, v->config.unk ? v->config.unk : "[UNK]");
    v->wordpiece = xcalloc(1, sizeof *v->wordpiece);
    look_at_tokens(v);
    return true;
}

bool
wordpiece_finish(struct vocab *v, const char *file, struct err *err)
{
    if (!wordpiece_look(v, file, err))
        return false;
    fill_han(v);
    fill_classes(v);
    return true;
}

void
wordpiece_set_google(struct vocab *v, size_t limit)
{
    v->wp.drop = WP_DROP_CC_CF;
    v->wp.lower = v->wp.strip_accents = v->wp.han = true;
    v->wp.final_sigma = true;
    v->wp.limit = limit;
    fill_classes(v);
}

struct vocab *
wordpiece_new(void)
{
    struct vocab *v = vocab_new(&wordpiece_ops);

    v->wp = (struct wp_settings){ .drop = WP_DROP_ALL_C,
                                  .lower = true,
                                  .strip_accents = true,
                                  .han = true,
                                  .limit = 100,
                                  .prefix = "##",
                                  .prefix_len = 2 };
    return v;
}

/* Lines end at 0x0A only: U+2028 is a token of bert-base-chinese, and readers
 * that split there shift every later number by one. */
static bool
read_lines(struct vocab *v, const char *data, size_t len, const char *path,
           struct err *err)
{
    size_t line = 1;

    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        data += 3;
        len -= 3;
    }
    for (size_t i = 0; i < len; line++) {
        const char *end = memchr(data + i, '\n', len - i);
        size_t n = end ? (size_t)(end - data) - i : len - i;
        size_t next = i + n + 1;

        if (n > 0 && data[i + n - 1] == '\r')
            n--;
        if (memchr(data + i, '\0', n))
            return err_set(err, ERR_MODEL,
                           "%s: line %zu holds a zero byte; "
                           "this is no vocabulary",
                           path, line);
        if (!uni_valid(data + i, n))
            return err_set(err, ERR_MODEL, "%s: line %zu is not UTF-8", path,
                           line);
        if (line > VOCAB_MAX_TOKENS)
            return err_set(err, ERR_MODEL, "%s: more than %d lines", path,
                           VOCAB_MAX_TOKENS);
        vocab_push(v, data + i, n, 0);
        i = next;
    }
    return v->n > 0 || err_set(err, ERR_MODEL, "%s: the file is empty", path);
}

static void
name_if_unsaid(char **name, const char *s)
{
    if (!*name)
        *name = xstrdup(s);
}

static void
apply_switches(struct vocab *v)
{
    struct tok_config *c = &v->config;

    name_if_unsaid(&c->unk, "[UNK]");
    name_if_unsaid(&c->pad, "[PAD]");
    name_if_unsaid(&c->cls, "[CLS]");
    name_if_unsaid(&c->sep, "[SEP]");
    name_if_unsaid(&c->mask, "[MASK]");
    v->wp.lower = c->lower != 0;
    v->wp.strip_accents =
        c->strip_accents < 0 ? v->wp.lower : c->strip_accents == 1;
    v->wp.han = c->han != 0;
}

struct vocab *
wordpiece_read(const struct texts *t, const char *vocab_txt, const char *config,
               struct err *err)
{
    struct vocab *v = wordpiece_new();
    char *dir = file_folder(vocab_txt), *data = NULL;
    char *special = xasprintf("%s/special_tokens_map.json", dir);
    char *added = xasprintf("%s/added_tokens.json", dir);
    const char *files[] = { vocab_txt, config, special, added };
    size_t len;
    bool ok;

    ok = tok_config_read(&v->config, t, dir, config, err) &&
         vocab_read_file(t, vocab_txt, &data, &len, err) &&
         read_lines(v, data, len, vocab_txt, err);
    free(data);
    if (ok) {
        vocab_index(v, vocab_txt);
        apply_switches(v);
        ok = (vocab_apply_config(v, err) || err_wrap(err, "%s", vocab_txt)) &&
             wordpiece_look(v, vocab_txt, err);
        vocab_set_files(v, t, files, 4);
    }
    free(dir);
    free(special);
    free(added);
    if (ok)
        return v;
    if (err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    vocab_close(v);
    return NULL;
}
