/* engine/base/err.c  Messages are kept clean here, in one place.
 *
 * Names of files and tensors come from strangers and end up on a terminal, so
 * every message passes through tidy(): control characters, C1 controls,
 * direction marks and ill-formed bytes become '?', and a message that is too
 * long is cut between characters.
 */
#include "engine/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/utf8.h"

/* Characters of two or three bytes that must not reach a terminal: C1
 * controls, zero-width and direction marks, line separators. */
static bool
is_unsafe(const unsigned char *s, size_t n)
{
    if (n == 1)
        return s[0] < 0x20 || s[0] == 0x7F;
    if (n == 2)
        return s[0] == 0xC2 && s[1] < 0xA0;
    if (n == 3 && s[0] == 0xE2 && s[1] == 0x80)
        return (s[2] >= 0x8B && s[2] <= 0x8F) || (s[2] >= 0xA8 && s[2] <= 0xAE);
    if (n == 3 && s[0] == 0xE2 && s[1] == 0x81)
        return s[2] >= 0xA0 && s[2] <= 0xAF;
    return n == 3 && s[0] == 0xEF && s[1] == 0xBB && s[2] == 0xBF;
}

/* Copies text of any bytes to out, made safe and fitting. */
static void
tidy(char *out, size_t cap, const char *text, size_t len)
{
    size_t i = 0, n = 0, w;

    while (i < len) {
        w = utf8_len(text + i, len - i);
        if (w == 0 || is_unsafe((const unsigned char *)text + i, w)) {
            if (n + 1 >= cap)
                break;
            out[n++] = '?';
            i += w ? w : 1;
            continue;
        }
        if (n + w >= cap)
            break;
        memcpy(out + n, text + i, w);
        n += w;
        i += w;
    }
    out[n] = '\0';
}

/* Formats into a buffer of its own first: an argument may be err->msg. */
static void __attribute__((format(printf, 3, 0)))
vformat(struct err *err, const char *after, const char *fmt, va_list ap)
{
    char text[3 * sizeof err->msg];
    size_t n, a = strlen(after);
    int got = vsnprintf(text, sizeof text, fmt, ap);

    n = got < 0 ? 0 : (size_t)got;
    if (n > sizeof text - 1)
        n = sizeof text - 1;
    if (a > sizeof text - n)
        a = sizeof text - n;
    memcpy(text + n, after, a);
    tidy(err->msg, sizeof err->msg, text, n + a);
}

bool
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return false;
    va_start(ap, fmt);
    vformat(err, "", fmt, ap);
    va_end(ap);
    err->kind = kind;
    return false;
}

bool
err_wrap(struct err *err, const char *fmt, ...)
{
    char after[sizeof err->msg + 2];
    va_list ap;

    if (!err)
        return false;
    snprintf(after, sizeof after, ": %s", err->msg);
    va_start(ap, fmt);
    vformat(err, after, fmt, ap);
    va_end(ap);
    return false;
}

bool
err_errno(struct err *err, enum err_kind kind, int errno_value, const char *fmt,
          ...)
{
    char why[128], after[sizeof why + 2];
    va_list ap;

    if (!err)
        return false;
    snprintf(after, sizeof after, ": %s",
             strerror_r(errno_value, why, sizeof why));
    va_start(ap, fmt);
    vformat(err, after, fmt, ap);
    va_end(ap);
    err->kind = kind;
    return false;
}

int
err_exit_status(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE: return 0;
    case ERR_FAILED: return 1;
    case ERR_USAGE: return 2;
    case ERR_MODEL: return 3;
    case ERR_MEMORY: return 3;
    case ERR_STORY: return 4;
    case ERR_CANCELLED: return 130;
    }
    return 1;
}
