/* engine/base/json.c  A state, a stack of one byte a level, and a cursor.
 *
 * json_next() does exactly one step: it skips white space and a comma or
 * colon where one is due, then reads one token. `state` is what may come
 * next; the stack knows only '{' or '['. Strings are checked while they are
 * scanned (UTF-8, escapes, surrogate pairs), so json_text() cannot fail.
 */
#include "engine/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/utf8.h"

enum state {
    WANT_VALUE,       /* at the start, after ':' */
    WANT_FIRST_VALUE, /* after '[': a value or ']' */
    WANT_FIRST_KEY,   /* after '{': a key or '}' */
    WANT_COMMA,       /* after a value inside something */
    WANT_NOTHING,     /* the outermost value is over */
    BROKEN
};

void
json_init(struct json *j, const char *p, size_t len, int max_depth,
          struct err *err)
{
    memset(j, 0, sizeof *j);
    j->p = p;
    j->len = len;
    j->max_depth = max_depth > 0 ? max_depth : 16;
    if (j->max_depth > JSON_DEPTH_MAX)
        j->max_depth = JSON_DEPTH_MAX;
    j->state = WANT_VALUE;
    j->err = err;
}

static enum json_type
fail(struct json *j, size_t at, const char *what)
{
    if (j->state != BROKEN)
        err_set(j->err, ERR_FAILED, "%s at byte %zu of the JSON text", what,
                at);
    j->state = BROKEN;
    return j->type = JSON_ERROR;
}

static void
skip_space(struct json *j)
{
    while (j->pos < j->len && (j->p[j->pos] == ' ' || j->p[j->pos] == '\n' ||
                               j->p[j->pos] == '\t' || j->p[j->pos] == '\r'))
        j->pos++;
}

static bool
is_digit(const struct json *j, size_t i)
{
    return i < j->len && j->p[i] >= '0' && j->p[i] <= '9';
}

/* Four hex digits at i, or -1. */
static int
hex4(const char *p, size_t i, size_t len)
{
    int v = 0, k, c;

    if (len < 4 || i > len - 4)
        return -1;
    for (k = 0; k < 4; k++) {
        c = (unsigned char)p[i + (size_t)k];
        if (c >= '0' && c <= '9')
            c -= '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            c = (c | 32) - 'a' + 10;
        else
            return -1;
        v = v << 4 | c;
    }
    return v;
}

/* The escape whose backslash stands at i: bytes of it, 0 when it is none;
 * *cp gets what it means. */
static size_t
escape(const char *p, size_t i, size_t len, uint32_t *cp)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;
    int v, w;

    if (i + 1 >= len)
        return 0;
    if (p[i + 1] != 'u') {
        at = p[i + 1] ? strchr(from, p[i + 1]) : NULL;
        if (!at)
            return 0;
        *cp = (unsigned char)to[at - from];
        return 2;
    }
    v = hex4(p, i + 2, len);
    if (v < 0 || (v >= 0xDC00 && v <= 0xDFFF))
        return 0;
    *cp = (uint32_t)v;
    if (v < 0xD800 || v > 0xDBFF)
        return 6;
    if (len - i < 12 || p[i + 6] != '\\' || p[i + 7] != 'u')
        return 0;
    w = hex4(p, i + 8, len);
    if (w < 0xDC00 || w > 0xDFFF)
        return 0;
    *cp = 0x10000 + (((uint32_t)v & 0x3FF) << 10 | ((uint32_t)w & 0x3FF));
    return 12;
}

