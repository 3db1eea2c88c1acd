/* engine/load/load.c  What did the person give us, and where are the weights?
 *
 * Two tables decide. `formats` recognises a file by its first and last bytes
 * (never by its name) and says who reads it, or why nobody does. `names` is
 * the order in which a folder is searched. A new format is a row in the
 * first, perhaps one in the second, and a file beside this one.
 */
#include "engine/load/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/foreign.h"
#include "engine/load/gguf.h"
#include "engine/load/names.h"
#include "engine/load/shards.h"
#include "engine/load/tf.h"

#define HEAD_MAX 512
#define TAIL_MAX 8

struct probe { /* what can be seen of a file from outside */
    unsigned char head[HEAD_MAX], tail[TAIL_MAX];
    size_t n_head, n_tail;
    uint64_t size;
};

/* --- the formats --- */

static bool
starts(const struct probe *p, const char *magic, size_t n)
{
    return p->n_head >= n && memcmp(p->head, magic, n) == 0;
}

static bool
is_empty(const struct probe *p)
{
    return p->size == 0;
}

static bool
is_lfs(const struct probe *p)
{
    return starts(p, "version https://git-lfs", 23);
}

/* White space aside, "<!doctype", "<html" or "<?xml" in any case. */
static bool
is_html(const struct probe *p)
{
    static const char *tags[] = { "<!doctype", "<html", "<head", "<?xml" };
    size_t at = 0, i, n;

    if (starts(p, "\xEF\xBB\xBF", 3))
        at = 3;
    while (at < p->n_head && strchr(" \t\r\n", p->head[at]) && p->head[at])
        at++;
    for (i = 0; i < sizeof tags / sizeof *tags; i++) {
        n = strlen(tags[i]);
        if (p->n_head - at >= n &&
            strncasecmp((const char *)p->head + at, tags[i], n) == 0)
            return true;
    }
    return false;
}

static bool
is_gguf(const struct probe *p)
{
    return starts(p, "GGUF", 4);
}

static bool
is_old_ggml(const struct probe *p)
{
    return starts(p, "lmgg", 4) || starts(p, "fmgg", 4) || starts(p, "tjgg", 4);
}

static bool
is_zip(const struct probe *p)
{
    return starts(p, "PK\3\4", 4);
}

static bool
is_legacy_torch(const struct probe *p)
{
    return starts(p,
                  "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50"
                  "\x19\x2e",
                  15);
}

static bool
is_hdf5(const struct probe *p)
{
    return starts(p, "\x89HDF\r\n\x1a\n", 8);
}

static bool
is_tf_index(const struct probe *p)
{
    return p->n_tail == 8 &&
           memcmp(p->tail, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8) == 0;
}

static bool
is_safetensors(const struct probe *p)
{
    struct rd r;
    uint64_t n;

    rd_init(&r, p->head, p->n_head);
    n = rd_u64(&r);
    return rd_u8(&r) == '{' && rd_ok(&r) && n <= 100000000 && n <= p->size - 8;
}

typedef bool reader(int fd, uint32_t file, const char *name,
                    struct tensor_table *t, struct err *err);

static const struct format {
    bool (*match)(const struct probe *p);
    reader *read;            /* reads it here, */
    foreign_reader *foreign; /* or in a jail; both NULL: refused, */
    const char *refusal;     /* in these words */
} formats[] = {
    { is_empty, NULL, NULL, "the file is empty, fetch it again" },
    { is_gguf, NULL, gguf_read, NULL },
    { is_zip, NULL, torch_read, NULL },
    { is_legacy_torch, NULL, torch_read, NULL },
    { is_safetensors, safetensors_read, NULL, NULL },
    { is_tf_index, NULL, tf_read, NULL },
    { is_hdf5, NULL, NULL,
      "this is the Keras copy of the model (HDF5), use "
      "model.safetensors" },
    { is_old_ggml, NULL, NULL,
      "this is a ggml file from before GGUF, use a folder "
      "with model.safetensors" },
    { is_lfs, NULL, NULL,
      "this is a git-lfs pointer, the weights themselves were "
      "not downloaded: run \"git lfs pull\" or fetch the file "
      "again" },
    { is_html, NULL, NULL,
      "a web page was saved in place of the model, fetch the "
      "file again" },
};

