/* engine/base/unicode.c  UTF-8, categories, widths, graphemes.
 *
 * Properties come from utf8proc (Unicode 15), widths from width_table.h. The
 * story runs through these functions a million characters at a time, so the
 * common cases (ASCII, Han, Chinese punctuation) are decided by comparisons
 * before any table is asked. Invariant: every function accepts every byte
 * string and every uint32_t; an ill-formed byte is UNI_BAD, alone.
 */
#include "engine/base/unicode.h"

#include <utf8proc.h>

#include "engine/base/utf8.h"
#include "engine/base/width_table.h"

/* --- UTF-8 --- */

/* The second byte decides overlongs, surrogates and the end of the code
 * space: table 3-7 of the Unicode standard. */
static bool
second_ok(unsigned char lead, unsigned char b)
{
    switch (lead) {
    case 0xE0: return b >= 0xA0 && b <= 0xBF;
    case 0xED: return b >= 0x80 && b <= 0x9F;
    case 0xF0: return b >= 0x90 && b <= 0xBF;
    case 0xF4: return b >= 0x80 && b <= 0x8F;
    default: return (b & 0xC0) == 0x80;
    }
}

/* Bytes the character needs that this byte begins; 0 if none can. */
static size_t
lead_need(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t
uni_decode(const char *s, size_t len, uint32_t *cp)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char lead = u[0];
    size_t need;

    if (lead < 0x80) {
        *cp = lead;
        return 1;
    }
    need = lead_need(lead);
    *cp = UNI_BAD;
    if (need < 2 || len < need || !second_ok(lead, u[1]))
        return 1;
    if (need == 2) {
        *cp = (uint32_t)(lead & 0x1F) << 6 | (u[1] & 0x3F);
        return 2;
    }
    if ((u[2] & 0xC0) != 0x80)
        return 1;
    if (need == 3) {
        *cp = (uint32_t)(lead & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 |
              (u[2] & 0x3F);
        return 3;
    }
    if ((u[3] & 0xC0) != 0x80)
        return 1;
    *cp = (uint32_t)(lead & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 |
          (uint32_t)(u[2] & 0x3F) << 6 | (u[3] & 0x3F);
    return 4;
}

size_t
uni_encode(uint32_t cp, char out[4])
{
    return utf8_put(cp, out);
}

/* A lead byte is never a trail byte, so at most one k can fit, and decoding
 * forwards from any boundary stops at the same places. */
size_t
uni_prev(const char *s, size_t at)
{
    uint32_t cp;

    for (size_t k = 2; k <= 4 && k <= at; k++) {
        if (((unsigned char)s[at - k + 1] & 0xC0) != 0x80)
            break;
        if (uni_decode(s + at - k, k, &cp) == k)
            return at - k;
    }
    return at - 1;
}

bool
uni_valid(const char *s, size_t len)
{
    uint32_t cp;

    for (size_t i = 0; i < len;) {
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        i += uni_decode(s + i, len - i, &cp);
        if (cp == UNI_BAD)
            return false;
    }
    return true;
}

size_t
uni_whole(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;

    for (size_t k = 1; k <= 3 && k <= len; k++) {
        unsigned char lead = u[len - k];

        if ((lead & 0xC0) == 0x80)
            continue;
        if (lead_need(lead) > k && (k < 2 || second_ok(lead, u[len - k + 1])))
            return len - k;
        break;
    }
    return len;
}

/* --- properties --- */

static utf8proc_category_t
category(uint32_t cp)
{
    /* Beyond the code space utf8proc answers Cn, also for UNI_BAD (-1). */
    return utf8proc_category((utf8proc_int32_t)cp);
}

const char *
uni_category(uint32_t cp)
{
    return utf8proc_category_string((utf8proc_int32_t)cp);
}

bool
uni_is_han(uint32_t cp)
{
    if (cp < 0x3400)
        return false;
    if (cp <= 0x9FFF)
        return cp <= 0x4DBF || cp >= 0x4E00;
    return (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x20000 && cp <= 0x2A6DF) ||
           (cp >= 0x2A700 && cp <= 0x2CEAF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

bool
uni_is_letter(uint32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x80)
        return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
    if (cp >= 0x4E00 && cp <= 0x9FFF)
        return true;
    c = category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool
uni_is_number(uint32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x80)
        return cp >= '0' && cp <= '9';
    if (cp >= 0x4E00 && cp <= 0x9FFF)
        return false;
    c = category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool
uni_is_punctuation(uint32_t cp)
{
    utf8proc_category_t c;

    if (cp >= 0x3400 && cp <= 0x9FFF)
        return false;
    c = category(cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool
uni_is_mark(uint32_t cp)
{
    utf8proc_category_t c;

    if (cp < 0x300 || (cp >= 0x3400 && cp <= 0x9FFF))
        return false;
    c = category(cp);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool
uni_is_mn(uint32_t cp)
{
    if (cp < 0x300 || (cp >= 0x3400 && cp <= 0x9FFF))
        return false;
    return category(cp) == UTF8PROC_CATEGORY_MN;
}

bool
uni_is_zs(uint32_t cp)
{
    return cp == 0x20 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

bool
uni_is_white(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029 || uni_is_zs(cp);
}

uint32_t
uni_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 0x20 : cp;
    if (cp > 0x10FFFF || (cp >= 0x2E80 && cp <= 0xA63F))
        return cp; /* CJK has no case */
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

size_t
uni_nfd(uint32_t cp, uint32_t out[18])
{
    utf8proc_int32_t buf[18];
    utf8proc_ssize_t n;
    int boundary = 0;

    if (cp < 0xC0 || (cp >= 0x3400 && cp <= 0x9FFF) || cp > 0x10FFFF) {
        out[0] = cp;
        return 1;
    }
    n = utf8proc_decompose_char((utf8proc_int32_t)cp, buf, 18,
                                UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > 18) {
        out[0] = cp;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++)
        out[i] = (uint32_t)buf[i];
    return (size_t)n;
}

unsigned
uni_ccc(uint32_t cp)
{
    if (cp < 0x300 || (cp >= 0x3400 && cp <= 0x9FFF) || cp > 0x10FFFF)
        return 0;
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)cp)
        ->combining_class;
}

/* --- columns --- */

enum { WIDTH_AMBIGUOUS = 3, WIDTH_NEVER = 4 };

static int ambiguous_cols = 1;

void
uni_set_ambiguous(int cols)
{
    ambiguous_cols = cols == 2 ? 2 : 1;
}

static int
width_class(uint32_t cp)
{
    unsigned char two;

    if (cp > 0x10FFFF)
        return WIDTH_NEVER;
    two = width_blocks[width_index[cp >> 8]][(cp & 0xFF) >> 1];
    return cp & 1 ? two >> 4 : two & 0x0F;
}

int
uni_width(uint32_t cp)
{
    int w;

    if (cp >= 0x20 && cp < 0x7F)
        return 1;
    if (cp >= 0x4E00 && cp <= 0x9FFF)
        return 2;
    w = width_class(cp);
    if (w == WIDTH_AMBIGUOUS)
        return ambiguous_cols;
    return w == WIDTH_NEVER ? -1 : w;
}

bool
uni_is_safe(uint32_t cp)
{
    return width_class(cp) != WIDTH_NEVER;
}

/* --- grapheme clusters --- */

/* Code points with Grapheme_Cluster_Break=Other that make up nearly every
 * text: between two of them there is always a break (UAX #29, GB999). */
static bool
plain(uint32_t cp)
{
    return (cp >= 0x20 && cp <= 0x7E) || (cp >= 0x3400 && cp <= 0x9FFF) ||
           (cp >= 0x3001 && cp <= 0x3029) || (cp >= 0x2010 && cp <= 0x2027) ||
           (cp >= 0xFF01 && cp <= 0xFF60) || (cp >= 0x3041 && cp <= 0x3096);
}

size_t
uni_grapheme(const char *s, size_t len)
{
    uint32_t a, b;
    size_t at;
    utf8proc_int32_t state = 0;

    if (len == 0)
        return 0;
    at = uni_decode(s, len, &a);
    while (a != UNI_BAD && at < len) {
        size_t n = uni_decode(s + at, len - at, &b);

        if (b == UNI_BAD || (plain(a) && plain(b)))
            break;
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)a,
                                             (utf8proc_int32_t)b, &state))
            break;
        at += n;
        a = b;
    }
    return at;
}

int
uni_grapheme_width(const char *s, size_t len)
{
    uint32_t cp;
    int w;

    if (len == 0)
        return 1;
    uni_decode(s, len, &cp);
    w = uni_width(cp);
    return w < 1 ? 1 : w;
}

/* --- counting --- */

/* Written without spaces, one character one 字: Han with all extensions and
 * 々〇〻, kana, bopomofo, Hangul syllables. */
static bool
counts_alone(uint32_t cp)
{
    if (cp < 0x3005)
        return false;
    return uni_is_han(cp) || cp == 0x3005 || cp == 0x3007 || cp == 0x303B ||
           (cp >= 0x3021 && cp <= 0x3029) || (cp >= 0x3041 && cp <= 0x3096) ||
           (cp >= 0x30A1 && cp <= 0x30FA) || (cp >= 0x3105 && cp <= 0x312F) ||
           (cp >= 0x31A0 && cp <= 0x31BF) || (cp >= 0x31F0 && cp <= 0x31FF) ||
           (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0x2CEB0 && cp <= 0x3FFFD);
}

/* don't, well-known, 3.14, 12:30 are one word each. */
static bool
joins(uint32_t cp)
{
    return cp == '\'' || cp == 0x2019 || cp == '-' || cp == '.' || cp == ',' ||
           cp == ':' || cp == '_';
}

size_t
uni_count_words(const char *s, size_t len)
{
    size_t n = 0;
    bool in_word = false;      /* the word goes on if a letter comes now */
    bool after_letter = false; /* no joiner between that letter and here */
    bool digits = false;       /* ... and that letter was a digit */
    uint32_t cp, joiner = 0;

    for (size_t i = 0; i < len;) {
        i += uni_decode(s + i, len - i, &cp);
        if (counts_alone(cp)) {
            n++;
            in_word = after_letter = false;
        } else if (uni_is_letter(cp) || uni_is_number(cp)) {
            bool num = uni_is_number(cp);
            bool only_digits = joiner == '.' || joiner == ',' || joiner == ':';

            if (!in_word || (!after_letter && only_digits && !(num && digits)))
                n++;
            in_word = after_letter = true;
            digits = num;
        } else if (in_word && uni_is_mark(cp)) {
            continue;
        } else if (after_letter && joins(cp)) {
            after_letter = false;
            joiner = cp;
        } else {
            in_word = after_letter = false;
        }
    }
    return n;
}
