/* tests/term_draw.c  A small program on term.c, for term_test.
 *
 *     term_draw [-256|-16|-true|-none] [-amb N]
 *
 * Keys: n the next scene, u the same scene again, r redraw, z suspend,
 * t another theme, q quit, x crash (through term_emergency), m the measured
 * times of frames; every other key shows its name in row 1, a paste its length
 * and a sum of its bytes. Row 2 shows the calls of write(2) to the terminal
 * and the frames so far.
 */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/unicode.h"
#include "tests/term_scene.h"
#include "ui/term.h"

/* key_name() lies beside the lookup, which wants a table. */
const struct binding key_bindings[1];
const size_t n_key_bindings;

static long writes; /* to the terminal */
static volatile sig_atomic_t resized;

ssize_t
write(int fd, const void *s, size_t n)
{
    if (fd == STDOUT_FILENO)
        writes++;
    return syscall(SYS_write, fd, s, n);
}

static void
on_fatal(int sig)
{
    term_emergency();
    term_emergency(); /* twice does no harm */
    signal(sig, SIG_DFL);
    raise(sig);
}

static void
on_winch(int sig)
{
    resized = 1;
}

struct draw {
    struct term *term;
    struct grid grid;
    unsigned scene;
    int cx, cy;
    long frames;
    char line[200];
    bool scenes; /* pictures only, no lines of text */
};

static bool
paint(struct draw *d)
{
    char s[300];

    if (!d->scenes) {
        grid_fill(&d->grid, 0, 1, d->grid.cols, STYLE_TEXT);
        grid_text(&d->grid, 0, 1, d->grid.cols, d->line, strlen(d->line),
                  STYLE_STATUS);
        snprintf(s, sizeof s, "writes %ld frames %ld size %dx%d amb %d;",
                 writes, d->frames, d->grid.cols, d->grid.rows,
                 uni_width(0x201C));
        grid_fill(&d->grid, 0, 2, d->grid.cols, STYLE_TEXT);
        grid_text(&d->grid, 0, 2, d->grid.cols, s, strlen(s), STYLE_MODEL);
    }
    d->frames++;
    return term_draw(d->term, &d->grid, d->cx, d->cy);
}

static double
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Mean times of a frame in which all rows differ, and one row. */
static void
measure(struct draw *d)
{
    enum { N = 200 };
    double t0, full, one;
    char s[3000];
    size_t len = 0;

    for (int i = 0; i < d->grid.cols / 2; i++)
        len += (size_t)sprintf(s + len, "%s", i % 7 == 6 ? "，" : "渡");
    t0 = now_us();
    for (int i = 0; i < N; i++) {
        for (int y = 0; y < d->grid.rows; y++)
            grid_text(&d->grid, 0, y, d->grid.cols, s + 3 * ((i + y) % 7),
                      len - 3 * 7, i % 2 ? STYLE_TEXT : STYLE_MODEL);
        paint(d);
    }
    full = (now_us() - t0) / N;
    t0 = now_us();
    for (int i = 0; i < N; i++) {
        grid_text(&d->grid, 0, 5, d->grid.cols, s + 3 * (i % 7), len - 3 * 7,
                  i % 2 ? STYLE_TEXT : STYLE_MODEL);
        paint(d);
    }
    one = (now_us() - t0) / N;
    grid_clear(&d->grid, STYLE_TEXT);
    d->scenes = false;
    snprintf(d->line, sizeof d->line, "full %.0f us, one row %.0f us", full,
             one);
}

static void
show_key(struct draw *d, const struct key *k)
{
    char name[60];
    unsigned sum = 0;

    if (k->code == KEY_PASTE) {
        for (size_t i = 0; i < k->len; i++)
            sum = sum * 31 + (unsigned char)k->s[i];
        snprintf(d->line, sizeof d->line, "paste %zu %u;", k->len, sum);
        return;
    }
    if (key_name(k, name, sizeof name) == 0)
        snprintf(name, sizeof name, "%.*s", (int)k->len, k->s ? k->s : "");
    snprintf(d->line, sizeof d->line, "key %s;", name);
}

/* false: the end. */
static bool
act(struct draw *d, const struct key *k)
{
    char c = k->code == KEY_TEXT && k->len == 1 && !k->mods ? *k->s : 0;
    static struct theme theme;

    switch (c) {
    case 'q': return false;
    case 'x': abort();
    case 'n':
    case 'u':
        d->scenes = true;
        if (c == 'n')
            scene_draw(&d->grid, ++d->scene, &d->cx, &d->cy);
        break;
    case 'r': term_redraw(d->term); break;
    case 'z':
        term_suspend(d->term);
        snprintf(d->line, sizeof d->line, "back;");
        break;
    case 't':
        theme_default(&theme);
        theme.look[STYLE_MODEL].fg = 0x123456;
        term_set_theme(d->term, &theme);
        break;
    case 'm': measure(d); break;
    default: show_key(d, k); break;
    }
    return true;
}

static void
resize(struct draw *d)
{
    int cols, rows;

    resized = 0;
    if (!term_resized(d->term))
        return;
    term_size(d->term, &cols, &rows);
    grid_resize(&d->grid, cols, rows);
    d->scene = 0;
    d->cx = d->cy = 0;
}

/* SIGWINCH is let in only here, so none is missed. */
static void
wait_for(struct pollfd *p, int ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
    sigset_t none;

    sigemptyset(&none);
    ppoll(p, 1, ms < 0 ? NULL : &ts, &none);
}

static int
loop(struct draw *d)
{
    for (;;) {
        struct pollfd p = { .fd = term_fd(d->term), .events = POLLIN };
        struct key k;
        bool dead = false, drawn = false;

        if (resized) {
            resize(d);
            drawn = true;
        }
        while (term_key(d->term, &k, &dead)) {
            if (!act(d, &k))
                return 0;
            if (!paint(d))
                return 7;
            drawn = false;
        }
        if (dead)
            return 8;
        if (drawn && !paint(d))
            return 7;
        wait_for(&p, term_key_timeout(d->term));
    }
}

int
main(int argc, char **argv)
{
    struct term_options opt = { .depth = COLOR_256 };
    struct sigaction winch = { .sa_handler = on_winch };
    sigset_t winch_only;
    struct draw d = { .line = "ready;" };
    struct err err;
    int cols, rows, status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-16") == 0)
            opt.depth = COLOR_16;
        else if (strcmp(argv[i], "-true") == 0)
            opt.depth = COLOR_TRUE;
        else if (strcmp(argv[i], "-none") == 0)
            opt.depth = COLOR_NONE;
        else if (strcmp(argv[i], "-amb") == 0 && i + 1 < argc)
            opt.ambiwidth = atoi(argv[++i]);
    }
    setlocale(LC_ALL, "");
    signal(SIGTERM, on_fatal);
    signal(SIGABRT, on_fatal);
    signal(SIGHUP, SIG_IGN); /* death is to be noticed by reading */
    sigaction(SIGWINCH, &winch, NULL);
    sigemptyset(&winch_only);
    sigaddset(&winch_only, SIGWINCH);
    sigprocmask(SIG_BLOCK, &winch_only, NULL);
    d.term = term_open(&opt, &err);
    if (!d.term) {
        fprintf(stderr, "%s\n", err.msg);
        return 3;
    }
    term_size(d.term, &cols, &rows);
    grid_init(&d.grid, cols, rows);
    status = paint(&d) ? loop(&d) : 7;
    term_close(d.term);
    grid_finish(&d.grid);
    return status;
}
