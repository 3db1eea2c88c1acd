/* ui/view_candidates.c  Candidates as cards below the page: one is taken.
 *
 * Side by side where each gets CARD_COLS columns; else one below the other,
 * the chosen one with all rows that the others leave, as many of them as fit.
 * A card shows the end of what is written until the writer scrolls. The text
 * of a card comes from the story: nothing is shown that the journal does not
 * have. Keys that are no choice leave the cards and go to the page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/command.h"
#include "ui/ui_state.h"

#define ROWS      10 /* with the heading */
#define CARD_COLS 20 /* of a card that has others beside it */
#define WIDE_COLS 60 /* from there on numbers have their names */
#define GUTTER    2  /* where punctuation hangs */
#define LABEL     3  /* columns of the mark and the number before a card */

/* A card of this frame. */
struct card {
    struct turn_candidate c;
    char *s; /* its text, owned */
    struct text_store *store;
    struct text *text; /* the same, to be wrapped */
    struct wrap *wrap;
    size_t lines;
};

static bool
side_by_side(const struct ui *ui)
{
    return ui->cols / turn_n_candidates(ui->turn) >= CARD_COLS;
}

/* --- the text of a card --- */

static char *
text_of(const struct ui *ui, uint64_t node)
{
    struct node_info info;

    if (!node || !story_node(ui_story(ui), node, &info))
        return xstrdup("");
    return text_dup(story_node_text(ui_story(ui), node), info.at, info.len);
}

static void
card_open(struct card *card, const struct ui *ui, int i, int measure)
{
    struct text *empty;

    turn_candidate(ui->turn, i, &card->c);
    card->s = text_of(ui, card->c.node);
    card->store = text_store_new();
    empty = text_empty(card->store);
    card->text = text_insert(empty, 0, card->s, strlen(card->s), TEXT_MODEL, 0);
    text_unref(empty);
    card->wrap = wrap_new(measure);
    while (!wrap_set(card->wrap, card->text, measure) &&
           !wrap_work(card->wrap, strlen(card->s)))
        ;
    card->lines = *card->s ? wrap_lines(card->wrap) : 0;
}

static void
card_close(struct card *card)
{
    wrap_free(card->wrap);
    text_unref(card->text);
    text_store_free(card->store);
    free(card->s);
}

/* --- drawing --- */

static int
put(struct grid *g, int x, int y, int end, const char *s, enum style style)
{
    return grid_text(g, x, y, end, s, strlen(s), style);
}

static int
width(const char *s)
{
    return grid_text_cols(s, strlen(s));
}

/* "mean 0.21  37 chars", or (brief) "0.21  37", with an ellipsis while it
 * still writes. */
static void
numbers_text(const struct ui *ui, const struct turn_candidate *c, bool brief,
             char *buf, size_t cap)
{
    bool chars = ui_counts_characters(ui);
    int n = 0;

    if (c->n_tok > 0)
        n = snprintf(buf, cap,
                     brief   ? "%.2f  %u"
                     : chars ? _("mean %.2f  %u chars")
                             : _("mean %.2f  %u tokens"),
                     c->p, c->n_tok);
    if (n >= 0 && (size_t)n < cap)
        snprintf(buf + n, cap - (size_t)n, "%s",
                 c->open                   ? "…"
                 : c->why == GEN_WHY_ERROR ? _("  error")
                 : c->n_tok == 0           ? _("nothing")
                                           : "");
}

/* The first row that is shown of a card with room for so many. */
static size_t
first_line(struct ui *ui, const struct card *card, int rows)
{
    size_t last = card->lines > (size_t)rows ? card->lines - (size_t)rows : 0;

    if ((size_t)ui->cards.end < last)
        ui->cards.end = (int)last;
    if (ui->cards.top < 0 || (size_t)ui->cards.top > last)
        return last;
    return (size_t)ui->cards.top;
}

static void
draw_text(const struct card *card, struct grid *g, int x, int y, int end,
          size_t first, int rows, enum style style)
{
    struct wrap_line line;

    for (int i = 0; i < rows; i++) {
        if (first + (size_t)i >= card->lines ||
            !wrap_get(card->wrap, first + (size_t)i, &line))
            return;
        grid_text(g, x, y + i, end, card->s + line.at, line.len, style);
    }
}

