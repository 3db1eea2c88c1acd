/* ui/ui.h  The page: opens the terminal, runs the loop, restores it.
 * The only header of ui/ that src/main.c includes. */
#ifndef JIELONG_UI_H
#define JIELONG_UI_H

#include "src/cli.h"

/* Runs till the writer quits. Returns the exit status. */
int ui_run(const struct page_request *req);

#endif
