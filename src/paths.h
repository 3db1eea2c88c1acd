/* src/paths.h  Where things are. All results are given (free).
 *
 * Installed files (models, themes, messages) are found from the program's own
 * place: the source tree for a program in a build folder, the installation's
 * data folder otherwise; JIELONG_DATA overrides.
 */
#ifndef JIELONG_PATHS_H
#define JIELONG_PATHS_H

#include <stddef.h>

#include "engine/base/err.h"

/* $JIELONG_CONFIG, else $XDG_CONFIG_HOME/jielong/config */
char *paths_config_file(void);
char *paths_data_home(void);    /* $XDG_DATA_HOME/jielong */
char *paths_state_home(void);   /* $XDG_STATE_HOME/jielong */
char *paths_cache_home(void);   /* $XDG_CACHE_HOME/jielong */
char *paths_shared(const char *what); /* "models", "themes", "locale" */
/* The model in the box: the first folder by name in the shipped models that
 * has a config.json. NULL when there is none. */
char *paths_default_model(void);
/* A new story's path: stories/YYYY-MM-DD-N.jl, N the first one free; the
 * folder is made. NULL and err when it cannot be. */
char *paths_new_story(struct err *err);
/* The last story opened, NULL when none is known or it is gone. Remembering
 * one never fails loudly. */
char *paths_last_story(void);
void paths_remember_story(const char *path);
/* Model by name or path: a path that exists; else a folder of that name in
 * the user's models, then among those shipped; else the name unchanged. */
char *paths_find_model(const char *name);

#endif