static void
probe_file(int fd, uint64_t size, struct probe *p)
{
    ssize_t n;

    memset(p, 0, sizeof *p);
    p->size = size;
    n = pread(fd, p->head, sizeof p->head, 0);
    p->n_head = n > 0 ? (size_t)n : 0;
    if (size < TAIL_MAX)
        return;
    n = pread(fd, p->tail, TAIL_MAX, (off_t)(size - TAIL_MAX));
    p->n_tail = n > 0 ? (size_t)n : 0;
}

static bool
has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

/* Opens a file and adds it to the source. */
static bool
open_file(struct weights_source *s, const char *path, int *fd, uint64_t *size,
          struct err *err)
{
    struct stat st;

    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &st) != 0) {
        err_errno(err, ERR_MODEL, errno, "%s cannot be opened", path);
        if (*fd >= 0)
            close(*fd);
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        return err_set(err, ERR_MODEL, "%s is not a regular file", path);
    }
    s->files = xreallocarray(s->files, s->n_files + 1, sizeof *s->files);
    s->fds = xreallocarray(s->fds, s->n_files + 1, sizeof *s->fds);
    s->files[s->n_files] = xstrdup(path);
    s->fds[s->n_files++] = *fd;
    *size = (uint64_t)st.st_size;
    return true;
}

/* What a file seems to be that begins and ends like nothing known: its reader
 * will say what is wrong with it. */
static const struct format *
format_by_name(const char *path, bool checkpoint)
{
    static const struct format by_name[] = {
        { NULL, safetensors_read, NULL, NULL },
        { NULL, NULL, tf_read, NULL },
    };

    return checkpoint                         ? &by_name[1]
           : has_suffix(path, ".safetensors") ? &by_name[0]
                                              : NULL;
}

/* Opens one file and adds its tensors to t. Only of a checkpoint is the index
 * one of TensorFlow's: the caller opens the data files that it speaks of. */
static bool
read_file(struct weights_source *s, const char *path, bool checkpoint,
          struct tensor_table *t, struct err *err)
{
    const struct format *f = formats, *end = f + sizeof formats / sizeof *f;
    uint32_t file = (uint32_t)s->n_files;
    struct probe p;
    uint64_t size;
    int fd;

    if (!open_file(s, path, &fd, &size, err))
        return false;
    probe_file(fd, size, &p);
    while (f < end && !f->match(&p))
        f++;
    if (f == end)
        f = format_by_name(path, checkpoint);
    if (!f)
        return err_set(err, ERR_MODEL,
                       "%s is no model file that is known here, "
                       "give a folder with config.json and model.safetensors",
                       path);
    if (f->foreign == tf_read && !checkpoint)
        return err_set(err, ERR_MODEL,
                       "%s ends as the index of a TensorFlow checkpoint does: "
                       "such a file is called NAME.index and lies beside its "
                       "NAME.data-00000-of-00001 (a checkpoint of one single "
                       "file is of the oldest kind, V1, and must be saved "
                       "again)",
                       path);
    if (f->foreign)
        return foreign_read(f->foreign, fd, file, path, t, &s->meta, err);
    if (!f->read)
        return err_set(err, ERR_MODEL, "%s: %s", path, f->refusal);
    return f->read(fd, file, path, t, err);
}

static bool
read_one(struct weights_source *s, const char *path, struct tensor_table *t,
         struct err *err)
{
    return read_file(s, path, false, t, err);
}

/* --- TensorFlow --- */

/* The data files of an index: PREFIX.data-00000-of-00002 and so on. */
static bool
open_data_files(struct weights_source *s, const char *index, size_t first,
                struct err *err)
{
    int64_t n = meta_int(&s->meta, "tf.files", 0), k;
    size_t stem = strlen(index) - strlen(".index"), i;
    uint64_t size;
    bool ok = true;
    int fd;

