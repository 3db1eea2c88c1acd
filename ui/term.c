/* ui/term.c  Frames. The only file that sees curses.
 *
 * ncurses is given a memory file to write to, so that it decides what to send
 * and we decide when: what it wrote for a frame goes out in one write(2)
 * between the marks of a synchronized update (mode 2026), and ends with the
 * cursor at the caret, visible. It is never hidden, because an input method
 * draws at the hardware cursor. Modes, window size, signals and keys are ours
 * (term_tty.c, term_keys.c); ncurses' ideas about them meet a file that is no
 * terminal.
 *
 * Rows are handed over whole, left to right: ncurses 6.4 moves the rest of a
 * row when half a wide glyph is overwritten. Its insert and delete character
 * are off (idcok) for the same reason.
 *
 * wcwidth() is defined here, and ncurses finds it before libc's: one table of
 * widths for wrapping, caret and ncurses (the program exports its symbols).
 *
 * True colour: ncurses reaches it only by changing the palette, which is the
 * user's, or under a terminfo entry for direct colours, which nobody sets. So
 * each colour of a theme gets a number of the 256, and in the finished frame
 * the terminal's own string for that number is replaced by the 24-bit one.
 */
#include "ui/term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#include "ui/term_keys.h"
#include "ui/term_tty.h"

/* After our own headers: curses.h makes macros of KEY_ENTER and the like, and
 * has a function of its own by the name of key_name (which nothing in ncurses
 * calls, so ours is not mistaken for it). */
#define NCURSES_WIDECHAR 1
#define key_name         curses_key_name
#include <curses.h>
#undef key_name

enum {
    PROBE_MS = 100,
    READ_SIZE = 64 << 10,
    READ_MAX = 4 << 20, /* bytes of a paste taken in one call */
    SWAPS = 2 * 2 * STYLE_COUNT
};

#define SYNC_BEGIN "\033[?2026h"
#define SYNC_END   "\033[?2026l"
#define MODES_ON   "\033[?2004h\033[?1004h" /* bracketed paste, focus */
#define MODES_OFF  SYNC_END "\033[?1004l\033[?2004l"

struct bytes {
    char *s;
    size_t len, cap;
};

struct swap { /* a colour's string and what goes out instead */
    char from[24], to[24];
    size_t from_len, to_len;
};

struct term {
    struct term_options opt;
    struct theme theme; /* a copy: a theme may be reloaded in place */
    enum color_depth depth;
    SCREEN *screen;
    FILE *out, *in_null;
    int memory; /* the file behind out */
    struct bytes frame;
    struct swap swap[SWAPS];
    int n_swaps;
    int cols, rows;
    struct grid shown; /* what the terminal shows */
    bool all;          /* it may show anything: paint every cell */
    int caret_x, caret_y;
    bool committed; /* non-ASCII text was typed since the last frame */
    cchar_t *row;   /* one row for ncurses, cols + 1 */
    struct key_input in;
    int ambiguous; /* what a late answer to the probe said, or 0 */
};

/* --- widths, for ncurses --- */

int wcwidth(wchar_t c);

int
wcwidth(wchar_t c)
{
    return c == 0 ? 0 : uni_width((uint32_t)c);
}

/* --- bytes --- */

static void
bytes_add(struct bytes *b, const char *s, size_t n)
{
    if (b->len + n > b->cap)
        b->s = mem_grow(b->s, &b->cap, b->len + n, 1);
    memcpy(b->s + b->len, s, n);
    b->len += n;
}

/* A string of terminfo, its padding ("$<5/>") left out. */
static void
bytes_add_cap(struct bytes *b, const char *cap)
{
    while (cap && *cap) {
        const char *end =
            cap[0] == '$' && cap[1] == '<' ? strchr(cap, '>') : NULL;

        if (end) {
            cap = end + 1;
            continue;
        }
        bytes_add(b, cap++, 1);
    }
}

/* The capability by its terminfo name, or NULL. */
static const char *
capability(const char *name)
{
    const char *s = tigetstr(name);

    return s == (const char *)-1 ? NULL : s;
}

