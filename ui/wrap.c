/* ui/wrap.c  Line breaking for Chinese first, and incremental.
 *
 * One function decides: fill() takes the start of a line and gives its end,
 * and looks at nothing before that start. So two layouts that share a line
 * start are the same from there to the end, which is what makes an edit cheap:
 * lines are filled anew from a little before it until a new start meets an old
 * one. A line may have looked one cluster past its successor's first, so three
 * lines before the edited one are filled again (or from the paragraph's
 * start).
 *
 * In a paragraph of a million characters without punctuation the old and the
 * new starts may never meet. So an edit fills some hundred lines and leaves a
 * seam: one short line that leads to the old starts. wrap_work() carries the
 * seam on; [dirty_from, dirty_to] holds all seams there are.
 *
 * Line starts lie in a gap buffer: before the gap counted from the text's
 * start, behind it from the text's end, so that an insertion at the gap moves
 * nothing. Bit 0 of an entry: the line was ended by '\n'.
 *
 * Break opportunities are UAX #14's (libunistring). The quotation marks “ ‘ ’ ”
 * are class QU there and glue both sides, since they may open or close; in
 * Chinese they do not, so they are shown to it as 「 and 」. The other
 * tailoring are the two sets no_start() and no_end() (W3C clreq, 3.1.3).
 */
#include "ui/wrap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unilbrk.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "ui/grid.h"

enum {
    GUTTER = 2,
    MEASURE_MIN = 8,
    BLOCK = 4096,           /* bytes read from the text at a time */
    SET_BUDGET = 128 << 10, /* of wrap_set(): some milliseconds */
    EDIT_BUDGET = 32 << 10, /* of wrap_edit(): about a millisecond */
    EDIT_LINES = 150,       /* ... and never less than a screen */
    LINES_BACK = 3
};

struct scratch {
    const struct text *t; /* whose bytes are in buf */
    char *buf;            /* bytes [at, at+len) of t */
    size_t at, len, cap;
    uint8_t *shown; /* a stretch as libunistring is to see it */
    char *brk;      /* its answer */
    size_t shown_cap;
};

struct wrap {
    int measure;
    const struct text *t; /* borrowed */
    size_t len;           /* of t */
    size_t *v;            /* line starts, with a gap [lo, hi) */
    size_t lo, hi, cap;
    bool done;   /* all of t has lines */
    size_t next; /* where the lines end while !done */
    bool dirty;  /* seams are left in [dirty_from, dirty_to] */
    size_t dirty_from, dirty_to;
    struct scratch *sc;
};

/* --- characters --- */

/* Never at the start of a line. */
static bool
no_start(uint32_t cp)
{
    static const uint32_t set[] = {
        0x00B7, 0x2013, 0x2014, 0x2015, 0x2019, 0x201D, 0x2025, 0x2026, 0x2027,
        0x2030, 0x2032, 0x2033, 0x203A, 0x203C, 0x2047, 0x2048, 0x2049, 0x2103,
        0x22EF, 0x2E3A, 0x3001, 0x3002, 0x3005, 0x3009, 0x300B, 0x300D, 0x300F,
        0x3011, 0x3015, 0x3017, 0x3019, 0x301B, 0x301C, 0x301E, 0x301F, 0x303B,
        0x309B, 0x309C, 0x309D, 0x309E, 0x30A0, 0x30FB, 0x30FC, 0x30FD, 0x30FE,
        0xFE10, 0xFE50, 0xFE51, 0xFE52, 0xFE54, 0xFE55, 0xFE56, 0xFE57, 0xFF01,
        0xFF05, 0xFF09, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF3D, 0xFF5D,
        0xFF5E, 0xFF60, 0xFF61, 0xFF63, 0xFF64, 0xFF65
    };
    size_t a = 0, b = sizeof set / sizeof *set;

    if (cp < 0x80)
        return cp && strchr("!),.:;?]}", (int)cp);
    if (cp >= 0x3400 && cp <= 0x9FFF)
        return false;
    while (a < b) {
        size_t m = (a + b) / 2;

        if (set[m] == cp)
            return true;
        if (set[m] < cp)
            a = m + 1;
        else
            b = m;
    }
    return false;
}

