/* engine/load/texts.c  Descriptors by path, and the way through the pipe.
 *
 * A refusal travels as values too: jail_run() knows one kind of error, and
 * the parsers have several. The first value is the kind, 0 for none.
 */
#include "engine/load/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/load/jail.h"

#define ANSWER_MAX ((size_t)512 << 20)
#define KIND       "error.kind"
#define MESSAGE    "error.text"

const struct text_file *
texts_find(const struct texts *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].path, path) == 0)
            return &t->v[i];
    return NULL;
}

void
texts_add(struct texts *t, const char *path)
{
    struct text_file f = { 0 };
    struct stat st;

    if (texts_find(t, path))
        return;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    f.why = errno;
    if (f.fd < 0 && f.why == ENOENT)
        return;
    f.there = (f.fd < 0 ? stat(path, &st) : fstat(f.fd, &st)) == 0;
    f.regular = f.there && S_ISREG(st.st_mode);
    f.path = xstrdup(path);
    if (t->n == t->cap)
        t->v = mem_grow(t->v, &t->cap, t->n + 1, sizeof *t->v);
    t->v[t->n++] = f;
}

void
texts_add_in(struct texts *t, const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);

    texts_add(t, path);
    free(path);
}

void
texts_close(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].path);
        if (t->v[i].fd >= 0)
            close(t->v[i].fd);
    }
    free(t->v);
    memset(t, 0, sizeof *t);
}

bool
texts_read(const struct texts *t, const char *path, size_t max, char **data,
           size_t *len, struct err *err)
{
    const struct text_file *f = texts_find(t, path);

    if (!f || f->fd < 0)
        return err_errno(err, ERR_FAILED, f ? f->why : ENOENT,
                         "%s cannot be opened", path);
    return file_read_fd(f->fd, path, max, data, len, err);
}

/* --- the jail --- */

struct task {
    const struct texts *t;
    texts_parser *parse;
    void *ud;
};

static void
put_kind(struct meta *m, enum err_kind kind)
{
    meta_begin(m, KIND, strlen(KIND), META_INT, 1);
    meta_put_int(m, kind);
}

/* In the child. */
static bool
run(void *ud, struct jail_answer *out, struct err *none)
{
    const struct task *x = ud;
    struct meta m = { 0 };
    struct err err = { 0 };

    put_kind(&m, ERR_NONE);
    if (!x->parse(x->t, x->ud, &m, &err)) {
        m.len = 0;
        put_kind(&m, err.kind ? err.kind : ERR_MODEL);
        meta_begin(&m, MESSAGE, strlen(MESSAGE), META_TEXT, 1);
        meta_put_text(&m, err.msg, strlen(err.msg));
    }
    *out = (struct jail_answer){ m.p, m.len, m.cap };
    return true;
}

/* What the parser refused, or an answer that is none. */
static bool
take_refusal(const struct meta *m, int64_t kind, const char *name,
             struct err *err)
{
    struct meta_list l;
    const char *s;
    size_t len;

    if ((kind != ERR_FAILED && kind != ERR_MODEL && kind != ERR_MEMORY) ||
        !meta_find(m, MESSAGE, META_TEXT, &l) || !meta_next_text(&l, &s, &len))
        return err_set(err, ERR_MODEL,
                       "%s: its reader gave an impossible answer", name);
    return err_set(err, (enum err_kind)kind, "%.*s",
                   len < sizeof err->msg ? (int)len : 0, s);
}

bool
texts_parse(const struct texts *t, texts_parser *parse, void *ud,
            const char *name, struct meta *out, struct err *err)
{
    struct task x = { t, parse, ud };
    int *fds = xcalloc(t->n + 1, sizeof *fds);
    size_t n = 0;
    int64_t kind;
    bool ok;

    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].fd >= 0)
            fds[n++] = t->v[i].fd;
    memset(out, 0, sizeof *out);
    ok = jail_run(run, &x, fds, n, ANSWER_MAX, &out->p, &out->len, err) ||
         err_wrap(err, "%s", name);
    free(fds);
    if (!ok)
        return false;
    kind = meta_int(out, KIND, -1);
    if (kind == ERR_NONE)
        return true;
    take_refusal(out, kind, name, err);
    texts_answer_free(out);
    return false;
}

void
texts_answer_free(struct meta *answer)
{
    mem_big_free(answer->p);
    memset(answer, 0, sizeof *answer);
}