    for (k = 0; ok && k < n; k++) {
        char *path = xasprintf("%.*s.data-%05d-of-%05d", (int)stem, index,
                               (int)k, (int)n);

        if (access(path, F_OK) != 0)
            ok = err_set(err, ERR_MODEL,
                         "%s is missing: the weights of a "
                         "TensorFlow checkpoint are in it, fetch it too",
                         path);
        ok = ok && open_file(s, path, &fd, &size, err);
        for (i = 0; ok && i < s->table.n; i++)
            if (s->table.v[i].file == first + (size_t)k &&
                !tensor_inside(&s->table.v[i], size))
                ok = err_set(err, ERR_MODEL,
                             "%s: %s reaches beyond the end "
                             "of the file (%" PRIu64 " bytes): it was cut "
                             "off, fetch it again",
                             path, tensor_name(&s->table, i), size);
        free(path);
    }
    return ok;
}

static bool
read_tf(struct weights_source *s, const char *index, struct err *err)
{
    size_t first = s->n_files + 1;

    return read_file(s, index, true, &s->table, err) &&
           open_data_files(s, index, first, err);
}

/* --- shards --- */

/* Keeps, of one shard's tensors, those that the index puts there. */
static bool
keep_listed(struct weights_source *s, struct shards *sh, uint32_t shard,
            const struct tensor_table *t, struct err *err)
{
    size_t i;

    for (i = 0; i < t->n; i++) {
        const char *name = tensor_name(t, i);

        if (!shards_take(sh, name, shard)) {
            s->n_unlisted++;
            continue;
        }
        if (!tensor_table_add(&s->table, name, strlen(name), &t->v[i], err))
            return false;
    }
    return true;
}

static bool
read_index(struct weights_source *s, const char *path, struct err *err)
{
    struct tensor_table t;
    struct shards sh = { 0 };
    const char *lost;
    bool ok = shards_read(&sh, path, err);
    uint32_t i;

    for (i = 0; ok && i < sh.n_files; i++) {
        char *shard = xasprintf("%s/%s", s->dir, sh.files[i]);

        tensor_table_init(&t);
        if (access(shard, F_OK) != 0)
            ok = err_errno(err, ERR_MODEL, errno,
                           "%s names %s, which cannot "
                           "be opened",
                           path, sh.files[i]);
        ok = ok && read_one(s, shard, &t, err) &&
             keep_listed(s, &sh, i, &t, err);
        tensor_table_free(&t);
        free(shard);
    }
    if (ok && (lost = shards_missing(&sh)))
        ok = err_set(err, ERR_MODEL,
                     "%s: tensor %s is not in the file where "
                     "it should be",
                     path, lost);
    shards_free(&sh);
    return ok;
}

/* --- folders --- */

enum row_kind { WEIGHTS, INDEX, TENSORFLOW, CHECKPOINT, OTHER_MODEL };

static const struct row {
    const char *name; /* a name, or a suffix where it begins with '*' */
    enum row_kind kind;
} names[] = {
    { "model.safetensors", WEIGHTS },
    { "model.safetensors.index.json", INDEX },
    { "pytorch_model.bin", WEIGHTS },
    { "pytorch_model.bin.index.json", INDEX },
    { "*.safetensors", WEIGHTS },
    { "*.bin", WEIGHTS },
    { "*.pt", WEIGHTS },
    { "*.pth", WEIGHTS },
    { "*.ckpt", WEIGHTS },
    { "*.gguf", WEIGHTS },
    { "checkpoint", CHECKPOINT },
    { "*.index", TENSORFLOW },
    { "*.h5", OTHER_MODEL },
    { "*.msgpack", OTHER_MODEL },
    { "*.ot", OTHER_MODEL },
    { "*.onnx", OTHER_MODEL },
};

