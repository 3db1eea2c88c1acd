/* engine/base/err.h  A message that travels up, for a person to read.
 *
 * A function that can fail for a reason a person can mend takes a struct err
 * and returns false (or NULL); each level may put what it knows in front with
 * err_wrap(). The text says what is wrong, where (file, byte, tensor, line)
 * and what to do. Plain data: any thread, one owner at a time.
 */
#ifndef JIELONG_ERR_H
#define JIELONG_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_kind {
    ERR_NONE = 0,
    ERR_FAILED,    /* exit status 1 */
    ERR_USAGE,     /* exit status 2 */
    ERR_MODEL,     /* exit status 3: model or set-up */
    ERR_STORY,     /* exit status 4: story file */
    ERR_CANCELLED, /* exit status 130; not a fault */
    ERR_MEMORY     /* a large allocation was refused; exit status 3 */
};

struct err {
    enum err_kind kind;
    char msg[600]; /* one sentence, UTF-8, no final full stop or line break */
};

/* Sets kind and message (both replaced). Always returns false, so that a
 * caller can `return err_set(...)`. A NULL err is allowed: nothing is kept. */
bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " in front of the message; the kind stays. Returns false. */
bool err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends ": strerror(errno_value)" style detail. Returns false. */
bool err_errno(struct err *err, enum err_kind kind, int errno_value,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The program's exit status for this kind. */
int err_exit_status(enum err_kind kind);

#endif
