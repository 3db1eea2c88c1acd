/* src/fetch_file.c  A file that arrives in pieces, and whole or not at all.
 *
 * NAME.part holds the first bytes of NAME, NAME.part.json which NAME that is
 * (address, ETag, size). A server is believed only about the bytes it sends
 * now: a part goes on with If-Range, and whatever does not fit (another ETag,
 * another range, the whole instead of a part) starts the file again. The
 * running sums always cover exactly the bytes of the part.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"

#include "src/fetch.h"
#include "src/gitblob.h"
#include "src/i18n.h"

#define PIECE        ((size_t)1 << 20)
#define NOTE_MAX     ((size_t)64 << 10)
#define TRIES_MAX    3 /* in a row that brought nothing */
#define RESTARTS_MAX 3 /* a server that never gives the part asked for */
#define GAIN         ((uint64_t)64 << 10) /* less is followed by a pause */

struct part {
    struct fetch_want *want;
    const char *url;
    char *path, *note, *final; /* NAME.part, NAME.part.json, NAME */
    int fd;
    uint64_t at;   /* bytes in the part */
    uint64_t size; /* of the whole; FETCH_UNKNOWN: nobody told yet */
    char etag[200];
    char linked[65]; /* the sum that the answer's head told */
    struct sha256 *sum;
    bool restart; /* what the server sent does not go on from the part */
};

/* --- the note beside the part --- */

static bool
note_write(struct part *p, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s}", "url", p->url, "etag", p->etag);
    char *text;
    bool ok;

    if (o && p->size != FETCH_UNKNOWN)
        json_object_set_new(o, "size", json_integer((json_int_t)p->size));
    text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    if (!text)
        mem_fail();
    ok = file_replace(p->note, text, strlen(text), err);
    free(text);
    json_decref(o);
    return ok;
}

/* Does the note describe this file? Then its ETag is known. */
static bool
note_read(struct part *p)
{
    json_t *o, *size;
    const char *url, *etag;
    char *text;
    size_t len;
    bool ok;

    if (access(p->note, F_OK) != 0 ||
        !file_read(p->note, NOTE_MAX, &text, &len, NULL))
        return false;
    o = json_loadb(text, len, 0, NULL);
    url = json_string_value(json_object_get(o, "url"));
    etag = json_string_value(json_object_get(o, "etag"));
    size = json_object_get(o, "size");
    ok = url && etag && strcmp(url, p->url) == 0 &&
         strlen(etag) < sizeof p->etag;
    if (ok && json_is_integer(size)) {
        uint64_t n = (uint64_t)json_integer_value(size);

        ok = p->size == FETCH_UNKNOWN || p->size == n;
        p->size = n;
    }
    if (ok)
        strcpy(p->etag, etag);
    json_decref(o);
    free(text);
    return ok;
}

/* If-Range needs a strong ETag (RFC 9110 13.1.5). */
static bool
may_resume(const struct part *p)
{
    return p->at > 0 && p->etag[0] == '"';
}

/* --- the part --- */

static void
tell(struct part *p)
{
    if (p->want->progress)
        p->want->progress(p->want->ud, p->at);
}

static bool
part_fault(struct part *p, struct err *err)
{
    return err_errno(err, ERR_FAILED, errno, _("%s cannot be written"),
                     p->path);
}

/* From the first byte again. */
static bool
part_empty(struct part *p, struct err *err)
{
    char unused[65];

    if (p->sum)
        sha256_finish(p->sum, unused);
    p->sum = sha256_new();
    p->at = 0;
    p->etag[0] = '\0';
    p->size = p->want->size;
    tell(p);
    return (ftruncate(p->fd, 0) == 0 && lseek(p->fd, 0, SEEK_SET) == 0) ||
           part_fault(p, err);
}

/* Takes what is there into the sum. */
static bool
part_take(struct part *p, struct err *err)
{
    char *buf = xmalloc(PIECE);
    ssize_t n;

    while ((n = read(p->fd, buf, PIECE)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0) {
            sha256_add(p->sum, buf, (size_t)n);
            p->at += (uint64_t)n;
        }
    free(buf);
    tell(p);
    return n == 0 ||
           err_errno(err, ERR_FAILED, errno, _("%s cannot be read"), p->path);
}

static bool
part_open(struct part *p, struct err *err)
{
    bool known = note_read(p);

    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->fd < 0)
        return part_fault(p, err);
    p->sum = sha256_new();
    if (!known)
        return part_empty(p, err);
    if (!part_take(p, err))
        return false;
    if (!may_resume(p) || (p->size != FETCH_UNKNOWN && p->at > p->size))
        return part_empty(p, err);
    return true;
}

