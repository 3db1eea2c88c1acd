/* ui/view.h  A view draws a part of the screen into cells.
 *
 * One row per view in views[] (ui.c). Views read the story and the turn; they
 * change them only through commands. Main thread.
 */
#ifndef JIELONG_VIEW_H
#define JIELONG_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/grid.h"
#include "ui/keys.h"

struct ui;

struct view_ops {
    const char *name;
    /* Rows it wants as a drawer below the page, at most 10; 0: none. */
    int (*rows)(const struct ui *ui);
    /* Draws into rows [y, y+rows) of g. May set the caret (*cx, *cy) when it
     * has the focus; leaves them alone otherwise. */
    void (*draw)(struct ui *ui, struct grid *g, int y, int rows, int *cx,
                 int *cy);
    /* A key while it has the focus; true: taken. One that hands the focus back
     * to the page and says false gives it this key. */
    bool (*key)(struct ui *ui, const struct key *k);
    /* Hints for the last row while it has the focus (translated). */
    const char *(*hints)(const struct ui *ui);
};

extern const struct view_ops view_story, view_knobs, view_help,
    view_models, view_candidates;

#endif
