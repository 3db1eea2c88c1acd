/* engine/cache.h  Converted weights kept on the disk, so that the second start
 * of a large model need not convert them again. A door of the engine.
 *
 * One file for each model and type (engine/load/cache_file.h) in
 * $XDG_CACHE_HOME/jielong/weights, else ~/.cache/jielong/weights. Whatever is
 * wrong with the folder or a file in it only means that the weights are
 * converted as if there were none. Any thread; any number of programs.
 */
#ifndef JIELONG_CACHE_H
#define JIELONG_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

/* $XDG_CACHE_HOME/jielong/WHAT; given. NULL: nobody says where. */
char *cache_place(const char *what);
/* The folder of the weights; given, or NULL. */
char *cache_folder(void);

/* How many bytes all files together may take. */
#define CACHE_OFF     (-1) /* none is read, none is written */
#define CACHE_DEFAULT 0    /* CACHE_LIMIT */
#define CACHE_LIMIT   ((int64_t)8000000000)
/* "auto", "off", or a size: "500M", "8G", "1T" (powers of 1000). */
bool cache_parse_limit(const char *text, int64_t *limit);

struct cache_row {
    char *path;     /* owned */
    char name[128]; /* of the model; "" where the file does not tell */
    char type[8];
    uint64_t bytes; /* on the disk */
    int64_t used;   /* last, in seconds since 1970 */
};
struct cache_rows {
    struct cache_row *v; /* the last used first */
    size_t n, cap;
    uint64_t bytes; /* of all */
};
/* An absent folder is an empty list. Ends in cache_rows_free(). */
void cache_list(struct cache_rows *r, const char *folder);
void cache_rows_free(struct cache_rows *r);
/* Removes the files of the model of this name, or all of them (name NULL);
 * *n and *bytes tell how many and how much. false and err: one cannot be
 * removed. A program that uses one keeps it till it ends. */
bool cache_clear(const char *folder, const char *name, size_t *n,
                 uint64_t *bytes, struct err *err);

/* --- for the engine --- */

/* What is worth the room on the disk: int4 from 4 MB, int8 from 16 MB, the
 * others from 256 MB on. A processor converts some 2 GB of f32 or bf16, 300
 * million weights of int8, 100 million of int4 a second, so that what is
 * smaller loads within a tenth of a second anyway. bytes: of the block. */
bool cache_is_worth(const char *type, uint64_t bytes);

struct cache_head;
/* Keeps a block under h->key. Older files make room when all would be more
 * than `limit` (bytes, > 0); the disk keeps a twentieth of it and 2 GB free.
 * Not on a thread that a writer waits for. *stop: NULL, or ends it early.
 * false: not kept. */
bool cache_keep(const char *folder, int64_t limit, const struct cache_head *h,
                const void *block, const atomic_bool *stop);
/* Where the file of this key is or would be; given. */
char *cache_path(const char *folder, const char *key);

#endif
