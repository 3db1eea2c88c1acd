/* ui/grid.c  The one place where text becomes cells.
 *
 * Text is drawn cluster by cluster. A cluster is first read into a struct
 * glyph: a placeholder in front when its first character cannot be shown, up
 * to five cells, a placeholder behind for what hides in it. Measuring and
 * drawing both use that, so the wrapper, the caret and the screen agree.
 *
 * Terminals disagree about joined emoji (2 to 6 columns for one family), so
 * only the first of them is drawn, and variation selectors are left out: cheap
 * and always aligned. The text keeps its bytes. Other invisible characters
 * are shown, because a text that hides something should not look like one
 * that does not (Trojan Source, CVE-2021-42574).
 *
 * put() repairs the neighbours: overwriting one half of a wide glyph blanks
 * the other half.
 */
#include "ui/grid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

enum { TAB_COLS = 4, GLYPH_CELLS = 5, ODD_LEN = 28 };

#define ZWJ 0x200Du

struct glyph {
    size_t bytes;
    int cols; /* of everything below together */
    int n;    /* cells used */
    struct cell cell[GLYPH_CELLS];
    char before[ODD_LEN]; /* "<202E>" instead of the first character, or "" */
    char after[ODD_LEN];  /* "<E0067+4>" for the hidden ones, or "" */
};

/* --- reading a cluster --- */

static bool
is_selector(uint32_t cp) /* variation selectors, VS1-16 and VS17-256 */
{
    return (cp >= 0xFE00 && cp <= 0xFE0F) || (cp >= 0xE0100 && cp <= 0xE01EF);
}

static bool
is_skin_tone(uint32_t cp)
{
    return cp >= 0x1F3FB && cp <= 0x1F3FF;
}

static void
glyph_add(struct glyph *g, uint32_t cp, int width)
{
    struct cell *c = &g->cell[g->n++];

    memset(c, 0, sizeof *c);
    c->cp = cp;
    c->width = (uint8_t)width;
    g->cols += width;
}

static void
glyph_mark(struct glyph *g, uint32_t cp)
{
    struct cell *c = &g->cell[g->n - 1];

    for (int i = 0; i < CELL_MARKS; i++)
        if (c->mark[i] == 0) {
            c->mark[i] = cp;
            return;
        }
}

/* The characters of a cluster after the first. */
static void
glyph_rest(struct glyph *g, const char *s, size_t at)
{
    uint32_t cp, hidden = 0;
    size_t n_hidden = 0;

    while (at < g->bytes) {
        int w;

        at += uni_decode(s + at, g->bytes - at, &cp);
        if (is_selector(cp) || is_skin_tone(cp))
            continue;
        if (cp == ZWJ && at < g->bytes) {
            size_t n = uni_decode(s + at, g->bytes - at, &cp);

            if (uni_width(cp) > 0 && !uni_is_mark(cp)) {
                at += n; /* what is joined is not drawn */
                continue;
            }
            cp = ZWJ;
        }
        w = uni_width(cp);
        if (w == 0 && g->n == 0)
            glyph_add(g, ' ', 1);
        if (w == 0) {
            glyph_mark(g, cp);
        } else if (w > 0 && g->n < GLYPH_CELLS) {
            glyph_add(g, cp, w); /* a spacing mark, the rest of a flag */
        } else {
            if (n_hidden++ == 0)
                hidden = cp;
        }
    }
    if (n_hidden == 1)
        g->cols += snprintf(g->after, ODD_LEN, "<%04X>", hidden);
    else if (n_hidden > 1)
        g->cols +=
            snprintf(g->after, ODD_LEN, "<%04X+%zu>", hidden, n_hidden - 1);
}

static void
glyph_read(const char *s, size_t len, struct glyph *g)
{
    uint32_t cp;
    size_t first;
    int w;

    first = uni_decode(s, len, &cp);
    g->bytes = uni_grapheme(s, len);
    g->n = 0;
    g->cols = 0;
    g->before[0] = g->after[0] = '\0';
    w = uni_width(cp);
    if (cp == '\t') {
        for (int i = 0; i < TAB_COLS; i++)
            glyph_add(g, ' ', 1);
    } else if (cp == UNI_BAD) {
        g->cols = snprintf(g->before, ODD_LEN, "<%02X>", (unsigned char)*s);
    } else if (w < 0 || is_selector(cp)) {
        g->cols = snprintf(g->before, ODD_LEN, "<%04X>", cp);
    } else if (w == 0) {
        glyph_add(g, ' ', 1); /* a mark without a base stands on a blank */
        glyph_mark(g, cp);
    } else {
        glyph_add(g, cp, w);
    }
    if (g->bytes > first)
        glyph_rest(g, s, first);
}

size_t
grid_cluster(const char *s, size_t len, int *cols)
{
    struct glyph g;
    uint32_t cp;
    size_t n, first = uni_decode(s, len, &cp);

    /* Nearly every character of nearly every text. */
    if ((cp >= 0x20 && cp < 0x7F) || (cp >= 0x4E00 && cp <= 0x9FFF)) {
        n = uni_grapheme(s, len);
        if (n == first) {
            *cols = cp < 0x7F ? 1 : 2;
            return n;
        }
    }
    glyph_read(s, len, &g);
    *cols = g.cols;
    return g.bytes;
}

int
grid_text_cols(const char *s, size_t len)
{
    int total = 0, cols;

    for (size_t i = 0; i < len;) {
        i += grid_cluster(s + i, len - i, &cols);
        total += cols;
    }
    return total;
}

/* --- cells --- */

