/* engine/kv.c  Pages are cut from slabs of P positions, the lowest first, so
 * that the memory in use is one run, as large pages of the system want it. */
#include "engine/kv.h"

#include <assert.h>
#include <string.h>

#include "engine/base/mem.h"

struct slab {
    void *data;
    struct kv_page *page; /* [n_slab of the pool] */
    struct slab *next;
};

struct kv_pool {
    struct kv_shape shape;
    size_t page_bytes, head_bytes;
    int n_slab;           /* pages of a slab */
    struct slab *slabs;   /* the newest first */
    int n_used;           /* pages of the newest that were ever given out */
    size_t n_given;       /* pages of all */
    struct kv_page *free; /* given back */
};

static size_t
tiles_of(int d)
{
    return ((size_t)d + KV_TILE - 1) / KV_TILE;
}

size_t
kv_head_bytes(const struct kv_shape *shape)
{
    size_t numbers =
        (size_t)KV_PAGE * ((size_t)shape->d + tiles_of(shape->d) * KV_TILE);

    return numbers * (shape->half ? 2 : 4);
}

size_t
kv_page_bytes(const struct kv_shape *shape)
{
    return (size_t)shape->L * (size_t)shape->H * kv_head_bytes(shape);
}

struct kv_pool *
kv_pool_new(const struct kv_shape *shape)
{
    struct kv_pool *p = xcalloc(1, sizeof *p);

    p->shape = *shape;
    p->page_bytes = kv_page_bytes(shape);
    p->head_bytes = kv_head_bytes(shape);
    p->n_slab = (shape->P + KV_PAGE - 1) / KV_PAGE;
    return p;
}

void
kv_pool_free(struct kv_pool *p)
{
    if (!p)
        return;
    for (struct slab *s = p->slabs, *next; s; s = next) {
        next = s->next;
        mem_big_free(s->data);
        free(s->page);
        free(s);
    }
    free(p);
}

size_t
kv_pool_bytes(const struct kv_pool *p)
{
    return p->n_given * p->page_bytes;
}

static bool
add_slab(struct kv_pool *p, struct err *err)
{
    /* a network without layers has pages without bytes */
    void *data = mem_big((size_t)p->n_slab * p->page_bytes + 1, 1,
                         "the model's memory of the text", err);
    struct slab *s;

    if (!data)
        return false;
    s = xcalloc(1, sizeof *s);
    s->data = data;
    s->page = xcalloc((size_t)p->n_slab, sizeof *s->page);
    s->next = p->slabs;
    p->slabs = s;
    p->n_used = 0;
    return true;
}

static struct kv_page *
page_new(struct kv_pool *p, struct err *err)
{
    struct kv_page *page = p->free;

    if (page) {
        p->free = page->next;
    } else {
        if ((!p->slabs || p->n_used == p->n_slab) && !add_slab(p, err))
            return NULL;
        page = &p->slabs->page[p->n_used];
        page->data = (char *)p->slabs->data + (size_t)p->n_used * p->page_bytes;
        p->n_used++;
        p->n_given++;
    }
    page->refs = 1;
    page->next = NULL;
    return page;
}

static void
page_drop(struct kv_pool *p, struct kv_page *page)
{
    assert(page->refs > 0);
    if (--page->refs > 0)
        return;
    page->next = p->free;
    p->free = page;
}

/* The first n positions of a page, all layers and heads. */
static void
page_copy(const struct kv_pool *p, const struct kv_page *from,
          struct kv_page *to, int n)
{
    size_t size = p->shape.half ? 2 : 4, tile = KV_TILE * size;
    size_t d = (size_t)p->shape.d, k_bytes = KV_PAGE * d * size;
    size_t k_used = (((size_t)n + KV_TILE - 1) / KV_TILE) * d * tile;
    size_t n_heads = (size_t)p->shape.L * (size_t)p->shape.H;

    for (size_t h = 0; h < n_heads; h++) {
        const char *a = (const char *)from->data + h * p->head_bytes;
        char *b = (char *)to->data + h * p->head_bytes;

        memcpy(b, a, k_used);
        for (size_t t = 0; t < tiles_of(p->shape.d); t++)
            memcpy(b + k_bytes + t * KV_PAGE * tile,
                   a + k_bytes + t * KV_PAGE * tile, (size_t)n * tile);
    }
}

void
kv_init(struct kv *kv, struct kv_pool *pool)
{
    *kv = (struct kv){ .pool = pool };
}

void
kv_finish(struct kv *kv)
{
    if (kv->pool)
        kv_cut(kv, 0);
    free(kv->page);
    *kv = (struct kv){ 0 };
}

static void
push(struct kv *kv, struct kv_page *page)
{
    if (kv->n_pages == kv->cap) {
        kv->cap = kv->cap ? 2 * kv->cap : 8;
        kv->page = xreallocarray(kv->page, (size_t)kv->cap, sizeof *kv->page);
    }
    kv->page[kv->n_pages++] = page;
}

bool
kv_room(struct kv *kv, int n, struct err *err)
{
    int at = kv->n / KV_PAGE, was = kv->n_pages;

    /* At most the page that n stands in holds positions of others, too: one
     * that is whole is not written, one behind it was made to be written. */
    if (n > kv->n && at < kv->n_pages && kv->page[at]->refs > 1) {
        struct kv_page *own = page_new(kv->pool, err);

        if (!own)
            return false;
        page_copy(kv->pool, kv->page[at], own, kv->n % KV_PAGE);
        page_drop(kv->pool, kv->page[at]);
        kv->page[at] = own;
    }
    while (kv->n_pages * KV_PAGE < n) {
        struct kv_page *page = page_new(kv->pool, err);

        if (!page) {
            while (kv->n_pages > was)
                page_drop(kv->pool, kv->page[--kv->n_pages]);
            return false;
        }
        push(kv, page);
    }
    return true;
}

void
kv_cut(struct kv *kv, int n)
{
    int keep = (n + KV_PAGE - 1) / KV_PAGE;

    assert(n <= kv->n);
    while (kv->n_pages > keep)
        page_drop(kv->pool, kv->page[--kv->n_pages]);
    kv->n = n;
}

void
kv_fork(struct kv *dst, const struct kv *src, int n)
{
    assert(dst->pool == src->pool && dst != src && n <= src->n);
    kv_cut(dst, 0);
    for (int i = 0; i * KV_PAGE < n; i++) {
        src->page[i]->refs++;
        push(dst, src->page[i]);
    }
    dst->n = n;
}

void *
kv_head(const struct kv *kv, int page, int l, int h)
{
    const struct kv_pool *p = kv->pool;

    return (char *)kv->page[page]->data +
           ((size_t)l * (size_t)p->shape.H + (size_t)h) * p->head_bytes;
}
