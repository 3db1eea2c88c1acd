/* engine/model_hash.c  Which model was it? SHA-256 of weights, configuration.
 *
 * weights: the bytes of the weight files one after another, so for a single
 * file the sum is the one that sha256sum and the model's page tell.
 * config: config.json, then generation_config.json, as far as they exist.
 *
 * Half a gigabyte takes a second, so weights are remembered in the cache: a
 * text file with one line a model, "KEY SHA", where KEY is the SHA-256 of
 * device, inode, size and time of every weight file. The newest line is the
 * first; whoever writes replaces the file whole; whoever cannot read or write
 * it computes instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/cache.h"
#include "engine/model_parts.h"

#define PIECE      ((size_t)1 << 20)
#define LINE       (64 + 1 + 64 + 1)
#define LINES_MAX  256
#define CONFIG_MAX ((size_t)16 << 20)

/* --- the cache --- */

bool
model_files_key(const struct weights_source *files, char key[65])
{
    struct sha256 *s = sha256_new();
    char text[160];
    struct stat st;
    size_t i;
    bool ok = true;

    for (i = 0; ok && i < files->n_files; i++) {
        ok = fstat(files->fds[i], &st) == 0;
        snprintf(text, sizeof text, "%ju %ju %jd %jd.%09ld\n",
                 (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
                 (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
                 st.st_mtim.tv_nsec);
        sha256_add(s, text, strlen(text));
    }
    sha256_finish(s, key);
    return ok;
}

static bool
is_line(const char *p)
{
    return strspn(p, "0123456789abcdef") == 64 && p[64] == ' ' &&
           strspn(p + 65, "0123456789abcdef") == 64 && p[129] == '\n';
}

/* The cache's text, of whole good lines only; given, perhaps empty. */
static char *
cache_load(const char *path, size_t *len)
{
    char *text;
    size_t n, at;

    *len = 0;
    if (!file_read(path, LINES_MAX * LINE, &text, &n, NULL))
        return xstrdup("");
    for (at = 0; n - at >= LINE && is_line(text + at); at += LINE)
        ;
    *len = at;
    text[at] = '\0';
    return text;
}

bool
model_hash_known(const char *key, char hex[65])
{
    char *path = cache_place("sha"), *text;
    size_t len, at;
    bool found = false;

    if (!path)
        return false;
    text = cache_load(path, &len);
    for (at = 0; !found && at < len; at += LINE)
        if (memcmp(text + at, key, 64) == 0) {
            memcpy(hex, text + at + 65, 64);
            hex[64] = '\0';
            found = true;
        }
    free(text);
    free(path);
    return found;
}

static void
cache_put(const char *key, const char *hex)
{
    char *path = cache_place("sha"), *text, *dir, *next;
    size_t len;

    if (!path)
        return;
    text = cache_load(path, &len);
    if (len > (LINES_MAX - 1) * LINE)
        len = (LINES_MAX - 1) * LINE;
    next = xasprintf("%s %s\n%.*s", key, hex, (int)len, text);
    dir = file_folder(path);
    if (file_make_dirs(dir, NULL))
        file_replace(path, next, strlen(next), NULL);
    free(dir);
    free(next);
    free(text);
    free(path);
}

/* --- the sums --- */

static bool
add_file(struct sha256 *s, int fd, const char *name, const atomic_bool *stop,
         struct err *err)
{
    unsigned char *buf = xmalloc(PIECE);
    size_t at = 0;
    ssize_t n;

    for (;;) {
        if (stop && atomic_load(stop)) {
            free(buf);
            return err_set(err, ERR_CANCELLED, "stopped");
        }
        n = pread(fd, buf, PIECE, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sha256_add(s, buf, (size_t)n);
        at += (size_t)n;
    }
    free(buf);
    return n == 0 ||
           err_errno(err, ERR_MODEL, errno, "%s cannot be read", name);
}

static bool
hash_weights(const struct model *m, char hex[65], const atomic_bool *stop,
             struct err *err)
{
    char key[65], again[65];
    struct sha256 *s;
    bool ok = true, known = model_files_key(&m->files, key);
    size_t i;

    if (known && model_hash_known(key, hex))
        return true;
    s = sha256_new();
    for (i = 0; ok && i < m->files.n_files; i++)
        ok = add_file(s, m->files.fds[i], m->files.files[i], stop, err);
    sha256_finish(s, hex);
    /* Only what did not change meanwhile is remembered. */
    if (ok && known && model_files_key(&m->files, again) &&
        strcmp(key, again) == 0)
        cache_put(key, hex);
    return ok;
}

static bool
hash_config(const struct model *m, char hex[65], struct err *err)
{
    static const char *const names[] = { "config.json",
                                         "generation_config.json" };
    struct sha256 *s = sha256_new();
    bool ok = true;
    size_t i, len;
    char *text;

    for (i = 0; ok && i < 2; i++) {
        char *path = xasprintf("%s/%s", m->files.dir, names[i]);

        if (access(path, F_OK) == 0) {
            ok = file_read(path, CONFIG_MAX, &text, &len, err);
            if (ok) {
                sha256_add(s, text, len);
                free(text);
            }
        }
        free(path);
    }
    sha256_finish(s, hex);
    return ok;
}

void
model_look_early(struct model *m)
{
    struct model_hashes *h = &m->early;

    snprintf(h->tokenizer, sizeof h->tokenizer, "%s", model_tok_hash(m));
    if (!model_files_key(&m->files, h->weights) ||
        !hash_config(m, h->config, NULL))
        h->weights[0] = '\0';
}

const struct model_hashes *
model_early(const struct model *m)
{
    return &m->early;
}

bool
model_hash(const struct model *m, struct model_hashes *out,
           const atomic_bool *stop, struct err *err)
{
    memset(out, 0, sizeof *out);
    snprintf(out->tokenizer, sizeof out->tokenizer, "%s", model_tok_hash(m));
    return hash_config(m, out->config, err) &&
           hash_weights(m, out->weights, stop, err);
}