static const struct cell blank = { .cp = ' ', .width = 1 };

static struct cell *
row_of(const struct grid *g, int y)
{
    return g->cell + (size_t)y * (size_t)g->cols;
}

void
grid_init(struct grid *g, int cols, int rows)
{
    g->cell = NULL;
    grid_resize(g, cols, rows);
}

void
grid_resize(struct grid *g, int cols, int rows)
{
    g->cols = cols < 0 ? 0 : cols;
    g->rows = rows < 0 ? 0 : rows;
    free(g->cell);
    g->cell = xcalloc((size_t)g->cols * (size_t)g->rows + 1, sizeof *g->cell);
    grid_clear(g, STYLE_TEXT);
}

void
grid_finish(struct grid *g)
{
    free(g->cell);
    g->cell = NULL;
    g->cols = g->rows = 0;
}

void
grid_clear(struct grid *g, enum style style)
{
    size_t n = (size_t)g->cols * (size_t)g->rows + 1;
    struct cell c = blank;

    c.style = (uint8_t)style;
    for (size_t i = 0; i < n; i++)
        g->cell[i] = c;
}

struct cell *
grid_at(struct grid *g, int x, int y)
{
    if (x < 0 || y < 0 || x >= g->cols || y >= g->rows)
        return g->cell + (size_t)g->cols * (size_t)g->rows;
    return row_of(g, y) + x;
}

/* A cell keeps its style when it becomes a blank. */
static void
blank_cell(struct cell *c)
{
    uint8_t style = c->style;

    *c = blank;
    c->style = style;
}

/* Makes room for cells [x, x+cols) of a row: the outer half of a wide glyph
 * that stands across either edge becomes a blank. */
static void
cut_edges(const struct grid *g, struct cell *row, int x, int cols)
{
    if (x > 0 && row[x].width == 0)
        blank_cell(&row[x - 1]);
    if (x + cols < g->cols && row[x + cols].width == 0)
        blank_cell(&row[x + cols]);
}

/* Writes one cell (and its right half). The caller has checked the edges. */
static int
put(const struct grid *g, struct cell *row, int x, const struct cell *c,
    enum style style)
{
    cut_edges(g, row, x, c->width);
    row[x] = *c;
    row[x].style = (uint8_t)style;
    if (c->width == 2) {
        memset(&row[x + 1], 0, sizeof *row);
        row[x + 1].style = (uint8_t)style;
    }
    return x + c->width;
}

void
grid_fill(struct grid *g, int x, int y, int cols, enum style style)
{
    struct cell c = blank, *row;

    if (y < 0 || y >= g->rows)
        return;
    if (x < 0) {
        cols += x;
        x = 0;
    }
    if (cols > g->cols - x)
        cols = g->cols - x;
    if (cols <= 0)
        return;
    row = row_of(g, y);
    cut_edges(g, row, x, cols);
    c.style = (uint8_t)style;
    for (int i = 0; i < cols; i++)
        row[x + i] = c;
}

static int
put_odd(const struct grid *g, struct cell *row, int x, int end, const char *s)
{
    struct cell c = blank;

    for (; *s && x < end; s++) {
        c.cp = (unsigned char)*s;
        x = put(g, row, x, &c, STYLE_ODD);
    }
    return x;
}

/* Draws a glyph; sets *full when not all of it fitted. */
static int
put_glyph(const struct grid *g, struct cell *row, int x, int end,
          const struct glyph *gl, enum style style, bool *full)
{
    *full = x + gl->cols > end;
    x = put_odd(g, row, x, end, gl->before);
    for (int i = 0; i < gl->n; i++) {
        if (x + gl->cell[i].width > end) {
            if (x < end)
                x = put(g, row, x, &blank, style);
            return x;
        }
        x = put(g, row, x, &gl->cell[i], style);
    }
    return put_odd(g, row, x, end, gl->after);
}

int
grid_text(struct grid *g, int x, int y, int end, const char *s, size_t len,
          enum style style)
{
    struct glyph gl;
    struct cell *row;
    bool full = false;

    if (end > g->cols)
        end = g->cols;
    if (y < 0 || y >= g->rows || x < 0 || x >= end)
        return x;
    row = row_of(g, y);
    for (size_t i = 0; i < len && !full; i += gl.bytes) {
        glyph_read(s + i, len - i, &gl);
        x = put_glyph(g, row, x, end, &gl, style, &full);
    }
    return x;
}

void
grid_bar(struct grid *g, int x, int y, int cols, double fraction,
         enum style full, enum style rest)
{
    int n;

    if (!(fraction > 0))
        fraction = 0;
    if (fraction > 1)
        fraction = 1;
    n = (int)lround(fraction * cols);
    grid_fill(g, x, y, n, full);
    grid_fill(g, x + n, y, cols - n, rest);
}

char *
grid_row_text(const struct grid *g, int y)
{
    size_t n = 0, used = 0;
    char *s;
    const struct cell *row;

    if (y < 0 || y >= g->rows)
        return xstrdup("");
    row = row_of(g, y);
    s = xmalloc((size_t)g->cols * 4 * (1 + CELL_MARKS) + 1);
    for (int x = 0; x < g->cols; x++) {
        if (row[x].width == 0)
            continue;
        n += uni_encode(row[x].cp, s + n);
        for (int i = 0; i < CELL_MARKS && row[x].mark[i]; i++)
            n += uni_encode(row[x].mark[i], s + n);
        if (row[x].cp != ' ' || row[x].mark[0])
            used = n;
    }
    s[used] = '\0';
    return s;
}
