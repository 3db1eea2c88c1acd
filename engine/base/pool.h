/* engine/base/pool.h  Threads that share the loop of one pass.
 *
 * pool_run() cuts a loop into chunks; the caller and the pool's threads take
 * the next chunk until none is left. Nobody waits for a thread that holds no
 * chunk, so a thread that the machine has taken away for a while costs one
 * chunk and not every barrier. Idle threads spin for a moment (a hand-over
 * then costs well under a microsecond) and then sleep on a futex: a pool
 * that is not in use uses no processor time. Where another program holds a
 * processor so long that help is worth nothing, the caller works alone for a
 * while.
 *
 * One thread at a time may call pool_run() on a pool. What the chunks wrote is
 * visible to the caller when it returns.
 */
#ifndef JIELONG_POOL_H
#define JIELONG_POOL_H

#include <stdbool.h>

#define POOL_THREADS_MAX 64
#define POOL_CHUNKS_MAX  65535

struct pool;

/* n_threads counts the caller; 0: as many as the process may run on. Threads
 * that cannot be started are done without. Never NULL. */
struct pool *pool_new(int n_threads);
/* Ends and joins the threads. NULL is allowed. */
void pool_free(struct pool *p);
/* Threads that take part, the caller included. */
int pool_threads(const struct pool *p);

/* Calls fn(ud, chunk, thread) once for every chunk in [0, n); thread is in
 * [0, pool_threads()), 0 being the caller. 0 <= n <= POOL_CHUNKS_MAX. */
void pool_run(struct pool *p, int n,
              void (*fn)(void *ud, int chunk, int thread), void *ud);

#endif
