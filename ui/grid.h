/* ui/grid.h  Cells in memory: what a frame looks like.
 *
 * Views draw here; only term.c turns cells into curses calls, so every screen
 * can be tested without a terminal. Invariants kept by every function: a row
 * never holds half a wide glyph, a wide glyph never stands in the last
 * column, no cell holds a control or format character. Main thread.
 */
#ifndef JIELONG_GRID_H
#define JIELONG_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ui/theme.h"

#define CELL_MARKS 4 /* combining marks painted on a base at most */

struct cell {
    uint32_t cp;              /* base; ' ' when empty; 0: right half */
    uint32_t mark[CELL_MARKS];/* 0 ends */
    uint8_t width;            /* 1 or 2; 0: right half of the cell before */
    uint8_t style;            /* enum style */
};

struct grid {
    int cols, rows;
    struct cell *cell; /* [rows][cols], and one beyond for who misses */
};

void grid_init(struct grid *g, int cols, int rows);
void grid_resize(struct grid *g, int cols, int rows); /* contents are lost */
void grid_finish(struct grid *g);
void grid_clear(struct grid *g, enum style style);
/* Never NULL: outside the grid it is a cell that is not shown. */
struct cell *grid_at(struct grid *g, int x, int y);
void grid_fill(struct grid *g, int x, int y, int cols, enum style style);
/* Draws UTF-8 from x on, clipped at column `end` (exclusive, <= cols); what
 * would be cut in half is left out and blanked. Unsafe characters (uni_is_safe)
 * are drawn as <202E>, ill-formed bytes as <E4>, in STYLE_ODD. Returns the
 * column after the last cell drawn. */
int grid_text(struct grid *g, int x, int y, int end, const char *s, size_t len,
              enum style style);
/* Columns grid_text would need. */
int grid_text_cols(const char *s, size_t len);
/* The grapheme cluster at s (len >= 1): its bytes; *cols gets the columns in
 * which it is drawn (>= 1). Whoever measures text measures with this. A tab is
 * four blanks; variation selectors and what a ZWJ joins are not drawn; other
 * hidden characters in a cluster show as <200C>, several as <E0067+4>. */
size_t grid_cluster(const char *s, size_t len, int *cols);
/* A bar of `cols` cells filled to fraction 0..1 (background-coloured blanks). */
void grid_bar(struct grid *g, int x, int y, int cols, double fraction,
              enum style full, enum style rest);
/* For tests: row y as UTF-8 without trailing blanks; given (free). */
char *grid_row_text(const struct grid *g, int y);

#endif
