/* ui/view_story.c  The page: the story's lines, who wrote what, the horizon.
 *
 * Only the rows on the screen are looked at. A row is a screen line of the
 * wrap, or the rule that marks where the model's window starts; a line the
 * rule falls into is shown in two rows, each part at its own columns. The
 * view follows the caret (or the match of find), never the pen. Measures and
 * margins are in doc/screen.md.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#include "ui/ui_state.h"

#define MEASURE_MAX 80
#define SIDES       8 /* columns beside the block: margins and gutter */
#define MARGIN_MIN  4
#define GUTTER      2 /* where punctuation hangs */
#define SCROLLOFF   3

/* Where the model's window starts, in lines. */
struct horizon {
    size_t at, line;
    bool on;  /* something lies before it */
    bool mid; /* it falls inside the line */
};

/* A row of the page, counted from the top of the story. */
struct row {
    bool rule;       /* the horizon's rule */
    size_t from, to; /* bytes of the line it shows */
    size_t line;
};

struct page {
    struct ui *ui;
    struct grid *g;
    int x, y, rows, measure;
    struct horizon h;
};

size_t
page_eye(const struct ui *ui)
{
    if (ui->ask.ops == &find_ask && ui->layout.found != TEXT_NONE)
        return ui->layout.found;
    return turn_caret(ui->turn);
}

static int
measure_for(int cols)
{
    int m = cols - SIDES < MEASURE_MAX ? cols - SIDES : MEASURE_MAX;

    return m & ~1;
}

static int
margin_for(int cols, int measure)
{
    int x = (cols - measure - GUTTER) / 2;

    return x > MARGIN_MIN ? x : MARGIN_MIN;
}

static struct horizon
find_horizon(const struct ui *ui)
{
    struct horizon h = { .at = ui->status.window_at };
    struct wrap_line line;

    if (h.at == 0 || h.at > text_len(ui_text(ui)) ||
        !layout_covers(&ui->layout, h.at))
        return h;
    h.line = wrap_line_of(ui->layout.wrap, h.at);
    if (!wrap_get(ui->layout.wrap, h.line, &line))
        return h;
    h.on = true;
    h.mid = h.at > line.at;
    return h;
}

/* --- rows and lines --- */

static size_t
extra_rows(const struct horizon *h)
{
    if (!h->on)
        return 0;
    return h->mid ? 2 : 1;
}

/* The row that shows byte `at`. */
static size_t
row_of(const struct page *p, size_t at)
{
    size_t line = wrap_line_of(p->ui->layout.wrap, at);

    if (!p->h.on || line < p->h.line || (line == p->h.line && at < p->h.at))
        return line;
    return line + extra_rows(&p->h);
}

static bool
row_get(const struct page *p, size_t row, struct row *out)
{
    const struct horizon *h = &p->h;
    struct wrap_line line;
    bool after = h->on && row >= h->line + extra_rows(h);

    *out = (struct row){ .line = after ? row - extra_rows(h) : row };
    if (h->on && row == h->line + (h->mid ? 1 : 0)) {
        out->rule = true;
        return true;
    }
    if (!wrap_get(p->ui->layout.wrap, out->line, &line))
        return false;
    out->from = line.at;
    out->to = line.at + line.len;
    if (h->mid && out->line == h->line && !after)
        out->to = h->at;
    if (h->mid && out->line == h->line && after)
        out->from = h->at;
    return true;
}

/* --- scrolling --- */

/* The row at the top such that the eye keeps its distance from both ends:
 * as near to the present one as that allows. */
static size_t
scroll(struct page *p)
{
    struct ui *ui = p->ui;
    size_t eye = row_of(p, page_eye(ui));
    size_t top = row_of(p, ui->layout.top);
    size_t off =
        p->rows > 2 * SCROLLOFF ? SCROLLOFF : (size_t)(p->rows - 1) / 2;
    size_t below = (size_t)p->rows - 1 - off; /* lowest row for the eye */
    struct row row;

    if (eye < top + off)
        top = eye > off ? eye - off : 0;
    if (eye > top + below)
        top = eye - below;
    if (row_get(p, top, &row) && row.rule && top > 0)
        top--; /* a top is a place in the text; the rule is none */
    if (row_get(p, top, &row))
        ui->layout.top = row.from;
    return top;
}

/* --- drawing --- */

struct painter {
    const struct page *p;
    size_t from;    /* byte of the text where the buffer starts */
    char *s;        /* the line's bytes */
    uint8_t *style; /* of each */
    bool model;     /* something in it is the model's */
};

static bool
take_span(void *ud, const struct text_span *span)
{
    struct painter *pt = ud;
    size_t o = span->at - pt->from;
    enum style style = span->who == TEXT_MODEL    ? STYLE_MODEL
                       : span->who == TEXT_IMPORT ? STYLE_IMPORT
                                                  : STYLE_TEXT;

    memcpy(pt->s + o, span->s, span->len);
    memset(pt->style + o, style, span->len);
    pt->model |= span->who == TEXT_MODEL;
    return true;
}

