/* engine/kernels/kernels.c  Which inner loops this processor can run. */
#include "engine/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

#ifdef JIELONG_X86
static bool
can_avx512(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

static bool
can_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool
can_always(void)
{
    return true;
}

static const struct {
    const struct kernels *k;
    bool (*can)(void);
} levels[] = {
/* the best first */
#ifdef JIELONG_X86
    { &kernels_avx512, can_avx512 },
    { &kernels_avx2, can_avx2 },
#endif
    { &kernels_generic, can_always },
};

const struct kernels *
kernels_get(int i)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        if (levels[l].can() && i-- == 0)
            return levels[l].k;
    return NULL;
}

const struct kernels *
kernels_best(void)
{
    const char *want = getenv("JIELONG_CPU");
    const struct kernels *k;

    for (int i = 0; want && (k = kernels_get(i)); i++)
        if (strcmp(k->name, want) == 0)
            return k;
    return kernels_get(0);
}
