/* ui/signals.h  Signals as bytes in a pipe; last aid when the program dies.
 *
 * Handlers only write to the pipe, since any thread may be the one that is
 * interrupted (OpenBLAS starts threads of its own before main, so a signalfd
 * could not be relied on). A fatal signal saves what can be saved, restores
 * the terminal and then does what it always does. Once an end was asked for,
 * a watchdog ends a program that does not manage it. Main thread, except the
 * handlers.
 */
#ifndef JIELONG_SIGNALS_H
#define JIELONG_SIGNALS_H

#include <stdbool.h>

struct storyfile;

/* Before the first thread. */
void signals_init(void);
void signals_finish(void); /* default actions again */
/* Readable while signals wait. */
int signals_fd(void);
/* The next signal that came, 0 when none waits. */
int signals_next(void);
/* The story that a fatal signal tries to save; NULL: none. Borrowed. */
void signals_guard(struct storyfile *f);
/* From now on, half a second: save, restore the terminal, _exit(status). */
void signals_watchdog(int status);
/* For mem_on_failure(): save and restore the terminal. */
void signals_last_aid(void);

#endif
