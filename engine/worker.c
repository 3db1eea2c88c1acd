/* engine/worker.c  The generator on this machine: one worker thread.
 *
 * Main puts a request into the mailbox (one mutex, one condition); the worker
 * puts events into a ring and wakes the reader through an eventfd. Nothing
 * else is shared but the cancel flag, which the network looks at before every
 * layer, and the model, which is constant once it is loaded.
 *
 * - A request replaces what waits and cancels what runs; each gets its END.
 * - The worker waits while the ring is full: a token may not be dropped.
 *   gen_free() does not need the ring to be read: it sets `quit`, after which
 *   the worker drops its events.
 * - `pending` spares the eventfd a write per event. The reader clears it
 *   before it looks again, and both sides change it by exchange, so that one
 *   of them always sees the other.
 * - Hashes are computed by a thread of their own: reading 500 MB again must
 *   not delay the first token. It hands the result to the worker, the ring's
 *   only writer. Then it keeps the converted weights on the disk: they are
 *   constant, and their name is only known now. The network goes before it.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/ring.h"
#include "engine/gen.h"
#include "engine/writer.h"

struct owed {
    uint32_t serial;
    int lane, n_lanes; /* the next END is of `lane` */
};

struct local {
    struct gen gen;
    pthread_t thread;
    bool started;
    char *path, *vocab, *type;
    bool no_vocab_needed, fast;
    const atomic_bool *finishes_until; /* or NULL */
    int64_t cache_limit;
    int n_threads;

    /* The mailbox, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a letter, room in the ring, or the end */
    struct job *waiting; /* the next request, or NULL */
    uint32_t running;    /* serial in hand, 0: none */
    struct owed *dropped; /* what never ran and still needs its ENDs */
    size_t n_dropped, cap_dropped;
    struct knobs knobs; /* for request knobs_for, 0: none */
    uint32_t knobs_for, knobs_serial;
    uint32_t keep_for; /* of this request keep_lane alone goes on; 0: all do */
    int keep_lane;
    bool hash_ready;
    struct model_hashes hashes;

    atomic_bool cancel; /* the request in hand shall end */
    atomic_bool quit;
    atomic_bool full; /* the worker waits for room in the ring */
    _Atomic(struct model *) model;

    /* Of main alone. */
    uint32_t next_serial, next_knobs;

    /* Of the worker alone. */
    struct err failure; /* why there is no model */
    struct timespec told;

    pthread_t hasher;
    bool hashing;

    struct ring ring;
    int fd;
};

/* --- the ring --- */

static void
wake_reader(struct local *g)
{
    uint64_t one = 1;

    if (!atomic_exchange(&g->ring.pending, true))
        while (write(g->fd, &one, sizeof one) < 0 && errno == EINTR)
            continue;
}

/* Waits till the reader has made room; false when the generator ends. */
static bool
wait_for_room(struct local *g, struct gen_event *ev)
{
    bool in = false;

    pthread_mutex_lock(&g->lock);
    while (!atomic_load(&g->quit)) {
        atomic_exchange(&g->full, true);
        in = ring_put(&g->ring, ev);
        if (in)
            break;
        pthread_cond_wait(&g->wake, &g->lock);
    }
    atomic_exchange(&g->full, false);
    pthread_mutex_unlock(&g->lock);
    return in;
}

static void
post(void *ud, const struct gen_event *from, bool droppable)
{
    struct local *g = ud;
    struct gen_event *ev = xmalloc(sizeof *ev);

    *ev = *from;
    if (ring_put(&g->ring, ev) || (!droppable && wait_for_room(g, ev))) {
        wake_reader(g);
        return;
    }
    gen_event_finish(ev);
    free(ev);
}

static bool
local_next(struct gen *gen, struct gen_event *out)
{
    struct local *g = (struct local *)gen;
    struct gen_event *ev = ring_take(&g->ring);
    bool looked_again = !ev;

    if (!ev) {
        uint64_t n;

        while (read(g->fd, &n, sizeof n) < 0 && errno == EINTR)
            continue;
        atomic_exchange(&g->ring.pending, false);
        ev = ring_take(&g->ring);
    }
    if (!ev)
        return false;
    if (looked_again) /* more may have come in between: stay readable */
        wake_reader(g);
    if (atomic_exchange(&g->full, false)) {
        pthread_mutex_lock(&g->lock);
        pthread_cond_signal(&g->wake);
        pthread_mutex_unlock(&g->lock);
    }
    *out = *ev;
    free(ev);
    return true;
}

static int
local_fd(const struct gen *gen)
{
    return ((const struct local *)gen)->fd;
}

/* --- main's side of the mailbox --- */

static void
drop_waiting(struct local *g)
{
    if (!g->waiting)
        return;
    if (g->n_dropped == g->cap_dropped)
        g->dropped = mem_grow(g->dropped, &g->cap_dropped, g->n_dropped + 1,
                              sizeof *g->dropped);
    g->dropped[g->n_dropped++] = (struct owed){
        .serial = g->waiting->serial, .n_lanes = job_lanes(g->waiting)
    };
    job_free(g->waiting);
    g->waiting = NULL;
}

