/* ui/opening.h  Ctrl-O and Ctrl-Q: the two ways to leave a story. Main thread.
 */
#ifndef JIELONG_OPENING_H
#define JIELONG_OPENING_H

struct ui;

void opening_ask(struct ui *ui);  /* the prompt for another story */
void opening_quit(struct ui *ui); /* asks only when words could be lost */

#endif
