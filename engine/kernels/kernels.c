/* engine/kernels/kernels.c  Which inner loops this processor can run. */
#include "engine/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(JIELONG_X86)
#    include <cpuid.h>
#    include <pthread.h>
#    include <sys/syscall.h>
#    include <unistd.h>
#elif defined(JIELONG_ARM)
#    include <sys/auxv.h>
#endif

#ifdef JIELONG_X86
/* Not every compiler has a name for it; leaf 1, ECX bit 29 (Intel SDM 2A,
 * CPUID). Saving its registers is what AVX2 asks for already. */
static bool
has_f16c(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

static bool
can_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           has_f16c();
}

/* Leaf 7.1, EAX bit 4 (Intel SDM 2A, CPUID). */
static bool
can_avxvnni(void)
{
    unsigned a = 0, b, c, d;

    return can_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a >> 4 & 1);
}

static bool
can_avx512(void)
{
    return can_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

static bool
can_avx512vnni(void)
{
    return can_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool
can_avx512bf16(void)
{
    return can_avx512vnni() && __builtin_cpu_supports("avx512bf16");
}

/* Linux, asm/prctl.h: tile registers have to be asked for, once for all
 * threads of a process (Documentation/arch/x86/xstate.rst). */
#    define ARCH_REQ_XCOMP_PERM 0x1023
#    define XFEATURE_XTILEDATA  18

static bool amx_allowed;

static void
ask_for_amx(void)
{
    unsigned a, b, c, d = 0;

    /* leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8 (Intel SDM 2A, CPUID) */
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) &&
        (d >> 24 & 1) && (d >> 25 & 1))
        amx_allowed = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM,
                              XFEATURE_XTILEDATA) == 0;
}

static bool
can_amx(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, ask_for_amx);
    return amx_allowed && can_avx512vnni();
}
#endif

#ifdef JIELONG_ARM
/* Bit ASIMDDP of the kernel's asm/hwcap.h, which older ones do not name. */
static bool
can_neondot(void)
{
    return getauxval(AT_HWCAP) >> 20 & 1;
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
    { &kernels_amx, can_amx },
    { &kernels_avx512bf16, can_avx512bf16 },
    { &kernels_avx512vnni, can_avx512vnni },
    { &kernels_avx512, can_avx512 },
    { &kernels_avxvnni, can_avxvnni },
    { &kernels_avx2, can_avx2 },
#endif
#ifdef JIELONG_ARM
    { &kernels_neondot, can_neondot },
    { &kernels_neon, can_always },
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

bool
kernels_check(struct err *err)
{
    const char *want = getenv("JIELONG_CPU");
    char names[128] = "";
    size_t n = 0;

    if (!want || !*want)
        return true;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        if (strcmp(levels[l].k->name, want) == 0)
            return levels[l].can() ||
                   err_set(err, ERR_USAGE,
                           "JIELONG_CPU asks for %s, which this processor "
                           "cannot run: take %s or a lower level, or leave it "
                           "away",
                           want, kernels_get(0)->name);
    for (size_t l = sizeof levels / sizeof *levels; l-- > 0;)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s",
                              n ? ", " : "", levels[l].k->name);
    return err_set(err, ERR_USAGE,
                   "JIELONG_CPU=%.40s names no level: there are %s", want,
                   names);
}
