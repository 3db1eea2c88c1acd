/* ui/ui.c  The page as a whole: what stands where, which part gets a key.
 *
 * Everything here works on struct ui and a grid; loop.c brings the terminal,
 * the clock and the signals. Invariant: after ui_draw() the cursor's cell
 * lies inside the grid, at the caret whenever the caret is on the screen.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"
#include "src/paths.h"

#include "ui/command.h"
#include "ui/ui_state.h"

#define AMBIGUOUS      0x201C /* a character of ambiguous width */
#define MIN_COLS       40 /* below: one line says that the window is too small */
#define MIN_ROWS       8
#define DRAWER_COLS    60 /* below: no drawers */
#define DRAWER_ROWS    16
#define PROGRESS_AFTER 100 /* ms of work before its progress is shown */
#define PROGRESS_EVERY 50  /* ms between two such frames */
#define NO_MODEL       "models/jielong-zh" /* the name in the refusal */
#define IMPORT_MAX     ((size_t)1 << 30)

/* One row per view, in the order of enum focus. */
static const struct view_ops *const views[FOCUS_COUNT] = {
    [FOCUS_PAGE] = &view_story,
    [FOCUS_KNOBS] = &view_knobs,
    [FOCUS_HELP] = &view_help,
    [FOCUS_MODELS] = &view_models,
    [FOCUS_CANDIDATES] = &view_candidates,
};

static int64_t
clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct story *
ui_story(const struct ui *ui)
{
    return storyfile_story(ui->file);
}

const struct text *
ui_text(const struct ui *ui)
{
    return ui->layout.shown;
}

bool
ui_running(const struct ui *ui)
{
    struct turn_status st;

    turn_get_status(ui->turn, &st);
    return st.state != TURN_IDLE;
}

void
ui_move(struct ui *ui, size_t at)
{
    turn_set_caret(ui->turn, at, ui->now);
}

void
ui_redraw(struct ui *ui)
{
    int was = uni_width(AMBIGUOUS);

    if (!ui->term)
        return;
    term_redraw(ui->term);
    if (uni_width(AMBIGUOUS) != was)
        ui->layout.measure = 0; /* lines are laid out for other widths */
}

bool
ui_room_for_drawers(const struct ui *ui)
{
    return ui->cols >= DRAWER_COLS && ui->rows >= DRAWER_ROWS;
}

/* --- messages --- */

static void
drop_said(struct ui *ui)
{
    if (ui->n_said == 0)
        return;
    free(ui->said[0].text);
    memmove(ui->said, ui->said + 1, (size_t)--ui->n_said * sizeof *ui->said);
}

void
ui_say(struct ui *ui, enum say_level level, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (ui->n_said == SAY_QUEUE)
        free(ui->said[--ui->n_said].text);
    memmove(ui->said + 1, ui->said, (size_t)ui->n_said++ * sizeof *ui->said);
    ui->said[0] = (struct said){ level, text };
}

void
ui_say_later(struct ui *ui, enum say_level level, const char *text)
{
    if (ui->n_said < SAY_QUEUE)
        ui->said[ui->n_said++] = (struct said){ level, xstrdup(text) };
}

/* --- opening --- */

/* An option of this start wins over the story's last value, and that over
 * the configuration's. */
static void
choose_knobs(struct ui *ui)
{
    struct knobs k = *turn_knobs(ui->turn);
    const struct page_request *req = ui->req;
    char value[KNOB_TEXT_MAX];

    if (!req || !req->config)
        return;
    for (int i = 0; i < KNOB_COUNT; i++) {
        bool given = req->knob_given && req->knob_given[i];
        bool set = req->config->knob_set[i] && !story_has_knobs(ui_story(ui));

        if (!given && !set)
            continue;
        knob_format(&req->config->knobs, &knob_rows[i], value, sizeof value);
        knob_parse(&k, &knob_rows[i], value, NULL);
    }
    if (!knobs_equal(&k, turn_knobs(ui->turn)))
        turn_set_knobs(ui->turn, &k);
}

static void
adopt(struct ui *ui, struct storyfile *file)
{
    ui->file = file;
    ui->turn = turn_new(file, ui->gen);
    ui->goal = -1;
    ui->layout.top = 0;
    layout_open(&ui->layout, storyfile_story(file));
    if (storyfile_damage_text(file))
        ui_say_later(ui, SAY_WARN, storyfile_damage_text(file));
    if (storyfile_state(file) != STORYFILE_OK)
        ui_say_later(ui, SAY_WARN, storyfile_message(file));
    choose_knobs(ui);
}

static void
abandon(struct ui *ui)
{
    layout_leave(&ui->layout);
    if (ui->turn)
        turn_free(ui->turn);
    if (ui->file)
        storyfile_close(ui->file);
    ui->turn = NULL;
    ui->file = NULL;
}

