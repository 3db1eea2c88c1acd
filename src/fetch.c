/* src/fetch.c  One GET over HTTPS, by libcurl.
 *
 * Redirects are followed here and not by the library, so that every hop can
 * be judged: is it https, and may the token go there? Only the answer that is
 * no redirect reaches the sink. Bodies are taken as they are (no compression
 * in transit), so that byte offsets mean what they say.
 */
#include "src/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "build_config.h"

#define REDIRECTS_MAX 10
#define CONNECT_MS    30000L
#define TRIES_MAX     3
#define BODY_DROPPED  (1u << 20) /* of a redirect or an error, at most */

struct fetch {
    struct fetch_options o;
    CURL *curl;
    char reason[CURL_ERROR_SIZE];
};

struct hop { /* one request and its answer */
    struct fetch *f;
    const struct fetch_sink *sink;
    struct fetch_reply *reply;
    bool at_home;
    bool encoded;
    bool begun;     /* the sink knows of the answer */
    bool cancelled; /* by tick */
    bool refused;   /* by the sink: err is set */
    size_t dropped;
    struct err *err;
};

/* --- addresses --- */

static bool
is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

/* "host:port" of a URL in one spelling, given; NULL: it is none. */
static char *
origin(const char *url)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *both = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        both = xasprintf("%s:%s", host, port);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return both;
}

