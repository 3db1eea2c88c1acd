/* engine/load/jail.c  fork, close, limit, wall in, parse, answer.
 *
 * No exec: the child runs on in a copy of this process, so it needs no path
 * and no loader. After fork only this thread exists in the child; glibc makes
 * malloc usable there. Landlock (Linux 5.13) takes away every path and
 * socket, seccomp every system call but the few that reading, memory and the
 * answer need; the rest fail with EPERM. Memory that may be executed cannot
 * be had. Sanitizers map far more than any limit and are let off that one.
 */
#include "engine/load/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED 1
#    endif
#endif

#define MEMORY_MAX  ((rlim_t)2 << 30) /* beyond what the process has */
#define SECONDS_MAX 120

static _Atomic unsigned walls;

unsigned
jail_walls(void)
{
    return atomic_load(&walls);
}

/* --- the child --- */

static void
limit(int what, rlim_t max)
{
    struct rlimit r = { max, max };

    setrlimit(what, &r);
}

static void
limit_memory(void)
{
#ifndef SANITIZED
    char buf[64];
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fgets(buf, sizeof buf, f))
        pages = strtoul(buf, NULL, 10);
    if (f)
        fclose(f);
    limit(RLIMIT_AS,
          (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX);
#endif
}

/* Every descriptor but the kept ones and the answer's pipe. */
static void
close_others(const int *fds, size_t n, int out)
{
    long max = sysconf(_SC_OPEN_MAX);
    int fd, lo = 0, next;
    size_t i;

    /* Between two kept descriptors everything goes at once. */
    for (;;) {
        next = out >= lo ? out : -1;
        for (i = 0; i < n; i++)
            if (fds[i] >= lo && (next < 0 || fds[i] < next))
                next = fds[i];
        if (next < 0)
            break;
        if (next > lo && syscall(SYS_close_range, lo, next - 1, 0) != 0)
            for (fd = lo; fd < next; fd++)
                close(fd);
        lo = next + 1;
    }
    if (syscall(SYS_close_range, lo, ~0u, 0) != 0)
        for (fd = lo; fd < max; fd++)
            close(fd);
}

static bool
raise_landlock(void)
{
    struct landlock_ruleset_attr attr = { 0 };
    int abi, fd;
    bool ok;

    abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
                       LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;
    attr.handled_access_fs = (1ull << 13) - 1; /* all of version 1 */
    if (abi >= 2)
        attr.handled_access_fs |= 1ull << 13; /* refer */
    if (abi >= 3)
        attr.handled_access_fs |= 1ull << 14; /* truncate */
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (fd < 0)
        return false;
    ok = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close(fd);
    return ok;
}

#if defined(__x86_64__)
#    define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#    define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#define ALLOW(nr)                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##nr, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Allowed when these bits of argument `arg` (its low word) are all clear. */
#define ALLOW_WITHOUT(nr, arg, bits)                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##nr, 0, 4),    \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                  \
                 offsetof(struct seccomp_data, args[arg])), \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 1, 0), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),       \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static bool
raise_seccomp(void)
{
#ifdef OUR_ARCH
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(read),
        ALLOW(pread64),
        ALLOW(write),
        ALLOW(lseek),
        ALLOW(fstat),
        ALLOW(close),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(brk),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(exit),
        ALLOW(exit_group),
        ALLOW(rt_sigreturn),
        ALLOW(clock_gettime),
        ALLOW(gettid),
        ALLOW(getpid),
        ALLOW(sched_yield),
        ALLOW(sigaltstack),
        ALLOW(rt_sigprocmask),
        /* fstat() of glibc 2.33 and later; a name's attributes at most */
        ALLOW(newfstatat),
        ALLOW_WITHOUT(mprotect, 2, PROT_EXEC),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW_WITHOUT(mmap, 2, PROT_EXEC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog prog = { sizeof rules / sizeof *rules, rules };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
#else
    return false;
#endif
}

static unsigned
wall_in(void)
{
    unsigned w = 0;

    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_CPU, SECONDS_MAX);
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 0;
    w |= JAIL_PRIVILEGES;
    if (raise_landlock())
        w |= JAIL_LANDLOCK;
    limit(RLIMIT_NOFILE, 0); /* after the ruleset, which is one */
    if (raise_seccomp())
        w |= JAIL_SECCOMP;
    return w;
}

