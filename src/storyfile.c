/* src/storyfile.c  A story and its journal.
 *
 * Opening reads and replays; nothing is written till the first change. Then,
 * in this order: a file that may not be written is copied to the state folder,
 * damaged stretches are laid aside, a new file gets its first line. Every op
 * becomes a line in a watcher of the story, so it is in the file before anyone
 * else hears of it.
 */
#include "src/storyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "src/i18n.h"
#include "src/journal.h"
#include "src/paths.h"
#include "src/recover.h"
#include "src/story_dump.h"
#include "src/story_tree.h"

#include "build_config.h"

#define SNIFF 65536 /* bytes of a file compared with what is laid aside */

struct storyfile {
    struct story *story;
    struct journal *journal;
    struct recovery found;
    char *path;      /* as opened */
    char *elsewhere; /* journal to be made in the state folder, or NULL */
    char *damage_text;
    char *lasting; /* message that stays while all is well else */
    char *message; /* as shown */
    enum storyfile_state base, state;
    bool begun;   /* something was appended */
    bool foreign; /* someone else changed the file */
};

/* --- words --- */

static void
set_lasting(struct storyfile *f, char *given)
{
    free(f->lasting);
    f->lasting = given;
}

/* ", 3 damaged lines" where there are any. */
__attribute__((format(printf, 3, 4))) static void
add_part(struct bytes *b, size_t n, const char *fmt, ...)
{
    char part[160];
    va_list ap;
    if (!n)
        return;
    va_start(ap, fmt);
    vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    if (b->n)
        bytes_add(b, _(", "), strlen(_(", ")));
    bytes_add(b, part, strlen(part));
}

/* A sentence about what recovery found; NULL when all was well. */
static char *
tell_damage(const struct recovery *r)
{
    const struct damage *d = &r->damage;
    struct bytes b = { 0 };
    add_part(&b, d->torn_tail,
             ngettext("%zu byte of an unfinished last line",
                      "%zu bytes of an unfinished last line", d->torn_tail),
             d->torn_tail);
    add_part(&b, d->bad_lines,
             ngettext("%zu damaged line", "%zu damaged lines", d->bad_lines),
             d->bad_lines);
    add_part(&b, d->zero_bytes,
             ngettext("%zu zero byte", "%zu zero bytes", d->zero_bytes),
             d->zero_bytes);
    add_part(&b, d->gaps, ngettext("%zu gap", "%zu gaps", d->gaps), d->gaps);
    add_part(&b, d->orphans,
             ngettext("%zu step without its beginning",
                      "%zu steps without their beginning", d->orphans),
             d->orphans);
    if (!b.n)
        return NULL;
    char *s = r->bad.n
                  ? xasprintf(_("The story file was damaged from byte %zu on "
                                "(%s); all the rest was read, and the damaged "
                                "bytes are kept beside it at the first "
                                "change"),
                              d->first_at, b.s)
                  : xasprintf(_("The story file is not complete (%s); all "
                                "that is there was read"),
                              b.s);
    free(b.s);
    return s;
}

/* State and message from what the journal says; true when one changed. */
static bool
look(struct storyfile *f)
{
    enum storyfile_state old = f->state;
    const char *path = journal_path(f->journal);
    char *text = NULL;
    f->state = f->base;
    switch (journal_event(f->journal)) {
    case JOURNAL_QUIET: break;
    case JOURNAL_DIVERTED:
        f->base = f->state = STORYFILE_ELSEWHERE;
        set_lasting(f, xasprintf(_("%s was changed by another program; the "
                                   "story goes on in %s"),
                                 f->path, path));
        break;
    case JOURNAL_REMADE:
        set_lasting(f,
                    xasprintf(_("%s was removed; it was written anew"), path));
        break;
    case JOURNAL_RENEWED:
        set_lasting(f, xasprintf(_("The disk reported an error; %s was "
                                   "written anew, keep a copy elsewhere"),
                                 path));
        break;
    }
    switch (journal_state(f->journal)) {
    case JOURNAL_FINE: break;
    case JOURNAL_SLOW:
        f->state = STORYFILE_FAILING;
        text = xasprintf(_("not saved: the disk does not answer; the text is "
                           "kept in memory until it does (%s)"),
                         path);
        break;
    case JOURNAL_WAITING:
        f->state = STORYFILE_FAILING;
        text = xasprintf(_("not saved (%s), tried again each second; the text "
                           "is kept in memory: %s"),
                         strerror(journal_error(f->journal)), path);
        break;
    }
    if (!text && f->foreign && f->state == STORYFILE_OK)
        text = xasprintf(_("%s was changed by another program; your next "
                           "change goes to a copy beside it"),
                         path);
    if (!text)
        text = xstrdup(f->lasting ? f->lasting : "");
    bool changed = f->state != old || !f->message || strcmp(text, f->message);
    free(f->message);
    f->message = text;
    return changed;
}

