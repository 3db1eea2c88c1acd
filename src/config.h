/* src/config.h  $XDG_CONFIG_HOME/jielong/config, read with inih.
 *
 *     model = /path/or/name        [knobs]
 *     type = auto|f32|bf16|int8|int4
 *     fast = yes|no                temp = 0.9
 *     theme = ink                  top-k = 40
 *     ambiwidth = auto|1|2         ...
 *     lang = zh|en
 *     color = auto|16|256|true|off
 *     cache = auto|off|8G
 *
 * An unknown key or a bad value warns with its line and is skipped.
 */
#ifndef JIELONG_CONFIG_H
#define JIELONG_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "engine/knobs.h"

struct config {
    char *model, *type, *theme, *lang, *color; /* owned; NULL when not set */
    int ambiwidth;                      /* 0 auto, 1, 2 */
    bool fast;                          /* the fast arithmetic */
    int64_t cache_limit; /* bytes for converted weights (engine/cache.h) */
    struct knobs knobs;
    bool knob_set[KNOB_COUNT];
    char **warnings;                    /* translated lines, NULL ends; never
                                         * NULL itself after config_init */
    size_t n_warnings;
};
void config_init(struct config *c);
void config_finish(struct config *c);
/* A missing file is no warning. */
void config_read_file(struct config *c, const char *path);
void config_read_stream(struct config *c, FILE *in, const char *name);
/* "auto", "1", "2" to 0, 1, 2; false for anything else. */
bool config_parse_ambiwidth(const char *value, int *out);

#endif
