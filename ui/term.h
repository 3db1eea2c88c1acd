/* ui/term.h  The terminal. The only file that sees curses.
 *
 * Frames: cells of a grid that changed go to ncurses, which writes into a
 * memory file; the result goes out as ONE write(2) inside synchronized-update
 * marks, ending with the cursor visible at the caret (doc/screen.md). Raw mode,
 * window size and all modes are our own and are undone on every way out; the
 * emergency path is async-signal-safe. Main thread.
 */
#ifndef JIELONG_TERM_H
#define JIELONG_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "ui/grid.h"
#include "ui/keys.h"

struct term;

struct term_options {
    const struct theme *theme;  /* borrowed */
    enum color_depth depth;     /* wanted; term may have less */
    int ambiwidth;              /* 0 auto (probe with CPR), 1, 2 */
};

/* Opens the controlling terminal on stdin/stdout. ERR_MODEL (exit 3, set-up)
 * when it is not a terminal or TERM is unknown. */
struct term *term_open(const struct term_options *opt, struct err *err);
void term_close(struct term *t); /* restores everything */
/* Async-signal-safe: restores the terminal with write(2) and tcsetattr. */
void term_emergency(void);

int term_fd(const struct term *t);
/* What it shows of the depth that was wanted. */
enum color_depth term_depth(const struct term *t);
void term_size(const struct term *t, int *cols, int *rows);
/* Looks at the window size again (SIGWINCH); true when it changed. */
bool term_resized(struct term *t);
/* Parses what has been read; false when no whole key is there. Text and
 * pastes come as KEY_TEXT and KEY_PASTE with their bytes (borrowed till the
 * next call). Reads stdin without waiting. *dead: the terminal is gone. */
bool term_key(struct term *t, struct key *k, bool *dead);
/* Milliseconds till a lone ESC becomes a key; -1 when none is pending. */
int term_key_timeout(const struct term *t);
/* Paints g with the cursor at (x, y). false: the terminal is gone. */
bool term_draw(struct term *t, const struct grid *g, int x, int y);
void term_redraw(struct term *t); /* Ctrl-L: everything again, probe again */
void term_suspend(struct term *t); /* restores and stops (SIGTSTP), resumes */
/* The look of styles changed. */
void term_set_theme(struct term *t, const struct theme *theme);

#endif