static void
part_close(struct part *p)
{
    char unused[65];

    if (p->fd >= 0)
        close(p->fd);
    if (p->sum)
        sha256_finish(p->sum, unused);
    free(p->path);
    free(p->note);
    free(p->final);
}

/* --- what the server says --- */

static bool
wrong_size(struct part *p, uint64_t said, struct err *err)
{
    return err_set(err, ERR_FAILED,
                   _("%s has %llu bytes by the hub's list and %llu by the "
                     "server that sends it: one of them is wrong"),
                   p->want->name, (unsigned long long)p->size,
                   (unsigned long long)said);
}

static bool
begin_whole(struct part *p, const struct fetch_reply *r, struct err *err)
{
    uint64_t size = r->length;

    if (!part_empty(p, err))
        return false;
    if (p->size == FETCH_UNKNOWN)
        p->size = r->linked_size;
    if (p->size != FETCH_UNKNOWN && size != FETCH_UNKNOWN && size != p->size)
        return wrong_size(p, size, err);
    if (p->size == FETCH_UNKNOWN)
        p->size = size;
    if (p->size == FETCH_UNKNOWN)
        return err_set(err, ERR_FAILED,
                       _("nobody tells how long %s is: it cannot be "
                         "downloaded safely"),
                       p->want->name);
    strcpy(p->etag, r->etag);
    return note_write(p, err);
}

/* A 206 must be the part that was asked for, of the file that was begun. */
static bool
goes_on(const struct part *p, const struct fetch_reply *r)
{
    return may_resume(p) && r->first == p->at && r->last != FETCH_UNKNOWN &&
           r->last >= r->first && r->total != FETCH_UNKNOWN &&
           r->last == r->total - 1 &&
           (p->size == FETCH_UNKNOWN || r->total == p->size) &&
           (r->length == FETCH_UNKNOWN || r->length == r->total - r->first) &&
           (!r->etag[0] || strcmp(r->etag, p->etag) == 0);
}

static bool
on_begin(void *ud, const struct fetch_reply *r, struct err *err)
{
    struct part *p = ud;

    strcpy(p->linked, r->linked);
    if (r->status == 200)
        return begin_whole(p, r, err);
    if (r->status == 206 && goes_on(p, r))
        return true;
    p->restart = true;
    return err_set(err, ERR_FAILED,
                   _("the server does not send the part of %s that is "
                     "missing"),
                   p->want->name);
}

static bool
on_body(void *ud, const void *data, size_t n, struct err *err)
{
    struct part *p = ud;
    size_t done = 0;
    bool ok;

    if (n > p->size - p->at)
        return err_set(err, ERR_FAILED,
                       _("the server sends more than the %llu bytes that %s "
                         "has"),
                       (unsigned long long)p->size, p->want->name);
    ok = file_write_all(p->fd, data, n, &done);
    sha256_add(p->sum, data, done);
    p->at += done;
    tell(p);
    return ok || part_fault(p, err);
}

/* --- the whole --- */

/* Leaves nothing that a later try could go on from. */
static void
throw_away(struct part *p)
{
    unlink(p->path);
    unlink(p->note);
}

static bool
wrong_sum(struct part *p, const char *kind, const char *have, const char *want,
          struct err *err)
{
    throw_away(p);
    return err_set(err, ERR_FAILED,
                   _("%s did not arrive as the hub has it (%s %.16s… instead "
                     "of %.16s…); the bytes were thrown away: run the command "
                     "again, and if it happens again, do not trust the "
                     "server"),
                   p->want->name, kind, have, want);
}

/* Both sums of a file of this size; false when it cannot be read whole. */
static bool
sum_file(int fd, uint64_t size, char sha256[65], char git[41])
{
    struct sha256 *s = sha256_new();
    struct gitblob *g = gitblob_new(size);
    char *buf = xmalloc(PIECE);
    uint64_t at = 0;
    ssize_t n;

    while ((n = pread(fd, buf, PIECE, (off_t)at)) > 0 ||
           (n < 0 && errno == EINTR))
        if (n > 0) {
            sha256_add(s, buf, (size_t)n);
            gitblob_add(g, buf, (size_t)n);
            at += (uint64_t)n;
        }
    sha256_finish(s, sha256);
    gitblob_finish(g, git);
    free(buf);
    return n == 0 && at == size;
}