/* Never at the end of a line. */
static bool
no_end(uint32_t cp)
{
    switch (cp) {
    case '(':
    case '[':
    case '{':
    case 0x2018:
    case 0x201C:
    case 0x2039:
    case 0x3008:
    case 0x300A:
    case 0x300C:
    case 0x300E:
    case 0x3010:
    case 0x3014:
    case 0x3016:
    case 0x3018:
    case 0x301A:
    case 0x301D:
    case 0xFF08:
    case 0xFF3B:
    case 0xFF5B:
    case 0xFF5F:
    case 0xFF62:
    case 0xFF04:
    case 0xFFE5: return true;
    default: return false;
    }
}

/* ，。、；：？！ hang in the gutter. */
static bool
may_hang(uint32_t cp)
{
    return cp == 0xFF0C || cp == 0x3002 || cp == 0x3001 || cp == 0xFF1B ||
           cp == 0xFF1A || cp == 0xFF1F || cp == 0xFF01;
}

static bool
is_blank(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == 0x3000;
}

/* --- a stretch of text --- */

/* The bytes from p up to p+want, the line's end or the text's end, whichever
 * comes first. *last: nothing more belongs to this paragraph; *nl: because a
 * '\n' follows. */
static const char *
stretch(const struct wrap *w, size_t p, size_t want, size_t *n, bool *last,
        bool *nl)
{
    struct scratch *sc = w->sc;
    const char *s, *end;

    if (want > w->len - p)
        want = w->len - p;
    if (sc->t != w->t || p < sc->at || p + want > sc->at + sc->len) {
        size_t size = want < BLOCK ? BLOCK : want;

        if (size > sc->cap)
            sc->buf = mem_grow(sc->buf, &sc->cap, size, 1);
        sc->len = text_read(w->t, p, sc->buf, size);
        sc->at = p;
        sc->t = w->t;
    }
    s = sc->buf + (p - sc->at);
    end = want ? memchr(s, '\n', want) : NULL;
    *nl = end != NULL;
    *last = *nl || p + want == w->len;
    *n = *nl ? (size_t)(end - s) : *last ? want : uni_whole(s, want);
    return s;
}

/* An apostrophe: ’ between two letters of an alphabet. */
static bool
is_apostrophe(const char *s, size_t n, size_t i, uint32_t before)
{
    uint32_t after;

    if (!uni_is_letter(before) || uni_width(before) != 1 || i + 3 >= n)
        return false;
    uni_decode(s + i + 3, n - i - 3, &after);
    return uni_is_letter(after) && uni_width(after) == 1;
}

/* Fills brk[0..n) with libunistring's answers for s. Its encoding argument
 * only says how to take class AI (①★×): as ideographs. */
static void
analyse(struct scratch *sc, const char *s, size_t n)
{
    uint32_t cp, before = 0;
    size_t len;

    if (n > sc->shown_cap) {
        size_t cap = sc->shown_cap;

        sc->shown = mem_grow(sc->shown, &cap, n, 1);
        sc->brk = mem_grow(sc->brk, &sc->shown_cap, n, 1);
    }
    memcpy(sc->shown, s, n);
    for (size_t i = 0; i < n; i += len, before = cp) {
        len = uni_decode(s + i, n - i, &cp);
        if (cp == UNI_BAD)
            sc->shown[i] = 'a';
        else if (cp == 0x201C || cp == 0x2018)
            memcpy(sc->shown + i, "「", 3);
        else if (cp == 0x201D ||
                 (cp == 0x2019 && !is_apostrophe(s, n, i, before)))
            memcpy(sc->shown + i, "」", 3);
    }
    u8_possible_linebreaks(sc->shown, n, "GBK", sc->brk);
}

/* May the line break between `before` and cp, which stands at brk[0]? */
static bool
may_break(const char *brk, uint32_t before, uint32_t cp)
{
    if (no_start(cp) || no_end(before))
        return false;
    return *brk == UC_BREAK_POSSIBLE || cp == UNI_BAD || before == UNI_BAD;
}