/* The mark of the chosen one, and the number that takes it. */
static int
draw_label(const struct ui *ui, struct grid *g, int x, int y, int i)
{
    bool on = i == ui->cards.row;
    enum style style = on ? STYLE_PANEL_FOCUS : STYLE_PANEL_LABEL;
    char digit[2] = { (char)('1' + i), '\0' };

    put(g, x, y, g->cols, on ? "❯" : " ", style);
    return put(g, x + 1, y, g->cols, digit, style);
}

/* Rows that are hidden above and below: "‹2 3›". */
static void
hidden_text(const struct card *card, size_t first, int rows, char *buf,
            size_t cap)
{
    size_t below = first + (size_t)rows < card->lines
                       ? card->lines - first - (size_t)rows
                       : 0;
    int n = 0;

    buf[0] = '\0';
    if (first > 0)
        n = snprintf(buf, cap, "  ‹%zu", first);
    if (below > 0)
        snprintf(buf + n, cap - (size_t)n, "  %zu›", below);
}

static void
draw_beside(struct ui *ui, struct grid *g, int y, int rows)
{
    int n = turn_n_candidates(ui->turn), cols = g->cols / n;
    int measure = (cols - 2 - GUTTER) & ~1;
    char numbers[96], hidden[48];

    for (int i = 0; i < n; i++) {
        enum style style = i == ui->cards.row ? STYLE_MODEL : STYLE_GHOST;
        int x = i * cols, end = x + cols, at;
        struct card card;
        size_t first;

        card_open(&card, ui, i, measure);
        first = first_line(ui, &card, rows - 1);
        hidden_text(&card, first, rows - 1, hidden, sizeof hidden);
        at = draw_label(ui, g, x + 1, y, i) + 2;
        numbers_text(ui, &card.c, false, numbers, sizeof numbers);
        if (at + width(numbers) + width(hidden) > end)
            numbers_text(ui, &card.c, true, numbers, sizeof numbers);
        at = put(g, at, y, end, numbers, STYLE_PANEL_LABEL);
        put(g, at, y, end, hidden, STYLE_PANEL_LABEL);
        draw_text(&card, g, x + 2, y + 1, end, first, rows - 1, style);
        for (int k = 0; i + 1 < n && k < rows; k++)
            put(g, end, y + k, g->cols, "╎", STYLE_RULE);
        card_close(&card);
    }
}

static void
draw_below(struct ui *ui, struct grid *g, int y, int rows)
{
    int n = turn_n_candidates(ui->turn);
    int room = rows > 2 ? rows - 2 : 0; /* for others, one row each */
    int others = n - 1 < room ? n - 1 : room;
    int from = ui->cards.row - others, at = y;
    int measure = (g->cols - LABEL - GUTTER) & ~1;

    from = from < 0 ? 0 : from;
    for (int i = from; i <= from + others; i++) {
        bool on = i == ui->cards.row;
        int high = on ? rows - others : 1;
        struct card card;

        card_open(&card, ui, i, measure);
        draw_label(ui, g, 0, at, i);
        draw_text(&card, g, LABEL, at, g->cols,
                  on ? first_line(ui, &card, high) : 0, high,
                  on ? STYLE_MODEL : STYLE_GHOST);
        at += high;
        card_close(&card);
    }
}

/* Title, key and batch; one below the other, the numbers of the chosen one. */
static void
draw_heading(struct ui *ui, struct grid *g, int y)
{
    struct turn_candidate c;
    char title[96], about[160], numbers[96];
    uint64_t seed;
    int batch = turn_candidates_batch(ui->turn, &seed);
    bool beside = side_by_side(ui);

    for (int x = 0; x < g->cols; x++)
        put(g, x, y, g->cols, "╌", STYLE_RULE);
    snprintf(title, sizeof title, " %s %s", _("Candidates"),
             beside ? "S-Tab " : "");
    if (beside) {
        snprintf(about, sizeof about, _(" seed %llu ╎ batch %d "),
                 (unsigned long long)seed, batch);
    } else {
        turn_candidate(ui->turn, ui->cards.row, &c);
        numbers_text(ui, &c, g->cols < WIDE_COLS, numbers, sizeof numbers);
        snprintf(about, sizeof about, " %d/%d  %s ", ui->cards.row + 1,
                 turn_n_candidates(ui->turn), numbers);
    }
    put(g, 1, y, g->cols, title, STYLE_RULE);
    if (width(title) + width(about) + 3 < g->cols)
        put(g, g->cols - width(about) - 2, y, g->cols, about, STYLE_RULE);
}

