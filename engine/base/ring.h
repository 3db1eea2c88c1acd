/* engine/base/ring.h  One writer, one reader, pointers through.
 *
 * Lock-free ring of void *, a power of two of slots. The writer waits when it
 * is full (a token of a story may not be dropped). Wake-up is the caller's:
 * the reader reads its eventfd, clears `pending`, THEN drains (in this order,
 * or an event sleeps in the ring).
 */
#ifndef JIELONG_RING_H
#define JIELONG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RING_SLOTS 64

struct ring {
    _Atomic size_t head;     /* next slot to write */
    _Atomic size_t tail;     /* next slot to read */
    _Atomic bool pending;    /* the reader has been woken and not yet drained */
    void *slot[RING_SLOTS];
};

static inline bool
ring_put(struct ring *r, void *p)
{
    size_t h = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t t = atomic_load_explicit(&r->tail, memory_order_acquire);

    if (h - t == RING_SLOTS)
        return false;
    r->slot[h % RING_SLOTS] = p;
    atomic_store_explicit(&r->head, h + 1, memory_order_release);
    return true;
}

static inline void *
ring_take(struct ring *r)
{
    size_t t = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t h = atomic_load_explicit(&r->head, memory_order_acquire);
    void *p;

    if (t == h)
        return NULL;
    p = r->slot[t % RING_SLOTS];
    atomic_store_explicit(&r->tail, t + 1, memory_order_release);
    return p;
}

#endif