/* --- the first change --- */

static void
add_first_line(struct bytes *out)
{
    unsigned char raw[16] = { 0 };
    char id[33];
    struct timespec now;
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        memcpy(raw, &(pid_t){ getpid() }, sizeof(pid_t));
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(id + 2 * i, 3, "%02x", raw[i]);
    clock_gettime(CLOCK_REALTIME, &now);
    struct story_op op = { .type = OP_HEAD_LINE,
                           .v = STORY_FORMAT,
                           .min = 1,
                           .app = "jielong " JIELONG_VERSION,
                           .id = id,
                           .w = (int64_t)now.tv_sec * 1000 +
                                now.tv_nsec / 1000000 };
    record_write(&op, out);
}

static void
snapshot(void *ud, struct bytes *out)
{
    struct storyfile *f = ud;
    add_first_line(out);
    story_dump(f->story, out);
}

/* Is the file at path these bytes and no more? */
static bool
holds(const char *path, const struct bytes *b)
{
    char *s;
    size_t n;
    if (!file_read(path, b->n + SNIFF, &s, &n, NULL))
        return false;
    bool same = n == b->n && !memcmp(s, b->s, n);
    free(s);
    return same;
}

/* The damaged stretches to NAME.damaged-1, -2 ... unless they are in one of
 * those already. false: errno. */