static bool
same_origin(const char *a, const char *b)
{
    char *x = origin(a), *y = origin(b);
    bool same = x && y && strcasecmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

/* Long addresses carry signatures: what stands behind '?' is nobody's
 * business. Into buf, which is returned. */
static const char *
short_url(const char *url, char *buf, size_t cap)
{
    snprintf(buf, cap, "%.*s", (int)strcspn(url, "?#"), url);
    for (char *c = buf; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '?'; /* a server may have written it */
    return buf;
}

/* --- the answer's head --- */

static void
reply_init(struct fetch_reply *r)
{
    r->status = 0;
    r->length = r->first = r->last = r->total = FETCH_UNKNOWN;
    r->etag[0] = '\0';
}

/* A decimal number that ends where it should; FETCH_UNKNOWN: it is none. */
static uint64_t
number(const char *s, const char **end)
{
    uint64_t n = 0;

    if (*s < '0' || *s > '9')
        return FETCH_UNKNOWN;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (n > (FETCH_UNKNOWN - 10) / 10)
            return FETCH_UNKNOWN;
        n = n * 10 + (uint64_t)(*s - '0');
    }
    if (end)
        *end = s;
    return n;
}

/* "bytes 100-199/200" (RFC 9110 14.4); anything else leaves it unknown. */
static void
content_range(const char *s, struct fetch_reply *r)
{
    uint64_t first, last;

    if (strncasecmp(s, "bytes ", 6) != 0)
        return;
    first = number(s + 6, &s);
    if (first == FETCH_UNKNOWN || *s != '-')
        return;
    last = number(s + 1, &s);
    if (last == FETCH_UNKNOWN || *s != '/')
        return;
    r->first = first;
    r->last = last;
    r->total = number(s + 1, NULL);
}

/* X-Linked-Etag is the SHA-256 of a large file, in quotes, at Hugging Face. */
static void
linked_etag(const char *s, struct fetch_reply *r)
{
    s += *s == '"';
    if (strspn(s, "0123456789abcdef") == 64 && (s[64] == '"' || !s[64]))
        snprintf(r->linked, sizeof r->linked, "%.64s", s);
}

static const char *
header(const char *line, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

static size_t
on_header(char *p, size_t size, size_t n, void *ud)
{
    struct hop *h = ud;
    struct fetch_reply *r = h->reply;
    char line[1024];
    const char *v;

    n *= size;
    snprintf(line, sizeof line, "%.*s", (int)(n < 1023 ? n : 1023), p);
    line[strcspn(line, "\r\n")] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0) {
        reply_init(r); /* a new head: 100 Continue went before */
        h->encoded = false;
        r->status = atoi(line + strcspn(line, " "));
    } else if ((v = header(line, "Content-Length"))) {
        r->length = number(v, NULL);
    } else if ((v = header(line, "Content-Range"))) {
        content_range(v, r);
    } else if ((v = header(line, "Content-Encoding"))) {
        h->encoded = strcasecmp(v, "identity") != 0;
    } else if ((v = header(line, "ETag"))) {
        if (strlen(v) < sizeof r->etag)
            strcpy(r->etag, v);
    } else if (h->at_home && (v = header(line, "X-Linked-Etag"))) {
        linked_etag(v, r);
    } else if (h->at_home && (v = header(line, "X-Linked-Size"))) {
        r->linked_size = number(v, NULL);
    }
    return n;
}

/* --- the answer's body --- */

static bool
is_for_sink(int status)
{
    return status == 200 || status == 206 || status == 416;
}

static bool
begin(struct hop *h)
{
    h->begun = true;
    if (h->encoded)
        h->refused = !err_set(h->err, ERR_FAILED, "%s",
                              _("the server compresses what it was asked to "
                                "send as it is"));
    else
        h->refused = !h->sink->begin(h->sink->ud, h->reply, h->err);
    return !h->refused;
}

static size_t
on_body(char *p, size_t size, size_t n, void *ud)
{
    struct hop *h = ud;

    n *= size;
    if (!is_for_sink(h->reply->status) || h->reply->status == 416) {
        h->dropped += n;
        return h->dropped > BODY_DROPPED ? 0 : n;
    }
    if (!h->begun && !begin(h))
        return 0;
    h->refused = !h->sink->body(h->sink->ud, p, n, h->err);
    return h->refused ? 0 : n;
}

static int
on_tick(void *ud, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct hop *h = ud;

    if (h->f->o.tick && !h->f->o.tick(h->f->o.ud))
        h->cancelled = true;
    return h->cancelled;
}

/* --- one request --- */

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
    char *line = xasprintf("%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(list, line);

    free(line);
    if (!more)
        mem_fail();
    return more;
}

static struct curl_slist *
headers(const struct hop *h, uint64_t from, const char *etag)
{
    struct curl_slist *list = add_header(NULL, "Accept-Encoding", "identity");
    char *value;

    if (h->at_home && h->f->o.token) {
        value = xasprintf("Bearer %s", h->f->o.token);
        list = add_header(list, "Authorization", value);
        free(value);
    }
    if (from > 0) {
        value = xasprintf("bytes=%llu-", (unsigned long long)from);
        list = add_header(list, "Range", value);
        list = add_header(list, "If-Range", etag);
        free(value);
    }
    return list;
}

static CURLcode
perform(struct hop *h, const char *url, uint64_t from, const char *etag)
{
    CURL *c = h->f->curl;
    struct curl_slist *list = headers(h, from, etag);
    CURLcode code;

    h->f->reason[0] = '\0';
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
    code = curl_easy_perform(c);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    return code;
}

static enum fetch_end
failed(struct err *err, const char *sentence, const char *detail)
{
    err_set(err, ERR_FAILED, "%s: %s", sentence, detail);
    return FETCH_FAILED;
}

static enum fetch_end
broken(struct err *err, const char *sentence, const char *detail)
{
    failed(err, sentence, detail);
    return FETCH_BROKEN;
}

/* What libcurl could not do, in words. */
static enum fetch_end
curl_failed(struct hop *h, CURLcode code, const char *url)
{
    const char *why = h->f->reason[0] ? h->f->reason : curl_easy_strerror(code);
    char where[200];

    short_url(url, where, sizeof where);
    if (h->cancelled) {
        err_set(h->err, ERR_CANCELLED, "%s", _("stopped"));
        return FETCH_FAILED;
    }
    if (h->refused)
        return FETCH_FAILED;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (h->reply->status == 0)
            return broken(h->err, _("the server does not answer"), where);
        err_set(h->err, ERR_FAILED,
                _("the connection stalled: less than %d bytes a second for %u "
                  "seconds; run the same command again, it goes on from here"),
                FETCH_STALL_RATE, h->f->o.stall_seconds);
        return FETCH_FAILED;
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(h->err, ERR_FAILED,
                _("the certificate of %s is not trusted: %s"), where, why);
        return FETCH_FAILED;
    case CURLE_SSL_CACERT_BADFILE:
        return failed(h->err,
                      _("the file of trusted authorities cannot be read"), why);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return failed(h->err,
                      _("the server is not found; is there a network? "
                        "(a mirror can be named in HF_ENDPOINT)"),
                      why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_LOGIN_DENIED:
        return failed(h->err, _("this is no address to download from"), where);
    default: return broken(h->err, _("the connection broke"), why);
    }
}

static enum fetch_end
bad_status(struct hop *h, const char *url)
{
    int status = h->reply->status;
    char where[300];

    short_url(url, where, sizeof where);
    if (status == 401 || status == 403)
        err_set(h->err, ERR_FAILED,
                _("the server refuses (%d): %s; the model may not exist, or "
                  "be for those who accepted its terms: then put your access "
                  "token into HF_TOKEN"),
                status, where);
    else if (status == 404)
        err_set(h->err, ERR_FAILED, _("the server has no such thing (404): %s"),
                where);
    else
        err_set(h->err, ERR_FAILED, _("the server answers %d: %s"), status,
                where);
    return status == 429 || status >= 500 ? FETCH_BROKEN : FETCH_FAILED;
}

/* The next address of a redirect, given; NULL and err. */
static char *
redirect(struct hop *h, int n)
{
    char *to = NULL, where[300];

    curl_easy_getinfo(h->f->curl, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        err_set(h->err, ERR_FAILED, "%s",
                _("the server redirects without saying where to"));
    else if (!is_https(to))
        err_set(h->err, ERR_FAILED,
                _("the server redirects to %s, which is not https"),
                short_url(to, where, sizeof where));
    else if (n >= REDIRECTS_MAX)
        err_set(h->err, ERR_FAILED,
                _("the server redirects more than %d times"), REDIRECTS_MAX);
    else
        return xstrdup(to);
    return NULL;
}

enum fetch_end
fetch_get(struct fetch *f, const char *url, uint64_t from, const char *etag,
          const struct fetch_sink *sink, struct err *err)
{
    struct fetch_reply reply = { .linked_size = FETCH_UNKNOWN };
    struct err unused;
    char *at = xstrdup(url), *next;
    enum fetch_end end = FETCH_FAILED;

    for (int n = 0; at; n++) {
        struct hop h = { .f = f,
                         .sink = sink,
                         .reply = &reply,
                         .at_home = same_origin(at, f->o.home),
                         .err = err ? err : &unused };
        CURLcode code;

        reply_init(&reply);
        code = perform(&h, at, from, etag);
        next = NULL;
        if (code != CURLE_OK && (h.begun || !reply.status ||
                                 is_for_sink(reply.status) || h.cancelled))
            end = curl_failed(&h, code, at);
        else if (reply.status >= 300 && reply.status < 400)
            next = redirect(&h, n);
        else if (!is_for_sink(reply.status))
            end = bad_status(&h, at);
        else if (h.begun || begin(&h))
            end = FETCH_DONE;
        free(at);
        at = next;
    }
    return end;
}

/* --- a session --- */

/* Passwords in an address end up in messages and logs. */
static bool
has_user(const char *url)
{
    CURLU *u = curl_url();
    char *user = NULL;
    bool has = !u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
               curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK;

    curl_free(user);
    curl_url_cleanup(u);
    return has;
}

static void
setup(struct fetch *f)
{
    CURL *c = f->curl;

    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "jielong/" JIELONG_VERSION);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)FETCH_STALL_RATE);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)f->o.stall_seconds);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->reason);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    if (f->o.ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, f->o.ca_file);
}

