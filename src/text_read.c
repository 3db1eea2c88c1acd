/* src/text_read.c  Questions to a version of a text: bytes, lines, grapheme
 * clusters, spans, search. Nothing here makes or changes a version.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/text.h"
#include "src/text_tree.h"

size_t
text_len(const struct text *t)
{
    return t->root ? t->root->bytes : 0;
}

size_t
text_lines(const struct text *t)
{
    return t->root ? t->root->lines : 0;
}

/* --- bytes --- */

static void
tree_read(const struct tree *t, size_t from, size_t to, char **out)
{
    while (t && from < to) {
        size_t lb = t->l ? t->l->bytes : 0, end = lb + t->p.len;
        if (from < lb)
            tree_read(t->l, from, to < lb ? to : lb, out);
        size_t a = from > lb ? from : lb, b = to < end ? to : end;
        if (a < b) {
            memcpy(*out, t->p.s + (a - lb), b - a);
            *out += b - a;
        }
        from = from > end ? from - end : 0;
        to = to > end ? to - end : 0;
        t = t->r;
    }
}

size_t
text_read(const struct text *t, size_t at, char *buf, size_t len)
{
    size_t total = text_len(t);
    if (at >= total)
        return 0;
    if (len > total - at)
        len = total - at;
    tree_read(t->root, at, at + len, &buf);
    return len;
}

char *
text_dup(const struct text *t, size_t at, size_t len)
{
    size_t total = text_len(t);
    if (at > total)
        at = total;
    if (len > total - at)
        len = total - at;
    char *s = xmalloc(len + 1);
    s[text_read(t, at, s, len)] = '\0';
    return s;
}

/* --- lines --- */

size_t
text_line_of(const struct text *t, size_t at)
{
    size_t n = 0;
    for (const struct tree *x = t->root; x;) {
        size_t lb = x->l ? x->l->bytes : 0;
        if (at <= lb) {
            x = x->l;
            continue;
        }
        n += x->l ? x->l->lines : 0;
        at -= lb;
        if (at <= x->p.len)
            return n + (x->p.lines ? count_lines(x->p.s, at) : 0);
        n += x->p.lines;
        at -= x->p.len;
        x = x->r;
    }
    return n;
}

/* Offset of line break number n (from 0), n < text_lines(). */
static size_t
break_at(const struct text *t, size_t n)
{
    size_t base = 0;
    for (const struct tree *x = t->root; x;) {
        size_t ll = x->l ? x->l->lines : 0;
        if (n < ll) {
            x = x->l;
            continue;
        }
        n -= ll;
        base += x->l ? x->l->bytes : 0;
        if (n < x->p.lines) {
            const char *s = x->p.s;
            for (;; s++, n--) {
                s = memchr(s, '\n', x->p.len - (size_t)(s - x->p.s));
                if (!n)
                    return base + (size_t)(s - x->p.s);
            }
        }
        n -= x->p.lines;
        base += x->p.len;
        x = x->r;
    }
    return TEXT_NONE;
}

size_t
text_line_at(const struct text *t, size_t n)
{
    if (n > text_lines(t))
        return TEXT_NONE;
    return n ? break_at(t, n - 1) + 1 : 0;
}

size_t
text_line_start(const struct text *t, size_t at)
{
    return text_line_at(t, text_line_of(t, at));
}

size_t
text_line_end(const struct text *t, size_t at)
{
    size_t n = text_line_of(t, at);
    return n < text_lines(t) ? break_at(t, n) : text_len(t);
}

/* --- grapheme clusters --- */

size_t
text_next(const struct text *t, size_t at)
{
    size_t total = text_len(t), cap = 128;
    if (at >= total)
        return total;
    char small[128];
    size_t n = text_read(t, at, small, cap);
    size_t step = uni_grapheme(small, n);
    /* It reached the end of what was read, or a character cut off there. */
    while (n - step < 4 && at + n < total) {
        cap *= 4;
        char *big = xmalloc(cap);
        n = text_read(t, at, big, cap);
        step = uni_grapheme(big, n);
        free(big);
    }
    return at + step;
}

/* Characters between which there is always a border (UAX #29, GB999): neither
 * extends, prepends or joins. */
static bool
stands_alone(uint32_t cp)
{
    return (cp >= 0x20 && cp < 0x7F) || uni_is_han(cp) ||
           (cp >= 0x3001 && cp <= 0x3029);
}

