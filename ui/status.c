/* ui/status.c  The two rows at the bottom: what goes on, and what can be
 * done; and messages in the place of the latter.
 *
 * The status row is a list of segments with a rank; when the window is too
 * narrow, the lowest ranks are left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#include "ui/command.h"
#include "ui/ui_state.h"

#define SEGMENTS   9
#define GAUGE_COLS 10
#define NUMBER_CAP 32

struct segment {
    const char *sep; /* stands before it, unless it is the first */
    char text[240];
    double bar;     /* 0..1: a bar stands after the text; negative: none */
    char after[64]; /* behind the bar */
    int rank;
    enum style style;
};

struct row {
    struct segment v[SEGMENTS];
    int n;
};

static struct segment *
add(struct row *r, const char *sep, int rank, enum style style)
{
    struct segment *s = &r->v[r->n++];

    *s =
        (struct segment){ .sep = sep, .bar = -1, .rank = rank, .style = style };
    return s;
}

/* 1284 as "1,284". */
static const char *
grouped(char buf[NUMBER_CAP], size_t n)
{
    char digits[NUMBER_CAP];
    int len = snprintf(digits, sizeof digits, "%zu", n), o = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf[o++] = ',';
        buf[o++] = digits[i];
    }
    buf[o] = '\0';
    return buf;
}

bool
ui_counts_characters(const struct ui *ui)
{
    const struct model *m = gen_model(ui->gen);

    return !m || model_info(m)->char_like;
}

/* --- what goes on --- */

static void
why_text(const struct ui *ui, char *buf, size_t cap)
{
    const struct turn_status *st = &ui->status;

    switch (st->last_why) {
    case GEN_WHY_LENGTH:
        snprintf(buf, cap,
                 ui_counts_characters(ui) ? _("stopped at %u chars")
                                          : _("stopped at %u tokens"),
                 st->last_n);
        break;
    case GEN_WHY_SENTENCE:
        snprintf(buf, cap, "%s", _("end of a sentence"));
        break;
    case GEN_WHY_PARAGRAPH:
        snprintf(buf, cap, "%s", _("end of a paragraph"));
        break;
    case GEN_WHY_EOS:
        snprintf(buf, cap, "%s", _("the model ended the text"));
        break;
    case GEN_WHY_STOP: snprintf(buf, cap, "%s", _("met a stop string")); break;
    case GEN_WHY_USER: snprintf(buf, cap, "%s", _("stopped by you")); break;
    case GEN_WHY_EDIT: snprintf(buf, cap, "%s", _("you took over")); break;
    case GEN_WHY_LOOP:
        snprintf(buf, cap, "%s", _("it went round in circles"));
        break;
    case GEN_WHY_ERROR:
        snprintf(buf, cap, "%s", _("stopped by an error"));
        break;
    case GEN_WHY_NONE:
    case GEN_WHY_COUNT: buf[0] = '\0'; break;
    }
}

static void
speed_text(const struct ui *ui, char *buf, size_t cap)
{
    snprintf(buf, cap,
             ui_counts_characters(ui) ? _("%.0f chars/s") : _("%.0f tokens/s"),
             ui->status.tokens_per_second);
}

void
status_last_run(const struct ui *ui, char *buf, size_t cap)
{
    char why[80], speed[60];

    buf[0] = '\0';
    why_text(ui, why, sizeof why);
    if (!*why)
        return;
    speed[0] = '\0';
    if (ui->status.tokens_per_second > 0) { /* else it was too short to say */
        memcpy(speed, "  ", 2);
        speed_text(ui, speed + 2, sizeof speed - 2);
    }
    if (ui->status.last_why == GEN_WHY_LENGTH) /* that names the count */
        snprintf(buf, cap, _("%s%s  seed %llu"), why, speed,
                 (unsigned long long)ui->status.last_seed);
    else
        snprintf(buf, cap,
                 ui_counts_characters(ui) ? _("%s  %u chars%s  seed %llu")
                                          : _("%s  %u tokens%s  seed %llu"),
                 why, ui->status.last_n, speed,
                 (unsigned long long)ui->status.last_seed);
}

