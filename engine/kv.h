/* engine/kv.h  Keys and values of timelines, in counted pages.
 *
 * A page holds all layers and heads of 64 positions:
 *
 *   [layer][head]  K [4 tiles][d][16 positions]
 *                  V [ceil(d / 16) tiles][64 positions][16 dimensions]
 *
 * so one vector holds one dimension of 16 keys, or 16 dimensions of one value,
 * and what a head reads of a page is one run of memory. Numbers are f32 or f16
 * (nearest, ties to even; too large ones become the largest), as the pool was
 * made.
 *
 * A timeline is a list of pages and n. Timelines that begin alike share pages
 * (Kwon et al. 2023, arXiv:2309.06180); one that writes into a page which
 * others see too gets a copy of its own first. All timelines of a pool belong
 * to one thread.
 */
#ifndef JIELONG_KV_H
#define JIELONG_KV_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

#define KV_PAGE 64 /* positions */
#define KV_TILE 16 /* positions or dimensions side by side */

struct kv_shape {
    int L, H, d; /* layers, heads, numbers of a head */
    int P;       /* positions of the longest timeline */
    bool half;   /* f16, else f32 */
};

struct kv_page {
    int refs;             /* timelines that it belongs to */
    void *data;           /* kv_page_bytes(), 64-byte aligned; the pool's */
    struct kv_page *next; /* of the free ones */
};

/* Owns all pages. Memory is taken for P positions at a time when pages are
 * asked for; what was never written costs nothing. */
struct kv_pool;
struct kv_pool *kv_pool_new(const struct kv_shape *shape);
/* All timelines are finished by then. NULL is allowed. */
void kv_pool_free(struct kv_pool *p);
/* Bytes of one page, of one head of one layer in it, and of all pages that
 * were ever in use. */
size_t kv_page_bytes(const struct kv_shape *shape);
size_t kv_head_bytes(const struct kv_shape *shape);
size_t kv_pool_bytes(const struct kv_pool *p);

struct kv {
    struct kv_pool *pool;
    struct kv_page **page; /* [n_pages] */
    int n_pages, cap;
    int n; /* positions filled */
};

/* An empty timeline; allocates nothing yet. pool is borrowed till
 * kv_finish(), which gives the pages back. */
void kv_init(struct kv *kv, struct kv_pool *pool);
void kv_finish(struct kv *kv);
/* Makes positions kv->n .. n-1 ready to be written (n <= P): pages are
 * there, and nobody else's. false and err (ERR_MEMORY) when there is no room;
 * the timeline is then what it was. kv->n stays as it is. */
bool kv_room(struct kv *kv, int n, struct err *err);
/* Goes back to n <= kv->n positions; pages that are not needed go. */
void kv_cut(struct kv *kv, int n);
/* dst, whatever it held, becomes the first n positions of src, sharing all
 * pages. Of one pool. */
void kv_fork(struct kv *dst, const struct kv *src, int n);

/* What head h of layer l has in page `page`: K, and V behind it. Borrowed till
 * the timeline's pages change. */
void *kv_head(const struct kv *kv, int page, int l, int h);

#endif
