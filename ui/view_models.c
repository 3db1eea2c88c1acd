/* ui/view_models.c  The models: a drawer to choose the one that writes.
 *
 * The story stays as it is; what was written keeps the model that wrote it,
 * the next run is the new one's. Until the new model is loaded the old one
 * writes, and when it cannot be loaded the old one stays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"

#include "src/get_bar.h"
#include "src/i18n.h"

#include "ui/ui_state.h"

#define ROWS_MAX      10 /* with the heading */
#define NAME_AT       5  /* columns */
#define NAME_MAX_COLS 36
#define GAP           2

static bool
same_file(const char *a, const char *b)
{
    struct stat x, y;

    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static const char *
path_now(const struct ui *ui)
{
    if (ui->models.path)
        return ui->models.path;
    return ui->req ? ui->req->model : NULL;
}

/* --- the list --- */

void
models_open(struct ui *ui)
{
    models_free(&ui->models.list);
    models_list(&ui->models.list, path_now(ui));
    ui->models.row = ui->models.top = 0;
    for (size_t i = 0; i < ui->models.list.n; i++)
        if (ui->models.list.v[i].is_default)
            ui->models.row = (int)i;
}

void
models_finish(struct ui *ui)
{
    models_free(&ui->models.list);
    gen_free(ui->models.next);
    free(ui->models.next_path);
    free(ui->models.path);
}

/* --- changing the model --- */

static void
drop_next(struct ui *ui)
{
    gen_free(ui->models.next);
    free(ui->models.next_path);
    ui->models.next = NULL;
    ui->models.next_path = NULL;
}

/* The model that was loading takes over. */
static void
take_over(struct ui *ui)
{
    const char *name = model_info(gen_model(ui->models.next))->name;

    turn_set_gen(ui->turn, ui->models.next);
    ui->was_running = false; /* what ended a run is said in the sentence below */
    gen_free(ui->gen);
    ui->gen = ui->models.next;
    free(ui->models.path);
    ui->models.path = ui->models.next_path;
    ui->models.next = NULL;
    ui->models.next_path = NULL;
    ui_say(ui, SAY_INFO, _("From now on %s writes"), name);
}

int
models_fd(const struct ui *ui)
{
    return ui->models.next ? gen_fd(ui->models.next) : -1;
}

bool
models_poll(struct ui *ui)
{
    struct gen_event ev;
    bool visible = false;

    while (ui->models.next && gen_next(ui->models.next, &ev)) {
        if (ev.type == GEN_LOADED) {
            take_over(ui); /* the events after this one are the turn's */
            visible = true;
        } else if (ev.type == GEN_FAILED) {
            drop_next(ui);
            ui_say(ui, SAY_WARN, _("The model stays as it was: %s"),
                   ev.u.err.msg);
            visible = true;
        }
        gen_event_finish(&ev);
    }
    return visible;
}

struct gen *
models_generator(const struct ui *ui)
{
    return ui_new_generator(ui->req, ui->models.path);
}

static void
choose(struct ui *ui)
{
    const struct model_row *r;

    if (ui->models.list.n == 0)
        return;
    r = &ui->models.list.v[ui->models.row];
    if (!r->ok) {
        ui_say(ui, SAY_WARN, _("The model stays as it was: %s"), r->err.msg);
        return;
    }
    ui->focus = FOCUS_PAGE;
    drop_next(ui);
    if (gen_model(ui->gen) && same_file(r->path, path_now(ui))) {
        ui_say(ui, SAY_INFO, _("%s writes already"), r->name);
        return;
    }
    ui->models.next = ui_new_generator(ui->req, r->path);
    ui->models.next_path = xstrdup(r->path);
    ui_say(ui, SAY_INFO, _("%s is being loaded; till then nothing changes"),
           r->name);
}

/* --- drawing --- */

static int
put(struct grid *g, int x, int y, int limit, const char *s, enum style style)
{
    return grid_text(g, x, y, limit < g->cols ? limit : g->cols, s, strlen(s),
                     style);
}

static void
draw_heading(struct grid *g, int y)
{
    char title[64];

    for (int x = 0; x < g->cols; x++)
        put(g, x, y, g->cols, "╌", STYLE_RULE);
    snprintf(title, sizeof title, " %s %s ", _("Models"),
             keys_for(WHERE_PAGE, "models"));
    put(g, 1, y, g->cols, title, STYLE_RULE);
}

static int
name_cols(const struct ui *ui)
{
    int max = 0;

    for (size_t i = 0; i < ui->models.list.n; i++) {
        const char *name = ui->models.list.v[i].name;
        int cols = grid_text_cols(name, strlen(name));

        max = cols > max ? cols : max;
    }
    return max < NAME_MAX_COLS ? max : NAME_MAX_COLS;
}

static void
draw_row(const struct ui *ui, struct grid *g, int y, int at)
{
    const struct model_row *r = &ui->models.list.v[at];
    enum style style = at == ui->models.row ? STYLE_PANEL_FOCUS : STYLE_PANEL;
    char digit[2] = { at < 9 ? (char)('1' + at) : ' ', '\0' };
    char params[32], size[32], rest[256];
    int x = NAME_AT + name_cols(ui);

    grid_fill(g, 0, y, g->cols, STYLE_PANEL);
    put(g, 0, y, g->cols, at == ui->models.row ? "❯" : " ", style);
    put(g, 1, y, g->cols, digit, STYLE_PANEL_LABEL);
    if (same_file(r->path, path_now(ui)))
        put(g, NAME_AT - 2, y, g->cols, "*", style);
    put(g, NAME_AT, y, x, r->name, style);
    if (r->ok)
        snprintf(rest, sizeof rest, "%s  %s  %s %s  %d  %s",
                 r->peek.info.network,
                 models_params_text(r->peek.info.n_params, params,
                                    sizeof params),
                 get_size_text(r->peek.file_bytes, size, sizeof size),
                 r->peek.info.type, r->peek.vocab_size, r->licence);
    else
        snprintf(rest, sizeof rest, "%s: %.200s", _("broken"), r->err.msg);
    put(g, x + GAP, y, g->cols, rest, STYLE_PANEL_LABEL);
}

static void
models_draw(struct ui *ui, struct grid *g, int y, int rows, int *cx, int *cy)
{
    int shown = rows - 1, n = (int)ui->models.list.n;
    const char *none = _("No model is here; jielong get NAME downloads one");

    if (ui->models.row < ui->models.top)
        ui->models.top = ui->models.row;
    if (ui->models.row >= ui->models.top + shown)
        ui->models.top = ui->models.row - shown + 1;
    draw_heading(g, y);
    for (int i = 0; i < shown; i++) {
        grid_fill(g, 0, y + 1 + i, g->cols, STYLE_PANEL);
        if (ui->models.top + i < n)
            draw_row(ui, g, y + 1 + i, ui->models.top + i);
    }
    if (n == 0)
        put(g, NAME_AT, y + 1, g->cols, none, STYLE_PANEL_LABEL);
}

static int
models_rows(const struct ui *ui)
{
    int n = (int)ui->models.list.n + 1;

    if (!ui_room_for_drawers(ui))
        return 0;
    return n < 2 ? 2 : n < ROWS_MAX ? n : ROWS_MAX;
}

/* --- keys --- */

static void
go(struct ui *ui, int row)
{
    int n = (int)ui->models.list.n;

    if (n > 0)
        ui->models.row = (row % n + n) % n;
}

static void
digit_key(struct ui *ui, const struct key *k)
{
    char s[8];
    size_t n = k->len < sizeof s - 1 ? k->len : sizeof s - 1;

    memcpy(s, k->s, n);
    n = keys_fold_wide(s, n);
    if (n == 1 && s[0] >= '1' && s[0] <= '9' &&
        s[0] - '1' < (int)ui->models.list.n)
        go(ui, s[0] - '1');
}

static bool
models_key(struct ui *ui, const struct key *k)
{
    if (k->mods & (MOD_ALT | MOD_CTRL))
        return false;
    switch (k->code) {
    case KEY_UP_ARROW: go(ui, ui->models.row - 1); break;
    case KEY_DOWN_ARROW: go(ui, ui->models.row + 1); break;
    case KEY_HOME_KEY: go(ui, 0); break;
    case KEY_END_KEY: go(ui, -1); break;
    case KEY_ENTER: choose(ui); break;
    case KEY_TEXT: digit_key(ui, k); break;
    default: return false;
    }
    return true;
}

static const char *
models_hints(const struct ui *ui)
{
    return _("Up/Down choose  Enter lets it write  Esc back");
}

const struct view_ops view_models = {
    .name = "models",
    .rows = models_rows,
    .draw = models_draw,
    .key = models_key,
    .hints = models_hints,
};
