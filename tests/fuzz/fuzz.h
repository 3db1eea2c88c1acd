/* tests/fuzz/fuzz.h  What the fuzz targets share.
 *
 * A target gives the bytes to a parser as the program would, but in this
 * process, without the jail: a memory fault is then the sanitizer's to tell.
 * Parsers of binary files get a descriptor, those of vocabularies a folder.
 * Input of several files is cut at the first bytes of value 0.
 */
#ifndef JIELONG_FUZZ_H
#define JIELONG_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/load/load.h"
#include "engine/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A descriptor that holds the bytes; always the same one. */
static inline int
fuzz_fd(const uint8_t *data, size_t size)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("fuzz", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 ||
        pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return fd;
}

/* A folder in memory of this process's own. */
static inline const char *
fuzz_folder(void)
{
    static char dir[64];

    if (!*dir) {
        strcpy(dir, "/dev/shm/jielong-fuzz-XXXXXX");
        if (!mkdtemp(dir)) {
            strcpy(dir, "/tmp/jielong-fuzz-XXXXXX");
            if (!mkdtemp(dir))
                abort();
        }
    }
    return dir;
}

/* dir/name with these bytes. */
static inline void
fuzz_file(const char *name, const void *data, size_t size)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

/* The bytes up to the next 0, which is stepped over. */
static inline const uint8_t *
fuzz_part(const uint8_t **data, size_t *size, size_t *len)
{
    const uint8_t *p = *data, *end = *size ? memchr(p, 0, *size) : NULL;

    *len = end ? (size_t)(end - p) : *size;
    *data = end ? end + 1 : p + *size;
    *size = end ? *size - *len - 1 : 0;
    return p;
}

/* What was read must be whole: every entry can be walked. */
static inline void
fuzz_walk(const struct tensor_table *t)
{
    size_t sum = 0;
    char shape[128];

    for (size_t i = 0; i < t->n; i++) {
        sum += strlen(tensor_name(t, i)) + tensor_count(&t->v[i]);
        tensor_shape(&t->v[i], shape, sizeof shape);
    }
    if (sum == (size_t)-3)
        abort();
}

#endif
