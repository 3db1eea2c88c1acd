/* engine/base/rd.c  Every get is a comparison with what is left, then a copy.
 *
 * All gets go through rd_bytes(), so that there is one place where a read
 * beyond the end could happen, and does not.
 */
#include "engine/base/rd.h"

void
rd_init(struct rd *r, const void *p, size_t len)
{
    r->p = p;
    r->len = len;
    r->pos = 0;
    r->bad = false;
}

bool
rd_ok(const struct rd *r)
{
    return !r->bad;
}

size_t
rd_left(const struct rd *r)
{
    return r->bad ? 0 : r->len - r->pos;
}

const unsigned char *
rd_bytes(struct rd *r, size_t n)
{
    const unsigned char *p;

    if (r->bad || n > r->len - r->pos) {
        r->bad = true;
        return NULL;
    }
    p = r->p + r->pos;
    r->pos += n;
    return p;
}

bool
rd_skip(struct rd *r, size_t n)
{
    return rd_bytes(r, n) != NULL;
}

bool
rd_seek(struct rd *r, size_t pos)
{
    if (r->bad || pos > r->len) {
        r->bad = true;
        return false;
    }
    r->pos = pos;
    return true;
}

static uint64_t
little_endian(struct rd *r, size_t n)
{
    const unsigned char *p = rd_bytes(r, n);
    uint64_t v = 0;

    if (p)
        while (n-- > 0)
            v = v << 8 | p[n];
    return v;
}

uint8_t
rd_u8(struct rd *r)
{
    return (uint8_t)little_endian(r, 1);
}

uint16_t
rd_u16(struct rd *r)
{
    return (uint16_t)little_endian(r, 2);
}

uint32_t
rd_u32(struct rd *r)
{
    return (uint32_t)little_endian(r, 4);
}

uint64_t
rd_u64(struct rd *r)
{
    return little_endian(r, 8);
}

uint64_t
rd_varint(struct rd *r)
{
    uint64_t v = 0;
    unsigned shift;
    uint8_t b;

    for (shift = 0; shift < 70; shift += 7) {
        b = rd_u8(r);
        if (r->bad)
            return 0;
        if (shift == 63 && b > 1) /* bits beyond the 64th */
            break;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

bool
rd_mul(size_t a, size_t b, size_t *out)
{
    size_t v;

    if (__builtin_mul_overflow(a, b, &v))
        return false;
    *out = v;
    return true;
}

bool
rd_add(size_t a, size_t b, size_t *out)
{
    size_t v;

    if (__builtin_add_overflow(a, b, &v))
        return false;
    *out = v;
    return true;
}

bool
rd_product(const uint64_t *dims, size_t n, size_t *out)
{
    size_t v = 1, i;

    for (i = 0; i < n; i++)
        if (dims[i] > INT32_MAX || !rd_mul(v, (size_t)dims[i], &v))
            return false;
    *out = v;
    return true;
}
