/* ui/signals.c  See signals.h. Everything reached from a handler is
 * async-signal-safe: write, tcsetattr, timer_settime, sigaction, _exit. */
#include "ui/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"

#include "src/storyfile.h"

#include "ui/term.h"

#define WATCHDOG_MS 500

static int pipe_fd[2] = { -1, -1 };
static timer_t watchdog;
static bool have_watchdog;
static _Atomic(struct storyfile *) guarded;
static atomic_int exit_status;
static void *fatal_stack;

static const int told[] = { SIGWINCH, SIGTERM, SIGHUP, SIGINT,
                            SIGQUIT,  SIGTSTP, SIGCONT };
static const int fatal[] = { SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE };
#define COUNT(a) (sizeof(a) / sizeof *(a))

void
signals_last_aid(void)
{
    struct storyfile *f = atomic_exchange(&guarded, NULL);

    if (f)
        storyfile_emergency(f);
    term_emergency();
}

void
signals_watchdog(int status)
{
    struct itimerspec in = { .it_value.tv_nsec = WATCHDOG_MS * 1000000L };

    atomic_store(&exit_status, status);
    if (have_watchdog)
        timer_settime(watchdog, 0, &in, NULL);
}

static void
on_told(int sig)
{
    int saved = errno;
    unsigned char c = (unsigned char)sig;

    if (sig == SIGTERM || sig == SIGHUP)
        signals_watchdog(128 + sig);
    /* a full pipe holds enough signals to wake the loop */
    if (write(pipe_fd[1], &c, 1) != 1)
        errno = saved;
    errno = saved;
}

static void
on_watchdog(int sig)
{
    signals_last_aid();
    _exit(atomic_load(&exit_status));
}

/* SA_RESETHAND: the second time it is the default action. */
static void
on_fatal(int sig)
{
    signals_last_aid();
    raise(sig);
}

static void
handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

static bool
is_default(int sig)
{
    struct sigaction sa;

    return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL;
}

static void
fatal_on_own_stack(void)
{
    stack_t st = { .ss_size = 64 * 1024 };

    fatal_stack = xmalloc(st.ss_size);
    st.ss_sp = fatal_stack;
    sigaltstack(&st, NULL);
}

void
signals_init(void)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGALRM };

    if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) != 0)
        pipe_fd[0] = pipe_fd[1] = -1;
    handle(SIGPIPE, SIG_IGN, 0);
    handle(SIGXFSZ, SIG_IGN, 0); /* a write that is too long just fails */
    handle(SIGALRM, on_watchdog, 0);
    have_watchdog = timer_create(CLOCK_MONOTONIC, &ev, &watchdog) == 0;
    /* what a parent ignores (nohup) or a sanitizer handles stays so */
    for (size_t i = 0; i < COUNT(told); i++)
        if (is_default(told[i]))
            handle(told[i], on_told, SA_RESTART);
    fatal_on_own_stack();
    for (size_t i = 0; i < COUNT(fatal); i++)
        if (is_default(fatal[i]))
            handle(fatal[i], on_fatal, SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
    mem_on_failure(signals_last_aid);
}

void
signals_finish(void)
{
    stack_t off = { .ss_flags = SS_DISABLE };

    atomic_store(&guarded, NULL);
    for (size_t i = 0; i < COUNT(told); i++)
        handle(told[i], SIG_DFL, 0);
    for (size_t i = 0; i < COUNT(fatal); i++)
        if (!is_default(fatal[i]))
            handle(fatal[i], SIG_DFL, 0);
    if (have_watchdog)
        timer_delete(watchdog);
    have_watchdog = false;
    sigaltstack(&off, NULL);
    free(fatal_stack);
    fatal_stack = NULL;
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    pipe_fd[0] = pipe_fd[1] = -1;
}

int
signals_fd(void)
{
    return pipe_fd[0];
}

int
signals_next(void)
{
    unsigned char c;

    return read(pipe_fd[0], &c, 1) == 1 ? c : 0;
}

void
signals_guard(struct storyfile *f)
{
    atomic_store(&guarded, f);
}
