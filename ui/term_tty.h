/* ui/term_tty.h  The terminal below curses: modes, bytes, size, the way out.
 *
 * One terminal, on standard input and output. Main thread, but for
 * tty_restore(), which any signal handler may call.
 */
#ifndef JIELONG_TERM_TTY_H
#define JIELONG_TERM_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

enum { TTY_COLS_MAX = 2000, TTY_ROWS_MAX = 1000 };

/* Is there a terminal, and a UTF-8 locale? Keeps its modes. */
bool tty_check(struct err *err);
/* The bytes that undo what is sent to set the terminal up; copied. */
void tty_way_out(const char *s, size_t len);
/* Raw mode. From here on tty_restore() has something to do. */
void tty_raw(void);
/* Sends the way out and puts the old modes back; once, however often it is
 * called. Async-signal-safe: write(2), sigprocmask(2), tcsetattr(3). */
void tty_restore(void);
/* Stops the program (SIGTSTP) and comes back with SIGCONT. */
void tty_stop(void);

/* false: the terminal is gone. A terminal that takes nothing is waited for,
 * but when a signal interrupts that and half a second later it still takes
 * nothing, the rest is given up (*lost). */
bool tty_send(const char *s, size_t len, bool *lost);
/* Reads what waits, up to cap bytes, without waiting; 0: nothing. *dead is set
 * when the terminal is gone. */
size_t tty_read(char *s, size_t cap, bool *dead);
void tty_wait(int ms);               /* for something to read, at most ms */
void tty_size(int *cols, int *rows); /* 80 x 24 where it is not known */
int64_t tty_now(void);               /* milliseconds, monotonic */

#endif
