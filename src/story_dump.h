/* src/story_dump.h  A story written out again from memory, for when its file
 * can no longer be read back. Nodes keep their numbers and all their text;
 * how a step was typed and when a knob was turned is lost. Main thread.
 */
#ifndef JIELONG_STORY_DUMP_H
#define JIELONG_STORY_DUMP_H

#include "src/record.h"

/* Appends all records but the first line to out. The story gets a new head
 * record, so its next number moves on by one. */
void story_dump(struct story *s, struct bytes *out);

#endif
