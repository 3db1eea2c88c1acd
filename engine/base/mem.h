/* engine/base/mem.h  Allocation.
 *
 * Small things (nodes, strings, rows) use the x-functions: when memory is
 * gone they call the failure hook (which restores the terminal; the journal
 * is already written) and end the program. Large things (weights, caches,
 * whole files) use mem_big(), which returns NULL and sets an err. Any thread.
 */
#ifndef JIELONG_MEM_H
#define JIELONG_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/base/err.h"

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size); /* product checked */
void *xrealloc(void *p, size_t size);
void *xreallocarray(void *p, size_t n, size_t size); /* product checked */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Called once, before _exit(1), when a small allocation fails. Set by main;
 * must be async-signal-safe in spirit: no allocation. */
void mem_on_failure(void (*hook)(void));
/* What the x-functions do then; for libraries that ran out of memory. */
void mem_fail(void) __attribute__((noreturn));

/* n elements of size bytes, zeroed, aligned to 64 bytes, freed with
 * mem_big_free(); NULL and err (ERR_MEMORY, with the number of bytes) when
 * refused or when the product overflows. `what` names it in the message. */
void *mem_big(size_t n, size_t size, const char *what, struct err *err);
void mem_big_free(void *p);
/* The same block out of a file: its bytes [at, at + len), read-only, mapped;
 * at is a multiple of 64 and not 0. The file must not become shorter while the
 * block is there: for files that are only ever replaced. NULL and err when the
 * system refuses. */
void *mem_big_map(int fd, size_t at, size_t len, const char *what,
                  struct err *err);

/* Bytes that could be taken without pushing others out: MemAvailable of
 * /proc/meminfo, or less where a limit of this process (RLIMIT_AS) or of its
 * control groups leaves less. 0 when it is not told. */
uint64_t mem_available(void);

/* Makes room for at least `need` elements in a growing array:
 *     if (a->n == a->cap) a->v = mem_grow(a->v, &a->cap, a->n + 1, sizeof *a->v);
 * Doubles; ends the program on overflow. */
void *mem_grow(void *p, size_t *cap, size_t need, size_t size);

#endif