/* --- one line --- */

struct line_end {
    size_t next; /* start of the next line, from this line's start */
    bool nl;     /* a '\n' ended it; next is behind it */
};

/* Can the mark that ends at j hang, that is, may the line end there? */
static bool
hang_ends(const struct scratch *sc, const char *s, size_t n, size_t j,
          uint32_t mark)
{
    uint32_t cp;

    if (j == n)
        return true;
    uni_decode(s + j, n - j, &cp);
    return is_blank(cp) || may_break(sc->brk + j, mark, cp);
}

/* Lays one line out within the n bytes at s. Returns false when it has to see
 * more of the paragraph. */
static bool
fill_within(const struct wrap *w, const char *s, size_t n, bool last,
            struct line_end *e)
{
    const struct scratch *sc = w->sc;
    size_t i = 0, len;
    size_t ok = 0;     /* the last place to break, 0: none */
    size_t forced = 0; /* the last one that breaks a word but no rule */
    int col = 0, cols;
    uint32_t cp, before = 0;

    for (; i < n; i += len, col += cols, before = cp) {
        size_t first = uni_decode(s + i, n - i, &cp);

        len = grid_cluster(s + i, n - i, &cols);
        if (i + len == n && !last)
            return false;
        if (i > 0 && len == first && is_blank(cp)) {
            if (col + cols <= 2 * w->measure)
                continue; /* trailing blanks hang, but not for ever */
            ok = i;
            break;
        }
        if (i > 0 && may_break(sc->brk + i, before, cp))
            ok = i;
        if (i > 0 && !no_start(cp) && !no_end(before))
            forced = i;
        if (col + cols <= w->measure || i == 0)
            continue;
        if (may_hang(cp) && len == first && col <= w->measure &&
            col + cols <= w->measure + GUTTER &&
            hang_ends(sc, s, n, i + len, cp))
            continue;
        if (ok == 0)
            ok = forced ? forced : i;
        break;
    }
    e->next = i < n ? ok : n;
    return i < n || last;
}

/* Lays out the line that starts at p. */
static struct line_end
fill(const struct wrap *w, size_t p)
{
    struct line_end e = { 0, false };
    size_t want = (size_t)w->measure * 2 + 32, n;
    bool last, nl;

    for (;; want *= 2) {
        const char *s = stretch(w, p, want, &n, &last, &nl);

        if (n > 0)
            analyse(w->sc, s, n);
        if (fill_within(w, s, n, last, &e))
            break;
    }
    if (e.next == n && nl) {
        e.next++;
        e.nl = true;
    }
    return e;
}

/* --- the lines --- */

static size_t
line_count(const struct wrap *w)
{
    return w->lo + (w->cap - w->hi);
}

static size_t
entry(const struct wrap *w, size_t i)
{
    return i < w->lo ? w->v[i] : w->v[w->hi + (i - w->lo)];
}

static size_t
line_start(const struct wrap *w, size_t i)
{
    size_t e = entry(w, i) >> 1;

    return i < w->lo ? e : w->len - e;
}

static bool
line_nl(const struct wrap *w, size_t i)
{
    return entry(w, i) & 1;
}

/* Puts the gap before line i. */
static void
move_gap(struct wrap *w, size_t i)
{
    while (w->lo > i) {
        size_t e = w->v[--w->lo];

        w->v[--w->hi] = (w->len - (e >> 1)) << 1 | (e & 1);
    }
    while (w->lo < i) {
        size_t e = w->v[w->hi++];

        w->v[w->lo++] = (w->len - (e >> 1)) << 1 | (e & 1);
    }
}

static void
push_line(struct wrap *w, size_t start, bool nl)
{
    if (w->lo == w->hi) {
        size_t cap = w->cap, tail = w->cap - w->hi;

        w->v = mem_grow(w->v, &cap, cap + 1, sizeof *w->v);
        memmove(w->v + cap - tail, w->v + w->hi, tail * sizeof *w->v);
        w->hi = cap - tail;
        w->cap = cap;
    }
    w->v[w->lo++] = start << 1 | nl;
}

