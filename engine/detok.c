/* engine/detok.c  Ids to text, as they come.
 *
 * Both kinds are append-only: what was given out never changes. A byte-level
 * vocabulary keeps at most three bytes back until they are a character. A
 * WordPiece vocabulary has lost the spaces of its text; they are put back by
 * a small state machine, of which rule R1 is exact (between two tokens that
 * are not "##" there was a space, unless one of them splits by itself) and
 * the rest is typography around ASCII punctuation. The last Hangul syllable
 * is kept back while it may still get another Jamo. Rules and examples:
 * doc/models.md.
 */
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/vocab.h"

#define WORD_MAX 16

struct detok {
    const struct vocab *v;
    /* byte-level */
    unsigned char pending[4];
    size_t n_pending;
    bool drop_space; /* the prompt's last space was left out of its ids */
    /* WordPiece */
    uint32_t last;       /* last character of prompt + output, 0: none */
    uint32_t before;     /* the one before ASCII punctuation `last`, or 0 */
    bool quoted;         /* an odd number of '"' so far in this paragraph */
    bool glue;           /* inside an address: no spaces */
    char word[WORD_MAX]; /* last word that is no punctuation, cut off */
    size_t word_len;     /* its true length */
    uint32_t held;       /* Hangul L or LV that may still grow, or 0 */
};

struct text { /* the caller's growing buffer */
    char **s;
    size_t *len, *cap;
};

static void
put(struct text *t, const char *s, size_t n)
{
    if (n == 0)
        return;
    if (*t->len + n > *t->cap)
        *t->s = mem_grow(*t->s, t->cap, *t->len + n, 1);
    memcpy(*t->s + *t->len, s, n);
    *t->len += n;
}

/* --- byte-level --- */

/* Bytes at the end of s[0..len) that may still become a character: 0 when s
 * begins a whole one or cannot begin any. */
static bool
may_grow(const char *s, size_t len)
{
    return uni_whole(s, len) == 0 && len > 0;
}

/* Length of the maximal ill-formed prefix (Unicode 3.9, U+FFFD practice). */
static size_t
bad_length(const char *s, size_t len)
{
    size_t n = 1;

    while (n < 3 && n < len && may_grow(s, n + 1))
        n++;
    return may_grow(s, 1) ? n : 1;
}

static void
add_bytes(struct detok *d, const char *s, size_t n, struct text *out)
{
    char *all = xmalloc(d->n_pending + n + 1);
    size_t len = d->n_pending + n, i = 0;

    memcpy(all, d->pending, d->n_pending);
    memcpy(all + d->n_pending, s, n);
    if (d->drop_space && len > 0) {
        i = all[0] == ' ';
        d->drop_space = false;
    }
    d->n_pending = 0;
    while (i < len) {
        uint32_t cp;
        size_t k = uni_decode(all + i, len - i, &cp);

        if (cp != UNI_BAD) {
            put(out, all + i, k);
        } else if (len - i <= 3 && may_grow(all + i, len - i)) {
            d->n_pending = len - i;
            memcpy(d->pending, all + i, len - i);
            break;
        } else {
            put(out, "\xEF\xBF\xBD", 3);
            k = bad_length(all + i, len - i);
        }
        i += k;
    }
    free(all);
}

/* --- WordPiece: where a space stood --- */

static bool
ascii_punct(uint32_t c)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) ||
           (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
}

static bool
self_splitting(uint32_t c)
{
    return uni_is_han(c) || (c >= 0x80 && uni_is_punctuation(c));
}

static bool
is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static bool
one_of(uint32_t c, const char *set)
{
    return c > 0 && c < 0x80 && strchr(set, (int)c) != NULL;
}

static bool
in_list(const char *s, size_t len, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == len && memcmp(*list, s, len) == 0)
            return true;
    return false;
}

static bool
is_contraction(const char *s, size_t len)
{
    static const char *const list[] = { "s",  "t",  "m",  "d",
                                        "re", "ve", "ll", NULL };
    return in_list(s, len, list);
}

/* What follows the dot of an address or a file. */
static bool
is_suffix(const char *s, size_t len)
{
    static const char *const list[] = {
        "com", "cn",  "net", "org",  "edu", "gov", "io", "html", "htm", "jpg",
        "png", "gif", "pdf", "txt",  "php", "asp", "js", "css",  "xml", "zip",
        "mp3", "mp4", "exe", "jpeg", "tw",  "hk",  "jp", "uk",   "tv",  NULL
    };
    return in_list(s, len, list);
}

static bool
space_before_punct(const struct detok *d, uint32_t a, uint32_t b)
{
    if (ascii_punct(a))
        return b == '"' && !d->quoted && one_of(a, ",;:");
    if (one_of(b, "([{"))
        return uni_is_letter(a);
    if (b == '"')
        return !d->quoted;
    return b == '$';
}

