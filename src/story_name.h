/* src/story_name.h  Which story a name means, for the command line and the
 * page alike. Main thread.
 */
#ifndef JIELONG_STORY_NAME_H
#define JIELONG_STORY_NAME_H

#include <stdbool.h>

#include "engine/base/err.h"

struct story_name {
    char *story; /* path to open or create */
    char *text;  /* plain text that becomes the new story, or NULL */
    char *note;  /* one sentence about it, or NULL */
};

/* NAME.jl is a story, there or new. A plain text NAME.txt or NAME.md means
 * NAME.jl beside it, made of the text if need be; the text is not touched. A
 * story may bear any other name; a new name gets .jl. Refused (ERR_STORY): a
 * folder, a text that is not there, a file that is neither. ERR_USAGE: no
 * name at all. */
bool story_name_find(const char *file, struct story_name *out,
                     struct err *err);
void story_name_finish(struct story_name *n);

#endif