/* false: the terminal is gone. */
static bool
send_all(struct term *t, const char *s, size_t n)
{
    bool lost = false;

    if (!tty_send(s, n, &lost))
        return false;
    t->all = t->all || lost;
    return true;
}

/* --- modes and size --- */

static bool
enter(struct term *t)
{
    struct bytes b = { 0 };
    bool ok;

    tty_raw();
    bytes_add_cap(&b, capability("smcup"));
    bytes_add(&b, MODES_ON, sizeof MODES_ON - 1);
    bytes_add_cap(&b, capability("cnorm"));
    ok = send_all(t, b.s, b.len);
    free(b.s);
    t->all = true;
    return ok;
}

/* What undoes enter(), written down while writing it down is still easy. */
static void
prepare_way_out(void)
{
    struct bytes b = { 0 };

    bytes_add(&b, MODES_OFF, sizeof MODES_OFF - 1);
    bytes_add_cap(&b, capability("sgr0"));
    if (capability("smcup") && capability("rmcup")) {
        bytes_add_cap(&b, capability("rmcup"));
    } else {
        bytes_add_cap(&b, tparm(capability("cup"), TTY_ROWS_MAX, 0, 0, 0, 0, 0,
                                0, 0, 0));
        bytes_add(&b, "\r\n", 2);
    }
    bytes_add_cap(&b, capability("cnorm"));
    tty_way_out(b.s, b.len);
    free(b.s);
}

static void
take_size(struct term *t, int cols, int rows)
{
    t->cols = cols;
    t->rows = rows;
    resize_term(rows, cols);
    grid_resize(&t->shown, cols, rows);
    t->row = xreallocarray(t->row, (size_t)cols + 1, sizeof *t->row);
    t->all = true;
}

bool
term_resized(struct term *t)
{
    int cols, rows;

    tty_size(&cols, &rows);
    if (cols == t->cols && rows == t->rows)
        return false;
    take_size(t, cols, rows);
    return true;
}

enum color_depth
term_depth(const struct term *t)
{
    return t->depth;
}

void
term_size(const struct term *t, int *cols, int *rows)
{
    *cols = t->cols;
    *rows = t->rows;
}

int
term_fd(const struct term *t)
{
    return STDIN_FILENO;
}

/* --- colours --- */

static void
add_swap(struct term *t, const char *from, int32_t rgb, int layer)
{
    struct swap *s = &t->swap[t->n_swaps];
    int n;

    if (!from || strlen(from) >= sizeof s->from)
        return;
    s->from_len = strlen(from);
    memcpy(s->from, from, s->from_len + 1);
    n = snprintf(s->to, sizeof s->to, "\033[%d;2;%d;%d;%dm", layer,
                 (rgb >> 16) & 0xFF, (rgb >> 8) & 0xFF, rgb & 0xFF);
    s->to_len = (size_t)n;
    t->n_swaps++;
}

/* The number under which ncurses shall know a true colour. */
static int
true_color(struct term *t, int32_t rgb, int32_t *known, int *n_known)
{
    int i;

    for (i = 0; i < *n_known; i++)
        if (known[i] == rgb)
            return 16 + i;
    known[(*n_known)++] = rgb;
    add_swap(t, tparm(capability("setaf"), 16 + i, 0, 0, 0, 0, 0, 0, 0, 0), rgb,
             38);
    add_swap(t, tparm(capability("setab"), 16 + i, 0, 0, 0, 0, 0, 0, 0, 0), rgb,
             48);
    return 16 + i;
}

static int
color_16(uint8_t c)
{
    if (c == THEME_DEFAULT16)
        return -1;
    return COLORS >= 16 ? c : c & 7;
}

