/* engine/load/shards.c  { "metadata": ..., "weight_map": { tensor: file } }
 *
 * Parsed in a jail (texts.h). What comes back is three lists: the names of
 * the files, the names of the tensors, and the file of each. */
#include "engine/load/shards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/load/load.h"
#include "engine/load/texts.h"

#define INDEX_MAX ((size_t)100 << 20)
#define FILES_MAX 512 /* open at the same time */

static bool
is_plain(const char *name, size_t len)
{
    return len > 0 && len < 256 && strlen(name) == len && name[0] != '.' &&
           !strpbrk(name, "/\\");
}

static bool
file_number(struct shards *sh, const struct json *j, uint32_t *out,
            struct err *err)
{
    size_t len, i;
    char *name = json_dup(j, &len);

    if (!is_plain(name, len)) {
        err_set(err, ERR_MODEL,
                "the file name \"%.80s\" leads out of the "
                "folder or is none",
                name);
        free(name);
        return false;
    }
    for (i = sh->n_files; i-- > 0;)
        if (strcmp(sh->files[i], name) == 0) {
            free(name);
            *out = (uint32_t)i;
            return true;
        }
    if (sh->n_files == FILES_MAX) {
        free(name);
        return err_set(err, ERR_MODEL, "more than %d files", FILES_MAX);
    }
    sh->files =
        mem_grow(sh->files, &sh->files_cap, sh->n_files + 1, sizeof *sh->files);
    sh->files[sh->n_files] = name;
    *out = (uint32_t)sh->n_files++;
    return true;
}

static bool
read_map(struct shards *sh, struct json *j, struct err *err)
{
    struct shard_row row = { 0 };
    size_t len;

    if (json_next(j) != JSON_OBJECT)
        return j->type != JSON_ERROR &&
               err_set(err, ERR_MODEL, "weight_map is not an object");
    while (json_next(j) == JSON_KEY) {
        if (sh->n == LOAD_TENSOR_MAX || j->raw_len > 6 * LOAD_NAME_MAX)
            return err_set(err, ERR_MODEL,
                           "too many tensors or too long a name");
        sh->v = mem_grow(sh->v, &sh->cap, sh->n + 1, sizeof *sh->v);
        row.name = json_dup(j, &len);
        sh->v[sh->n++] = row; /* owned from here on */
        if (json_next(j) != JSON_STRING)
            return j->type != JSON_ERROR &&
                   err_set(err, ERR_MODEL, "tensor %.200s has no file name",
                           row.name);
        if (!file_number(sh, j, &sh->v[sh->n - 1].file, err))
            return false;
    }
    return j->type != JSON_ERROR;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct shard_row *)a)->name,
                  ((const struct shard_row *)b)->name);
}

static bool
parse(struct shards *sh, const char *text, size_t len, struct err *err)
{
    bool found = false;
    struct json j;
    size_t i;

    json_init(&j, text, len, 16, err);
    if (json_next(&j) != JSON_OBJECT)
        return j.type != JSON_ERROR &&
               err_set(err, ERR_MODEL, "the file is not a JSON object");
    while (json_next(&j) == JSON_KEY) {
        if (!json_is(&j, "weight_map")) {
            if (!json_skip(&j))
                return false;
            continue;
        }
        if (found)
            return err_set(err, ERR_MODEL, "weight_map stands twice");
        found = true;
        if (!read_map(sh, &j, err))
            return false;
    }
    if (j.type == JSON_ERROR || json_next(&j) != JSON_END)
        return false;
    if (sh->n == 0)
        return err_set(err, ERR_MODEL, "there is no weight_map");
    qsort(sh->v, sh->n, sizeof *sh->v, by_name);
    for (i = 1; i < sh->n; i++)
        if (by_name(&sh->v[i - 1], &sh->v[i]) == 0)
            return err_set(err, ERR_MODEL, "tensor %s stands twice",
                           sh->v[i].name);
    return true;
}

#define FILES   "files"
#define TENSORS "tensors"
#define WHERE   "where"

