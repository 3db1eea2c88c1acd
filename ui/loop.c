/* ui/loop.c  From the start to the end of a page: one poll() over all that
 * can happen.
 *
 * A key's frame goes out at once. Tokens are fetched at most thirty times a
 * second, so that those of one frame are one record of the journal and one
 * frame. With nothing to do the loop sleeps without a time-out: an idle page
 * costs nothing.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/signals.h"
#include "ui/ui.h"
#include "ui/ui_state.h"

#define SLICE_NS      100000
#define FRAME_MS      33   /* between frames that tokens cause */
#define TICK_MS       1000 /* while something waits to be written or synced */
#define WRAP_SLICE    (128 * 1024) /* bytes laid out between two looks at keys */
#define BUSY_FRAME_MS 100          /* between frames that only show progress */
#define DEFAULT_THEME "ink"
#define ANY_COLORS    (1 << 24)      /* the terminal itself may have fewer */
#define STATUS_DEAD   (128 + SIGHUP) /* the terminal went away */

struct loop {
    struct ui *ui;
    struct grid grid;
    bool dirty;        /* a frame is due */
    bool dead;         /* the terminal is gone */
    int status;        /* of the exit; -1: goes on */
    int64_t frame_due; /* tokens are not fetched before */
    int64_t tick_due;
    bool dirty_shown; /* the mark of an unsynced story, as drawn */
    int64_t busy_due; /* the next frame that only shows progress */
};

static int64_t
clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool
needs_tick(const struct ui *ui)
{
    return storyfile_state(ui->file) == STORYFILE_FAILING ||
           storyfile_dirty(ui->file);
}

static void
sooner(int *timeout, int64_t ms)
{
    if (ms >= 0 && (*timeout < 0 || ms < *timeout))
        *timeout = ms > 60000 ? 60000 : (int)ms;
}

/* Milliseconds till something is to be done without an event; -1: never. */
static int
loop_timeout(const struct loop *l)
{
    const struct ui *ui = l->ui;
    int timeout = -1;

    if (ui->layout.busy)
        return 0;
    sooner(&timeout, term_key_timeout(ui->term));
    sooner(&timeout, turn_timeout(ui->turn, ui->now));
    if (l->frame_due > ui->now)
        sooner(&timeout, l->frame_due - ui->now);
    if (needs_tick(ui))
        sooner(&timeout, l->tick_due > ui->now ? l->tick_due - ui->now : 0);
    return timeout;
}

static void
take_signals(struct loop *l)
{
    struct ui *ui = l->ui;

    for (int sig; (sig = signals_next()) != 0;) {
        l->dirty = true;
        switch (sig) {
        case SIGWINCH: break; /* the size is looked at before each frame */
        case SIGTSTP:
            storyfile_commit(ui->file);
            term_suspend(ui->term);
            break;
        case SIGCONT: ui_redraw(ui); break;
        default: l->status = 128 + sig; break;
        }
    }
}

static void
take_keys(struct loop *l)
{
    struct ui *ui = l->ui;
    struct key k;

    while (!l->dead && !ui->quit && term_key(ui->term, &k, &l->dead)) {
        ui->now = clock_ms();
        ui_key(ui, &k);
        l->dirty = true;
    }
}

static void
take_tokens(struct loop *l, bool readable)
{
    struct ui *ui = l->ui;
    struct turn_status st;

    if (!readable && turn_timeout(ui->turn, ui->now) != 0)
        return;
    if (!turn_poll(ui->turn, ui->now))
        return;
    l->dirty = true;
    /* What is told before the first token does not keep that one waiting. */
    turn_get_status(ui->turn, &st);
    if (st.state != TURN_READING)
        l->frame_due = ui->now + FRAME_MS;
}

static void
tick(struct loop *l)
{
    struct ui *ui = l->ui;

    if (ui->now < l->tick_due)
        return;
    l->tick_due = ui->now + TICK_MS;
    if (storyfile_tick(ui->file, ui->now) ||
        l->dirty_shown != storyfile_dirty(ui->file))
        l->dirty = true;
}

static void
lay_out(struct loop *l)
{
    struct ui *ui = l->ui;

    if (!ui->layout.busy)
        return;
    if (!layout_work(&ui->layout, WRAP_SLICE) || ui->now >= l->busy_due) {
        l->busy_due = ui->now + BUSY_FRAME_MS;
        l->dirty = true;
    }
}

