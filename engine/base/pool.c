/* engine/base/pool.c  The state of a job is one word: which job (32 bits), the
 * next chunk, how many there are (16 bits each). A chunk is claimed by one
 * compare-and-swap on that word, so a thread that comes late can never claim
 * from a job that is over: the number of the job has changed or no chunk is
 * left. What the chunk needs (fn, ud) is read between loading the word and
 * swapping it; the swap succeeds only while the job still has an unclaimed
 * chunk, and as long as it has one the caller does not touch these fields.
 *
 * Sleeping and waking follow one pattern on both sides: announce that one
 * sleeps, look once more, sleep on the word's old value; the other side
 * changes the word, then looks whether someone sleeps. All four are
 * sequentially consistent.
 */
#include "engine/base/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"

/* How long a thread spins before it sleeps. Between two tokens the sampler
 * runs for some 100 us; a wake-up from sleep costs about 50 us. */
#define SPIN_WORKER_NS 400000
#define SPIN_CALLER_NS 100000
/* A rival on our processors costs time in two ways: waiting for a helper that
 * was taken away, and being taken away oneself. Where that is more than a
 * quarter of all time in a window of runs, help is worth nothing (threads that
 * read from one memory are seldom twice as quick as one): the caller works
 * alone, so that the machine has a processor for each of them, first for
 * ALONE_MIN_NS, longer when the next window is as bad. */
#define WINDOW_NS    8000000
#define ALONE_MIN_NS 10000000
#define ALONE_MAX_NS 320000000
/* Looking for one's own lost time costs a system call for each run. It is done
 * only for a while after a run that was slow enough to look at. */
#define SLOW_NS    500000
#define SUSPECT_NS 50000000

struct pool {
    /* Written by every claim: alone on its cache line. */
    _Alignas(64) _Atomic uint64_t job;  /* number << 32 | next << 16 | n */
    _Alignas(64) _Atomic uint32_t left; /* chunks not yet finished */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic uint32_t wake; /* futex the workers sleep on */
    _Atomic uint32_t sleepers;
    _Atomic bool stop;
    _Alignas(64) void (*_Atomic fn)(void *ud, int chunk, int thread);
    void *_Atomic ud;
    int n_threads; /* with the caller */
    /* The caller's own: */
    int64_t window, stalled; /* time of the runs in it, and how much was lost */
    int64_t alone_until, alone_ns;
    int64_t suspect_until;
    pthread_t thread[POOL_THREADS_MAX];
};

struct worker_arg {
    struct pool *p;
    int index;
};

