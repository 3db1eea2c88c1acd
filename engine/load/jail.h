/* engine/load/jail.h  Runs a parser of foreign bytes in a child process that
 * can do nothing but read its input and write its answer.
 *
 * The child has the given descriptors and one pipe, no new privileges, tight
 * limits, an empty Landlock ruleset and a short list of system calls, as far
 * as the kernel offers them. Any thread may call; it waits for the child.
 */
#ifndef JIELONG_JAIL_H
#define JIELONG_JAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct jail_answer { /* grows in the child, then is sent */
    char *p;
    size_t len, cap;
};

/* Runs in the child: parses, puts its answer, or sets err. */
typedef bool (*jail_fn)(void *ud, struct jail_answer *out, struct err *err);

/* fds: the n descriptors the child keeps. max: bytes of answer at most.
 * *out is given (mem_big_free). What fn says in err, or that the child died, is
 * told in err (ERR_MODEL). */
bool jail_run(jail_fn fn, void *ud, const int *fds, size_t n, size_t max,
              char **out, size_t *len, struct err *err);

enum { JAIL_PRIVILEGES = 1, JAIL_LANDLOCK = 2, JAIL_SECCOMP = 4 };
/* Which walls this kernel could raise, known after the first jail_run. */
unsigned jail_walls(void);

#endif