struct fetch *
fetch_new(const struct fetch_options *o, struct err *err)
{
    static bool global; /* one thread, see fetch.h */
    struct fetch *f;

    if (!is_https(o->home)) {
        err_set(err, ERR_USAGE,
                _("only https addresses are downloaded from, not \"%s\""),
                o->home);
        return NULL;
    }
    if (has_user(o->home)) {
        err_set(err, ERR_USAGE, "%s",
                _("HF_ENDPOINT is no address of a server, or has a name and a "
                  "password in it; access tokens go into HF_TOKEN"));
        return NULL;
    }
    if (!global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        mem_fail();
    global = true;
    f = xcalloc(1, sizeof *f);
    f->o = *o;
    f->curl = curl_easy_init();
    if (!f->curl)
        mem_fail();
    setup(f);
    return f;
}

void
fetch_free(struct fetch *f)
{
    if (!f)
        return;
    curl_easy_cleanup(f->curl);
    free(f);
}

bool
fetch_pause(struct fetch *f, unsigned n, struct err *err)
{
    unsigned left = f->o.pause_ms << (n < 6 ? n - 1 : 5);
    struct timespec ts;

    for (;;) {
        unsigned ms = left < 100 ? left : 100;

        if (f->o.tick && !f->o.tick(f->o.ud))
            return err_set(err, ERR_CANCELLED, "%s", _("stopped"));
        if (ms == 0)
            return true;
        ts = (struct timespec){ .tv_nsec = (long)ms * 1000000 };
        nanosleep(&ts, NULL);
        left -= ms;
    }
}

/* --- a small file --- */

struct memory {
    char *v;
    size_t n, cap, max;
};

static bool
memory_begin(void *ud, const struct fetch_reply *r, struct err *err)
{
    return r->status == 200 ||
           err_set(err, ERR_FAILED, _("the server answers %d: %s"), r->status,
                   _("a part where the whole was asked for"));
}

static bool
memory_body(void *ud, const void *p, size_t n, struct err *err)
{
    struct memory *m = ud;

    if (n > m->max - m->n)
        return err_set(err, ERR_FAILED,
                       _("the server sends more than %zu bytes where a short "
                         "answer was expected"),
                       m->max);
    if (m->n + n + 1 > m->cap)
        m->v = mem_grow(m->v, &m->cap, m->n + n + 1, 1);
    memcpy(m->v + m->n, p, n);
    m->n += n;
    return true;
}

bool
fetch_text(struct fetch *f, const char *url, size_t max, char **text,
           size_t *len, struct err *err)
{
    struct memory m = { .max = max };
    struct fetch_sink sink = { memory_begin, memory_body, &m };
    enum fetch_end end;

    for (unsigned tries = 1;; tries++) {
        m.n = 0;
        end = fetch_get(f, url, 0, NULL, &sink, err);
        if (end != FETCH_BROKEN || tries > TRIES_MAX ||
            !fetch_pause(f, tries, err))
            break;
    }
    if (end != FETCH_DONE) {
        free(m.v);
        return false;
    }
    if (!m.v)
        m.v = xcalloc(1, 1);
    m.v[m.n] = '\0';
    if (err)
        err->kind = ERR_NONE; /* of the tries before */
    *text = m.v;
    *len = m.n;
    return true;
}
