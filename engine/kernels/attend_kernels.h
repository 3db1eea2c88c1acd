/* engine/kernels/attend_kernels.h  The inner loops of attention, by
 * instruction set.
 *
 * The layout of a page is engine/kv.h's. Every number is one sum whose order
 * is part of its definition, so a result is the same bits on every level,
 * however many rows stand in a call, and whatever stands in a page behind the
 * positions that a row may see. Pure functions, any thread.
 */
#ifndef JIELONG_ATTEND_KERNELS_H
#define JIELONG_ATTEND_KERNELS_H

#define ATTEND_ROWS 4 /* queries that share a way through a page */

struct attend_page_kernels { /* of pages of one type of number */
    /* k[d] and v[d] go to position `at` of the page. */
    void (*put)(const float *k, const float *v, int d, int at, void *page);
    /* s[r][j] = q[r] . k[j] for rows r < n_rows (1 or ATTEND_ROWS) and
     * positions j < 16 n_tiles: one chain of fused operations over d. Rows of
     * s stand lds apart. */
    void (*scores)(const void *page, int n_tiles, const float *const *q,
                   int n_rows, int d, float *s, int lds);
    /* The same rows: part[r] is the chain e[r][j] v[j] over positions
     * from <= j < n, begun at `from` 0 and else continued. With `out` it ends
     * here: out[r] += part[r], and part is not written. Rows of e stand lde
     * apart, those of part and out ldo, a multiple of 16 and at least d. */
    void (*mix)(const void *page, const float *e, int lde, int n_rows, int from,
                int n, int d, float *part, float *out, int ldo);
};

struct attend_kernels {
    struct attend_page_kernels page[2]; /* f32, f16 */
    /* s[j] = exp(c s[j] - the greatest c s[j]) for j < n; returns their sum,
     * in 16 lanes (j mod 16) folded in one tree. Up to 15 numbers behind s[n]
     * are overwritten. */
    float (*softmax)(float *s, int n, float c);
};

extern const struct attend_kernels attend_generic;
#ifdef JIELONG_X86
extern const struct attend_kernels attend_avx2, attend_avx512;
#endif

#endif
