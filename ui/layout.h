/* ui/layout.h  The story's text as screen lines, kept in step with its ops.
 *
 * Watches the story. An op whose place is known (typing, tokens, an edit) is
 * wrapped again just there; a change of versions (undo, another branch) is
 * narrowed to the bytes that differ first. So no key costs more than the
 * lines it touches, however long the story is. The count of words is kept
 * the same way. Main thread only.
 */
#ifndef JIELONG_LAYOUT_H
#define JIELONG_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/story.h"
#include "ui/wrap.h"

struct layout {
    const struct story *story; /* borrowed; NULL before layout_open */
    struct wrap *wrap;         /* owned */
    struct text *shown;        /* the version that wrap holds; a reference */
    uint64_t head;             /* the node it belongs to */
    int measure;               /* columns of the block; 0: not yet wrapped */
    bool busy;                 /* wrap has more to do: layout_work */
    bool fresh;                /* the first laying out is not yet done */
    size_t words;              /* 字 of the version shown */
    /* Positions that move along with edits; TEXT_NONE: unset. */
    size_t top;                /* where the first row on the screen starts */
    size_t found;              /* a match of find */
    uint64_t changes;          /* counts edits, for whoever caches */
};

void layout_init(struct layout *l);
void layout_finish(struct layout *l);
/* Follows this story from now on. Leave it before it is freed. */
void layout_open(struct layout *l, struct story *s);
/* Lets go of the story: its further ops are not looked at. */
void layout_leave(struct layout *l);
/* Wraps for a block of this many columns, a first slice at once. */
void layout_measure(struct layout *l, int measure);
/* Goes on wrapping, about `budget` bytes; true while there is more. */
bool layout_work(struct layout *l, size_t budget);
/* Is byte `at` wrapped, with some lines after it? After an edit it always is,
 * even while lines far below are being looked at again. */
bool layout_covers(const struct layout *l, size_t at);

/* The bytes in which two versions differ: [*at, *at + *del) of a became
 * [*at, *at + *ins) of b, whole characters. */
void layout_diff(const struct text *a, const struct text *b, size_t *at,
                 size_t *del, size_t *ins);

#endif
