/* tests/tiny_models.h  Temporary model folders made of edited tiny models.
 * For tests only; every function fails the running test on trouble. */
#ifndef JIELONG_TINY_MODELS_H
#define JIELONG_TINY_MODELS_H

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

/* tests/data/models/NAME; turns through a few buffers. */
static inline const char *
tiny(const char *name)
{
    static char path[4][1024];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof *path, "%s/models/%s",
             getenv("JIELONG_TEST_DATA"), name);
    return path[turn];
}

static inline void
must_read(const char *path, char **data, size_t *len)
{
    struct err err = { 0 };

    if (!file_read(path, (size_t)64 << 20, data, len, &err))
        fail_msg("%s", err.msg);
}

static inline void
must_write(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || !file_write_all(fd, data, len, NULL))
        fail_msg("%s cannot be written", path);
    close(fd);
}

/* A folder of its own for one test, removed by scratch_remove(). */
static inline char *
scratch_make(void)
{
    char *dir = xstrdup("/tmp/jielong-model-XXXXXX");

    if (!mkdtemp(dir))
        fail_msg("no temporary folder");
    return dir;
}

static inline void
scratch_remove(char *dir)
{
    char *cmd = xasprintf("chmod -R u+w '%s'; rm -rf '%s'", dir, dir);

    if (system(cmd) != 0)
        fail_msg("%s", cmd);
    free(cmd);
    free(dir);
}

static inline void
scratch_put(const char *dir, const char *name, const void *data, size_t len)
{
    char *path = xasprintf("%s/%s", dir, name);

    must_write(path, data, len);
    free(path);
}

/* dir/name leads to tests/data/models/what. */
static inline void
scratch_link(const char *dir, const char *name, const char *what)
{
    char *path = xasprintf("%s/%s", dir, name);

    unlink(path);
    if (symlink(tiny(what), path) != 0)
        fail_msg("%s cannot be linked", path);
    free(path);
}

/* A safetensors file of this header and these data. */
static inline void
scratch_safetensors(const char *dir, const char *header, size_t header_len,
                    const void *data, size_t len)
{
    char *all = xmalloc(8 + header_len + len);
    uint64_t n = header_len;

    memcpy(all, &n, 8);
    memcpy(all + 8, header, header_len);
    memcpy(all + 8 + header_len, data, len);
    scratch_put(dir, "model.safetensors", all, 8 + header_len + len);
    free(all);
}

/* text with the first `from` replaced by `to`; given; NULL: not there. */
static inline char *
replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);

    return at ? xasprintf("%.*s%s%s", (int)(at - text), text, to,
                          at + strlen(from))
              : NULL;
}

#endif