static void
stop_all(struct local *g)
{
    drop_waiting(g);
    if (g->running)
        atomic_store(&g->cancel, true);
}

static uint32_t
local_submit(struct gen *gen, const struct gen_request *req)
{
    struct local *g = (struct local *)gen;
    uint32_t serial = ++g->next_serial;
    struct job *j = job_new(req, serial);

    pthread_mutex_lock(&g->lock);
    stop_all(g);
    g->waiting = j;
    g->knobs_for = g->keep_for = 0;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    return serial;
}

static void
local_cancel(struct gen *gen)
{
    struct local *g = (struct local *)gen;

    pthread_mutex_lock(&g->lock);
    stop_all(g);
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
}

/* Is this request in hand or the next one? Under the lock. */
static bool
is_alive(const struct local *g, uint32_t serial)
{
    return serial && (serial == g->running ||
                      (g->waiting && serial == g->waiting->serial));
}

static uint32_t
local_knobs(struct gen *gen, uint32_t serial, const struct knobs *k)
{
    struct local *g = (struct local *)gen;
    uint32_t n = ++g->next_knobs;

    pthread_mutex_lock(&g->lock);
    if (is_alive(g, serial)) {
        g->knobs = *k;
        g->knobs_for = serial;
        g->knobs_serial = n;
    }
    pthread_mutex_unlock(&g->lock);
    return n;
}

static void
local_keep_lane(struct gen *gen, uint32_t serial, int lane)
{
    struct local *g = (struct local *)gen;

    pthread_mutex_lock(&g->lock);
    if (is_alive(g, serial)) {
        g->keep_for = serial;
        g->keep_lane = lane;
    }
    pthread_mutex_unlock(&g->lock);
}

static const struct model *
local_model(const struct gen *gen)
{
    return atomic_load(&((const struct local *)gen)->model);
}

/* --- the worker --- */

/* What lies in the mailbox besides requests: ENDs owed, hashes. */
static void
post_letters(struct local *g)
{
    for (;;) {
        struct gen_event ev = { 0 };

        pthread_mutex_lock(&g->lock);
        if (g->n_dropped) {
            ev.type = GEN_END;
            ev.serial = g->dropped[0].serial;
            ev.lane = g->dropped[0].lane++;
            ev.u.end.why = GEN_WHY_USER;
            if (g->dropped[0].lane == g->dropped[0].n_lanes)
                memmove(g->dropped, g->dropped + 1,
                        --g->n_dropped * sizeof *g->dropped);
        } else if (g->hash_ready) {
            ev.type = GEN_HASHED;
            ev.u.hashes = g->hashes;
            g->hash_ready = false;
        } else {
            pthread_mutex_unlock(&g->lock);
            return;
        }
        pthread_mutex_unlock(&g->lock);
        post(g, &ev, false);
    }
}

static bool
take_knobs(void *ud, struct knobs *k, uint32_t *serial)
{
    struct local *g = ud;
    bool fresh;

    post_letters(g);
    pthread_mutex_lock(&g->lock);
    fresh = g->knobs_for && g->knobs_for == g->running;
    if (fresh) {
        *k = g->knobs;
        *serial = g->knobs_serial;
        g->knobs_for = 0;
    }
    pthread_mutex_unlock(&g->lock);
    return fresh;
}

static bool
take_keep(void *ud, int *lane)
{
    struct local *g = ud;
    bool fresh;

    pthread_mutex_lock(&g->lock);
    fresh = g->keep_for && g->keep_for == g->running;
    if (fresh) {
        *lane = g->keep_lane;
        g->keep_for = 0;
    }
    pthread_mutex_unlock(&g->lock);
    return fresh;
}

/* The next request, its cancel flag fresh; NULL: the end. */
static struct job *
next_job(struct local *g)
{
    struct job *j = NULL;

    pthread_mutex_lock(&g->lock);
    g->running = 0;
    while (!atomic_load(&g->quit) && !g->waiting && !g->n_dropped &&
           !g->hash_ready)
        pthread_cond_wait(&g->wake, &g->lock);
    if (!atomic_load(&g->quit) && !g->n_dropped && !g->hash_ready) {
        j = g->waiting;
        g->waiting = NULL;
        g->running = j->serial;
        atomic_store(&g->cancel, false);
    }
    pthread_mutex_unlock(&g->lock);
    return j;
}

static bool
tell_loading(void *ud, size_t done, size_t total)
{
    struct local *g = ud;
    struct gen_event ev = { .type = GEN_LOADING };
    struct timespec now;
    double since;

    post_letters(g);
    clock_gettime(CLOCK_MONOTONIC, &now);
    since = (double)(now.tv_sec - g->told.tv_sec) +
            (double)(now.tv_nsec - g->told.tv_nsec) * 1e-9;
    if (since >= 0.03 || done == total) {
        g->told = now;
        ev.u.loading.done = done;
        ev.u.loading.total = total;
        post(g, &ev, true);
    }
    return !atomic_load(&g->quit);
}

