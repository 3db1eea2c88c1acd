/* ui/view_knobs.c  The knobs: a drawer of ten rows, live while a run writes.
 *
 * Rows come from the table of knobs; nine are shown at a time, those of daily
 * use first, then the presets, then the rest. Every change goes to the turn
 * at once and reaches the next token.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/ui_state.h"

#define ROWS       10 /* with the heading */
#define ROW_PRESET KNOB_COUNT
#define N_ITEMS    (KNOB_COUNT + 1)
#define LABEL_AT   3 /* columns */
#define VALUE_COLS 8
#define BAR_COLS   14
#define BIG_STEP   10

static const enum knob_id daily[] = { KNOB_TEMP,    KNOB_TOP_K,  KNOB_TOP_P,
                                      KNOB_MIN_P,   KNOB_REPEAT, KNOB_LENGTH,
                                      KNOB_STOP_AT, KNOB_SEED };
#define N_DAILY ((int)(sizeof daily / sizeof *daily))

/* Which knob (or ROW_PRESET) stands at each place of the list. */
static void
list_items(int items[N_ITEMS])
{
    bool used[KNOB_COUNT] = { false };
    int n = 0;

    for (int i = 0; i < N_DAILY; i++) {
        items[n++] = daily[i];
        used[daily[i]] = true;
    }
    items[n++] = ROW_PRESET;
    items[n++] = KNOB_CANDIDATES;
    used[KNOB_CANDIDATES] = true;
    for (int i = 0; i < KNOB_COUNT; i++)
        if (!used[i])
            items[n++] = i;
}

static int
chosen(const struct ui *ui)
{
    int items[N_ITEMS];

    list_items(items);
    return items[ui->knobs.row];
}

static bool
same(double a, double b)
{
    return a == b || fabs(a - b) < 1e-7;
}

/* --- presets --- */

static void
step_preset(struct knobs *k, int n)
{
    int now = preset_of(k), to;

    if (now < 0)
        to = n > 0 ? 0 : n_presets - 1;
    else
        to = (now + (n > 0 ? 1 : n_presets - 1)) % n_presets;
    preset_apply(k, &preset_rows[to]);
}

/* --- drawing --- */

static int
put(struct grid *g, int x, int y, const char *s, enum style style)
{
    return grid_text(g, x, y, g->cols, s, strlen(s), style);
}

/* What is too long ends in an ellipsis. */
static void
put_help(struct grid *g, int x, int y, const char *s)
{
    size_t len = strlen(s), n = 0;
    int cols = 0, room = g->cols - 1 - x, w;

    if (grid_text_cols(s, len) <= room) {
        put(g, x, y, s, STYLE_PANEL_LABEL);
        return;
    }
    while (n < len) {
        size_t step = grid_cluster(s + n, len - n, &w);

        if (cols + w > room - 2)
            break;
        cols += w;
        n += step;
    }
    x = grid_text(g, x, y, g->cols, s, n, STYLE_PANEL_LABEL);
    put(g, x, y, "…", STYLE_PANEL_LABEL);
}

static void
draw_heading(struct grid *g, int y)
{
    char title[64];
    int x;

    for (x = 0; x < g->cols; x++)
        put(g, x, y, "╌", STYLE_RULE);
    snprintf(title, sizeof title, " %s ^T ", _("Knobs"));
    put(g, 1, y, title, STYLE_RULE);
}

/* Where values end: behind the longest label of this language. */
static int
value_end(void)
{
    int max = 0;

    for (int i = 0; i < KNOB_COUNT; i++) {
        const char *label = _(knob_rows[i].label);
        int cols = grid_text_cols(label, strlen(label));

        max = cols > max ? cols : max;
    }
    return LABEL_AT + max + VALUE_COLS;
}

static bool
fits(const struct grid *g, int x, const char *s)
{
    return x + grid_text_cols(s, strlen(s)) <= g->cols;
}

/* As many as there is room for; the chosen one stands before them too. */
static void
draw_choices(struct grid *g, int x, int y, const struct knob_row *row,
             const struct knobs *k)
{
    char value[KNOB_TEXT_MAX];

    knob_format(k, row, value, sizeof value);
    for (const char *const *c = row->choices; *c; c++) {
        bool on = strcmp(*c, value) == 0;

        if (!fits(g, x, _(*c)))
            return;
        x = put(g, x, y, _(*c), on ? STYLE_PANEL_FOCUS : STYLE_PANEL_LABEL);
        x = put(g, x, y, " ", STYLE_PANEL);
    }
}

/* Decimals stand under each other: 1 as 1.00. */
static void
real_text(double x, char *value, size_t cap)
{
    if (isfinite(x) && same(x * 100, round(x * 100)))
        snprintf(value, cap, "%.2f", x);
}

