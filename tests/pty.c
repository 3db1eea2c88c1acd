/* tests/pty.c  forkpty(3), libvterm, and patience. */
#include "tests/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <vterm.h>

struct pty {
    pid_t pid;
    int fd; /* the master, -1 when closed */
    int status;
    bool ended; /* status is known */
    int cols, rows;
    VTerm *vt;
    VTermScreen *screen;
    bool visible, alternate, mute;
    char *log;
    size_t len, cap;
    int frames;
    size_t looked; /* frames are counted up to here */
    bool in_frame;
};

/* --- life --- */

static void
answer(const char *s, size_t len, void *user)
{
    struct pty *p = user;

    if (p->fd >= 0 && !p->mute && write(p->fd, s, len) < 0) {
        /* the program has ended; reading will say so */
    }
}

static int
on_prop(VTermProp prop, VTermValue *val, void *user)
{
    struct pty *p = user;

    if (prop == VTERM_PROP_CURSORVISIBLE)
        p->visible = val->boolean;
    if (prop == VTERM_PROP_ALTSCREEN)
        p->alternate = val->boolean;
    return 1;
}

static void
start_emulator(struct pty *p)
{
    static const VTermScreenCallbacks callbacks = { .settermprop = on_prop };

    /* A wide glyph in a single column makes libvterm write outside. */
    p->vt = vterm_new(p->rows < 2 ? 2 : p->rows, p->cols < 2 ? 2 : p->cols);
    vterm_set_utf8(p->vt, 1);
    vterm_output_set_callback(p->vt, answer, p);
    p->screen = vterm_obtain_screen(p->vt);
    vterm_screen_enable_altscreen(p->screen, 1);
    vterm_screen_set_callbacks(p->screen, &callbacks, p);
    vterm_screen_reset(p->screen, 1);
}

static void
apply_env(const char *const env[])
{
    static const char *const unset[] = { "NO_COLOR",    "COLORTERM", "LINES",
                                         "COLUMNS",     "LANGUAGE",  "LANG",
                                         "LC_MESSAGES", NULL };

    for (int i = 0; unset[i]; i++)
        unsetenv(unset[i]);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    for (; env && *env; env++) {
        const char *eq = strchr(*env, '=');
        char *name = eq ? strndup(*env, (size_t)(eq - *env)) : strdup(*env);

        if (eq)
            setenv(name, eq + 1, 1);
        else
            unsetenv(name);
        free(name);
    }
}

struct pty *
pty_start(const char *const argv[], int cols, int rows, const char *const env[])
{
    struct winsize ws = { .ws_col = (unsigned short)cols,
                          .ws_row = (unsigned short)rows };
    struct pty *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->cols = cols;
    p->rows = rows;
    start_emulator(p);
    signal(SIGPIPE, SIG_IGN);
    p->pid = forkpty(&p->fd, NULL, NULL, &ws);
    if (p->pid < 0) {
        perror("forkpty");
        abort();
    }
    if (p->pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        apply_env(env);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        perror(argv[0]);
        _exit(127);
    }
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
    return p;
}

void
pty_free(struct pty *p)
{
    if (!p)
        return;
    if (!p->ended) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &p->status, 0);
    }
    if (p->fd >= 0)
        close(p->fd);
    vterm_free(p->vt);
    free(p->log);
    free(p);
}

pid_t
pty_pid(const struct pty *p)
{
    return p->pid;
}

/* --- bytes --- */

/* Counts the frames whose last byte lies in what is new. */
static void
count_frames(struct pty *p)
{
    static const char begin[] = "\033[?2026h", end[] = "\033[?2026l";
    enum { N = sizeof begin - 1 };

    for (; p->looked + N <= p->len; p->looked++) {
        if (memcmp(p->log + p->looked, begin, N) == 0)
            p->in_frame = true;
        if (p->in_frame && memcmp(p->log + p->looked, end, N) == 0) {
            p->frames++;
            p->in_frame = false;
        }
    }
}

static void
take(struct pty *p, const char *s, size_t n)
{
    if (p->len + n > p->cap) {
        p->cap = (p->len + n) * 2;
        p->log = realloc(p->log, p->cap);
        if (!p->log)
            abort();
    }
    memcpy(p->log + p->len, s, n);
    p->len += n;
    vterm_input_write(p->vt, s, n);
    count_frames(p);
}