/* What a training run leaves beside the weights. */
static const char *const not_weights[] = {
    "training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt",
    "scheduler.bin",     "scaler.pt",    "rng_state.pth",
};

static bool
is_leftover(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof not_weights / sizeof *not_weights; i++)
        if (strcmp(name, not_weights[i]) == 0)
            return true;
    return name[0] == '.';
}

struct listing {
    char **v;
    size_t n, cap;
};

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
list_folder(const char *dir, struct listing *l, struct err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    if (!d)
        return err_errno(err, ERR_MODEL, errno, "%s cannot be opened", dir);
    while ((e = readdir(d))) {
        if (is_leftover(e->d_name))
            continue;
        l->v = mem_grow(l->v, &l->cap, l->n + 1, sizeof *l->v);
        l->v[l->n++] = xstrdup(e->d_name);
    }
    closedir(d);
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_text);
    return true;
}

static void
free_listing(struct listing *l)
{
    size_t i;

    for (i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
}

static bool
row_matches(const struct row *r, const char *name)
{
    return r->name[0] == '*' ? has_suffix(name, r->name + 1)
                             : strcmp(name, r->name) == 0;
}

/* "model-00001-of-00003.safetensors" and the like. */
static bool
is_shard_name(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of - name >= 6 && of[-1] >= '0' && of[-1] <= '9' &&
           of[-6] == '-' && of[4] >= '0' && of[4] <= '9';
}

/* One of several parts, which cannot be opened by itself. */
static bool
refuse_part(const char *dir, const char *name, struct err *err)
{
    if (has_suffix(name, ".gguf"))
        return err_set(err, ERR_MODEL,
                       "%s/%s is one of several parts of a GGUF model: join "
                       "them first (gguf-split --merge FIRST-PART WHOLE.gguf)",
                       dir, name);
    return err_set(err, ERR_MODEL,
                   "%s: %s is one of several parts, but "
                   "the index that lists them (%s.index.json) is missing",
                   dir, name,
                   has_suffix(name, ".safetensors") ? "model.safetensors"
                                                    : "pytorch_model.bin");
}

static bool
several(const char *dir, const char *const *hits, size_t n, struct err *err)
{
    if (is_shard_name(hits[0]))
        return refuse_part(dir, hits[0], err);
    return err_set(err, ERR_MODEL,
                   "%s holds several models (%s, %s%s), name "
                   "one of the files",
                   dir, hits[0], hits[1], n > 2 ? ", ..." : "");
}

static bool open_path(struct weights_source *s, const char *path, int depth,
                      struct err *err);

/* TensorFlow's note of its latest checkpoint, model_checkpoint_path: "NAME",
 * often with a folder of the author's machine: only the last part counts. */
static bool
open_checkpoint(struct weights_source *s, const char *dir, const char *note,
                struct err *err)
{
    static const char key[] = "model_checkpoint_path: \"";
    char *text = NULL, *name, *end, *path;
    size_t len;
    bool ok;

    if (!file_read(note, 1 << 16, &text, &len, err))
        return false;
    name = strstr(text, key);
    end = name ? strchr(name += sizeof key - 1, '"') : NULL;
    if (!end) {
        free(text);
        return err_set(err, ERR_MODEL,
                       "%s does not name a checkpoint "
                       "(model_checkpoint_path)",
                       note);
    }
    *end = '\0';
    path = xasprintf("%s/%s.index", dir, file_name(name));
    ok = access(path, F_OK) == 0
             ? read_tf(s, path, err)
             : err_set(err, ERR_MODEL, "%s names %s, but %s is missing", note,
                       file_name(name), path);
    free(path);
    free(text);
    return ok;
}

static bool
open_row(struct weights_source *s, const char *dir, const struct row *r,
         const char *name, struct err *err)
{
    char *path = xasprintf("%s/%s", dir, name);
    bool ok;

    if (r->kind == OTHER_MODEL)
        ok = err_set(err, ERR_MODEL,
                     "%s is not supported, put "
                     "model.safetensors into this folder",
                     path);
    else if (r->kind == INDEX)
        ok = read_index(s, path, err);
    else if (r->kind == CHECKPOINT)
        ok = open_checkpoint(s, dir, path, err);
    else if (r->kind == TENSORFLOW)
        ok = read_tf(s, path, err);
    else
        ok = read_one(s, path, &s->table, err);
    free(path);
    return ok;
}

/* Nothing to open in it: is it a checkpoint without its index? */
static bool
refuse_folder(const char *dir, const struct listing *l, struct err *err)
{
    size_t i;

    for (i = 0; i < l->n; i++) {
        const char *data = strstr(l->v[i], ".data-");

        if (data && is_shard_name(data + 1))
            return err_set(err, ERR_MODEL,
                           "%s/%.*s.index is missing: it says what lies where "
                           "in %s, fetch it too",
                           dir, (int)(data - l->v[i]), l->v[i], l->v[i]);
    }
    return err_set(err, ERR_MODEL,
                   "%s holds no model: no "
                   "model.safetensors was found",
                   dir);
}

/* Archives often hold one folder: look into it, once. What macOS packs beside
 * it is no model. */
static bool
open_only_subfolder(struct weights_source *s, const char *dir,
                    const struct listing *l, struct err *err)
{
    char *path, *only = NULL;
    size_t i, n = 0;
    struct stat st;
    bool ok;

    for (i = 0; i < l->n; i++) {
        path = xasprintf("%s/%s", dir, l->v[i]);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
            strcmp(l->v[i], "__MACOSX") != 0 && n++ == 0)
            only = path;
        else
            free(path);
    }
    if (n != 1) {
        free(only);
        return refuse_folder(dir, l, err);
    }
    ok = open_path(s, only, 1, err);
    free(only);
    return ok;
}