/* Last certain border before `at` in buf[0..at): after a line break, or
 * between two characters that stand alone; 0 when there is none. */
static size_t
certain_border(const char *buf, size_t at)
{
    uint32_t cp, next = 0;
    for (size_t i = at; i > 0;) {
        size_t p = uni_prev(buf, i);
        uni_decode(buf + p, i - p, &cp);
        if (i < at && (cp == '\n' || (stands_alone(cp) && stands_alone(next))))
            return i;
        next = cp;
        i = p;
    }
    return 0;
}

size_t
text_prev(const struct text *t, size_t at)
{
    char small[256], *buf = small, *big = NULL;
    size_t total = text_len(t), cap = sizeof small, from, n, i;
    if (at > total)
        at = total;
    if (at == 0)
        return 0;
    for (;;) {
        from = at > cap ? at - cap : 0;
        n = text_read(t, from, buf, at - from);
        i = certain_border(buf, n);
        if (i || !from || cap >= 65536)
            break;
        cap *= 16;
        free(big);
        buf = big = xmalloc(cap);
    }
    for (;;) {
        size_t step = uni_grapheme(buf + i, n - i);
        if (i + step >= n)
            break;
        i += step;
    }
    free(big);
    return from + i;
}

/* --- spans --- */

struct walk {
    size_t from, to;
    bool (*fn)(void *ud, const struct text_span *s);
    void *ud;
};

static bool
walk_piece(const struct walk *w, const struct piece *p, size_t at)
{
    struct text_span sp = { .s = p->s,
                            .len = p->len,
                            .at = at,
                            .who = p->who,
                            .node = p->node,
                            .model = p->model,
                            .tok = p->tok,
                            .n_tok = p->n_tok,
                            .tok_exact = p->n_tok > 0 };
    return w->fn(w->ud, &sp);
}

/* Clips at the walk's borders as a cut in the text would. */
static bool
walk_clipped(const struct walk *w, const struct piece *p, size_t at)
{
    struct piece part[4];
    size_t n_left, n;
    uint32_t x;
    if (at < w->from)
        x = (uint32_t)(w->from - at);
    else if (at + p->len > w->to)
        x = (uint32_t)(w->to - at);
    else
        return walk_piece(w, p, at);
    n = piece_cut(p, x, part, &n_left);
    for (size_t i = 0; i < n; i++) {
        if (at + part[i].len > w->from && at < w->to &&
            !walk_clipped(w, &part[i], at))
            return false;
        at += part[i].len;
    }
    return true;
}

static bool
walk_tree(const struct walk *w, const struct tree *t, size_t base)
{
    while (t && base < w->to && base + t->bytes > w->from) {
        size_t at = base + (t->l ? t->l->bytes : 0);
        if (!walk_tree(w, t->l, base))
            return false;
        if (at < w->to && at + t->p.len > w->from &&
            !walk_clipped(w, &t->p, at))
            return false;
        base = at + t->p.len;
        t = t->r;
    }
    return true;
}

void
text_spans(const struct text *t, size_t from, size_t to,
           bool (*fn)(void *ud, const struct text_span *s), void *ud)
{
    struct walk w = { from, to, fn, ud };
    if (from < to)
        walk_tree(&w, t->root, 0);
}

/* --- search --- */

#define FIND_BLOCK 32768

static unsigned char
fold(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u + 32 : u;
}

static bool
same(const char *s, const char *needle, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (fold(s[i]) != fold(needle[i]))
            return false;
    return true;
}

size_t
text_find(const struct text *t, size_t from, const char *needle, size_t len,
          bool back)
{
    size_t total = text_len(t), found = TEXT_NONE;
    if (!len || len > total)
        return TEXT_NONE;
    /* Starts [lo, hi) are still to be looked at. */
    size_t lo = back ? 0 : from, hi = total - len + 1;
    if (back && from < hi)
        hi = from;
    char *buf = xmalloc(FIND_BLOCK + len);
    while (lo < hi && found == TEXT_NONE) {
        size_t n = hi - lo < FIND_BLOCK ? hi - lo : FIND_BLOCK;
        size_t at = back ? hi - n : lo;
        text_read(t, at, buf, n + len - 1);
        for (size_t i = 0; i < n; i++) {
            size_t j = back ? n - 1 - i : i;
            if (same(buf + j, needle, len)) {
                found = at + j;
                break;
            }
        }
        if (back)
            hi -= n;
        else
            lo += n;
    }
    free(buf);
    return found;
}