static void
value_text(const struct ui *ui, const struct knob_row *row, char *buf,
           size_t cap)
{
    const struct knobs *k = turn_knobs(ui->turn);
    char value[KNOB_TEXT_MAX];

    knob_format(k, row, value, sizeof value);
    if (row->kind == KNOB_REAL)
        real_text(*(const double *)((const char *)k + row->offset), value,
                  sizeof value);
    if (row->kind == KNOB_SEED64)
        snprintf(buf, cap, k->seed_random ? "%s" : _("%s locked"),
                 k->seed_random ? _("random") : value);
    else if (row->kind == KNOB_CHOICE)
        snprintf(buf, cap, "%s", _(value));
    else if (strcmp(row->unit, "tokens") == 0 && ui_counts_characters(ui))
        snprintf(buf, cap, _("%s char."), value);
    else
        snprintf(buf, cap, "%s%s%s", value, *row->unit ? " " : "",
                 *row->unit ? _(row->unit) : "");
}

/* A value too long for its column begins where the bar would. */
static void
draw_knob(struct ui *ui, struct grid *g, int y, const struct knob_row *row,
          enum style style)
{
    const struct knobs *k = turn_knobs(ui->turn);
    double part = knob_fraction(k, row);
    int end = value_end(), x = end + 2, cols;
    bool text = row->kind == KNOB_STRING || row->kind == KNOB_STAGES;
    char value[KNOB_TEXT_MAX + 32];

    put(g, LABEL_AT, y, _(row->label), style);
    value_text(ui, row, value, sizeof value);
    cols = grid_text_cols(value, strlen(value));
    if (text || cols > VALUE_COLS)
        x = put(g, x, y, *value ? value : _("(none)"), style) + 2;
    else
        put(g, end - cols, y, value, style);
    if (row->kind == KNOB_CHOICE) {
        draw_choices(g, x, y, row, k);
    } else if (part >= 0) {
        grid_bar(g, x, y, BAR_COLS, part, STYLE_BAR, STYLE_BAR_REST);
        put_help(g, x + BAR_COLS + 2, y, _(row->help));
    } else if (!*value || !text) {
        put_help(g, x, y, _(row->help));
    }
}

static const char *
preset_name(int i)
{
    return i < n_presets ? _(preset_rows[i].label) : _("own");
}

/* From which one the list must begin so that the chosen one is seen. */
static int
first_preset(int room, int now)
{
    int last = now < 0 ? n_presets : now, first = last, cols = 4;

    for (; first >= 0; first--) {
        const char *name = preset_name(first);

        cols += grid_text_cols(name, strlen(name)) + 3;
        if (cols > room)
            return first < last ? first + 1 : last;
    }
    return 0;
}

static void
draw_presets(struct ui *ui, struct grid *g, int y, enum style style)
{
    int now = preset_of(turn_knobs(ui->turn));
    int x = value_end() + 2;

    put(g, LABEL_AT, y, _("Preset"), style);
    x = put(g, x, y, "‹ ", STYLE_PANEL_LABEL);
    for (int i = first_preset(g->cols - x, now); i <= n_presets; i++) {
        const char *name = preset_name(i);
        bool on = i == now || (i == n_presets && now < 0);

        if (!fits(g, x + (i > 0 ? 3 : 0), name))
            return;
        if (i > 0)
            x = put(g, x, y, " ╎ ", STYLE_PANEL_LABEL);
        x = put(g, x, y, name, on ? STYLE_PANEL_FOCUS : STYLE_PANEL);
    }
    put(g, x, y, " ›", STYLE_PANEL_LABEL);
}

static void
draw_item(struct ui *ui, struct grid *g, int y, int at, int item)
{
    bool on = at == ui->knobs.row;
    enum style style = on ? STYLE_PANEL_FOCUS : STYLE_PANEL;
    char digit[2] = { at < 9 ? (char)('1' + at) : ' ', '\0' };

    grid_fill(g, 0, y, g->cols, STYLE_PANEL);
    put(g, 0, y, on ? "❯" : " ", style);
    put(g, 1, y, digit, STYLE_PANEL_LABEL);
    if (item == ROW_PRESET)
        draw_presets(ui, g, y, style);
    else
        draw_knob(ui, g, y, &knob_rows[item], style);
}

static void
knobs_draw(struct ui *ui, struct grid *g, int y, int rows, int *cx, int *cy)
{
    int items[N_ITEMS], shown = rows - 1;

    list_items(items);
    if (ui->knobs.row < ui->knobs.top)
        ui->knobs.top = ui->knobs.row;
    if (ui->knobs.row >= ui->knobs.top + shown)
        ui->knobs.top = ui->knobs.row - shown + 1;
    draw_heading(g, y);
    for (int i = 0; i < shown && ui->knobs.top + i < N_ITEMS; i++)
        draw_item(ui, g, y + 1 + i, ui->knobs.top + i,
                  items[ui->knobs.top + i]);
}

