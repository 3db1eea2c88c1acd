/* engine/blas.c  OpenBLAS through the dynamic loader. */
#include "engine/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static __typeof__(cblas_sgemm) *sgemm;
static struct blas blas;
static bool there;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
product(int T, int n, int K, const float *x, const float *w, float add,
        float *y, int ldy)
{
    sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, T, n, K, 1.0f, x, K, w, K,
          add, y, ldy);
}

/* A function of the library; memcpy, for C has no cast from data to code. */
static bool
find(void *lib, const char *name, void *function)
{
    void *p = dlsym(lib, name);

    memcpy(function, &p, sizeof p);
    return p != NULL;
}

static void
load(void)
{
    static char name[96];
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    __typeof__(openblas_set_num_threads) *set_threads;
    __typeof__(openblas_get_config) *config;
    __typeof__(openblas_get_corename) *core;
    int (*shutdown)(void);
    char version[32] = "";

    if (!lib || !find(lib, "cblas_sgemm", &sgemm) ||
        !find(lib, "openblas_set_num_threads", &set_threads) ||
        !find(lib, "openblas_get_config", &config) ||
        !find(lib, "openblas_get_corename", &core))
        return;
    /* It has started a thread for every other processor, and these spin for a
     * while before they sleep. Ours is the only pool, so they are sent home;
     * the function is not in cblas.h (OpenBLAS calls it before a fork). */
    set_threads(1);
    if (find(lib, "blas_thread_shutdown_", &shutdown))
        shutdown();
    /* "OpenBLAS 0.3.21 ..." */
    sscanf(config(), "%*s %31s", version);
    snprintf(name, sizeof name, "openblas-%s/%s", version, core());
    blas = (struct blas){ name, product };
    there = true;
}

const struct blas *
blas_get(void)
{
    pthread_once(&once, load);
    return there ? &blas : NULL;
}