struct unknown { /* the first file that looks like nothing known */
    const struct row *row;
    const char *name;
};

/* Does it begin or end as anything known? Training programs leave their
 * corpus as train.bin beside the model. */
static bool
looks_known(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    struct probe p;
    bool known = fd < 0; /* whoever opens it will say why */

    free(path);
    if (fd < 0)
        return known;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        probe_file(fd, (uint64_t)st.st_size, &p);
        for (size_t i = 0; !known && i < sizeof formats / sizeof *formats; i++)
            known = formats[i].match(&p);
    }
    close(fd);
    return known;
}

/* Up to three of the folder's files that fit the row, and how many do. Under
 * no fixed name, one that looks like nothing known does not count. */
static size_t
find_hits(const struct row *r, const char *dir, const struct listing *l,
          const char *hits[3], struct unknown *u)
{
    bool any_name = r->name[0] == '*' && r->kind == WEIGHTS;
    size_t i, n = 0;

    for (i = 0; i < l->n; i++) {
        if (!row_matches(r, l->v[i]))
            continue;
        if (any_name && !is_shard_name(l->v[i]) && !looks_known(dir, l->v[i])) {
            if (!u->name)
                *u = (struct unknown){ r, l->v[i] };
            continue;
        }
        if (n++ < 3)
            hits[n - 1] = l->v[i];
    }
    return n;
}

static bool
search_folder(struct weights_source *s, const char *dir,
              const struct listing *l, int depth, struct err *err)
{
    struct unknown u = { 0 };
    const char *hits[3];
    size_t r, n;

    for (r = 0; r < sizeof names / sizeof *names; r++) {
        n = find_hits(&names[r], dir, l, hits, &u);
        if (n > 1 || (n == 1 && is_shard_name(hits[0])))
            return several(dir, hits, n, err);
        if (n == 1)
            return open_row(s, dir, &names[r], hits[0], err);
    }
    if (u.name) /* its reader says what is wrong with it */
        return open_row(s, dir, u.row, u.name, err);
    if (depth > 0)
        return refuse_folder(dir, l, err);
    return open_only_subfolder(s, dir, l, err);
}

static void
set_dir(struct weights_source *s, const char *path, bool is_dir)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    free(s->dir);
    s->dir = is_dir ? xstrndup(path, n) : file_folder(path);
}