static bool
space_after_punct(const struct detok *d, uint32_t a, uint32_t b, const char *s,
                  size_t len)
{
    uint32_t k = d->before;

    switch (a) {
    case '"': return !d->quoted;
    case '\'':
        return (uni_is_letter(k) || uni_is_number(k)) &&
               !is_contraction(s, len);
    case ',':
    case ';': return !(is_digit(k) && is_digit(b));
    case '!':
    case '?':
    case ')':
    case ']':
    case '}':
    case '%': return true;
    case ':': return !is_digit(b);
    case '.':
        return !is_digit(b) && !is_suffix(s, len) &&
               !(d->word_len == 1 && len == 1 &&
                 uni_is_letter((unsigned char)d->word[0]));
    default: return false;
    }
}

static bool
space_before(const struct detok *d, uint32_t b, const char *s, size_t len)
{
    uint32_t a = d->last;

    if (d->v->profile.characters || d->v->characters)
        return false; /* the letters of a word are tokens, too */
    if (a == 0 || uni_is_white(a) || self_splitting(a) || self_splitting(b))
        return false;
    if (!ascii_punct(a) && !ascii_punct(b))
        return true; /* R1, exact */
    if (d->glue)
        return false;
    return ascii_punct(b) ? space_before_punct(d, a, b)
                          : space_after_punct(d, a, b, s, len);
}

/* --- WordPiece: the state machine --- */

static void
word_add(struct detok *d, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (d->word_len + i < WORD_MAX)
            d->word[d->word_len + i] = s[i];
    d->word_len += len;
}

static void
word_set(struct detok *d, const char *s, size_t len)
{
    d->word_len = 0;
    word_add(d, s, len);
}

static void
release(struct detok *d, struct text *out)
{
    char c[4];

    if (d->held)
        put(out, c, uni_encode(d->held, c));
    d->held = 0;
}

/* One character out, Jamo composed (Unicode 3.12): L+V and LV+T become one
 * syllable. Only where the tokenizer took them apart. */
static void
put_char(struct detok *d, uint32_t cp, const char *s, size_t n,
         struct text *out)
{
    if (cp >= 0x1100 && cp <= 0x11FF && d->v->wp.strip_accents) {
        if (d->held >= 0x1100 && d->held <= 0x1112 && cp >= 0x1161 &&
            cp <= 0x1175) {
            d->held = 0xAC00 + ((d->held - 0x1100) * 21 + (cp - 0x1161)) * 28;
            return;
        }
        if (d->held >= 0xAC00 && cp >= 0x11A8 && cp <= 0x11C2) {
            d->held += cp - 0x11A7;
            release(d, out);
            return;
        }
        release(d, out);
        if (cp <= 0x1112) {
            d->held = cp;
            return;
        }
    }
    release(d, out);
    put(out, s, n);
}

static void
put_text(struct detok *d, const char *s, size_t len, struct text *out)
{
    uint32_t cp = 0;

    for (size_t i = 0; i < len;) {
        size_t n = uni_decode(s + i, len - i, &cp);

        put_char(d, cp, s + i, n, out);
        i += n;
    }
    d->last = cp;
}

/* A token of one or more characters that is not "##x". */
static void
add_word(struct detok *d, const char *s, size_t len, struct text *out)
{
    uint32_t a = d->last, b;
    bool space;

    uni_decode(s, len, &b);
    space = space_before(d, b, s, len);
    if (space) {
        d->glue = false;
        put_char(d, ' ', " ", 1, out);
    }
    put_text(d, s, len, out);
    if (ascii_punct(b)) {
        d->before = space ? 0 : a;
        if (len == 1 && b == '"')
            d->quoted = !d->quoted;
    } else {
        word_set(d, s, len);
    }
    if (len == 1 && b == '@')
        d->glue = true;
    else if (len == 3 && memcmp(s, "www", 3) == 0)
        d->glue = true;
    else if (self_splitting(b))
        d->glue = false;
}

/* "://" just went out: its three signs come as three tokens. */
static void
watch_address(struct detok *d, uint32_t b, uint32_t older)
{
    if (b == '/' && d->before == '/' && older == ':')
        d->glue = true;
}

static void
line_break(struct detok *d, struct text *out)
{
    release(d, out);
    put(out, "\n", 1);
    d->last = '\n';
    d->before = 0;
    d->quoted = d->glue = false;
    d->word_len = 0;
}