static void
make_pairs(struct term *t)
{
    int32_t known[2 * STYLE_COUNT];
    int n_known = 0;

    t->n_swaps = 0;
    for (int i = 0; i < STYLE_COUNT && t->depth != COLOR_NONE; i++) {
        const struct style_look *l = &t->theme.look[i];
        int fg = -1, bg = -1;

        if (t->depth == COLOR_16) {
            fg = color_16(l->fg16);
            bg = color_16(l->bg16);
        } else if (t->depth == COLOR_256) {
            fg = l->fg < 0 ? -1 : theme_rgb_to_256(l->fg);
            bg = l->bg < 0 ? -1 : theme_rgb_to_256(l->bg);
        } else {
            fg = l->fg < 0 ? -1 : true_color(t, l->fg, known, &n_known);
            bg = l->bg < 0 ? -1 : true_color(t, l->bg, known, &n_known);
        }
        init_pair((short)(i + 1), (short)fg, (short)bg);
    }
}

static void
start_colors(struct term *t)
{
    t->depth = t->opt.depth;
    if (t->depth == COLOR_NONE)
        return;
    if (!has_colors() || start_color() == ERR || use_default_colors() == ERR) {
        t->depth = COLOR_NONE;
        return;
    }
    if (COLORS < 256 && t->depth > COLOR_16)
        t->depth = COLOR_16;
    if (t->depth == COLOR_TRUE && !(capability("setaf") && capability("setab")))
        t->depth = COLOR_256;
    if (COLOR_PAIRS <= STYLE_COUNT)
        t->depth = COLOR_NONE;
}

void
term_set_theme(struct term *t, const struct theme *theme)
{
    t->theme = *theme;
    make_pairs(t);
    t->all = true;
}

static attr_t
style_attr(const struct term *t, uint8_t style)
{
    const struct style_look *l = &t->theme.look[style];
    uint8_t a = t->depth == COLOR_NONE ? l->mono : l->attr;
    attr_t out = A_NORMAL;

    if (a & ATTR_BOLD)
        out |= A_BOLD;
    if (a & ATTR_DIM)
        out |= A_DIM;
    if (a & ATTR_UNDERLINE)
        out |= A_UNDERLINE;
    if (a & ATTR_REVERSE)
        out |= A_REVERSE;
    if (a & ATTR_ITALIC)
        out |= A_ITALIC;
    if (t->depth == COLOR_16 && COLORS < 16 && l->fg16 >= 8 &&
        l->fg16 != THEME_DEFAULT16)
        out |= A_BOLD;
    return out;
}

/* --- reading --- */

/* Takes in what waits. false: nothing, or the terminal is gone (*dead). */
static bool
take_in(struct term *t, bool *dead)
{
    static char buf[READ_SIZE]; /* main thread only */
    size_t n = tty_read(buf, sizeof buf, dead);

    if (n > 0)
        key_input_feed(&t->in, buf, n, tty_now());
    return n > 0;
}

static void
note_report(struct term *t, int col)
{
    t->ambiguous = col == 3 ? 2 : 1;
}

bool
term_key(struct term *t, struct key *k, bool *dead)
{
    bool got = false;

    *dead = false;
    for (int i = 0; i < READ_MAX / READ_SIZE && !got; i++) {
        got = key_input_next(&t->in, k, tty_now(), false);
        if (!got && !take_in(t, dead))
            break;
    }
    if (*dead)
        return false;
    if (!got)
        got = key_input_next(&t->in, k, tty_now(), true);
    if (t->in.reported) {
        t->in.reported = false;
        note_report(t, t->in.report_col);
    }
    if (got && k->s && k->len > 0 && (unsigned char)k->s[0] >= 0x80)
        t->committed = true;
    return got;
}

int
term_key_timeout(const struct term *t)
{
    return key_input_timeout(&t->in, tty_now());
}

/* --- how wide is “ ? --- */

/* Draws one ambiguous character at the start of row 2, asks where the cursor
 * is, wipes it out. Keys that come meanwhile stay keys; an answer that comes
 * too late is noted for the next redraw and never becomes text. */
static void
probe(struct term *t)
{
    static const char ask[] = "\033[2;1H“\033[6n\r\033[K";
    const char *u7 = capability("u7");
    int64_t until = tty_now() + PROBE_MS;
    int row, col;
    bool dead = false;

    if (t->opt.ambiwidth != 0) {
        uni_set_ambiguous(t->opt.ambiwidth);
        return;
    }
    if (t->rows < 2 || t->cols < 4 || !u7 || strcmp(u7, "\033[6n") != 0 ||
        !send_all(t, ask, sizeof ask - 1))
        return;
    for (;;) {
        int64_t left = until - tty_now();

        if (key_input_take_report(&t->in, &row, &col)) {
            note_report(t, col);
            break;
        }
        if (left <= 0 || dead)
            break;
        tty_wait((int)left);
        take_in(t, &dead);
    }
    uni_set_ambiguous(t->ambiguous == 2 ? 2 : 1);
}

