/* src/cli.h  The command line: parsing, and everything without a page.
 *
 * stdout is data, stderr is talk. Exit status: 0 ok, 1 failure, 2 usage,
 * 3 model or set-up, 4 story file, 130 interrupted; a closed pipe ends
 * quietly. Commands are rows of a table in cli.c.
 */
#ifndef JIELONG_CLI_H
#define JIELONG_CLI_H

#include <stdbool.h>

#include "src/config.h"

struct page_request { /* what main hands to ui_run() */
    char *story;      /* path to open or create */
    char *import_from;/* plain text that becomes the new story, or NULL */
    char *note;       /* one sentence to show first, or NULL */
    char *model;      /* path; NULL when no model is installed */
    const char *vocab;/* where the tokenizer comes from, or NULL */
    const struct config *config; /* with the options applied */
    const bool *knob_given;      /* [KNOB_COUNT]: set by an option */
};

/* Does what the arguments ask. Returns true when the page is to be opened
 * (*page filled; owned by cli till the end of the program), else false with
 * *status the exit status. */
bool cli_main(int argc, char **argv, struct page_request *page, int *status);

#endif