static void *
hash_main(void *ud)
{
    struct local *g = ud;
    const struct model *m = atomic_load(&g->model);
    const atomic_bool *stop = g->finishes_until ? g->finishes_until : &g->quit;
    struct model_hashes h;

    setpriority(PRIO_PROCESS, (id_t)gettid(), 10); /* Linux: of this thread */
    if (!model_hash(m, &h, stop, NULL))
        return NULL; /* runs are then recorded without it */
    pthread_mutex_lock(&g->lock);
    g->hashes = h;
    g->hash_ready = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    model_keep(m, &h, stop);
    return NULL;
}

static struct writer *
load(struct local *g, const struct writer_host *host)
{
    struct model_options opt = { .vocab = g->vocab,
                                 .type = g->type,
                                 .fast = g->fast,
                                 .progress = tell_loading,
                                 .ud = g,
                                 .no_vocab_needed = g->no_vocab_needed,
                                 .cache_limit = g->cache_limit };
    struct model *m = model_open(g->path, &opt, &g->failure);
    struct gen_event ev = { .type = GEN_LOADED };
    struct writer *w;

    if (!m)
        return NULL;
    w = writer_new(m, g->n_threads, host, &g->failure);
    if (!w) {
        model_close(m);
        return NULL;
    }
    atomic_store(&g->model, m);
    post(g, &ev, false);
    g->hashing = pthread_create(&g->hasher, NULL, hash_main, g) == 0;
    return w;
}

/* A request without a model: says why, and ends. */
static void
refuse(struct local *g, const struct job *j)
{
    struct gen_event ev = { .type = GEN_FAILED, .serial = j->serial };

    ev.u.err = g->failure;
    post(g, &ev, false);
    memset(&ev.u, 0, sizeof ev.u);
    ev.type = GEN_END;
    ev.u.end.why = GEN_WHY_ERROR;
    for (; ev.lane < job_lanes(j); ev.lane++)
        post(g, &ev, false);
}

static void *
worker_main(void *ud)
{
    struct local *g = ud;
    struct writer_host host = { g, post, take_knobs, take_keep, &g->cancel };
    struct writer *w = load(g, &host);

    if (!w && !atomic_load(&g->quit)) {
        struct gen_event ev = { .type = GEN_FAILED };

        ev.u.err = g->failure;
        post(g, &ev, false);
    }
    while (!atomic_load(&g->quit)) {
        struct job *j = next_job(g);

        if (j && w)
            writer_do(w, j);
        else if (j)
            refuse(g, j);
        job_free(j);
        post_letters(g);
    }
    writer_free(w);
    return NULL;
}

/* --- life --- */

static void
local_free(struct gen *gen)
{
    struct local *g = (struct local *)gen;
    struct gen_event *ev;

    pthread_mutex_lock(&g->lock);
    atomic_store(&g->quit, true);
    atomic_store(&g->cancel, true);
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    if (g->started)
        pthread_join(g->thread, NULL);
    if (g->hashing)
        pthread_join(g->hasher, NULL);
    while ((ev = ring_take(&g->ring))) {
        gen_event_finish(ev);
        free(ev);
    }
    model_close(atomic_load(&g->model));
    job_free(g->waiting);
    free(g->dropped);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    if (g->fd >= 0)
        close(g->fd);
    free(g->path);
    free(g->vocab);
    free(g->type);
    free(g);
}

static const struct gen_ops local_ops = {
    local_free,      local_submit, local_cancel, local_knobs,
    local_keep_lane, local_fd,     local_next,   local_model,
};

struct gen *
gen_local(const char *model_path, const struct model_options *opt,
          int n_threads)
{
    struct local *g = xcalloc(1, sizeof *g);
    int rc;

    g->gen.ops = &local_ops;
    g->path = xstrdup(model_path);
    g->vocab = opt && opt->vocab ? xstrdup(opt->vocab) : NULL;
    g->type = opt && opt->type ? xstrdup(opt->type) : NULL;
    g->no_vocab_needed = opt && opt->no_vocab_needed;
    g->fast = opt && opt->fast;
    g->cache_limit = opt ? opt->cache_limit : 0;
    g->finishes_until = opt ? opt->finishes_until : NULL;
    g->n_threads = n_threads;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->wake, NULL);
    g->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rc = g->fd < 0 ? errno : pthread_create(&g->thread, NULL, worker_main, g);
    g->started = rc == 0;
    if (!g->started) { /* main stands in for the worker, this once */
        struct gen_event ev = { .type = GEN_FAILED };

        err_errno(&ev.u.err, ERR_FAILED, rc,
                  "the model's thread cannot be started");
        post(g, &ev, true);
    }
    return &g->gen;
}