/* In the child. */
static bool
put_shards(const struct texts *t, void *ud, struct meta *m, struct err *err)
{
    const char *path = t->v[0].path;
    struct shards sh = { 0 };
    char *text;
    size_t len, i;

    if (!texts_read(t, path, INDEX_MAX, &text, &len, err))
        return false;
    if (!parse(&sh, text, len, err))
        return err_wrap(err, "%s", path);
    meta_begin(m, FILES, strlen(FILES), META_TEXT, sh.n_files);
    for (i = 0; i < sh.n_files; i++)
        meta_put_text(m, sh.files[i], strlen(sh.files[i]));
    meta_begin(m, TENSORS, strlen(TENSORS), META_TEXT, sh.n);
    for (i = 0; i < sh.n; i++)
        meta_put_text(m, sh.v[i].name, strlen(sh.v[i].name));
    meta_begin(m, WHERE, strlen(WHERE), META_INT, sh.n);
    for (i = 0; i < sh.n; i++)
        meta_put_int(m, sh.v[i].file);
    return true;
}

/* The next text of a list without a NUL in it; given, or NULL. */
static char *
next_name(struct meta_list *l, size_t max)
{
    const char *s;
    size_t len;

    if (!meta_next_text(l, &s, &len) || len > max || memchr(s, '\0', len))
        return NULL;
    return xstrndup(s, len);
}

static bool
take_files(struct shards *sh, const struct meta *m)
{
    struct meta_list l;
    char *name;

    if (!meta_find(m, FILES, META_TEXT, &l) || l.n > FILES_MAX)
        return false;
    sh->files = xcalloc((size_t)l.n + 1, sizeof *sh->files);
    while (l.n > 0) {
        name = next_name(&l, LOAD_NAME_MAX);
        if (!name)
            return false;
        sh->files[sh->n_files++] = name;
        if (!is_plain(name, strlen(name)))
            return false;
    }
    return true;
}

static bool
take_tensors(struct shards *sh, const struct meta *m)
{
    struct meta_list names, where;
    int64_t file;
    char *name;

    if (!meta_find(m, TENSORS, META_TEXT, &names) ||
        !meta_find(m, WHERE, META_INT, &where) || names.n != where.n ||
        names.n == 0 || names.n > LOAD_TENSOR_MAX)
        return false;
    sh->v = xcalloc((size_t)names.n, sizeof *sh->v);
    while (meta_next_int(&where, &file)) {
        name = next_name(&names, 6 * LOAD_NAME_MAX);
        if (!name)
            return false;
        sh->v[sh->n++].name = name;
        if (file < 0 || (uint64_t)file >= sh->n_files ||
            (sh->n > 1 && by_name(&sh->v[sh->n - 2], &sh->v[sh->n - 1]) >= 0))
            return false;
        sh->v[sh->n - 1].file = (uint32_t)file;
    }
    return names.n == 0;
}

bool
shards_read(struct shards *sh, const char *path, struct err *err)
{
    struct texts t = { 0 };
    struct meta m = { 0 };
    bool ok;

    texts_add(&t, path);
    ok = t.n == 1
             ? texts_parse(&t, put_shards, NULL, path, &m, err)
             : err_errno(err, ERR_FAILED, ENOENT, "%s cannot be opened", path);
    if (ok && (!take_files(sh, &m) || !take_tensors(sh, &m)))
        ok = err_set(err, ERR_MODEL, "%s: its reader gave an impossible answer",
                     path);
    if (m.p)
        texts_answer_free(&m);
    texts_close(&t);
    return ok;
}

void
shards_free(struct shards *sh)
{
    size_t i;

    for (i = 0; i < sh->n; i++)
        free(sh->v[i].name);
    for (i = 0; i < sh->n_files; i++)
        free(sh->files[i]);
    free(sh->v);
    free(sh->files);
    memset(sh, 0, sizeof *sh);
}

bool
shards_take(struct shards *sh, const char *name, uint32_t file)
{
    size_t lo = 0, hi = sh->n, mid;
    int c;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        c = strcmp(name, sh->v[mid].name);
        if (c == 0 && sh->v[mid].file == file)
            return sh->v[mid].taken = true;
        if (c == 0)
            return false;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

const char *
shards_missing(const struct shards *sh)
{
    size_t i;

    for (i = 0; i < sh->n; i++)
        if (!sh->v[i].taken)
            return sh->v[i].name;
    return NULL;
}