static int
percent(size_t done, size_t total)
{
    return total ? (int)(100.0 * (double)done / (double)total) : 0;
}

static void
idle_text(const struct ui *ui, char *buf, size_t cap)
{
    const struct turn_status *st = &ui->status;

    int n = turn_n_candidates(ui->turn);

    if (n > 0)
        snprintf(buf, cap, _("%d to choose from"), n);
    else if (st->model_failed)
        snprintf(buf, cap, "%s", _("no model (Tab says why)"));
    else if (!st->model_loaded)
        snprintf(buf, cap, _("loading the model %d %%"),
                 percent(st->load_done, st->load_total));
    else if (st->last_why != GEN_WHY_NONE)
        why_text(ui, buf, cap);
    else
        snprintf(buf, cap, "%s", _("your turn"));
}

static void
state_text(const struct ui *ui, char *buf, size_t cap)
{
    const struct turn_status *st = &ui->status;
    char speed[60];

    switch (st->state) {
    case TURN_IDLE: idle_text(ui, buf, cap); return;
    case TURN_LOADING:
        snprintf(buf, cap, _("waiting for the model %d %%"),
                 percent(st->load_done, st->load_total));
        break;
    case TURN_READING:
        if (st->read_total > 0)
            snprintf(buf, cap, _("reading %d/%d"), st->read_done,
                     st->read_total);
        else
            snprintf(buf, cap, "%s", _("reading"));
        break;
    case TURN_WRITING:
        speed_text(ui, speed, sizeof speed);
        if (st->tokens_per_second > 0)
            snprintf(buf, cap, _("writing %s"), speed);
        else
            snprintf(buf, cap, "%s", _("writing"));
        break;
    case TURN_WAITING:
        snprintf(buf, cap, "%s", _("waiting for your pause"));
        break;
    }
    if (st->after_unseen && strlen(buf) + 64 < cap) {
        strcat(buf, "  ");
        strcat(buf, _("what follows is unseen"));
    }
}

/* --- the row --- */

static const char *
mode_text(const struct ui *ui)
{
    if (ui->ask.ops)
        return _("Prompt");
    return ui->focus == FOCUS_PAGE ? _("Page") : _("Panel");
}

static void
add_state(struct row *r, const struct ui *ui)
{
    struct segment *s = add(r, "", 99, STYLE_STATUS);
    const char *place = ui->focus == FOCUS_KNOBS        ? _("knobs")
                        : ui->focus == FOCUS_HELP       ? _("Help")
                        : ui->focus == FOCUS_MODELS     ? _("Models")
                        : ui->focus == FOCUS_CANDIDATES ? _("Candidates")
                                                        : "";
    int n =
        snprintf(s->text, sizeof s->text, "%s%s", place, *place ? "  " : "");

    if (storyfile_state(ui->file) == STORYFILE_FAILING) {
        s->style = STYLE_STATUS_WARN;
        snprintf(s->text, sizeof s->text, "%s", storyfile_message(ui->file));
        return;
    }
    state_text(ui, s->text + n, sizeof s->text - (size_t)n);
    if (ui->status.model_failed || ui->status.last_why == GEN_WHY_ERROR)
        s->style = STYLE_STATUS_WARN;
}

static void
add_file(struct row *r, const struct ui *ui)
{
    struct segment *s = add(r, "   ", 40, STYLE_STATUS);
    char *name = status_story_name(ui);

    snprintf(s->text, sizeof s->text, "%.200s%s", name,
             storyfile_dirty(ui->file) ? " *" : "");
    free(name);
    if (storyfile_state(ui->file) == STORYFILE_READ_ONLY) {
        s = add(r, "  ", 80, STYLE_STATUS_WARN);
        snprintf(s->text, sizeof s->text, "%s", _("read-only"));
    } else if (storyfile_state(ui->file) == STORYFILE_ELSEWHERE) {
        s = add(r, "  ", 80, STYLE_STATUS_WARN);
        snprintf(s->text, sizeof s->text, "%s", _("kept elsewhere"));
    }
}

/* Weights that were rounded to fit are no secret, nor is an arithmetic that
 * cannot be replayed. */
