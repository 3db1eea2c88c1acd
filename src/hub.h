/* src/hub.h  What a model hub has: the models we know by name, and the list
 * of files of any model (the API of Hugging Face, which mirrors speak too).
 * No network here: texts in, rows out. Main thread. */
#ifndef JIELONG_HUB_H
#define JIELONG_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#define HUB_ENDPOINT "https://huggingface.co"
#define HUB_NAME_MAX 96 /* bytes of an owner, a model, a file */

struct hub_known {
    const char *repo;    /* owner/name; the name alone finds it too */
    const char *licence; /* as its authors say; NULL: they do not */
    unsigned mb;         /* about: what would be downloaded */
    const char *about;   /* N_() */
};
extern const struct hub_known hub_known[];
extern const size_t hub_n_known;

/* A row by its name or owner/name, or NULL. */
const struct hub_known *hub_find(const char *name);
/* Is it OWNER/NAME as the hub writes them? */
bool hub_is_repo(const char *s);
/* A name of letters, digits, '.', '_', '-' that does not begin with '.' or
 * '-', of at most HUB_NAME_MAX bytes: it can be a file anywhere. */
bool hub_is_plain(const char *s);

struct hub_file {
    char name[HUB_NAME_MAX + 1];
    uint64_t size;   /* FETCH_UNKNOWN when the list does not say */
    char sha256[65]; /* "": the list does not say */
    char git[41];    /* git's id of the content, "" likewise */
};

struct hub_model {
    char revision[65];      /* the commit; "main" when the list does not say */
    char licence[64];       /* "" when the list does not say */
    struct hub_file *files; /* those that jielong needs, chosen; owned */
    size_t n;
};

/* Reads the answer to /api/models/OWNER/NAME?blobs=true and chooses: the
 * configuration, the tokenizer, the card, and the weights in the first form
 * there is of safetensors, its shards, torch's .bin, its shards, one GGUF.
 * Ends in hub_model_finish(), after failure too. */
bool hub_read_list(struct hub_model *m, const char *text, size_t len,
                   struct err *err);
void hub_model_finish(struct hub_model *m);

#endif