/* Scans the string whose opening quote stands at pos. */
static bool
scan_string(struct json *j)
{
    const char *p = j->p;
    size_t i = j->pos + 1, n;
    uint32_t cp;

    j->raw = p + i;
    j->escaped = false;
    for (;;) {
        if (i >= j->len)
            return fail(j, j->pos, "a string without an end begins"), false;
        if (p[i] == '"')
            break;
        if (p[i] == '\\') {
            n = escape(p, i, j->len, &cp);
            if (n == 0)
                return fail(j, i, "an escape that means nothing"), false;
            j->escaped = true;
        } else if ((unsigned char)p[i] < 0x20) {
            return fail(j, i, "a control character in a string"), false;
        } else {
            n = utf8_len(p + i, j->len - i);
            if (n == 0)
                return fail(j, i, "a byte that is not UTF-8"), false;
        }
        i += n;
    }
    j->raw_len = (size_t)(p + i - j->raw);
    j->pos = i + 1;
    return true;
}

/* Fills i and d from the digits [at, at + n). */
static enum json_type
number_value(struct json *j, size_t at, size_t n, bool whole)
{
    char buf[64], *text = buf;
    size_t k = at;
    bool minus = j->p[at] == '-', fits = whole;
    int64_t v = 0;

    for (k += minus; fits && k < at + n; k++)
        fits = !__builtin_mul_overflow(v, 10, &v) &&
               !__builtin_sub_overflow(v, j->p[k] - '0', &v);
    if (fits && !minus)
        fits = !__builtin_sub_overflow(0, v, &v);
    if (fits) {
        j->i = v;
        j->d = (double)v;
        return j->type = JSON_INT;
    }
    if (n >= sizeof buf)
        text = xstrndup(j->p + at, n);
    else {
        memcpy(buf, j->p + at, n);
        buf[n] = '\0';
    }
    j->d = strtod(text, NULL);
    if (text != buf)
        free(text);
    if (!isfinite(j->d))
        return fail(j, at, "a number too large to hold");
    return j->type = JSON_NUMBER;
}

static enum json_type
scan_number(struct json *j)
{
    size_t i = j->pos, at = i;
    bool whole = true;

    if (j->p[i] == '-')
        i++;
    if (!is_digit(j, i))
        return fail(j, at, "something that is no value");
    if (j->p[i] == '0')
        i++;
    else
        while (is_digit(j, i))
            i++;
    if (i < j->len && j->p[i] == '.') {
        whole = false;
        if (!is_digit(j, ++i))
            return fail(j, at, "a number without digits after its point");
        while (is_digit(j, i))
            i++;
    }
    if (i < j->len && (j->p[i] | 32) == 'e') {
        whole = false;
        i++;
        if (i < j->len && (j->p[i] == '+' || j->p[i] == '-'))
            i++;
        if (!is_digit(j, i))
            return fail(j, at, "a number without digits in its exponent");
        while (is_digit(j, i))
            i++;
    }
    j->pos = i;
    return number_value(j, at, i - at, whole);
}

static enum json_type
scan_word(struct json *j)
{
    static const struct {
        const char *text;
        enum json_type type;
    } words[] = { { "true", JSON_TRUE },
                  { "false", JSON_FALSE },
                  { "null", JSON_NULL } };
    size_t i, n;

    for (i = 0; i < sizeof words / sizeof *words; i++) {
        n = strlen(words[i].text);
        if (j->len - j->pos >= n &&
            memcmp(j->p + j->pos, words[i].text, n) == 0) {
            j->pos += n;
            return j->type = words[i].type;
        }
    }
    if (j->len - j->pos >= 3 && memcmp(j->p + j->pos, "\xEF\xBB\xBF", 3) == 0)
        return fail(j, j->pos, "a byte order mark (save the text without it)");
    return fail(j, j->pos, "something that is no value");
}

static void
after_value(struct json *j)
{
    if (j->state != BROKEN)
        j->state = j->depth > 0 ? WANT_COMMA : WANT_NOTHING;
}