size_t
wrap_line_of(const struct wrap *w, size_t at)
{
    size_t a = 0, b = line_count(w);

    while (b - a > 1) {
        size_t m = a + (b - a) / 2;

        if (line_start(w, m) <= at)
            a = m;
        else
            b = m;
    }
    return a;
}

/* --- filling --- */

struct refill {
    size_t p;       /* where to go on; in the end: where it stopped */
    size_t fresh;   /* bytes before this are new and have no lines yet */
    size_t tail;    /* old starts more than this before the end are void */
    size_t settled; /* old lines may be met behind this byte, */
    bool any;       /* ... or anywhere */
    size_t budget;
    bool seam; /* out: stopped by the budget */
};

/* Fills lines from r->p, at the gap, until an old start is met, the budget is
 * used up or the text ends. */
static void
refill(struct wrap *w, struct refill *r)
{
    size_t used = 0;
    bool nl = false;

    r->seam = false;
    for (;;) {
        size_t left, start;
        struct line_end e;

        for (; w->hi < w->cap; w->hi++) {
            left = w->v[w->hi] >> 1;
            if (left <= r->tail && w->len - left >= r->p)
                break;
            nl = w->v[w->hi] & 1;
        }
        if (w->hi == w->cap && !w->done) {
            w->next = r->p;
            return;
        }
        if (w->hi < w->cap) {
            start = w->len - (w->v[w->hi] >> 1);
            if (start == r->p && (r->any || start > r->settled))
                return;
            if (start > r->p && r->p >= r->fresh && used > r->budget) {
                push_line(w, r->p, nl);
                r->seam = true;
                return;
            }
        }
        e = fill(w, r->p);
        push_line(w, r->p, e.nl);
        if (r->p >= r->fresh)
            used += e.next;
        r->p += e.next;
        if (r->p == w->len && !e.nl) {
            w->hi = w->cap;
            w->done = true;
            return;
        }
    }
}

/* A line from where it is safe to fill anew when byte `at` has changed. */
static size_t
safe_line(const struct wrap *w, size_t at)
{
    size_t line = wrap_line_of(w, at);

    for (int i = 0; i < LINES_BACK && line > 0 && !line_nl(w, line - 1); i++)
        line--;
    return line;
}

/* Carries the seams on. Returns true when there are none left. */
static bool
mend(struct wrap *w, size_t budget)
{
    struct refill r = { .tail = w->len,
                        .settled = w->dirty_to,
                        .budget = budget };

    move_gap(w, wrap_line_of(w, w->dirty_from));
    r.p = line_count(w) > 0 ? line_start(w, w->lo) : 0;
    refill(w, &r);
    w->dirty = r.seam;
    w->dirty_from = r.p;
    if (w->dirty_to < r.p)
        w->dirty_to = r.p;
    return !w->dirty;
}

/* Fills the part that has no lines yet. */
static bool
go_on(struct wrap *w, size_t budget)
{
    size_t start = w->next;

    move_gap(w, line_count(w));
    while (!w->done && w->next - start <= budget) {
        struct line_end e = fill(w, w->next);

        push_line(w, w->next, e.nl);
        w->next += e.next;
        w->done = w->next == w->len && !e.nl;
    }
    return w->done;
}

bool
wrap_work(struct wrap *w, size_t budget)
{
    if (!w->t)
        return true;
    if (w->dirty && !mend(w, budget))
        return false;
    return w->done || go_on(w, budget);
}

bool
wrap_set(struct wrap *w, const struct text *t, int measure)
{
    w->measure = measure < MEASURE_MIN ? MEASURE_MIN : measure;
    w->t = t;
    w->len = text_len(t);
    w->sc->t = NULL;
    w->lo = 0;
    w->hi = w->cap;
    w->done = w->dirty = false;
    w->next = 0;
    return wrap_work(w, SET_BUDGET);
}