static void
candidates_draw(struct ui *ui, struct grid *g, int y, int rows, int *cx,
                int *cy)
{
    int n = turn_n_candidates(ui->turn);

    if (ui->cards.row >= n)
        ui->cards.row = n - 1;
    ui->cards.end = 0;
    draw_heading(ui, g, y);
    if (side_by_side(ui))
        draw_beside(ui, g, y + 1, rows - 1);
    else
        draw_below(ui, g, y + 1, rows - 1);
}

static int
candidates_rows(const struct ui *ui)
{
    return turn_n_candidates(ui->turn) > 0 ? ROWS : 0;
}

/* --- keys --- */

static void
choose(struct ui *ui, int row)
{
    int n = turn_n_candidates(ui->turn);

    ui->cards.row = (row + n) % n;
    if (!side_by_side(ui))
        ui->cards.top = -1;
}

static bool
take(struct ui *ui, int i)
{
    if (turn_take(ui->turn, i)) {
        ui->focus = FOCUS_PAGE;
        return true;
    }
    if (i >= turn_n_candidates(ui->turn))
        ui_say(ui, SAY_INFO, _("There are %d to choose from"),
               turn_n_candidates(ui->turn));
    else
        ui_say(ui, SAY_INFO, "%s", _("Nothing is written there yet"));
    return false;
}

/* The first scroll begins at the end, which is what is shown till then. */
static void
scroll(struct ui *ui, int by)
{
    int top = ui->cards.top;

    if (top < 0 && by > 0)
        return;
    top = top < 0 ? ui->cards.end + by : top + by;
    ui->cards.top = top < 0 ? 0 : top;
    if (ui->cards.top >= ui->cards.end)
        ui->cards.top = -1;
}

/* 1..9 of a typed digit, full-width ones too; 0: it is none. */
static int
digit_of(const struct key *k)
{
    char s[8];
    size_t n = k->len < sizeof s - 1 ? k->len : sizeof s - 1;

    memcpy(s, k->s, n);
    n = keys_fold_wide(s, n);
    return n == 1 && s[0] >= '1' && s[0] <= '9' ? s[0] - '0' : 0;
}

/* The writer goes on by himself: the page gets this key, and what changes the
 * text leaves the candidates. */
static bool
to_page(struct ui *ui)
{
    ui->focus = FOCUS_PAGE;
    return false;
}

static bool
candidates_key(struct ui *ui, const struct key *k)
{
    bool beside = side_by_side(ui);

    if (k->code == KEY_TEXT && !k->mods && digit_of(k)) {
        take(ui, digit_of(k) - 1);
        return true;
    }
    if (k->code == KEY_PASTE ||
        (k->code == KEY_TEXT && !(k->mods & (MOD_ALT | MOD_CTRL))))
        return to_page(ui);
    if (k->mods)
        return false;
    switch (k->code) {
    case KEY_LEFT_ARROW: choose(ui, ui->cards.row - 1); break;
    case KEY_RIGHT_ARROW: choose(ui, ui->cards.row + 1); break;
    case KEY_UP_ARROW:
        beside ? scroll(ui, -1) : choose(ui, ui->cards.row - 1);
        break;
    case KEY_DOWN_ARROW:
        beside ? scroll(ui, 1) : choose(ui, ui->cards.row + 1);
        break;
    case KEY_PGUP: scroll(ui, -4); break;
    case KEY_PGDN: scroll(ui, 4); break;
    case KEY_ENTER: take(ui, ui->cards.row); break;
    case KEY_TAB:
        if (take(ui, ui->cards.row))
            command_run(ui, "continue");
        break;
    case KEY_BACKSPACE:
    case KEY_DEL: return to_page(ui);
    default: return false;
    }
    return true;
}

static const char *
candidates_hints(const struct ui *ui)
{
    return _("1-9 or arrows+Enter take one  Tab take, go on  S-Tab others  "
             "Esc none");
}

const struct view_ops view_candidates = {
    .name = "candidates",
    .rows = candidates_rows,
    .draw = candidates_draw,
    .key = candidates_key,
    .hints = candidates_hints,
};
