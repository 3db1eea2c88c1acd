/* ui/wrap.h  A text to screen lines: CJK rules, widths, kinsoku.
 *
 * UAX #14 classes from libunistring, tailored: opening quotes never end a
 * line, closing ones and , 。 etc. never start one, …… and —— stay together,
 * one of ，。、；：？！ that overflows hangs in the two-column gutter at the
 * right, trailing spaces hang, latin words stay whole unless longer than the
 * line (doc/screen.md). After an edit, wrapping starts at the edited line and stops
 * where the breaks coincide again, so a story of 10^6 characters, with or
 * without line breaks, stays fast. Main thread.
 */
#ifndef JIELONG_WRAP_H
#define JIELONG_WRAP_H

#include <stdbool.h>
#include <stddef.h>

#include "src/text.h"

struct wrap;

struct wrap_line {
    size_t at, len;   /* bytes [at, at+len) of the text; a '\n' that ends it is
                       * not counted */
    bool hard;        /* ended by '\n' or the end of the text */
};

/* measure: columns of the text block (at least 8 are used); the hanging gutter
 * is 2 more. Blanks at a line's end hang too and need not be shown. */
struct wrap *wrap_new(int measure);
void wrap_free(struct wrap *w);
/* Lays out t (borrowed till the next wrap_set or wrap_edit), some milliseconds
 * of it; wrap_work goes on with about `budget` bytes. Both return true when
 * all is laid out; call wrap_work while there is nothing better to do
 * (progress: wrap_done of text_len). */
bool wrap_set(struct wrap *w, const struct text *t, int measure);
bool wrap_work(struct wrap *w, size_t budget);
/* Up to this byte the lines are as they will stay. */
size_t wrap_done(const struct wrap *w);
/* The text became t by removing del bytes at `at` and inserting ins there.
 * What was laid out is again laid out: at once around the change; very far
 * below it lines may break elsewhere until wrap_work has been there. */
void wrap_edit(struct wrap *w, const struct text *t, size_t at, size_t del,
               size_t ins);
size_t wrap_lines(const struct wrap *w);
bool wrap_get(const struct wrap *w, size_t line, struct wrap_line *out);
/* The screen line that shows byte `at`. At a soft break the position belongs
 * to the start of the next line. */
size_t wrap_line_of(const struct wrap *w, size_t at);
/* Columns from the line's start to byte `at` in it, measure + 2 at most; and
 * the byte at (or nearest left of) a column, never the start of the line that
 * follows a soft break. */
int wrap_col_of(const struct wrap *w, size_t line, size_t at);
size_t wrap_at_col(const struct wrap *w, size_t line, int col);

#endif
