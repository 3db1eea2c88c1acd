/* src/models.h  The models that are here: the writer's own and those in the
 * box. Only heads of files are read; no weights, no network. Main thread. */
#ifndef JIELONG_MODELS_H
#define JIELONG_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/model.h"

struct model_row {
    char *name, *path; /* owned; the name is what -m takes */
    bool in_box;       /* shipped with the program */
    bool is_default;   /* what opens without -m */
    bool ok;           /* peek is filled; else err says what is wrong */
    struct model_peek peek;
    struct err err;
    char licence[64]; /* "" when nobody says */
};

struct model_rows {
    struct model_row *v;
    size_t n;
};

/* By name, the writer's own first. chosen: the model that the configuration
 * or -m names, or NULL. One of the writer's own hides one of the same name in
 * the box, as -m does; a chosen one that lies elsewhere is the last row. Ends
 * in models_free(). */
void models_list(struct model_rows *r, const char *chosen);
void models_free(struct model_rows *r);
/* "124 M" parameters, into buf, which is returned. */
const char *models_params_text(size_t n, char *buf, size_t cap);

/* Columns of a text on a terminal. */
int models_text_cols(const char *s);

#endif
