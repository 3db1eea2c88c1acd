/* engine/load/meta.c  A record: u32 length of the key, the key, u8 kind and
 * form, u64 count, the items (numbers, or u32 length and bytes). The form is
 * the upper half of its byte: of numbers, size and sign. */
#include "engine/load/meta.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

static void
put(struct meta *m, const void *p, size_t len)
{
    if (m->cap - m->len < len)
        m->p = mem_grow(m->p, &m->cap, m->len + len, 1);
    if (len)
        memcpy(m->p + m->len, p, len);
    m->len += len;
}

static void
put_u32(struct meta *m, uint32_t v)
{
    unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8),
                           (unsigned char)(v >> 16), (unsigned char)(v >> 24) };

    put(m, b, 4);
}

static void
put_u64(struct meta *m, uint64_t v)
{
    put_u32(m, (uint32_t)v);
    put_u32(m, (uint32_t)(v >> 32));
}

void
meta_free(struct meta *m)
{
    free(m->p);
    memset(m, 0, sizeof *m);
}

enum { UNSIGNED = 0x80 }; /* in the form; with it the size, 0 for 8 bytes */

static void
begin(struct meta *m, const char *key, size_t len, unsigned form, uint64_t n)
{
    unsigned char k = (unsigned char)form;

    put_u32(m, (uint32_t)len);
    put(m, key, len);
    put(m, &k, 1);
    put_u64(m, n);
}

void
meta_begin(struct meta *m, const char *key, size_t len, enum meta_kind kind,
           uint64_t n)
{
    begin(m, key, len, kind, n);
}

void
meta_put_list(struct meta *m, const char *key, size_t len, enum meta_kind kind,
              unsigned size, bool is_signed, uint64_t n, const void *items)
{
    begin(m, key, len,
          kind | (size == 8 ? 0 : size << 4) | (is_signed ? 0u : UNSIGNED), n);
    put(m, items, (size_t)n * size);
}

void
meta_put_int(struct meta *m, int64_t v)
{
    put_u64(m, (uint64_t)v);
}

void
meta_put_real(struct meta *m, double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof u);
    put_u64(m, u);
}

void
meta_put_text(struct meta *m, const void *s, size_t len)
{
    put_u32(m, (uint32_t)len);
    put(m, s, len);
}

static bool
step(struct meta_list *l)
{
    if (l->n == 0 || !rd_ok(&l->r))
        return false;
    l->n--;
    return true;
}

bool
meta_next_int(struct meta_list *l, int64_t *v)
{
    uint64_t u;
    bool s = l->is_signed;

    if (l->kind != META_INT || !step(l))
        return false;
    switch (l->size) {
    case 1: u = rd_u8(&l->r), *v = s ? (int8_t)u : (int64_t)u; break;
    case 2: u = rd_u16(&l->r), *v = s ? (int16_t)u : (int64_t)u; break;
    case 4: u = rd_u32(&l->r), *v = s ? (int32_t)u : (int64_t)u; break;
    default: *v = (int64_t)rd_u64(&l->r);
    }
    return rd_ok(&l->r);
}

bool
meta_next_real(struct meta_list *l, double *v)
{
    uint64_t u;
    uint32_t w;
    float f;

    if (l->kind != META_REAL || !step(l))
        return false;
    if (l->size == 4) {
        w = rd_u32(&l->r);
        memcpy(&f, &w, sizeof f);
        *v = f;
        return rd_ok(&l->r);
    }
    u = rd_u64(&l->r);
    memcpy(v, &u, sizeof u);
    return rd_ok(&l->r);
}

bool
meta_next_text(struct meta_list *l, const char **s, size_t *len)
{
    if (l->kind != META_TEXT || !step(l))
        return false;
    *len = rd_u32(&l->r);
    *s = (const char *)rd_bytes(&l->r, *len);
    return *s != NULL;
}

/* Stands behind a value's items. */
static bool
skip_items(struct meta_list *l)
{
    const char *s;
    size_t len;
    size_t bytes;

    if (l->kind != META_TEXT)
        return rd_mul((size_t)l->n, l->size, &bytes) && rd_skip(&l->r, bytes);
    while (l->n > 0)
        if (!meta_next_text(l, &s, &len))
            return false;
    return true;
}

/* Reads a record's head; its items are left to be read. */
static bool
next_head(struct meta_list *l, const char **key, size_t *len)
{
    unsigned form;

    if (rd_left(&l->r) == 0)
        return false;
    *len = rd_u32(&l->r);
    *key = (const char *)rd_bytes(&l->r, *len);
    form = rd_u8(&l->r);
    l->kind = (enum meta_kind)(form & 15);
    l->size = form >> 4 & 7 ? form >> 4 & 7 : 8;
    l->is_signed = !(form & UNSIGNED);
    l->n = rd_u64(&l->r);
    return *key && rd_ok(&l->r);
}

static bool
find(const struct meta *m, const char *key, struct meta_list *out)
{
    struct meta_list l;
    const char *k;
    size_t len;

    rd_init(&l.r, m->p, m->len);
    while (next_head(&l, &k, &len)) {
        if (len == strlen(key) && memcmp(k, key, len) == 0) {
            *out = l;
            return true;
        }
        if (!skip_items(&l))
            return false;
    }
    return false;
}

bool
meta_find(const struct meta *m, const char *key, enum meta_kind kind,
          struct meta_list *out)
{
    return find(m, key, out) && out->kind == kind;
}

bool
meta_has(const struct meta *m, const char *key)
{
    struct meta_list l;

    return find(m, key, &l);
}

bool
meta_next_record(const struct meta *m, size_t *at, const char **key,
                 size_t *key_len, const char **record, size_t *len)
{
    struct meta_list l;

    if (*at >= m->len)
        return false;
    *record = m->p + *at;
    rd_init(&l.r, *record, m->len - *at);
    if (!next_head(&l, key, key_len) || !skip_items(&l))
        return false;
    *len = l.r.pos;
    *at += l.r.pos;
    return true;
}

int64_t
meta_int(const struct meta *m, const char *key, int64_t none)
{
    struct meta_list l;
    int64_t v;

    return meta_find(m, key, META_INT, &l) && meta_next_int(&l, &v) ? v : none;
}

double
meta_real(const struct meta *m, const char *key, double none)
{
    struct meta_list l;
    double v;

    return meta_find(m, key, META_REAL, &l) && meta_next_real(&l, &v) ? v
                                                                      : none;
}