static bool
lay_aside_at(const char *base, const struct bytes *bad)
{
    for (int i = 1; i < 1000; i++) {
        char *path = xasprintf("%s.damaged-%d", base, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        int e = errno;
        bool there = fd < 0 && e == EEXIST && holds(path, bad);
        if (fd >= 0) {
            there = file_write_all(fd, bad->s, bad->n, &(size_t){ 0 });
            e = errno;
            if (fsync(fd) != 0 || close(fd) != 0 || !there) {
                unlink(path);
                there = false;
            }
        }
        free(path);
        if (there)
            return true;
        if (fd >= 0 || e != EEXIST) {
            errno = e;
            return false;
        }
    }
    return false;
}

static char *
recover_path(const char *path)
{
    char *home = paths_state_home(), *full = realpath(path, NULL), *out;
    const char *name = file_name(path);
    size_t len = strlen(name);
    if (!full) { /* no such file: its folder's name */
        char *dir = file_folder(path);
        char *real = realpath(dir, NULL);
        full = xasprintf("%s/%s", real ? real : dir, name);
        free(real);
        free(dir);
    }
    if (len > 3 && !strcmp(name + len - 3, ".jl"))
        len -= 3;
    out = xasprintf("%s/recover/%.*s-%08x.jl", home, (int)len, name,
                    crc32c(0, full, strlen(full)));
    free(home);
    free(full);
    return out;
}

static bool
make_folder_of(const char *path)
{
    char *dir = file_folder(path);
    struct err err;
    bool ok = file_make_dirs(dir, &err);
    free(dir);
    return ok;
}

/* Moves the journal to the state folder; the story is whole there. */
static bool
move_elsewhere(struct storyfile *f)
{
    char *to = recover_path(f->path);
    bool ok = make_folder_of(to) && journal_move(f->journal, to);
    if (!ok && errno == EEXIST) { /* of an earlier life, and in use: beside */
        char *other = xasprintf("%s.%lld", to, (long long)time(NULL));
        free(to);
        to = other;
        ok = journal_move(f->journal, to);
    }
    if (ok) {
        f->base = STORYFILE_ELSEWHERE;
        set_lasting(f, xasprintf(_("%s cannot be written here; what you write "
                                   "is kept in %s"),
                                 f->path, to));
        free(f->elsewhere);
        f->elsewhere = NULL;
    }
    free(to);
    return ok;
}

/* What comes before the first line of this session. */
static void
begin(struct storyfile *f, struct bytes *out)
{
    f->begun = true;
    if (f->found.bad.n && !lay_aside_at(f->path, &f->found.bad)) {
        char *to = recover_path(f->path);
        if (make_folder_of(to))
            lay_aside_at(to, &f->found.bad);
        free(to);
    }
    free(f->found.bad.s);
    f->found.bad = (struct bytes){ 0 };
    if (!f->found.records)
        add_first_line(out);
}

/* No right to make or grow the file here? */
static bool
no_right(int e)
{
    return e == EACCES || e == EPERM || e == EROFS;
}

static void
on_op(void *ud, const struct story_op *op)
{
    struct storyfile *f = ud;
    struct bytes b = { 0 };
    if (!f->begun)
        begin(f, &b);
    record_write(op, &b);
    if (f->elsewhere)
        move_elsewhere(f);
    journal_append(f->journal, b.s, b.n);
    if (journal_state(f->journal) == JOURNAL_WAITING && !f->elsewhere &&
        f->base == STORYFILE_OK && no_right(journal_error(f->journal)) &&
        move_elsewhere(f))
        journal_flush(f->journal);
    free(b.s);
    look(f);
}

/* --- opening --- */

static void
freeze(struct storyfile *f, char *why)
{
    f->base = STORYFILE_READ_ONLY;
    story_freeze(f->story, why);
    set_lasting(f, why);
}

/* What the way it could be opened means for the writer. */
static void
judge(struct storyfile *f, const struct storyfile_options *opt,
      enum journal_open how)
{
    if (opt->read_only) {
        freeze(f, xasprintf(_("%s is open for reading only"), f->path));
    } else if (f->found.min > STORY_FORMAT) {
        freeze(f, xasprintf(_("%s was written by a newer jielong (format %d); "
                              "this one can show it but not change it: update "
                              "jielong"),
                            f->path, f->found.min));
    } else if (how == JOURNAL_HELD) {
        freeze(f, xasprintf(_("%s is open in another jielong; here it can "
                              "only be read"),
                            f->path));
    } else if (how == JOURNAL_NO_LOCKS) {
        freeze(f, xasprintf(_("%s lies on a file system without locks; here "
                              "it can only be read: copy it to a local disk"),
                            f->path));
    } else if (how == JOURNAL_NO_WRITE) {
        f->base = STORYFILE_ELSEWHERE;
        f->elsewhere = recover_path(f->path);
        set_lasting(f, xasprintf(_("%s cannot be written here; what you write "
                                   "is kept in %s"),
                                 f->path, f->elsewhere));
    }
}

/* May path be written, or made where it is missing? */
static bool
writable(const char *path)
{
    if (access(path, F_OK) == 0)
        return access(path, W_OK) == 0 || !no_right(errno);
    char *dir = file_folder(path);
    bool ok = access(dir, W_OK) == 0 || !no_right(errno);
    free(dir);
    return ok;
}

/* The copy in the state folder of a file that may not be written, when there
 * is one: its path, given, or NULL. */
static char *
rescued(const char *path, const struct storyfile_options *opt)
{
    struct stat st;
    if (opt->read_only || writable(path))
        return NULL;
    char *r = recover_path(path);
    if (stat(r, &st) == 0 && st.st_size > 0)
        return r;
    free(r);
    return NULL;
}

static struct storyfile *
open_at(const char *path, const struct storyfile_options *opt, struct err *err)
{
    struct storyfile *f = xcalloc(1, sizeof *f);
    struct journal_options jopt = { .read_only = opt->read_only,
                                    .snapshot = snapshot,
                                    .ud = f };
    enum journal_open how;
    char *data;
    size_t len;
    f->path = xstrdup(path);
    f->story = story_new();
    f->journal = journal_open(path, &jopt, &how, &data, &len, err);
    if (!f->journal)
        goto fail;
    recover_story(f->story, data ? data : "", len, opt, &f->found);
    free(data);
    if (!f->found.is_story) {
        err_set(err, ERR_STORY,
                _("%s is not a story file; it was left as it "
                  "is"),
                path);
        goto fail;
    }
    if (how == JOURNAL_NEW && !opt->create) {
        err_set(err, ERR_STORY, _("%s does not exist"), path);
        goto fail;
    }
    f->damage_text = tell_damage(&f->found);
    judge(f, opt, how);
    look(f);
    story_on_op(f->story, on_op, f);
    return f;
fail:
    storyfile_close(f);
    if (err && err->kind != ERR_MEMORY)
        err->kind = ERR_STORY;
    return NULL;
}

/* A new file's folder must be there. */
static bool
folder_exists(const char *path, struct err *err)
{
    struct stat st;
    char *dir = file_folder(path);
    bool ok = stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
    if (!ok)
        err_set(err, ERR_STORY, _("there is no folder %s for the story %s"),
                dir, file_name(path));
    free(dir);
    return ok;
}

/* Was the story gone on with in the state folder, while this file could not
 * be written, and not here since? Then say where. */
static void
mention_rescued(struct storyfile *f)
{
    char *copy = recover_path(f->path);
    struct stat here, there;
    if (!f->damage_text && stat(copy, &there) == 0 &&
        (stat(f->path, &here) != 0 || here.st_mtime <= there.st_mtime))
        f->damage_text =
            xasprintf(_("While this file could not be written, the story went "
                        "on in %s: open that to see it"),
                      copy);
    free(copy);
}

struct storyfile *
storyfile_open(const char *path, const struct storyfile_options *opt,
               struct err *err)
{
    struct sigaction old;
    /* A file size limit shall come back from write(2) as an error. */
    if (sigaction(SIGXFSZ, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
    if (!folder_exists(path, err))
        return NULL;
    char *copy = rescued(path, opt);
    struct storyfile *f = open_at(copy ? copy : path, opt, err);
    if (!copy) {
        if (f && !opt->read_only)
            mention_rescued(f);
        return f;
    }
    if (f && f->base == STORYFILE_OK) {
        f->base = STORYFILE_ELSEWHERE;
        set_lasting(f, xasprintf(_("%s cannot be written here; what you write "
                                   "is kept in %s"),
                                 path, copy));
        look(f);
    }
    free(copy);
    return f;
}

void
storyfile_close(struct storyfile *f)
{
    if (!f)
        return;
    if (f->journal && f->base != STORYFILE_READ_ONLY) {
        /* Last chance for what could not be written: another place. */
        if (!journal_flush(f->journal) && move_elsewhere(f))
            journal_flush(f->journal);
    }
    journal_close(f->journal);
    story_free(f->story);
    recovery_finish(&f->found);
    free(f->path);
    free(f->elsewhere);
    free(f->damage_text);
    free(f->lasting);
    free(f->message);
    free(f);
}

/* --- questions and the clock --- */

struct story *
storyfile_story(struct storyfile *f)
{
    return f->story;
}

const char *
storyfile_path(const struct storyfile *f)
{
    return journal_path(f->journal);
}

enum storyfile_state
storyfile_state(const struct storyfile *f)
{
    return f->state;
}

const char *
storyfile_message(const struct storyfile *f)
{
    return f->message;
}

const struct damage *
storyfile_damage(const struct storyfile *f)
{
    return &f->found.damage;
}

const char *
storyfile_damage_text(const struct storyfile *f)
{
    return f->damage_text;
}

void
storyfile_commit(struct storyfile *f)
{
    journal_commit(f->journal);
}

bool
storyfile_tick(struct storyfile *f, int64_t now_ms)
{
    if (f->base == STORYFILE_READ_ONLY)
        return false;
    journal_flush(f->journal);
    f->foreign = journal_foreign(f->journal);
    return look(f);
}

bool
storyfile_dirty(const struct storyfile *f)
{
    return journal_dirty(f->journal);
}

void
storyfile_emergency(struct storyfile *f)
{
    journal_emergency(f->journal);
}

/* Does every line end in CR LF? */
static bool
ends_lines_with_crlf(const char *s, size_t len)
{
    size_t n = 0;
    for (const char *p = s; (p = memchr(p, '\n', len - (size_t)(p - s)));
         p++, n++)
        if (p == s || p[-1] != '\r')
            return false;
    return n > 0;
}

/* A text from Windows without its marks: the one at the front and CR before
 * each LF. Owned; NULL: there are none. */
static char *
without_marks(const char *text, size_t *len)
{
    bool crlf = ends_lines_with_crlf(text, *len);
    bool bom = *len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    if (!crlf && !bom)
        return NULL;
    char *out = xmalloc(*len);
    size_t n = 0;
    for (size_t i = bom ? 3 : 0; i < *len; i++)
        if (!crlf || text[i] != '\r' || i + 1 == *len || text[i + 1] != '\n')
            out[n++] = text[i];
    *len = n;
    return out;
}

bool
storyfile_import(struct storyfile *f, const char *text, size_t len,
                 struct err *err)
{
    struct timespec now;
    char *clean;
    bool ok;
    if (story_head(f->story) != 0 || story_next_n(f->story) != 1)
        return err_set(err, ERR_STORY, _("%s already holds a story"), f->path);
    clock_gettime(CLOCK_REALTIME, &now);
    clean = without_marks(text, &len);
    struct story_op op = { .type = OP_EDIT,
                           .s = clean ? clean : text,
                           .len = len,
                           .who = TEXT_IMPORT,
                           .w = (int64_t)now.tv_sec * 1000 +
                                now.tv_nsec / 1000000 };
    ok = !len || story_apply(f->story, &op, err);
    free(clean);
    if (ok && len)
        storyfile_commit(f);
    return ok;
}