static int64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
pty_pump(struct pty *p, int ms)
{
    char buf[65536];
    struct pollfd f = { .fd = p->fd, .events = POLLIN };
    ssize_t n;

    if (p->fd < 0)
        return false;
    if (poll(&f, 1, ms) <= 0)
        return true;
    while ((n = read(p->fd, buf, sizeof buf)) > 0)
        take(p, buf, (size_t)n);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

bool
pty_send_bytes(struct pty *p, const char *s, size_t len)
{
    int64_t until = now_ms() + PTY_DEADLINE_MS;

    while (len > 0) {
        struct pollfd f = { .fd = p->fd, .events = POLLIN | POLLOUT };
        ssize_t n;

        if (p->fd < 0 || now_ms() > until)
            return false;
        poll(&f, 1, 100);
        if (f.revents & POLLIN && !pty_pump(p, 0))
            return false;
        if (!(f.revents & POLLOUT))
            continue;
        n = write(p->fd, s, len);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            s += n;
            len -= (size_t)n;
        }
    }
    return true;
}

bool
pty_send(struct pty *p, const char *s)
{
    return pty_send_bytes(p, s, strlen(s));
}

/* --- waiting --- */

bool
pty_wait(struct pty *p, bool (*cond)(struct pty *p, void *ud), void *ud)
{
    int64_t until = now_ms() + PTY_DEADLINE_MS;

    while (!cond(p, ud)) {
        if (now_ms() > until)
            return false;
        if (!pty_pump(p, 50))
            return cond(p, ud);
    }
    return true;
}

static bool
cond_text(struct pty *p, void *ud)
{
    return pty_shows(p, ud);
}

static bool
cond_gone(struct pty *p, void *ud)
{
    return !pty_shows(p, ud);
}

static bool
cond_frames(struct pty *p, void *ud)
{
    return p->frames >= *(int *)ud;
}

/* A wait that failed is easier to understand with the screen beside it. */
static bool
report(struct pty *p, bool ok, const char *what)
{
    if (!ok) {
        char *s = pty_screen(p);

        fprintf(stderr, "# waited in vain for: %s\n# the screen:\n%s\n", what,
                s);
        free(s);
    }
    return ok;
}

bool
pty_wait_text(struct pty *p, const char *s)
{
    return report(p, pty_wait(p, cond_text, (void *)(uintptr_t)s), s);
}

bool
pty_wait_gone(struct pty *p, const char *s)
{
    return report(p, pty_wait(p, cond_gone, (void *)(uintptr_t)s), s);
}

bool
pty_wait_frames(struct pty *p, int n)
{
    return report(p, pty_wait(p, cond_frames, &n), "a frame");
}

void
pty_quiet(struct pty *p, int ms)
{
    int64_t until = now_ms() + PTY_DEADLINE_MS, since = now_ms();
    size_t had = p->len;

    while (now_ms() - since < ms && now_ms() < until) {
        if (!pty_pump(p, 10))
            return;
        if (p->len != had) {
            had = p->len;
            since = now_ms();
        }
    }
}

/* --- the screen --- */

static bool
cell_at(const struct pty *p, int x, int y, VTermScreenCell *c)
{
    VTermPos pos = { .row = y, .col = x };

    return x >= 0 && y >= 0 && x < p->cols && y < p->rows &&
           vterm_screen_get_cell(p->screen, pos, c);
}

static size_t
put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

char *
pty_row(const struct pty *p, int y)
{
    char *s = malloc((size_t)p->cols * VTERM_MAX_CHARS_PER_CELL * 4 + 1);
    size_t n = 0, used = 0;
    VTermScreenCell c;

    if (!s)
        abort();
    for (int x = 0; cell_at(p, x, y, &c); x += c.width == 2 ? 2 : 1) {
        if (c.chars[0] == 0 || c.chars[0] == ' ') {
            s[n++] = ' ';
            if (c.chars[0] == 0 || c.chars[1] == 0)
                continue;
        }
        for (int i = c.chars[0] == ' '; i < VTERM_MAX_CHARS_PER_CELL; i++) {
            if (c.chars[i] == 0)
                break;
            n += put_utf8(s + n, c.chars[i]);
        }
        used = n;
    }
    s[used] = '\0';
    return s;
}

char *
pty_screen(const struct pty *p)
{
    char *all =
        calloc(1, (size_t)p->cols * (size_t)p->rows * 24 + (size_t)p->rows + 1);
    size_t n = 0;

    if (!all)
        abort();
    for (int y = 0; y < p->rows; y++) {
        char *row = pty_row(p, y);
        size_t len = strlen(row);

        memcpy(all + n, row, len);
        n += len;
        all[n++] = '\n';
        free(row);
    }
    all[n ? n - 1 : 0] = '\0';
    return all;
}