static void
add_token(struct detok *d, int id, struct text *out)
{
    const struct vocab *v = d->v;
    const struct wp_settings *w = &v->wp;
    size_t len;
    const char *s = vocab_text(v, id, &len);
    uint32_t older = d->before;

    if (id == v->profile.newline) {
        line_break(d, out);
        return;
    }
    if (v->token[id].flags &
            (TOKEN_HOLE | TOKEN_SPECIAL | TOKEN_UNUSED | TOKEN_BLANK) ||
        len == 0)
        return;
    if (len > w->prefix_len && memcmp(s, w->prefix, w->prefix_len) == 0) {
        put_text(d, s + w->prefix_len, len - w->prefix_len, out);
        word_add(d, s + w->prefix_len, len - w->prefix_len);
        return;
    }
    add_word(d, s, len, out);
    if (len == 1)
        watch_address(d, (unsigned char)s[0], older);
}

/* The state after a text that this machine did not write. */
static void
read_before(struct detok *d, const char *s, size_t len)
{
    size_t at = 0, word = 0;
    uint32_t cp, older = 0;
    bool in_word = false;

    while (at < len) {
        size_t n = uni_decode(s + at, len - at, &cp);

        if (uni_is_white(cp) || self_splitting(cp)) {
            d->glue = in_word = false;
            d->before = 0;
            if (!uni_is_white(cp)) {
                word_set(d, s + at, n);
            } else if (cp == '\n') {
                d->quoted = false;
                d->word_len = 0;
            }
        } else if (ascii_punct(cp)) {
            older = d->before;
            d->before = d->last && !uni_is_white(d->last) ? d->last : 0;
            d->quoted ^= cp == '"';
            if (cp == '@' || (cp == '/' && d->before == '/' && older == ':'))
                d->glue = true;
            in_word = false;
        } else {
            if (!in_word)
                word = at;
            in_word = true;
            word_set(d, s + word, at + n - word);
            if (d->word_len == 3 && memcmp(d->word, "www", 3) == 0)
                d->glue = true;
        }
        d->last = cp;
        at += n;
    }
}

/* --- both --- */

static bool
is_bytes(const struct vocab *v)
{
    return v->bpe != NULL;
}

struct detok *
detok_new(const struct vocab *v, const char *before, size_t len)
{
    struct detok *d = xcalloc(1, sizeof *d);

    d->v = v;
    if (is_bytes(v)) {
        d->drop_space = vocab_leaves_space(v, before, len);
    } else {
        if (len > 512) { /* enough for every rule but the quotes' */
            const char *nl = memrchr(before, '\n', len);
            size_t from = nl ? (size_t)(nl - before) : 0;

            if (len - from > 65536)
                from = uni_prev(before, len - 512);
            before += from;
            len -= from;
        }
        read_before(d, before, len);
    }
    return d;
}

void
detok_free(struct detok *d)
{
    free(d);
}

void
detok_add(struct detok *d, int id, char **out, size_t *len, size_t *cap)
{
    struct text t = { out, len, cap };
    const char *s;
    size_t n;

    if (id < 0 || (size_t)id >= d->v->n)
        return;
    if (!is_bytes(d->v)) {
        add_token(d, id, &t);
        return;
    }
    if (d->v->token[id].flags & (TOKEN_HOLE | TOKEN_SPECIAL))
        return;
    s = vocab_text(d->v, id, &n);
    add_bytes(d, s, n, &t);
}

void
detok_flush(struct detok *d, char **out, size_t *len, size_t *cap)
{
    struct text t = { out, len, cap };

    release(d, &t);
}

bool
detok_holds(const struct detok *d)
{
    return d->held != 0;
}

size_t
detok_tail(const struct detok *d, unsigned char tail[4])
{
    if (d->held)
        return uni_encode(d->held, (char *)tail);
    memcpy(tail, d->pending, d->n_pending);
    return d->n_pending;
}

bool
vocab_decode(const struct vocab *v, const int *ids, size_t n, char **text,
             size_t *len, struct err *err)
{
    struct detok *d;
    size_t cap = n * 4 + 16;

    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= v->n)
            return err_set(err, ERR_USAGE,
                           "id %d is not one of this "
                           "vocabulary's %zu (0 to %zu)",
                           ids[i], v->n, v->n - 1);
    d = detok_new(v, "", 0);
    *len = 0;
    *text = xmalloc(cap);
    for (size_t i = 0; i < n; i++)
        detok_add(d, ids[i], text, len, &cap);
    detok_flush(d, text, len, &cap);
    if (d->n_pending > 0) {
        struct text t = { text, len, &cap };

        put(&t, "\xEF\xBF\xBD", 3);
    }
    if (*len == cap)
        *text = mem_grow(*text, &cap, *len + 1, 1);
    (*text)[*len] = '\0';
    detok_free(d);
    return true;
}