/* Where byte x of the old text is in the new one. */
static size_t
moved(size_t x, size_t at, size_t del, size_t ins)
{
    if (x <= at)
        return x;
    return x >= at + del ? x - del + ins : at;
}

void
wrap_edit(struct wrap *w, const struct text *t, size_t at, size_t del,
          size_t ins)
{
    struct refill r = { .fresh = at + ins,
                        .tail = w->len - (at + del),
                        .any = true };
    bool behind; /* the seams lie behind where filling starts */

    r.budget = EDIT_BUDGET + EDIT_LINES * (size_t)w->measure * 3 / 2;
    if (line_count(w) > 0) {
        move_gap(w, safe_line(w, at));
        r.p = line_start(w, w->lo);
    }
    behind = w->dirty && r.p <= w->dirty_from;
    w->t = t;
    w->len = w->len - del + ins;
    w->sc->t = NULL;
    w->next = moved(w->next, at, del, ins);
    w->dirty_from = moved(w->dirty_from, at, del, ins);
    w->dirty_to = moved(w->dirty_to, at, del, ins);
    refill(w, &r);
    if (behind && w->dirty_from < r.p)
        w->dirty_from = r.p;
    if (behind && w->dirty_to < r.p)
        w->dirty = false;
    if (!r.seam)
        return;
    if (!w->dirty || r.p < w->dirty_from)
        w->dirty_from = r.p;
    if (!w->dirty || r.p > w->dirty_to)
        w->dirty_to = r.p;
    w->dirty = true;
}

/* --- life and questions --- */

struct wrap *
wrap_new(int measure)
{
    struct wrap *w = xcalloc(1, sizeof *w);

    w->measure = measure < MEASURE_MIN ? MEASURE_MIN : measure;
    w->sc = xcalloc(1, sizeof *w->sc);
    return w;
}

void
wrap_free(struct wrap *w)
{
    if (!w)
        return;
    free(w->sc->buf);
    free(w->sc->shown);
    free(w->sc->brk);
    free(w->sc);
    free(w->v);
    free(w);
}

size_t
wrap_done(const struct wrap *w)
{
    if (w->dirty)
        return w->dirty_from;
    return w->done ? w->len : w->next;
}

size_t
wrap_lines(const struct wrap *w)
{
    return line_count(w);
}

bool
wrap_get(const struct wrap *w, size_t line, struct wrap_line *out)
{
    size_t end;

    if (line >= line_count(w))
        return false;
    out->at = line_start(w, line);
    out->hard = line_nl(w, line);
    if (line + 1 < line_count(w)) {
        end = line_start(w, line + 1);
    } else {
        end = w->done ? w->len : w->next;
        if (w->done)
            out->hard = true;
    }
    out->len = end - out->at - line_nl(w, line);
    return true;
}

int
wrap_col_of(const struct wrap *w, size_t line, size_t at)
{
    struct wrap_line l;
    const char *s;
    size_t n, end;
    bool last, nl;
    int col = 0, cols;

    if (!wrap_get(w, line, &l) || at <= l.at)
        return 0;
    end = at - l.at < l.len ? at - l.at : l.len;
    s = stretch(w, l.at, l.len, &n, &last, &nl);
    n = l.len; /* a line ends between characters */
    for (size_t i = 0; i < end; col += cols) {
        i += grid_cluster(s + i, n - i, &cols);
        if (i > end)
            break; /* inside a cluster: where the cluster is */
    }
    return col < w->measure + GUTTER ? col : w->measure + GUTTER;
}

size_t
wrap_at_col(const struct wrap *w, size_t line, int col)
{
    struct wrap_line l;
    const char *s;
    size_t n, i = 0, len;
    bool last, nl;
    int x = 0, cols;

    if (!wrap_get(w, line, &l))
        return w->len;
    s = stretch(w, l.at, l.len, &n, &last, &nl);
    n = l.len;
    while (i < n) {
        len = grid_cluster(s + i, n - i, &cols);
        if (x + cols > col || (i + len == n && !l.hard))
            break;
        x += cols;
        i += len;
    }
    return l.at + i;
}
