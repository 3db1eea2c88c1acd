/* src/pins.h  What was downloaded, pinned: NAME.sha256 beside the model's
 * folder, in the form that `sha256sum -c` checks, with comments that say where
 * it came from. A sum that the hub did not tell is pinned when first seen; a
 * later change is an alarm. Main thread. */
#ifndef JIELONG_PINS_H
#define JIELONG_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct pin {
    char *name; /* of the file, without its folder */
    char sha256[65];
};

struct pins {
    char *repo, *revision, *licence; /* owned; "" when not known */
    struct pin *v;
    size_t n;
};

/* models: the folder of models. false: there is none, or (err set) it cannot
 * be read. Ends in pins_finish() in any case. */
bool pins_read(struct pins *p, const char *models, const char *name,
               struct err *err);
bool pins_write(const struct pins *p, const char *models, const char *name,
                struct err *err);
void pins_init(struct pins *p, const char *repo, const char *revision,
               const char *licence);
void pins_add(struct pins *p, const char *file, const char *sha256);
const char *pins_find(const struct pins *p, const char *file); /* or NULL */
void pins_finish(struct pins *p);
/* The pins' own path; given (free). */
char *pins_path(const char *models, const char *name);

#endif
