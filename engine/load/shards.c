/* engine/load/shards.c  { "metadata": ..., "weight_map": { tensor: file } } */
#include "engine/load/shards.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/load/load.h"

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

bool
shards_read(struct shards *sh, const char *path, struct err *err)
{
    char *text;
    size_t len;
    bool ok;

    if (!file_read(path, INDEX_MAX, &text, &len, err))
        return false;
    ok = parse(sh, text, len, err);
    free(text);
    return ok || err_wrap(err, "%s", path);
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