struct head { /* what the child says before its answer */
    uint32_t walls;
    uint32_t ok;
    uint64_t len;
    struct err err;
};

static void
child(jail_fn fn, void *ud, const int *fds, size_t n, size_t max, int out)
{
    struct head h;
    struct jail_answer a = { 0 };
    size_t done;

    memset(&h, 0, sizeof h);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    limit_memory(); /* needs /proc, so before the walls */
    close_others(fds, n, out);
    h.walls = wall_in();
    h.ok = fn(ud, &a, &h.err);
    if (h.ok && a.len > max) {
        h.ok = false;
        err_set(&h.err, ERR_MODEL,
                "the file describes more than any model has");
    }
    h.len = h.ok ? a.len : 0;
    if (file_write_all(out, &h, sizeof h, &done) && h.len)
        file_write_all(out, a.p, a.len, &done);
    _exit(0);
}

/* --- the parent --- */

static bool
read_all(int fd, void *p, size_t len)
{
    char *c = p;
    ssize_t n;

    while (len > 0) {
        n = read(fd, c, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        c += n;
        len -= (size_t)n;
    }
    return true;
}

static bool
take_answer(int fd, size_t max, char **out, size_t *len, struct err *err)
{
    struct head h;

    if (!read_all(fd, &h, sizeof h))
        return err_set(err, ERR_MODEL,
                       "the file made its reader stop (too much memory or "
                       "time, or a fault); it is damaged or not what it says");
    atomic_store(&walls, h.walls);
    if (!h.ok) {
        h.err.msg[sizeof h.err.msg - 1] = '\0';
        return err_set(err, ERR_MODEL, "%s", h.err.msg);
    }
    if (h.len > max)
        return err_set(err, ERR_MODEL, "the reader's answer is too long");
    *out = mem_big((size_t)h.len + 1, 1, "the list of tensors", err);
    if (!*out)
        return false;
    *len = (size_t)h.len;
    if (read_all(fd, *out, *len))
        return true;
    mem_big_free(*out);
    *out = NULL;
    return err_set(err, ERR_MODEL, "the reader stopped in mid-answer");
}

/* A copy of a process with threads has only the one that made it: a lock that
 * another one held is never opened there. Such a copy uses no processor time
 * and says nothing for STUCK_MS. (So may one on a very slow disk; the last
 * try waits as long as it takes.) */
#define STUCK_MS 1500
#define TRIES    4

static bool
is_stuck(pid_t pid, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct timespec was = { 0 }, now = { 0 };
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0)
        return false;
    for (;;) {
        if (poll(&p, 1, STUCK_MS) != 0 || clock_gettime(clock, &now) != 0)
            return false;
        if (now.tv_sec == was.tv_sec && now.tv_nsec == was.tv_nsec)
            return true;
        was = now;
    }
}

/* false and *stuck: nothing was heard of it. */
static bool
run_once(jail_fn fn, void *ud, const int *fds, size_t n, size_t max, char **out,
         size_t *len, bool *stuck, struct err *err)
{
    int pipes[2], status;
    pid_t pid;
    bool ok;

    *out = NULL;
    *len = 0;
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_errno(err, ERR_MODEL, errno, "cannot start the reader");
    pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child(fn, ud, fds, n, max, pipes[1]);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return err_errno(err, ERR_MODEL, errno, "cannot start the reader");
    }
    *stuck = *stuck && is_stuck(pid, pipes[0]);
    ok = !*stuck && take_answer(pipes[0], max, out, len, err);
    close(pipes[0]);
    if (!ok)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ok;
}

bool
jail_run(jail_fn fn, void *ud, const int *fds, size_t n, size_t max, char **out,
         size_t *len, struct err *err)
{
    bool ok = false, stuck = true;

    for (int i = 0; stuck && i < TRIES; i++) {
        stuck = i + 1 < TRIES;
        ok = run_once(fn, ud, fds, n, max, out, len, &stuck, err);
    }
    return ok;
}