static bool
open_folder(struct weights_source *s, const char *path, int depth,
            struct err *err)
{
    struct listing l = { 0 };
    bool ok;

    set_dir(s, path, true);
    ok = list_folder(s->dir, &l, err) &&
         search_folder(s, s->dir, &l, depth, err);
    free_listing(&l);
    return ok;
}

/* A TensorFlow checkpoint is named by what its files have in common. */
static bool
is_tf_prefix(const char *path)
{
    char *index = xasprintf("%s.index", path);
    bool yes = access(index, F_OK) == 0;

    free(index);
    return yes;
}

static bool
open_tf_prefix(struct weights_source *s, const char *path, size_t len,
               struct err *err)
{
    char *index = xasprintf("%.*s.index", (int)len, path);
    bool ok;

    set_dir(s, index, false);
    ok = read_tf(s, index, err);
    free(index);
    return ok;
}

/* The length of the prefix when this names one file of a checkpoint. */
static size_t
tf_prefix(const char *path)
{
    const char *data = strstr(path, ".data-");

    if (has_suffix(path, ".index") || has_suffix(path, ".meta"))
        return strrchr(path, '.') - path;
    return data && is_shard_name(data + 1) ? (size_t)(data - path) : 0;
}

static bool
open_path(struct weights_source *s, const char *path, int depth,
          struct err *err)
{
    const char *base;
    struct stat st;

    if (stat(path, &st) != 0) {
        if (errno == ENOENT && is_tf_prefix(path))
            return open_tf_prefix(s, path, strlen(path), err);
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(err, ERR_MODEL,
                           "there is no model at %s: no such "
                           "file or folder",
                           path);
        return err_errno(err, ERR_MODEL, errno, "%s cannot be opened", path);
    }
    if (S_ISDIR(st.st_mode))
        return open_folder(s, path, depth, err);
    set_dir(s, path, false);
    base = file_name(path);
    if (tf_prefix(path))
        return open_tf_prefix(s, path, tf_prefix(path), err);
    if (has_suffix(base, ".index.json"))
        return read_index(s, path, err);
    if (strcmp(base, "checkpoint") == 0)
        return open_checkpoint(s, s->dir, path, err);
    if (is_shard_name(base) && has_suffix(base, ".gguf"))
        return refuse_part(s->dir, base, err);
    if (is_shard_name(base))
        return err_set(err, ERR_MODEL,
                       "%s is one of several parts, name the "
                       "folder instead",
                       path);
    return read_one(s, path, &s->table, err);
}

static bool
refuse_adapter(const struct weights_source *s, struct err *err)
{
    if (s->n_files == 0 ||
        strncmp(file_name(s->files[0]), "adapter_model", 13) != 0)
        return true;
    return err_set(err, ERR_MODEL,
                   "%s is an adapter without its base model, "
                   "merge the two and use the result",
                   s->files[0]);
}

bool
weights_open(struct weights_source *s, const char *path, struct err *err)
{
    bool ok;

    memset(s, 0, sizeof *s);
    tensor_table_init(&s->table);
    ok = open_path(s, path, 0, err) && refuse_adapter(s, err) &&
         names_translate(&s->table, err);
    for (size_t i = 0; ok && i < s->table.n; i++)
        ok = s->table.v[i].file < s->n_files ||
             err_set(err, ERR_MODEL, "%s: tensor %s lies in no file", path,
                     tensor_name(&s->table, i));
    if (!ok && err && err->kind != ERR_MEMORY)
        err->kind = ERR_MODEL;
    return ok;
}

void
weights_close(struct weights_source *s)
{
    size_t i;

    for (i = 0; i < s->n_files; i++) {
        close(s->fds[i]);
        free(s->files[i]);
    }
    free(s->fds);
    free(s->files);
    free(s->dir);
    tensor_table_free(&s->table);
    meta_free(&s->meta);
    memset(s, 0, sizeof *s);
}