static enum json_type
open_level(struct json *j, unsigned char c)
{
    if (j->depth == j->max_depth)
        return fail(j, j->pos, "nesting too deep");
    j->stack[j->depth++] = c;
    j->pos++;
    j->state = c == '{' ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    return j->type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_type
close_level(struct json *j)
{
    unsigned char c = j->stack[--j->depth];

    j->pos++;
    after_value(j);
    return j->type = c == '{' ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_type
read_key(struct json *j)
{
    if (j->pos >= j->len || j->p[j->pos] != '"')
        return fail(j, j->pos, "no member name where one must stand");
    if (!scan_string(j))
        return JSON_ERROR;
    skip_space(j);
    if (j->pos >= j->len || j->p[j->pos] != ':')
        return fail(j, j->pos, "no colon after a member name");
    j->pos++;
    j->state = WANT_VALUE;
    return j->type = JSON_KEY;
}

static enum json_type
read_value(struct json *j)
{
    enum json_type type;
    char c;

    if (j->pos >= j->len)
        return fail(j, j->pos, "the text ends too early");
    c = j->p[j->pos];
    if (c == '{' || c == '[')
        return open_level(j, (unsigned char)c);
    if (c == '"')
        type = scan_string(j) ? (j->type = JSON_STRING) : JSON_ERROR;
    else if (c == '-' || (c >= '0' && c <= '9'))
        type = scan_number(j);
    else
        type = scan_word(j);
    after_value(j);
    return type;
}

enum json_type
json_next(struct json *j)
{
    char c, end;

    if (j->state == BROKEN)
        return JSON_ERROR;
    skip_space(j);
    j->at = j->pos;
    c = j->pos < j->len ? j->p[j->pos] : '\0';
    if (j->state == WANT_NOTHING) {
        if (j->pos < j->len)
            return fail(j, j->pos, "something after the end of the value");
        return j->type = JSON_END;
    }
    if (j->state == WANT_VALUE)
        return read_value(j);
    end = j->stack[j->depth - 1] == '{' ? '}' : ']';
    if (j->pos < j->len && c == end)
        return close_level(j);
    if (j->state == WANT_COMMA) {
        if (j->pos >= j->len || c != ',')
            return fail(j, j->pos,
                        j->pos >= j->len ? "the text ends too early"
                                         : "no comma between two values");
        j->pos++;
        skip_space(j);
        j->at = j->pos;
    }
    return end == '}' ? read_key(j) : read_value(j);
}

bool
json_skip(struct json *j)
{
    int depth;

    if (j->type == JSON_KEY && json_next(j) == JSON_ERROR)
        return false;
    if (j->type == JSON_OBJECT || j->type == JSON_ARRAY) {
        depth = j->depth - 1;
        while (j->depth > depth)
            if (json_next(j) == JSON_ERROR)
                return false;
    }
    return j->type != JSON_ERROR;
}

size_t
json_text(const struct json *j, char *buf, size_t cap)
{
    size_t i = 0, n = 0, w;
    uint32_t cp = 0;
    char one[4];

    if (cap == 0)
        return (size_t)-1;
    while (i < j->raw_len) {
        const char *bs = memchr(j->raw + i, '\\', j->raw_len - i);

        w = bs ? (size_t)(bs - j->raw) - i : j->raw_len - i;
        if (w >= cap - n)
            return (size_t)-1;
        memcpy(buf + n, j->raw + i, w);
        n += w;
        i += w;
        if (!bs)
            break;
        i += escape(j->raw, i, j->raw_len, &cp);
        w = utf8_put(cp, one);
        if (w >= cap - n)
            return (size_t)-1;
        memcpy(buf + n, one, w);
        n += w;
    }
    buf[n] = '\0';
    return n;
}

char *
json_dup(const struct json *j, size_t *len)
{
    char *p = xmalloc(j->raw_len + 1);
    size_t n = json_text(j, p, j->raw_len + 1);

    if (len)
        *len = n;
    return p;
}

bool
json_is(const struct json *j, const char *s)
{
    size_t n = strlen(s), len;
    char *text;
    bool same;

    if (!j->escaped)
        return j->raw_len == n && memcmp(j->raw, s, n) == 0;
    if (j->raw_len < n || j->raw_len / 6 > n)
        return false;
    text = json_dup(j, &len);
    same = len == n && memcmp(text, s, n) == 0;
    free(text);
    return same;
}