static void
add_type(struct row *r, const struct ui *ui)
{
    const struct model *m = gen_model(ui->gen);

    if (m && (strcmp(model_info(m)->type, "f32") != 0 || model_info(m)->fast))
        snprintf(add(r, " ╎ ", 45, STYLE_STATUS)->text, 48, "%s%s%s",
                 model_info(m)->type, model_info(m)->fast ? " " : "",
                 model_info(m)->fast ? _("fast") : "");
}

static void
add_counts(struct row *r, const struct ui *ui)
{
    const struct turn_status *st = &ui->status;
    struct segment *s;
    char n[NUMBER_CAP];

    if (st->n_siblings > 1) {
        s = add(r, "  ", 60, STYLE_STATUS);
        snprintf(s->text, sizeof s->text, _("version %zu/%zu"), st->sibling,
                 st->n_siblings);
    }
    if (st->n_next > 1) {
        s = add(r, "  ", 55, STYLE_STATUS);
        snprintf(s->text, sizeof s->text, _("%zu versions follow"), st->n_next);
    }
    if (st->window_size > 0) {
        s = add(r, " ╎ ", 70, STYLE_STATUS);
        snprintf(s->text, sizeof s->text, "%s ", _("window"));
        s->bar = (double)st->window_used / st->window_size;
        s->bar = s->bar > 1 ? 1 : s->bar;
        snprintf(s->after, sizeof s->after, " %d/%d", st->window_used,
                 st->window_size);
    }
    add_type(r, ui);
    s = add(r, " ╎ ", 50, STYLE_STATUS);
    snprintf(s->text, sizeof s->text,
             ui->layout.words == 1 ? _("%s word") : _("%s words"),
             grouped(n, ui->layout.words));
}

static int
segment_cols(const struct segment *s)
{
    return grid_text_cols(s->sep, strlen(s->sep)) +
           grid_text_cols(s->text, strlen(s->text)) +
           (s->bar < 0 ? 0 : GAUGE_COLS) +
           grid_text_cols(s->after, strlen(s->after));
}

/* Leaves out the lowest rank till the row fits. */
static void
fit(struct row *r, int room)
{
    for (;;) {
        int cols = 0, lowest = 0;

        for (int i = 0; i < r->n; i++) {
            cols += segment_cols(&r->v[i]);
            if (r->v[i].rank < r->v[lowest].rank)
                lowest = i;
        }
        if (cols <= room || r->n <= 1)
            return;
        memmove(r->v + lowest, r->v + lowest + 1,
                (size_t)(--r->n - lowest) * sizeof *r->v);
    }
}

void
status_draw(struct ui *ui, struct grid *g, int y)
{
    struct row r = { .n = 0 };
    char mode[40];
    int x;

    grid_fill(g, 0, y, g->cols, STYLE_STATUS);
    snprintf(mode, sizeof mode, " %s › ", mode_text(ui));
    x = grid_text(g, 0, y, g->cols, mode, strlen(mode), STYLE_STATUS_MODE);
    add_state(&r, ui);
    add_file(&r, ui);
    add_counts(&r, ui);
    fit(&r, g->cols - x);
    for (int i = 0; i < r.n; i++) {
        struct segment *s = &r.v[i];

        x = grid_text(g, x, y, g->cols, s->sep, strlen(s->sep), STYLE_STATUS);
        x = grid_text(g, x, y, g->cols, s->text, strlen(s->text), s->style);
        if (s->bar >= 0 && x + GAUGE_COLS <= g->cols) {
            grid_bar(g, x, y, GAUGE_COLS, s->bar, STYLE_BAR, STYLE_BAR_REST);
            x += GAUGE_COLS;
        }
        x = grid_text(g, x, y, g->cols, s->after, strlen(s->after), s->style);
    }
}

char *
status_story_name(const struct ui *ui)
{
    const char *title = story_title(ui_story(ui));
    const char *path = file_name(storyfile_path(ui->file)), *dot;

    if (title && *title)
        return xstrdup(title);
    dot = strrchr(path, '.');
    return xstrndup(path,
                    dot && dot != path ? (size_t)(dot - path) : strlen(path));
}

/* --- hints --- */

static const char *const page_hints[] = { "continue", "candidates", "escape",
                                          "retry",    "undo",       "redo",
                                          "knobs",    "find",       "open",
                                          "quit" };

