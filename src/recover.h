/* src/recover.h  From the bytes of NAME.jl to a story, whatever happened to
 * them. Reads only. Main thread.
 */
#ifndef JIELONG_RECOVER_H
#define JIELONG_RECOVER_H

#include "src/record.h"
#include "src/storyfile.h"

#define STORY_FORMAT 1 /* "v" of what we write, and the newest we can */

struct recovery {
    struct damage damage;
    struct bytes bad;   /* the damaged stretches, a line break after each */
    size_t records;     /* that were whole */
    int min;            /* oldest format version that may write this */
    bool is_story;      /* false: nothing in it looks like one */
};

/* Applies every whole record of data to s, an empty story. */
void recover_story(struct story *s, const char *data, size_t len,
                   const struct storyfile_options *opt, struct recovery *r);
void recovery_finish(struct recovery *r);

#endif