/* --- opening and closing --- */

/* newterm() takes signals and asks the environment for a size; both are put
 * right here. */
static SCREEN *
start_curses(FILE *out, FILE *in)
{
    static const int taken[] = { SIGINT, SIGTERM, SIGTSTP, SIGWINCH };
    struct sigaction old[4];
    SCREEN *s;

    for (int i = 0; i < 4; i++)
        sigaction(taken[i], NULL, &old[i]);
    use_env(FALSE);
    s = newterm(NULL, out, in);
    if (!s) { /* terminfo names no size (linux): a guess will do */
        use_env(TRUE);
        s = newterm(NULL, out, in);
    }
    for (int i = 0; i < 4; i++)
        sigaction(taken[i], &old[i], NULL);
    return s;
}

static bool
open_screen(struct term *t, struct err *err)
{
    const char *name = getenv("TERM");

    t->memory = memfd_create("frame", MFD_CLOEXEC);
    t->out = t->memory < 0 ? NULL : fdopen(t->memory, "w");
    t->in_null = fopen("/dev/null", "re");
    if (!t->out || !t->in_null)
        return err_errno(err, ERR_MODEL, errno, _("cannot make a memory file"));
    if (name && *name)
        t->screen = start_curses(t->out, t->in_null);
    if (!t->screen || !capability("cup"))
        return err_set(err, ERR_MODEL,
                       _("TERM=%s: this terminal is not known or cannot move "
                         "its cursor; set TERM=xterm-256color"),
                       name ? name : "");
    return true;
}

static void
set_curses(struct term *t)
{
    int cols, rows;

    nonl();
    typeahead(-1);
    idlok(stdscr, FALSE);
    idcok(stdscr, FALSE);
    leaveok(stdscr, FALSE);
    scrollok(stdscr, FALSE);
    start_colors(t);
    make_pairs(t);
    tty_size(&cols, &rows);
    take_size(t, cols, rows);
}

/* Throws away what ncurses has written by itself. */
static void
forget_output(struct term *t)
{
    if (ftruncate(t->memory, 0) == 0)
        lseek(t->memory, 0, SEEK_SET);
}

static void
term_free(struct term *t)
{
    if (t->screen) {
        endwin();
        delscreen(t->screen);
    }
    if (t->out)
        fclose(t->out);
    else if (t->memory >= 0)
        close(t->memory);
    if (t->in_null)
        fclose(t->in_null);
    key_input_finish(&t->in);
    if (t->shown.cell)
        grid_finish(&t->shown);
    free(t->row);
    free(t->frame.s);
    free(t);
}

struct term *
term_open(const struct term_options *opt, struct err *err)
{
    struct term *t;

    if (!tty_check(err))
        return NULL;
    t = xcalloc(1, sizeof *t);
    t->opt = *opt;
    t->memory = -1;
    if (opt->theme)
        t->theme = *opt->theme;
    else
        theme_default(&t->theme);
    key_input_init(&t->in);
    if (!open_screen(t, err)) {
        term_free(t);
        return NULL;
    }
    set_curses(t);
    prepare_way_out();
    forget_output(t);
    enter(t);
    probe(t);
    return t;
}

void
term_emergency(void)
{
    tty_restore();
}

void
term_close(struct term *t)
{
    if (!t)
        return;
    tty_restore();
    term_free(t);
}

void
term_suspend(struct term *t)
{
    tty_restore();
    tty_stop();
    enter(t);
}

void
term_redraw(struct term *t)
{
    t->all = true;
    probe(t);
}

/* --- frames --- */