/* Compares the whole part with the id git would give it. */
static bool
check_git(struct part *p, struct err *err)
{
    char sha256[65], have[41];

    return (sum_file(p->fd, p->at, sha256, have) &&
            strcmp(have, p->want->git) == 0) ||
           wrong_sum(p, "SHA-1", have, p->want->git, err);
}

static bool
sync_folder(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int e = errno;

    if (fd >= 0)
        close(fd);
    return ok || err_errno(err, ERR_FAILED, e, _("%s cannot be written"), dir);
}

static bool
finish(struct part *p, char sha256[65], struct err *err)
{
    const char *want = p->want->sha256[0] ? p->want->sha256 : p->linked;

    sha256_finish(p->sum, sha256);
    p->sum = NULL;
    if (want[0] && strcmp(sha256, want) != 0)
        return wrong_sum(p, "SHA-256", sha256, want, err);
    if (p->linked[0] && strcmp(sha256, p->linked) != 0)
        return wrong_sum(p, "SHA-256", sha256, p->linked, err);
    if (p->want->git[0] && !check_git(p, err))
        return false;
    if (fsync(p->fd) != 0 || rename(p->path, p->final) != 0)
        return part_fault(p, err);
    unlink(p->note);
    return sync_folder(p->want->dir, err);
}

/* A connection that ended early though the server said nothing of a length. */
static enum fetch_end
judge(const struct part *p, enum fetch_end end, struct err *err)
{
    if (end != FETCH_DONE || p->at == p->size)
        return end;
    err_set(err, ERR_FAILED, _("the server ended %s after %llu of %llu bytes"),
            p->want->name, (unsigned long long)p->at,
            (unsigned long long)p->size);
    return FETCH_BROKEN;
}

/* Till all bytes are there. */
static bool
download(struct fetch *f, struct part *p, struct err *err)
{
    struct fetch_sink sink = { on_begin, on_body, p };
    unsigned tries = 0, restarts = 0;

    while (!(may_resume(p) && p->at == p->size)) {
        uint64_t before = p->at;
        enum fetch_end end;

        p->restart = false;
        end = fetch_get(f, p->url, may_resume(p) ? p->at : 0, p->etag, &sink,
                        err);
        end = judge(p, end, err);
        if (end == FETCH_DONE)
            break;
        if (p->restart && restarts++ < RESTARTS_MAX) {
            if (!part_empty(p, err))
                return false;
            continue;
        }
        if (end != FETCH_BROKEN)
            return false;
        tries = p->at > before ? 1 : tries + 1;
        if (tries > TRIES_MAX)
            return err_wrap(err, "%s",
                            _("given up after several tries; run the same "
                              "command again, it goes on from here"));
        if ((p->at < before || p->at - before < GAIN) &&
            !fetch_pause(f, tries, err))
            return false;
    }
    return true;
}

bool
fetch_file(struct fetch *f, const char *url, struct fetch_want *want,
           char sha256[65], struct err *err)
{
    struct part p = {
        .want = want,
        .url = url,
        .size = want->size,
        .fd = -1,
        .path = xasprintf("%s/%s.part", want->dir, want->name),
        .note = xasprintf("%s/%s.part.json", want->dir, want->name),
        .final = xasprintf("%s/%s", want->dir, want->name),
    };
    bool ok =
        part_open(&p, err) && download(f, &p, err) && finish(&p, sha256, err);

    part_close(&p);
    if (ok && err)
        err->kind = ERR_NONE; /* of the tries before */
    return ok;
}

bool
fetch_file_there(const struct fetch_want *want, char sha256[65])
{
    char *path = xasprintf("%s/%s", want->dir, want->name), git[41];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    bool ok;

    free(path);
    if (fd < 0)
        return false;
    ok = (want->sha256[0] || want->git[0]) && fstat(fd, &st) == 0 &&
         S_ISREG(st.st_mode) &&
         (want->size == FETCH_UNKNOWN || (uint64_t)st.st_size == want->size) &&
         sum_file(fd, (uint64_t)st.st_size, sha256, git) &&
         (!want->sha256[0] || strcmp(sha256, want->sha256) == 0) &&
         (!want->git[0] || strcmp(git, want->git) == 0);
    close(fd);
    return ok;
}
