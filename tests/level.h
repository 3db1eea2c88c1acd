/* tests/level.h  The level of instructions asked for, put back afterwards.
 * Include after cmocka.h. */
#ifndef JIELONG_TESTS_LEVEL_H
#define JIELONG_TESTS_LEVEL_H

#include <stdlib.h>

#include "engine/base/mem.h"

/* What JIELONG_CPU is now, or NULL; ends in level_back(). */
static inline char *
level_kept(void)
{
    const char *was = getenv("JIELONG_CPU");

    return was ? xstrdup(was) : NULL;
}

static inline void
level_back(char *kept)
{
    if (kept)
        assert_int_equal(setenv("JIELONG_CPU", kept, 1), 0);
    else
        assert_int_equal(unsetenv("JIELONG_CPU"), 0);
    free(kept);
}

#endif
