/* ui/term.c  Frames, modes and the way out. The only file that sees curses.
 *
 * ncurses is given a memory file to write to, so that it decides what to send
 * and we decide when: what it wrote for a frame goes out in one write(2)
 * between the marks of a synchronized update (mode 2026), and ends with the
 * cursor at the caret, visible. It is never hidden, because an input method
 * draws at the hardware cursor. Terminal modes, window size, signals and keys
 * are ours; ncurses' ideas about them meet a file that is no terminal.
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
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#include "ui/term_keys.h"

/* After our own headers: curses.h makes macros of KEY_ENTER and the like, and
 * has a function of its own by the name of key_name (which nothing in ncurses
 * calls, so ours is not mistaken for it). */
#define NCURSES_WIDECHAR 1
#define key_name         curses_key_name
#include <curses.h>
#undef key_name

enum {
    PROBE_MS = 100,
    STUCK_MS = 500, /* a terminal that takes nothing, when a signal waits */
    READ_SIZE = 64 << 10,
    READ_MAX = 4 << 20, /* bytes of a paste taken in one call */
    COLS_MAX = 2000,
    ROWS_MAX = 1000,
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

/* --- the way out, also from a signal handler --- */

static struct {
    volatile sig_atomic_t armed;
    struct termios saved;
    char restore[512];
    size_t len;
} way_out;

void
term_emergency(void)
{
    sigset_t ttou, old;
    int kept = errno;

    if (!way_out.armed)
        return;
    way_out.armed = 0;
    if (write(STDOUT_FILENO, way_out.restore, way_out.len) < 0) {
        /* nothing is left to be done for this terminal */
    }
    sigemptyset(&ttou); /* in the background tcsetattr would stop us */
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &old);
    tcsetattr(STDIN_FILENO, TCSANOW, &way_out.saved);
    sigprocmask(SIG_SETMASK, &old, NULL);
    errno = kept;
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

/* Sends everything. false: the terminal is gone. A terminal that takes nothing
 * is waited for, but not while a signal waits for us: then the frame is given
 * up and the next one paints everything. */
static bool
send_all(struct term *t, const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, s, n);
        struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

        if (k >= 0) {
            s += k;
            n -= (size_t)k;
            continue;
        }
        if (errno != EINTR && errno != EAGAIN)
            return false;
        k = poll(&p, 1, STUCK_MS);
        if (k > 0 && p.revents & (POLLERR | POLLHUP | POLLNVAL))
            return false;
        if (k <= 0) {
            t->all = true;
            return true;
        }
    }
    return true;
}

/* --- modes --- */

static void
raw_mode(void)
{
    struct termios raw = way_out.saved;

    raw.c_iflag &= (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
                                IGNCR | ICRNL | IXON);
    raw.c_oflag &= (tcflag_t)~OPOST;
    raw.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & (tcflag_t) ~(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw); /* keys typed ahead stay */
}

static bool
enter(struct term *t)
{
    struct bytes b = { 0 };
    bool ok;

    way_out.armed = 1;
    raw_mode();
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
        bytes_add_cap(&b, tparm(capability("cup"), ROWS_MAX, 0, 0, 0, 0, 0, 0,
                                0, 0));
        bytes_add(&b, "\r\n", 2);
    }
    bytes_add_cap(&b, capability("cnorm"));
    way_out.len = b.len < sizeof way_out.restore ? b.len : 0;
    memcpy(way_out.restore, b.s, way_out.len);
    free(b.s);
}

/* --- time and size --- */

static int64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
within(int n, int otherwise, int max)
{
    return n <= 0 ? otherwise : n > max ? max : n;
}

static void
window_size(int *cols, int *rows)
{
    struct winsize ws = { 0 };

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0)
        ws.ws_col = ws.ws_row = 0;
    *cols = within(ws.ws_col, 80, COLS_MAX);
    *rows = within(ws.ws_row, 24, ROWS_MAX);
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

    window_size(&cols, &rows);
    if (cols == t->cols && rows == t->rows)
        return false;
    take_size(t, cols, rows);
    return true;
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
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    ssize_t n;

    if (poll(&p, 1, 0) <= 0)
        return false;
    if (!(p.revents & POLLIN)) {
        *dead = true;
        return false;
    }
    n = read(STDIN_FILENO, buf, sizeof buf);
    if (n > 0) {
        key_input_feed(&t->in, buf, (size_t)n, now_ms());
        return true;
    }
    if (n == 0 || (errno != EINTR && errno != EAGAIN))
        *dead = true;
    return false;
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
        got = key_input_next(&t->in, k, now_ms(), false);
        if (!got && !take_in(t, dead))
            break;
    }
    if (*dead)
        return false;
    if (!got)
        got = key_input_next(&t->in, k, now_ms(), true);
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
    return key_input_timeout(&t->in, now_ms());
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
    int64_t until = now_ms() + PROBE_MS;
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
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        int left = (int)(until - now_ms());

        if (key_input_take_report(&t->in, &row, &col)) {
            note_report(t, col);
            break;
        }
        if (left <= 0 || (poll(&p, 1, left) < 0 && errno != EINTR) || dead)
            break;
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
    for (int i = 0; i < 4; i++)
        sigaction(taken[i], &old[i], NULL);
    return s;
}

static bool
check_terminal(struct err *err)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(err, ERR_MODEL,
                       _("the page needs a terminal; for text only, use "
                         "jielong -p TEXT"));
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return err_set(err, ERR_MODEL,
                       _("no UTF-8 locale: set LC_ALL=C.UTF-8"));
    if (tcgetattr(STDIN_FILENO, &way_out.saved) != 0)
        return err_errno(err, ERR_MODEL, errno,
                         _("cannot read the terminal's modes"));
    return true;
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

    raw();
    nonl();
    typeahead(-1);
    idlok(stdscr, FALSE);
    idcok(stdscr, FALSE);
    leaveok(stdscr, FALSE);
    scrollok(stdscr, FALSE);
    start_colors(t);
    make_pairs(t);
    window_size(&cols, &rows);
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

    if (!check_terminal(err))
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
term_close(struct term *t)
{
    if (!t)
        return;
    term_emergency();
    term_free(t);
}

void
term_suspend(struct term *t)
{
    struct sigaction stop = { .sa_handler = SIG_DFL }, old;
    sigset_t set, mask;

    term_emergency();
    sigaction(SIGTSTP, &stop, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, &mask);
    raise(SIGTSTP); /* comes back with SIGCONT */
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &old, NULL);
    tcgetattr(STDIN_FILENO, &way_out.saved);
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