static void
draw(struct loop *l)
{
    struct ui *ui = l->ui;
    int cx, cy;

    term_resized(ui->term);
    term_size(ui->term, &ui->cols, &ui->rows);
    l->dirty_shown = storyfile_dirty(ui->file);
    ui_draw(ui, &l->grid, &cx, &cy);
    l->dead |= !term_draw(ui->term, &l->grid, cx, cy);
    l->dirty = false;
}

/* One turn of the loop. */
static void
step(struct loop *l)
{
    struct ui *ui = l->ui;
    bool fetch = ui->now >= l->frame_due;
    struct pollfd p[4] = {
        { .fd = term_fd(ui->term), .events = POLLIN },
        { .fd = signals_fd(), .events = POLLIN },
        { .fd = fetch ? gen_fd(ui->gen) : -1, .events = POLLIN },
        { .fd = models_fd(ui), .events = POLLIN },
    };

    if (poll(p, 4, loop_timeout(l)) < 0 && errno != EINTR)
        l->dead = true;
    ui->now = clock_ms();
    take_signals(l);
    take_keys(l);
    if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        l->dead = true;
    if (l->dead || ui->quit || l->status >= 0)
        return;
    take_tokens(l, (p[2].revents & POLLIN) != 0);
    if (p[3].revents & POLLIN)
        l->dirty |= models_poll(ui);
    lay_out(l);
    tick(l);
    signals_guard(ui->file);
    if (l->dirty)
        draw(l);
}

/* Till the writer quits, the terminal dies or a signal ends it. Returns the
 * exit status. */
static int
run_loop(struct ui *ui)
{
    struct loop l = { .ui = ui, .dirty = true, .status = -1 };

    grid_init(&l.grid, 1, 1);
    ui->now = clock_ms();
    draw(&l);
    while (!l.dead && !ui->quit && l.status < 0)
        step(&l);
    grid_finish(&l.grid);
    if (l.dead && l.status < 0)
        l.status = STATUS_DEAD;
    return l.status < 0 ? 0 : l.status;
}

/* --- start and end --- */

static void
choose_theme(struct ui *ui, struct theme *theme)
{
    const char *name = ui->req->config->theme;
    struct err err = { 0 };

    theme_default(theme);
    if (!theme_load(theme, name ? name : DEFAULT_THEME, &err))
        theme_default(theme);
    if (err.msg[0])
        ui_say_later(ui, SAY_WARN, err.msg);
}

static bool
open_terminal(struct ui *ui, const struct theme *theme, struct err *err)
{
    const struct config *c = ui->req->config;
    struct term_options opt = { .theme = theme,
                                .depth = theme_depth(c->color, ANY_COLORS),
                                .ambiwidth = c->ambiwidth };

    ui->term = term_open(&opt, err);
    if (!ui->term)
        return false;
    ui->mono = term_depth(ui->term) == COLOR_NONE;
    return true;
}

static bool
open_page(struct ui *ui, struct theme *theme, struct err *err)
{
    const struct page_request *req = ui->req;

    if (req->note)
        ui_say_later(ui, SAY_INFO, req->note);
    for (char **w = req->config->warnings; w && *w; w++)
        ui_say_later(ui, SAY_WARN, *w);
    choose_theme(ui, theme);
    return open_terminal(ui, theme, err) &&
           ui_open_story(ui, req->story, req->import_from, err);
}

/* The page sleeps nearly always and must wake at once, also where the model
 * and others keep every processor busy: it asks for short slices (Linux 6.12
 * and later; older ones let a sleeper in by themselves). What fails here only
 * makes a key slower. See sched_setattr(2). */
static void
ask_for_short_slices(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = { .size = sizeof attr,
               .flags = 1, /* SCHED_FLAG_RESET_ON_FORK: not for threads */
               .nice = getpriority(PRIO_PROCESS, 0),
               .runtime = SLICE_NS };

    syscall(SYS_sched_setattr, 0, &attr, 0);
}

int
ui_run(const struct page_request *req)
{
    struct ui ui = { .req = req };
    struct err err = { 0 };
    struct theme theme;
    int status;

    signals_init();
    ask_for_short_slices();
    /* the model loads while the story opens */
    ui_init(&ui, NULL, ui_new_generator(req, NULL));
    status = open_page(&ui, &theme, &err) ? run_loop(&ui)
                                          : err_exit_status(err.kind);
    if (status >= 128)
        signals_watchdog(status);
    ui_finish(&ui);
    signals_finish();
    if (err.msg[0])
        fprintf(stderr, "jielong: %s\n", err.msg);
    return status;
}
