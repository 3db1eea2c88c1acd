/* ui/term_tty.c  What a terminal is to the kernel.
 *
 * A terminal dies in three ways that poll(2) and read(2) show: a hang-up with
 * nothing to read, end of file, EIO. All three are final and are told at once;
 * a loop that goes on reading would spin.
 */
#include "ui/term_tty.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "src/i18n.h"

enum { STUCK_MS = 500 };

static struct {
    volatile sig_atomic_t armed;
    struct termios saved;
    char restore[512];
    size_t len;
} way_out;

/* --- modes --- */

bool
tty_check(struct err *err)
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

void
tty_way_out(const char *s, size_t len)
{
    way_out.len = len < sizeof way_out.restore ? len : 0;
    memcpy(way_out.restore, s, way_out.len);
}

void
tty_raw(void)
{
    struct termios raw = way_out.saved;

    way_out.armed = 1;
    raw.c_iflag &= (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
                                IGNCR | ICRNL | IXON);
    raw.c_oflag &= (tcflag_t)~OPOST;
    raw.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & (tcflag_t) ~(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw); /* keys typed ahead stay */
}

void
tty_restore(void)
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

void
tty_stop(void)
{
    struct sigaction stop = { .sa_handler = SIG_DFL }, old;
    sigset_t set, mask;

    sigaction(SIGTSTP, &stop, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, &mask);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &old, NULL);
    tcgetattr(STDIN_FILENO, &way_out.saved); /* the shell may differ now */
}

/* --- bytes --- */

bool
tty_send(const char *s, size_t len, bool *lost)
{
    while (len > 0) {
        ssize_t k = write(STDOUT_FILENO, s, len);
        struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

        if (k >= 0) {
            s += k;
            len -= (size_t)k;
            continue;
        }
        if (errno != EINTR && errno != EAGAIN)
            return false;
        k = poll(&p, 1, STUCK_MS);
        if (k > 0 && p.revents & (POLLERR | POLLHUP | POLLNVAL))
            return false;
        if (k <= 0) {
            *lost = true;
            return true;
        }
    }
    return true;
}

size_t
tty_read(char *s, size_t cap, bool *dead)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    ssize_t n;

    if (poll(&p, 1, 0) <= 0)
        return 0;
    if (!(p.revents & POLLIN)) {
        *dead = true;
        return 0;
    }
    n = read(STDIN_FILENO, s, cap);
    if (n > 0)
        return (size_t)n;
    if (n == 0 || (errno != EINTR && errno != EAGAIN))
        *dead = true;
    return 0;
}

void
tty_wait(int ms)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

    poll(&p, 1, ms);
}

/* --- size and time --- */

static int
within(int n, int otherwise, int max)
{
    return n <= 0 ? otherwise : n > max ? max : n;
}

void
tty_size(int *cols, int *rows)
{
    struct winsize ws = { 0 };

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0)
        ws.ws_col = ws.ws_row = 0;
    *cols = within(ws.ws_col, 80, TTY_COLS_MAX);
    *rows = within(ws.ws_row, 24, TTY_ROWS_MAX);
}

int64_t
tty_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