/* A row of cells as ncurses wants it: one entry a glyph. */
static void
compose(struct term *t, const struct cell *cell, int cols)
{
    wchar_t text[CELL_MARKS + 2];
    int n = 0;

    for (int x = 0; x < cols; x++) {
        const struct cell *c = &cell[x];
        int len = 0;

        if (c->width == 0)
            continue;
        text[len++] = c->width == 2 && x + 1 >= cols ? L' ' : (wchar_t)c->cp;
        for (int i = 0; i < CELL_MARKS && c->mark[i]; i++)
            text[len++] = (wchar_t)c->mark[i];
        text[len] = L'\0';
        setcchar(&t->row[n++], text, style_attr(t, c->style),
                 t->depth == COLOR_NONE ? 0 : (short)(c->style + 1), NULL);
    }
    memset(&t->row[n], 0, sizeof *t->row); /* ends the row */
}

static bool
rows_differ(const struct cell *a, const struct cell *b, int cols)
{
    for (int x = 0; x < cols; x++) {
        if (a[x].cp != b[x].cp || a[x].style != b[x].style ||
            a[x].width != b[x].width ||
            memcmp(a[x].mark, b[x].mark, sizeof a[x].mark) != 0)
            return true;
    }
    return false;
}

static void
give_rows(struct term *t, const struct grid *g)
{
    int cols = g->cols < t->cols ? g->cols : t->cols;

    for (int y = 0; y < g->rows && y < t->rows; y++) {
        const struct cell *now = g->cell + (size_t)y * (size_t)g->cols;
        struct cell *was = t->shown.cell + (size_t)y * (size_t)t->cols;

        if (!t->all && !rows_differ(now, was, cols))
            continue;
        compose(t, now, cols);
        mvadd_wchnstr(y, 0, t->row, -1);
        memcpy(was, now, (size_t)cols * sizeof *now);
    }
}

/* Appends s[0..n) to the frame, true colours put in. */
static void
add_swapped(struct term *t, const char *s, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; t->n_swaps && i < n; i++) {
        if (s[i] != '\033')
            continue;
        for (int k = 0; k < t->n_swaps; k++) {
            const struct swap *w = &t->swap[k];

            if (n - i < w->from_len || memcmp(s + i, w->from, w->from_len))
                continue;
            bytes_add(&t->frame, s + from, i - from);
            bytes_add(&t->frame, w->to, w->to_len);
            from = i + w->from_len;
            i = from - 1;
            break;
        }
    }
    bytes_add(&t->frame, s + from, n - from);
}

/* Makes t->frame of what ncurses has written; false when that is nothing. */
static bool
collect(struct term *t)
{
    off_t n = lseek(t->memory, 0, SEEK_END);
    char *s;

    t->frame.len = 0;
    if (n <= 0)
        return false;
    s = xmalloc((size_t)n);
    if (pread(t->memory, s, (size_t)n, 0) != n)
        n = 0;
    bytes_add(&t->frame, SYNC_BEGIN, sizeof SYNC_BEGIN - 1);
    add_swapped(t, s, (size_t)n);
    free(s);
    forget_output(t);
    return true;
}

bool
term_draw(struct term *t, const struct grid *g, int x, int y)
{
    const char *go;

    x = x < 0 ? 0 : x >= t->cols ? t->cols - 1 : x;
    y = y < 0 ? 0 : y >= t->rows ? t->rows - 1 : y;
    give_rows(t, g);
    if (t->all)
        clearok(curscr, TRUE);
    else if (t->committed) { /* an input method may have drawn there */
        wredrawln(stdscr, t->caret_y, 1);
        wredrawln(stdscr, y, 1);
    }
    t->all = t->committed = false;
    t->caret_x = x;
    t->caret_y = y;
    move(y, x);
    wnoutrefresh(stdscr);
    doupdate();
    if (!collect(t))
        return true;
    /* Where the caret is, whatever the terminal thinks of our widths. */
    go = tparm(capability("cup"), y, x, 0, 0, 0, 0, 0, 0, 0);
    bytes_add_cap(&t->frame, go);
    bytes_add(&t->frame, SYNC_END, sizeof SYNC_END - 1);
    return send_all(t, t->frame.s, t->frame.len);
}