void
ui_init(struct ui *ui, struct storyfile *file, struct gen *gen)
{
    ui->gen = gen;
    ui->goal = -1;
    layout_init(&ui->layout);
    if (file)
        adopt(ui, file);
}

void
ui_finish(struct ui *ui)
{
    abandon(ui);
    if (ui->term)
        term_close(ui->term);
    layout_finish(&ui->layout);
    gen_free(ui->gen);
    models_finish(ui);
    ask_finish(&ui->ask);
    free(ui->find.needle);
    while (ui->n_said > 0)
        drop_said(ui);
}

struct gen *
ui_new_generator(const struct page_request *req, const char *path)
{
    const struct config *c = req ? req->config : NULL;
    struct model_options opt = {
        .vocab = req && !path ? req->vocab : NULL,
        .type = c && c->type ? c->type : "auto",
        .fast = c && c->fast,
        .cache_limit = c ? c->cache_limit : 0,
    };

    if (!path && req)
        path = req->model;
    return gen_local(path ? path : NO_MODEL, &opt, 0);
}

/* A turn learns about its model from the generator's first events, so the
 * turn of another story gets a generator of its own. */
static void
renew_generator(struct ui *ui)
{
    if (!ui->req)
        return;
    gen_free(ui->gen);
    ui->gen = models_generator(ui);
}

static bool
import_text(struct storyfile *file, const char *path, struct err *err)
{
    char *data;
    size_t len;
    bool ok;

    if (text_len(story_text(storyfile_story(file))) > 0)
        return true;
    if (!file_read(path, IMPORT_MAX, &data, &len, err))
        return false;
    ok = storyfile_import(file, data, len, err);
    free(data);
    return ok;
}

bool
ui_open_story(struct ui *ui, const char *path, const char *import,
              struct err *err)
{
    struct storyfile_options opt = { .create = true,
                                     .progress = ui_progress,
                                     .ud = ui };
    struct storyfile *file;
    bool first;

    ui->progress_at = ui->progress_from = 0;
    file = storyfile_open(path, &opt, err);
    if (!file)
        return false;
    if (import && !import_text(file, import, err)) {
        storyfile_close(file);
        return false;
    }
    first = ui->turn == NULL;
    abandon(ui);
    if (!first)
        renew_generator(ui);
    adopt(ui, file);
    ui->focus = FOCUS_PAGE;
    paths_remember_story(storyfile_path(file));
    return true;
}

/* --- drawing --- */

static void
draw_centred(struct grid *g, int y, const char *s, enum style style)
{
    int cols = grid_text_cols(s, strlen(s));
    int x = cols < g->cols ? (g->cols - cols) / 2 : 0;

    grid_text(g, x, y, g->cols, s, strlen(s), style);
}

void
ui_progress(void *ud, size_t done, size_t total)
{
    struct ui *ui = ud;
    int64_t now = clock_ms();
    struct grid g;
    char line[160];
    int cols, rows;

    if (ui->progress_from == 0)
        ui->progress_from = now;
    if (!ui->term || now - ui->progress_from < PROGRESS_AFTER ||
        now - ui->progress_at < PROGRESS_EVERY)
        return;
    ui->progress_at = now;
    term_size(ui->term, &cols, &rows);
    grid_init(&g, cols, rows);
    grid_clear(&g, STYLE_TEXT);
    snprintf(line, sizeof line, _("Opening the story  %d %%"),
             total ? (int)(100.0 * (double)done / (double)total) : 0);
    draw_centred(&g, rows / 2, line, STYLE_HINT);
    term_draw(ui->term, &g, 0, 0);
    grid_finish(&g);
}

static void
draw_too_small(struct ui *ui, struct grid *g, int *cx, int *cy)
{
    const char *s = _("Window too small (the text is safe)");

    ui->page_rows = 1;
    *cx = grid_text(g, 0, 0, g->cols, s, strlen(s), STYLE_HINT);
    *cy = 0;
}

/* Candidates on show have the focus that nothing else asks for. */
static void
settle_focus(struct ui *ui)
{
    bool on_show = turn_n_candidates(ui->turn) > 0;

    if (ui->focus == FOCUS_PAGE && on_show && !ui->ask.ops)
        ui->focus = FOCUS_CANDIDATES;
    else if (ui->focus == FOCUS_CANDIDATES && !on_show)
        ui->focus = FOCUS_PAGE;
}

/* A drawer is shown while it has the focus and there is room. */
static int
drawer_rows(struct ui *ui, int free_rows)
{
    bool open = ui->focus != FOCUS_PAGE;
    int n = open ? views[ui->focus]->rows(ui) : 0;

    if (open && n == 0)
        ui->focus = FOCUS_PAGE;
    return n < free_rows - 3 ? n : free_rows - 3;
}

