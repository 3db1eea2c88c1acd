/* engine/base/utf8.h  The one rule for what is a well-formed character.
 *
 * Table 3-7 of the Unicode standard: no overlongs, no surrogates, nothing
 * above U+10FFFF. For scanners that check bytes and need no code points, and
 * for writers; unicode.h decodes. Any thread.
 */
#ifndef JIELONG_UTF8_H
#define JIELONG_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the well-formed character that begins at p, of which len
 * bytes (at least one) may be read; 0 when the bytes there are ill-formed or
 * cut short. */
static inline size_t
utf8_len(const void *p, size_t len)
{
    const unsigned char *s = p;
    unsigned char c = s[0], lo = 0x80, hi = 0xBF;
    size_t n, i;

    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (n > len)
        return 0;
    if (c == 0xE0)
        lo = 0xA0;
    else if (c == 0xED)
        hi = 0x9F;
    else if (c == 0xF0)
        lo = 0x90;
    else if (c == 0xF4)
        hi = 0x8F;
    if (s[1] < lo || s[1] > hi)
        return 0;
    for (i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
    return n;
}

/* A scalar value as UTF-8; returns the bytes written (1..4). */
static inline size_t
utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

#endif