static int
knobs_rows(const struct ui *ui)
{
    return ui_room_for_drawers(ui) ? ROWS : 0;
}

/* --- keys --- */

static void
turn_by(struct ui *ui, int n)
{
    struct knobs k = *turn_knobs(ui->turn);
    struct turn_status st;
    int item = chosen(ui);

    if (item == ROW_PRESET) {
        step_preset(&k, n);
    } else {
        turn_get_status(ui->turn, &st);
        if (item == KNOB_SEED && k.seed_random && st.last_seed)
            k.seed = st.last_seed; /* what is locked is what was just seen */
        knob_step(&k, &knob_rows[item], n);
    }
    if (!knobs_equal(&k, turn_knobs(ui->turn)))
        turn_set_knobs(ui->turn, &k);
}

static void
reset(struct ui *ui)
{
    struct knobs k = *turn_knobs(ui->turn);

    if (chosen(ui) == ROW_PRESET)
        preset_apply(&k, preset_find("normal"));
    else
        knob_reset(&k, &knob_rows[chosen(ui)]);
    turn_set_knobs(ui->turn, &k);
}

/* The choice whose translation was typed, by the name the table knows. */
static const char *
choice_name(const struct knob_row *row, const char *typed)
{
    for (const char *const *c = row->choices; row->kind == KNOB_CHOICE && *c;
         c++)
        if (strcmp(typed, _(*c)) == 0)
            return *c;
    if (row->kind == KNOB_SEED64 && strcmp(typed, _("random")) == 0)
        return "random";
    return typed;
}

static bool
value_enter(struct ui *ui, const char *text)
{
    struct knobs k = *turn_knobs(ui->turn);
    const struct knob_row *row = &knob_rows[chosen(ui)];
    struct err err = { 0 };
    char *s = xstrdup(text);
    bool ok;

    if (row->kind != KNOB_STRING)
        s[keys_fold_wide(s, strlen(s))] = '\0';
    ok = knob_parse(&k, row, choice_name(row, s), &err);
    if (ok)
        turn_set_knobs(ui->turn, &k);
    else
        ui_say(ui, SAY_WARN, "%s", err.msg);
    free(s);
    return ok;
}

static const struct ask_ops value_ask = {
    .label = N_("Value"),
    .hints = N_("Enter sets it  Esc leaves it as it was"),
    .enter = value_enter,
};

static bool
is_random(const struct knob_row *row, const char *value)
{
    return row->kind == KNOB_SEED64 && strcmp(value, "random") == 0;
}

static void
ask_value(struct ui *ui)
{
    const struct knob_row *row;
    char value[KNOB_TEXT_MAX];

    if (chosen(ui) == ROW_PRESET) {
        turn_by(ui, 1);
        return;
    }
    row = &knob_rows[chosen(ui)];
    knob_format(turn_knobs(ui->turn), row, value, sizeof value);
    ask_open_labelled(ui, &value_ask, _(row->label),
                      row->kind == KNOB_CHOICE || is_random(row, value)
                          ? _(value)
                          : value);
}

static void
choose(struct ui *ui, int row)
{
    ui->knobs.row = (row + N_ITEMS) % N_ITEMS;
}

static bool
digit_key(struct ui *ui, const struct key *k)
{
    char s[8];
    size_t n = k->len < sizeof s - 1 ? k->len : sizeof s - 1;

    memcpy(s, k->s, n);
    n = keys_fold_wide(s, n);
    if (n != 1 || s[0] < '1' || s[0] > '9')
        return false;
    choose(ui, s[0] - '1');
    return true;
}

static bool
knobs_key(struct ui *ui, const struct key *k)
{
    int step = k->mods & MOD_SHIFT ? BIG_STEP : 1;

    if (k->mods & (MOD_ALT | MOD_CTRL))
        return false;
    switch (k->code) {
    case KEY_UP_ARROW: choose(ui, ui->knobs.row - 1); break;
    case KEY_DOWN_ARROW: choose(ui, ui->knobs.row + 1); break;
    case KEY_LEFT_ARROW: turn_by(ui, -step); break;
    case KEY_RIGHT_ARROW: turn_by(ui, step); break;
    case KEY_PGUP: turn_by(ui, BIG_STEP); break;
    case KEY_PGDN: turn_by(ui, -BIG_STEP); break;
    case KEY_ENTER: ask_value(ui); break;
    case KEY_BACKSPACE:
    case KEY_DEL: reset(ui); break;
    case KEY_TEXT: digit_key(ui, k); break;
    default: return false;
    }
    return true;
}

static const char *
knobs_hints(const struct ui *ui)
{
    return _("Up/Down choose  Left/Right turn  Enter type  Backspace reset  "
             "Esc back");
}

const struct view_ops view_knobs = {
    .name = "knobs",
    .rows = knobs_rows,
    .draw = knobs_draw,
    .key = knobs_key,
    .hints = knobs_hints,
};