/* "Ctrl-R" as "^R", "Shift-Tab" as "S-Tab", the rest as it is; then the hint;
 * "" when unbound. */
static void
hint_text(const char *command, char *buf, size_t cap)
{
    const struct command *c = command_find(command);
    const char *key = keys_for(WHERE_PAGE, command);
    bool ctrl = strncmp(key, "Ctrl-", 5) == 0;
    bool shift = strncmp(key, "Shift-", 6) == 0;

    buf[0] = '\0';
    if (c && c->hint && *key)
        snprintf(buf, cap, "%s%s %s",
                 ctrl    ? "^"
                 : shift ? "S-"
                         : "",
                 key + (ctrl    ? 5
                        : shift ? 6
                                : 0),
                 _(c->hint));
}

/* Bytes of the hints that fit: whole ones, two blanks between them. */
static size_t
whole_hints(const char *s, int cols)
{
    size_t n = strlen(s);

    while (grid_text_cols(s, n) > cols) {
        size_t at = n;

        while (at > 2 && memcmp(s + at - 2, "  ", 2) != 0)
            at--;
        if (at <= 2)
            return n;
        n = at - 2;
    }
    return n;
}

void
hints_draw(struct ui *ui, struct grid *g, int y)
{
    const char *all = NULL;
    char help[80], text[80];
    int x = 1, help_cols;

    grid_fill(g, 0, y, g->cols, STYLE_HINTS);
    if (ui->ask.ops)
        all = _(ui->ask.ops->hints);
    else if (ui->focus == FOCUS_KNOBS)
        all = view_knobs.hints(ui);
    else if (ui->focus == FOCUS_HELP)
        all = view_help.hints(ui);
    else if (ui->focus == FOCUS_CANDIDATES)
        all = view_candidates.hints(ui);
    if (all) {
        grid_text(g, 1, y, g->cols, all, whole_hints(all, g->cols - 1),
                  STYLE_HINTS);
        return;
    }
    hint_text("help", help, sizeof help);
    help_cols = grid_text_cols(help, strlen(help));
    for (size_t i = 0; i < sizeof page_hints / sizeof *page_hints; i++) {
        hint_text(page_hints[i], text, sizeof text);
        if (x + grid_text_cols(text, strlen(text)) + 2 + help_cols > g->cols)
            break;
        x = grid_text(g, x, y, g->cols, text, strlen(text), STYLE_HINTS) + 2;
    }
    grid_text(g, x, y, g->cols, help, strlen(help), STYLE_HINTS);
}

/* --- messages --- */

/* Bytes of s that fit into cols; at least one grapheme. */
static size_t
fitting(const char *s, size_t len, int cols)
{
    size_t n = 0;

    while (n < len) {
        size_t step = uni_grapheme(s + n, len - n);

        if (n > 0 && grid_text_cols(s, n + step) > cols)
            break;
        n += step;
    }
    /* rather between words, where there are any */
    for (size_t i = n; n < len && i > n / 2; i--)
        if (s[i] == ' ')
            return i + 1;
    return n;
}

int
said_rows(const struct ui *ui, int max)
{
    const char *s;
    int rows = 0;

    if (ui->n_said == 0)
        return 0;
    s = ui->said[0].text;
    for (size_t at = 0, len = strlen(s); at < len && rows < max; rows++)
        at += fitting(s + at, len - at, ui->cols - 2);
    return rows > 0 ? rows : 1;
}

void
said_draw(const struct ui *ui, struct grid *g, int y, int rows)
{
    const char *s = ui->said[0].text;
    enum style style =
        ui->said[0].level == SAY_WARN ? STYLE_STATUS_WARN : STYLE_HINTS;
    size_t len = strlen(s), at = 0;

    for (int i = 0; i < rows; i++) {
        size_t n = fitting(s + at, len - at, g->cols - 2);

        grid_fill(g, 0, y + i, g->cols, STYLE_HINTS);
        if (i == rows - 1)
            n = len - at; /* what is too long is clipped there */
        grid_text(g, 1, y + i, g->cols, s + at, n, style);
        at += n;
    }
}
