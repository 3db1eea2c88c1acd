/* src/fetch.h  One GET over HTTPS. The only door to the network, and
 * fetch.c the only file that sees libcurl.
 *
 * Only https, also after a redirect (they are followed by hand: ten at most);
 * the certificate is always verified; the token goes to the server that was
 * named as home and to no other. Nothing here runs unless a command of the
 * writer asked for it. One thread, one owner; the calls wait. SIGPIPE must be
 * ignored: a server may hang up while something is sent to it.
 */
#ifndef JIELONG_FETCH_H
#define JIELONG_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#define FETCH_UNKNOWN UINT64_MAX /* a length or size that nobody told */

struct fetch;

struct fetch_options {      /* texts are borrowed till fetch_free() */
    const char *home;       /* "https://host[:port]..." of the endpoint */
    const char *token;      /* for home only; NULL: none */
    const char *ca_file;    /* PEM; NULL: the system's authorities */
    unsigned stall_seconds; /* below FETCH_STALL_RATE for so long: given up */
    unsigned pause_ms;      /* before the second try; doubles */
    /* Called at least once a second, also while nothing comes; false ends
     * the transfer (ERR_CANCELLED). May be NULL. */
    bool (*tick)(void *ud);
    void *ud;
};
#define FETCH_STALL_RATE 1024 /* bytes a second */

struct fetch_reply { /* what the last server said, before its body */
    int status;      /* 200, 206 or 416 */
    uint64_t length; /* of the body that follows, or FETCH_UNKNOWN */
    uint64_t first, last, total; /* Content-Range of a 206, or FETCH_UNKNOWN */
    char etag[200];              /* as sent, with its quotes; "" none */
    char linked[65];      /* X-Linked-Etag of home, if it is a SHA-256; or "" */
    uint64_t linked_size; /* X-Linked-Size of home, or FETCH_UNKNOWN */
};

struct fetch_sink { /* both return false with err set to end the transfer */
    bool (*begin)(void *ud, const struct fetch_reply *r, struct err *err);
    bool (*body)(void *ud, const void *p, size_t n, struct err *err);
    void *ud;
};

enum fetch_end {
    FETCH_DONE,
    FETCH_BROKEN, /* the connection or the server failed: may be tried again */
    FETCH_FAILED  /* trying again at once is of no use */
};

/* NULL and err when the options are of no use (home is not https). */
struct fetch *fetch_new(const struct fetch_options *o, struct err *err);
void fetch_free(struct fetch *f);

/* from > 0: asks for the bytes from there on, if the file still is the one
 * with that ETag (RFC 9110 13.1.5); the server may send it all instead, or
 * answer 416: begin sees which. Unless FETCH_DONE, err says why. */
enum fetch_end fetch_get(struct fetch *f, const char *url, uint64_t from,
                         const char *etag, const struct fetch_sink *sink,
                         struct err *err);
/* Before try n + 1 (n from 1): waits, ticking. false: cancelled. */
bool fetch_pause(struct fetch *f, unsigned n, struct err *err);
/* A whole small file of at most max bytes, NUL-terminated; given (free). */
bool fetch_text(struct fetch *f, const char *url, size_t max, char **text,
                size_t *len, struct err *err);

/* --- files (fetch_file.c) --- */

struct fetch_want {
    const char *dir;  /* exists; the file arrives there under its name */
    const char *name; /* a plain file name */
    uint64_t size;    /* as the hub says, or FETCH_UNKNOWN */
    char sha256[65];  /* as the hub says, or "" */
    char git[41];     /* the id git gives this content (SHA-1), or "" */
    /* Called as bytes are there: from 0, and anew when it starts again. May
     * be NULL. */
    void (*progress)(void *ud, uint64_t done);
    void *ud;
};

/* Downloads to dir/NAME.part, with dir/NAME.part.json telling what that is
 * part of; goes on from what is there already; tries again when a connection
 * breaks. When all bytes are there and their sums are right, the file is
 * synced and gets its name. A wrong sum: the bytes are thrown away. sha256
 * gets the sum of what arrived. */
bool fetch_file(struct fetch *f, const char *url, struct fetch_want *want,
                char sha256[65], struct err *err);

/* Is dir/NAME there, with the size and a sum that the hub says? Then sha256
 * gets its sum. Without a sum to compare with it is not known: false. */
bool fetch_file_there(const struct fetch_want *want, char sha256[65]);

#endif
