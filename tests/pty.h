/* tests/pty.h  A program in a pseudo-terminal, read by an emulator.
 *
 * pty_start() runs any program on a terminal of its own; what it writes goes
 * into libvterm, which knows nothing of our code, and is kept as a log. Keys
 * go in as bytes. Nothing here asserts: conditions are waited for with a
 * generous deadline (PTY_DEADLINE_MS), so a slow machine only makes a test
 * slow; a test asserts that the wait came true.
 *
 * libvterm 0.1.4 has its own table of widths: ambiguous characters (“ … —) are
 * narrow, emoji of the Unicode 9 age wide, Unicode 13 and later unknown. A
 * wide glyph is one cell of width 2 followed by a cell without characters. A
 * combining mark in the last column is lost when a read ends before it. It
 * answers ESC[6n like a terminal does, unless pty_mute() was called.
 */
#ifndef JIELONG_TESTS_PTY_H
#define JIELONG_TESTS_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PTY_DEADLINE_MS = 30000 };

struct pty;

/* The colour is 0xRRGGBB, 0x1000000 + n for number n of the palette, or -1 for
 * the terminal's own. */
struct pty_look {
    bool bold, underline, italic, reverse;
    int32_t fg, bg;
};

/* Starts argv (NULL ends; argv[0] is the path) in a terminal of cols x rows.
 * TERM=xterm-256color and LC_ALL=C.UTF-8 are set, NO_COLOR, COLORTERM, LINES
 * and COLUMNS are not; then env is applied: "NAME=value" sets, "NAME" unsets,
 * NULL ends; env itself may be NULL. Never returns NULL. */
struct pty *pty_start(const char *const argv[], int cols, int rows,
                      const char *const env[]);
/* Kills the program if it still runs. */
void pty_free(struct pty *p);
pid_t pty_pid(const struct pty *p);

/* Keys, as the bytes that a terminal sends. Reads output meanwhile, so that
 * neither side waits for the other. false: the terminal is closed. */
bool pty_send(struct pty *p, const char *s);
bool pty_send_bytes(struct pty *p, const char *s, size_t len);

/* Takes in what the program has written, waiting at most ms for the first of
 * it. false: it has ended. */
bool pty_pump(struct pty *p, int ms);
/* Pumps until cond(p, ud); false when the deadline passes first. */
bool pty_wait(struct pty *p, bool (*cond)(struct pty *p, void *ud), void *ud);
/* ... until the screen shows s (within one row); until it does not. */
bool pty_wait_text(struct pty *p, const char *s);
bool pty_wait_gone(struct pty *p, const char *s);
/* ... until the log holds n frames at least (pty_frames). */
bool pty_wait_frames(struct pty *p, int n);
/* Pumps until nothing has come for ms. For what should not happen; to see
 * something happen, wait for it. */
void pty_quiet(struct pty *p, int ms);

/* The screen: rows as UTF-8 without blanks at their end, given (free). */
char *pty_row(const struct pty *p, int y);
char *pty_screen(const struct pty *p); /* rows with '\n' between them */
bool pty_shows(const struct pty *p, const char *s);
/* The row (from 0) that holds s, or -1; *x its column. */
int pty_find(const struct pty *p, const char *s, int *x);
void pty_cursor(const struct pty *p, int *x, int *y, bool *visible);
/* Width of the cell: 1, 2, or 0 for the right half of a wide glyph. */
int pty_cell_width(const struct pty *p, int x, int y);
void pty_look(const struct pty *p, int x, int y, struct pty_look *look);
bool pty_alternate(const struct pty *p); /* the alternate screen is on */

/* Everything written so far; and the finished frames in it (the ends of
 * synchronized updates, ESC[?2026l, that follow a beginning). */
const char *pty_log(const struct pty *p, size_t *len);
int pty_frames(const struct pty *p);
/* From now on the terminal answers no requests (ESC[6n and the like). */
void pty_mute(struct pty *p);

/* TIOCSWINSZ, so that the program gets SIGWINCH. The emulator starts with an
 * empty screen; what lay behind the alternate one is forgotten. */
void pty_resize(struct pty *p, int cols, int rows);
void pty_size(const struct pty *p, int *cols, int *rows);
/* The terminal's modes now, as the kernel knows them (struct termios). */
struct termios;
bool pty_modes(const struct pty *p, struct termios *tio);
/* Closes the terminal under the program, as a dying emulator does. */
void pty_hang_up(struct pty *p);
/* Waits for the program's end: its exit status, 128 + signal, or -1 when the
 * deadline passes. */
int pty_end(struct pty *p);

#endif