int
pty_find(const struct pty *p, const char *s, int *x)
{
    for (int y = 0; y < p->rows; y++) {
        char *row = pty_row(p, y), *hit = strstr(row, s);
        size_t before = hit ? (size_t)(hit - row) : 0, n = 0;
        VTermScreenCell c;
        char out[4];

        free(row);
        if (!hit)
            continue;
        for (int col = 0; x && cell_at(p, col, y, &c);
             col += c.width == 2 ? 2 : 1) {
            *x = col;
            if (n >= before)
                break;
            n += c.chars[0] ? 0 : 1;
            for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && c.chars[i]; i++)
                n += put_utf8(out, c.chars[i]);
        }
        return y;
    }
    return -1;
}

bool
pty_shows(const struct pty *p, const char *s)
{
    return pty_find(p, s, NULL) >= 0;
}

void
pty_cursor(const struct pty *p, int *x, int *y, bool *visible)
{
    VTermPos pos;

    vterm_state_get_cursorpos(vterm_obtain_state(p->vt), &pos);
    *x = pos.col;
    *y = pos.row;
    if (visible)
        *visible = p->visible;
}

int
pty_cell_width(const struct pty *p, int x, int y)
{
    VTermScreenCell c;

    if (x > 0 && cell_at(p, x - 1, y, &c) && c.width == 2)
        return 0;
    return cell_at(p, x, y, &c) ? c.width : 0;
}

static int32_t
color_of(const VTermColor *c, bool is_default)
{
    if (is_default)
        return -1;
    if (VTERM_COLOR_IS_INDEXED(c))
        return 0x1000000 + c->indexed.idx;
    return c->rgb.red << 16 | c->rgb.green << 8 | c->rgb.blue;
}

void
pty_look(const struct pty *p, int x, int y, struct pty_look *look)
{
    VTermScreenCell c;

    memset(look, 0, sizeof *look);
    look->fg = look->bg = -1;
    if (!cell_at(p, x, y, &c))
        return;
    look->bold = c.attrs.bold;
    look->underline = c.attrs.underline != 0;
    look->italic = c.attrs.italic;
    look->reverse = c.attrs.reverse;
    look->fg = color_of(&c.fg, VTERM_COLOR_IS_DEFAULT_FG(&c.fg));
    look->bg = color_of(&c.bg, VTERM_COLOR_IS_DEFAULT_BG(&c.bg));
}

bool
pty_alternate(const struct pty *p)
{
    return p->alternate;
}

const char *
pty_log(const struct pty *p, size_t *len)
{
    *len = p->len;
    return p->log;
}

int
pty_frames(const struct pty *p)
{
    return p->frames;
}

void
pty_mute(struct pty *p)
{
    p->mute = true;
}

/* --- the terminal --- */

/* vterm_set_size() of 0.1.4 leaves it with places outside its screen and
 * crashes later, so a new emulator takes over. */
void
pty_resize(struct pty *p, int cols, int rows)
{
    static const char alternate[] = "\033[?1049h";
    struct winsize ws = { .ws_col = (unsigned short)cols,
                          .ws_row = (unsigned short)rows };
    bool was_alternate = p->alternate;

    p->cols = cols;
    p->rows = rows;
    vterm_free(p->vt);
    start_emulator(p);
    if (was_alternate)
        vterm_input_write(p->vt, alternate, sizeof alternate - 1);
    if (p->fd >= 0)
        ioctl(p->fd, TIOCSWINSZ, &ws);
}

void
pty_size(const struct pty *p, int *cols, int *rows)
{
    *cols = p->cols;
    *rows = p->rows;
}

bool
pty_modes(const struct pty *p, struct termios *tio)
{
    return p->fd >= 0 && tcgetattr(p->fd, tio) == 0;
}

void
pty_hang_up(struct pty *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

int
pty_end(struct pty *p)
{
    int64_t until = now_ms() + PTY_DEADLINE_MS;

    while (!p->ended) {
        pid_t r = waitpid(p->pid, &p->status, WNOHANG);

        if (r == p->pid || (r < 0 && errno == ECHILD))
            p->ended = true;
        else if (now_ms() > until)
            return -1;
        else if (!pty_pump(p, 10))
            usleep(5000);
    }
    pty_pump(p, 0);
    if (WIFSIGNALED(p->status))
        return 128 + WTERMSIG(p->status);
    return WEXITSTATUS(p->status);
}
