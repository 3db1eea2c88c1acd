/* engine/load/snappy.c  Raw Snappy, unpacking only.
 * Format: format_description.txt of google/snappy. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/tf.h"

/* Length of a literal or copy and, for copies, how far back; from its tag. */
static void
read_tag(struct rd *r, size_t *len, size_t *back)
{
    uint8_t tag = rd_u8(r);
    size_t i, n;

    *back = 0;
    switch (tag & 3) {
    case 0:
        *len = (size_t)(tag >> 2) + 1;
        if (*len > 60) {
            n = *len - 60; /* 1..4 bytes of length follow */
            *len = 0;
            for (i = 0; i < n; i++)
                *len |= (size_t)rd_u8(r) << (8 * i);
            *len += 1;
        }
        break;
    case 1:
        *len = 4 + ((tag >> 2) & 7);
        *back = ((size_t)(tag >> 5) << 8) | rd_u8(r);
        break;
    case 2:
        *len = (size_t)(tag >> 2) + 1;
        *back = rd_u16(r);
        break;
    default: *len = (size_t)(tag >> 2) + 1; *back = rd_u32(r);
    }
}

bool
snappy_unpack(const void *p, size_t len, size_t max, char **out,
              size_t *out_len)
{
    struct rd r;
    uint64_t size;
    size_t n, back, at = 0;
    uint8_t tag;
    const unsigned char *lit;
    char *o;

    rd_init(&r, p, len);
    size = rd_varint(&r);
    /* A copy of 3 bytes makes 64: nothing can grow by more than 22 times. */
    if (!rd_ok(&r) || size > max || size > 22 * (uint64_t)len + 64)
        return false;
    o = xmalloc((size_t)size + 1);
    while (rd_left(&r) > 0) {
        tag = r.p[r.pos];
        read_tag(&r, &n, &back);
        if (!rd_ok(&r) || n > size - at)
            goto bad;
        if ((tag & 3) == 0) {
            lit = rd_bytes(&r, n);
            if (!lit)
                goto bad;
            memcpy(o + at, lit, n);
            at += n;
        } else {
            if (back == 0 || back > at)
                goto bad;
            while (n-- > 0) { /* byte by byte: ranges may overlap */
                o[at] = o[at - back];
                at++;
            }
        }
    }
    if (at != size)
        goto bad;
    *out = o;
    *out_len = at;
    return true;
bad:
    free(o);
    return false;
}