static void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Processor time of the calling thread. */
static int64_t
own_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
futex_sleep(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static bool
has_chunk(uint64_t job)
{
    return ((job >> 16) & 0xffff) < (job & 0xffff);
}

/* Takes chunks until none is left. */
static void
work(struct pool *p, int thread)
{
    uint64_t job = atomic_load_explicit(&p->job, memory_order_acquire);

    while (has_chunk(job)) {
        void (*fn)(void *, int, int) =
            atomic_load_explicit(&p->fn, memory_order_relaxed);
        void *ud = atomic_load_explicit(&p->ud, memory_order_relaxed);

        if (!atomic_compare_exchange_weak_explicit(&p->job, &job,
                                                   job + (1u << 16),
                                                   memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        fn(ud, (int)((job >> 16) & 0xffff), thread);
        if (atomic_fetch_sub(&p->left, 1) == 1 &&
            atomic_load(&p->caller_sleeps))
            futex_wake(&p->left, 1);
        job = atomic_load_explicit(&p->job, memory_order_acquire);
    }
}

/* Spins till there is a chunk to take, or the end, or the time is over. */
static bool
spin_for_chunk(struct pool *p)
{
    int64_t until = now_ns() + SPIN_WORKER_NS;

    do {
        for (int i = 0; i < 64; i++) {
            if (has_chunk(
                    atomic_load_explicit(&p->job, memory_order_acquire)) ||
                atomic_load_explicit(&p->stop, memory_order_relaxed))
                return true;
            relax();
        }
    } while (now_ns() < until);
    return false;
}

static void *
worker_main(void *a)
{
    struct worker_arg arg = *(struct worker_arg *)a;
    struct pool *p = arg.p;

    free(a);
    while (!atomic_load(&p->stop)) {
        work(p, arg.index);
        if (!spin_for_chunk(p)) {
            uint32_t seen = atomic_load(&p->wake);

            atomic_fetch_add(&p->sleepers, 1);
            if (!has_chunk(atomic_load(&p->job)) && !atomic_load(&p->stop))
                futex_sleep(&p->wake, seen);
        }
    }
    return NULL;
}

static int
cpus(void)
{
    cpu_set_t set;
    long n;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    n = sysconf(_SC_NPROCESSORS_ONLN); /* more than a cpu_set_t holds */
    return n > 0 ? (int)n : 1;
}

struct pool *
pool_new(int n_threads)
{
    struct pool *p = NULL;
    sigset_t all, old;

    if (posix_memalign((void **)&p, 64, sizeof *p) != 0)
        p = xmalloc(sizeof *p); /* reports and ends the program */
    memset(p, 0, sizeof *p);
    if (n_threads <= 0)
        n_threads = cpus();
    if (n_threads > POOL_THREADS_MAX)
        n_threads = POOL_THREADS_MAX;
    p->n_threads = 1;
    sigfillset(&all); /* signals are main's business */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (p->n_threads < n_threads) {
        struct worker_arg *a = xmalloc(sizeof *a);

        a->p = p;
        a->index = p->n_threads;
        if (pthread_create(&p->thread[a->index], NULL, worker_main, a) != 0) {
            free(a);
            break;
        }
        p->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return p;
}

void
pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake(&p->wake, POOL_THREADS_MAX);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->thread[i], NULL);
    free(p);
}

int
pool_threads(const struct pool *p)
{
    return p->n_threads;
}

/* Returns how long it waited if that was long, else 0. */
static int64_t
wait_done(struct pool *p)
{
    int64_t start = 0;
    uint32_t left;

    for (;;) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(&p->left, memory_order_acquire) == 0)
                return 0;
            relax();
        }
        if (start == 0)
            start = now_ns();
        else if (now_ns() - start >= SPIN_CALLER_NS)
            break;
    }
    atomic_store(&p->caller_sleeps, 1);
    while ((left = atomic_load(&p->left)) != 0)
        futex_sleep(&p->left, left);
    atomic_store(&p->caller_sleeps, 0);
    return now_ns() - start;
}

/* Was the help worth it? */
static void
judge(struct pool *p, int64_t took, int64_t stalled, int64_t now)
{
    p->window += took;
    p->stalled += stalled;
    if (p->window < WINDOW_NS)
        return;
    if (p->stalled <= p->window / 4)
        p->alone_ns = 0;
    else if (p->alone_ns == 0)
        p->alone_ns = ALONE_MIN_NS;
    else if (p->alone_ns < ALONE_MAX_NS)
        p->alone_ns *= 2;
    p->alone_until = now + p->alone_ns;
    p->window = p->stalled = 0;
}

static void
post(struct pool *p, int n, void (*fn)(void *ud, int chunk, int thread),
     void *ud)
{
    uint64_t number;

    number = (atomic_load_explicit(&p->job, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->ud, ud, memory_order_relaxed);
    atomic_store_explicit(&p->left, (uint32_t)n, memory_order_relaxed);
    atomic_store(&p->job, number << 32 | (uint64_t)n);
    if (atomic_load(&p->sleepers) > 0) {
        atomic_store(&p->sleepers, 0);
        atomic_fetch_add(&p->wake, 1);
        futex_wake(&p->wake, POOL_THREADS_MAX);
    }
}

void
pool_run(struct pool *p, int n, void (*fn)(void *ud, int chunk, int thread),
         void *ud)
{
    int64_t start = n > 1 && p->n_threads > 1 ? now_ns() : 0;
    int64_t own, worked, waited, lost = 0;
    bool suspect = start < p->suspect_until;

    if (start == 0 || start < p->alone_until) {
        for (int i = 0; i < n; i++)
            fn(ud, i, 0);
        return;
    }
    own = suspect ? own_ns() : 0;
    post(p, n, fn, ud);
    work(p, 0);
    worked = now_ns() - start;
    if (suspect)
        lost = worked - (own_ns() - own);
    waited = wait_done(p);
    if (worked + waited > SLOW_NS)
        p->suspect_until = start + worked + waited + SUSPECT_NS;
    judge(p, worked + waited, lost + waited, start + worked + waited);
}
