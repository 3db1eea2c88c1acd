/* ui/wrap.h  A text to screen lines: CJK rules, widths, kinsoku.
 *
 * UAX #14 classes from libunistring, tailored: opening quotes never end a
 * line, closing ones and , 。 etc. never start one, …… and —— stay together,
 * one of ，。、；：？！ that overflows hangs in the two-column gutter at the
 * right, trailing spaces hang, latin words stay whole unless longer than the
 * line (UX 4.4). After an edit, wrapping starts at the edited line and stops
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

/* measure: columns of the text block; the hanging gutter is 2 more. */
struct wrap *wrap_new(int measure);
void wrap_free(struct wrap *w);
/* Lays out all of t (borrowed till the next call). Returns false when there
 * is more to do: at most about `budget` bytes are wrapped per call; call
 * again (progress: wrap_done of text_len). */
bool wrap_set(struct wrap *w, const struct text *t, int measure);
bool wrap_work(struct wrap *w, size_t budget);
size_t wrap_done(const struct wrap *w);
/* The text became t by removing del bytes at `at` and inserting ins there. */
void wrap_edit(struct wrap *w, const struct text *t, size_t at, size_t del,
               size_t ins);
size_t wrap_lines(const struct wrap *w);
bool wrap_get(const struct wrap *w, size_t line, struct wrap_line *out);
/* The screen line that shows byte `at`. At a soft break the position belongs
 * to the start of the next line. */
size_t wrap_line_of(const struct wrap *w, size_t at);
/* Columns from the line's start to byte `at` in it; and the byte at (or
 * nearest left of) a column. */
int wrap_col_of(const struct wrap *w, size_t line, size_t at);
size_t wrap_at_col(const struct wrap *w, size_t line, int col);

#endif
