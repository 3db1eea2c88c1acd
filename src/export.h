/* src/export.h  The current branch as plain text or Markdown. */
#ifndef JIELONG_EXPORT_H
#define JIELONG_EXPORT_H

#include "src/story.h"

enum export_format { EXPORT_TXT, EXPORT_MD };

/* The whole text in new memory, given (free). Markdown: title as heading,
 * blank line between paragraphs, special characters escaped. */
char *export_story(const struct story *s, enum export_format f, size_t *len);

#endif