/* One sentence after each run: why it ended, how fast it was, its seed. */
static void
say_run_end(struct ui *ui)
{
    bool running = ui->status.state != TURN_IDLE;
    char line[200];

    if (ui->was_running && !running) {
        if (ui->status.last_why == GEN_WHY_ERROR) {
            ui_say(ui, SAY_WARN, "%s", ui->status.run_err.msg);
        } else if (ui->status.last_why != GEN_WHY_EDIT &&
                   ui->status.last_why != GEN_WHY_NONE &&
                   ui->status.last_n > 0) {
            status_last_run(ui, line, sizeof line);
            ui_say(ui, SAY_INFO, "%s", line);
        }
    }
    ui->was_running = running;
}

/* What there is to tell once of a model that was loaded: weights that had to
 * be converted again, say. */
static void
say_notes(struct ui *ui)
{
    const struct model *m = ui->status.model_loaded ? gen_model(ui->gen) : NULL;
    const char *note;

    if (!m || m == ui->noted)
        return;
    ui->noted = m;
    for (int i = 0; (note = model_note(m, i)); i++)
        ui_say_later(ui, SAY_INFO, note);
}

static void
draw_all(struct ui *ui, struct grid *g, int *cx, int *cy)
{
    int said = said_rows(ui, g->rows / 3);
    int last = g->rows - (said > 1 ? said : 1); /* first row of the hints */
    int prompt = ui->ask.ops ? 1 : 0;
    int body = last - 1 - prompt; /* rows above the prompt and the status */

    if (ui->focus == FOCUS_HELP) {
        views[FOCUS_HELP]->draw(ui, g, 0, body, cx, cy);
    } else {
        int drawer = drawer_rows(ui, body);

        views[FOCUS_PAGE]->draw(ui, g, 0, body - drawer, cx, cy);
        if (drawer > 0)
            views[ui->focus]->draw(ui, g, body - drawer, drawer, cx, cy);
    }
    if (prompt)
        ask_draw(&ui->ask, g, body, cx, cy);
    status_draw(ui, g, last - 1);
    if (said > 0)
        said_draw(ui, g, last, said);
    else
        hints_draw(ui, g, last);
}

void
ui_draw(struct ui *ui, struct grid *g, int *cx, int *cy)
{
    if (g->cols != ui->cols || g->rows != ui->rows)
        grid_resize(g, ui->cols, ui->rows);
    grid_clear(g, STYLE_TEXT);
    *cx = *cy = 0;
    settle_focus(ui);
    turn_get_status(ui->turn, &ui->status);
    say_run_end(ui);
    say_notes(ui);
    if (ui->cols < MIN_COLS || ui->rows < MIN_ROWS)
        draw_too_small(ui, g, cx, cy);
    else
        draw_all(ui, g, cx, cy);
    *cx = *cx >= g->cols ? g->cols - 1 : *cx;
    *cy = *cy >= g->rows ? g->rows - 1 : *cy;
}

/* --- keys --- */

/* An edit was refused: the file knows why. */
static void
say_refused(struct ui *ui)
{
    const char *why = storyfile_message(ui->file);

    ui_say(ui, SAY_WARN, "%s",
           *why ? why : _("This story cannot be changed here"));
}

static void
page_key(struct ui *ui, const struct key *k)
{
    char *s;
    size_t n;

    if (k->code == KEY_TEXT && !(k->mods & (MOD_ALT | MOD_CTRL))) {
        if (!turn_type(ui->turn, k->s, k->len, ui->now))
            say_refused(ui);
    } else if (k->code == KEY_PASTE) {
        s = paste_clean(k->s, k->len, &n);
        if (n > 0 && !turn_paste(ui->turn, s, n, ui->now))
            say_refused(ui);
        free(s);
    } else if (keys_lookup(WHERE_PAGE, k)) {
        command_run(ui, keys_lookup(WHERE_PAGE, k));
    }
}

static void
dispatch(struct ui *ui, const struct key *k)
{
    const char *command;

    settle_focus(ui);
    if (ui->ask.ops) {
        if (ask_key(ui, k))
            return;
        command = keys_lookup(WHERE_PROMPT, k);
    } else if (ui->focus != FOCUS_PAGE && views[ui->focus]->key(ui, k)) {
        return;
    } else if (ui->focus == FOCUS_PAGE) {
        page_key(ui, k);
        return;
    } else {
        command = keys_lookup(WHERE_PANEL, k);
    }
    if (command)
        command_run(ui, command);
}

void
ui_key(struct ui *ui, const struct key *k)
{
    if (k->code == KEY_NONE || k->code == KEY_FOCUS_IN ||
        k->code == KEY_FOCUS_OUT)
        return;
    drop_said(ui);
    ui->keep_goal = false;
    dispatch(ui, k);
    if (!ui->keep_goal)
        ui->goal = -1;
}