/* What the model no longer sees is dim; a match of find stands out. */
static void
restyle(struct painter *pt, size_t len)
{
    const struct ui *ui = pt->p->ui;
    size_t n, a, b;

    if (pt->p->h.on && pt->from < pt->p->h.at) {
        n = pt->p->h.at - pt->from;
        memset(pt->style, STYLE_UNSEEN, n < len ? n : len);
    }
    if (ui->layout.found == TEXT_NONE || !ui->find.needle)
        return;
    a = ui->layout.found;
    b = a + strlen(ui->find.needle);
    a = a > pt->from ? a - pt->from : 0;
    b = b > pt->from ? b - pt->from : 0;
    if (a < len && b > a)
        memset(pt->style + a, STYLE_FOUND, (b < len ? b : len) - a);
}

/* Graphemes of one style go out together; a grapheme has the style of its
 * first byte. */
static void
paint(struct painter *pt, size_t len, int x, int y)
{
    struct grid *g = pt->p->g;
    size_t at = 0;

    while (at < len) {
        size_t start = at;
        uint8_t style = pt->style[at];

        while (at < len && pt->style[at] == style)
            at += uni_grapheme(pt->s + at, len - at);
        x = grid_text(g, x, y, g->cols, pt->s + start, at - start, style);
    }
}

static void
draw_line(const struct page *p, const struct row *row, int y)
{
    struct painter pt = { .p = p, .from = row->from };
    size_t len = row->to - row->from;
    int col = wrap_col_of(p->ui->layout.wrap, row->line, row->from);

    if (len == 0)
        return;
    pt.s = xmalloc(len);
    pt.style = xcalloc(len, 1);
    text_spans(ui_text(p->ui), row->from, row->to, take_span, &pt);
    restyle(&pt, len);
    paint(&pt, len, p->x + col, y);
    if (p->ui->mono && pt.model)
        grid_text(p->g, p->x - 2, y, p->x, "╎", strlen("╎"), STYLE_HINT);
    free(pt.s);
    free(pt.style);
}

static void
draw_rule(const struct page *p, int y)
{
    const char *text = _(" the model no longer sees what is above ");
    int cols = grid_text_cols(text, strlen(text));
    int end = p->x + p->measure;

    for (int x = p->x; x < end; x++)
        grid_text(p->g, x, y, end, "╌", strlen("╌"), STYLE_RULE);
    grid_text(p->g, p->x + (p->measure - cols) / 2, y, end, text, strlen(text),
              STYLE_RULE);
}

static void
draw_empty(const struct page *p)
{
    static const char *const help[] = {
        N_("Write the opening of a story here; Tab lets the model go on."),
        N_("Esc stops it. F1 shows every key. All is saved by itself."),
    };

    for (int i = 0; i < 2 && i + 2 < p->rows; i++)
        grid_text(p->g, p->x, p->y + 2 + i, p->g->cols, _(help[i]),
                  strlen(_(help[i])), STYLE_HINT);
}

/* A long story is being laid out and the caret's line is not there yet. */
static void
draw_progress(const struct page *p)
{
    size_t total = text_len(ui_text(p->ui));
    const struct layout *l = &p->ui->layout;
    char *s = xasprintf(_("Laying out the story  %d %%"),
                        (int)(100.0 * (double)wrap_done(l->wrap) /
                              (double)(total ? total : 1)));

    grid_text(p->g, p->x, p->y + p->rows / 2, p->g->cols, s, strlen(s),
              STYLE_HINT);
    free(s);
}

static void
place_caret(const struct page *p, size_t top, int *cx, int *cy)
{
    const struct wrap *w = p->ui->layout.wrap;
    size_t caret = turn_caret(p->ui->turn);
    size_t row = row_of(p, caret);

    if (row < top || row >= top + (size_t)p->rows)
        return; /* the view follows a match elsewhere */
    *cx = p->x + wrap_col_of(w, wrap_line_of(w, caret), caret);
    *cy = p->y + (int)(row - top);
}

static void
story_draw(struct ui *ui, struct grid *g, int y, int rows, int *cx, int *cy)
{
    struct page p = { .ui = ui, .g = g, .y = y, .rows = rows };
    struct row row;
    size_t top;

    p.measure = measure_for(g->cols);
    p.x = margin_for(g->cols, p.measure);
    ui->page_rows = rows;
    layout_measure(&ui->layout, p.measure);
    *cx = p.x;
    *cy = y;
    if (!layout_covers(&ui->layout, page_eye(ui))) {
        draw_progress(&p);
        return;
    }
    p.h = find_horizon(ui);
    top = scroll(&p);
    for (int i = 0; i < rows && row_get(&p, top + (size_t)i, &row); i++) {
        if (row.rule)
            draw_rule(&p, y + i);
        else
            draw_line(&p, &row, y + i);
    }
    if (text_len(ui_text(ui)) == 0 && ui->status.state == TURN_IDLE)
        draw_empty(&p);
    place_caret(&p, top, cx, cy);
}

static int
story_rows(const struct ui *ui)
{
    return 0; /* it has all that is left */
}

static bool
story_key(struct ui *ui, const struct key *k)
{
    return false; /* the page's keys are commands and text (ui.c) */
}

static const char *
story_hints(const struct ui *ui)
{
    return NULL; /* written from the commands (status.c) */
}

const struct view_ops view_story = {
    .name = "story",
    .rows = story_rows,
    .draw = story_draw,
    .key = story_key,
    .hints = story_hints,
};
