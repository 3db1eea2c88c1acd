/* ui/ask.h  One input line above the status row: find, open, a value.
 *
 * What a prompt does is a row: struct ask_ops. The terminal's cursor
 * stands in the line, so an input method works as on the page; editing goes
 * by grapheme. Main thread.
 */
#ifndef JIELONG_ASK_H
#define JIELONG_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/grid.h"
#include "ui/keys.h"

struct ui;

struct ask_ops {
    const char *label;  /* N_() */
    const char *hints;  /* N_(): the last row while it is open */
    /* Enter. Returns whether the prompt is done and closes. */
    bool (*enter)(struct ui *ui, const char *text);
    void (*changed)(struct ui *ui, const char *text); /* or NULL */
    void (*closed)(struct ui *ui);                    /* by Esc; or NULL */
    /* A key before the editing keys; true: taken. Or NULL. */
    bool (*key)(struct ui *ui, const struct key *k);
};

struct ask {
    const struct ask_ops *ops; /* NULL: closed */
    char *label;                  /* owned; in place of ops->label, or NULL */
    char *text;                   /* owned, NUL-terminated */
    size_t len, cap, caret;       /* bytes */
};

void ask_finish(struct ask *p);
/* Opens with `text` in the line (copied), the caret at its end. */
void ask_open(struct ui *ui, const struct ask_ops *ops,
                 const char *text);
/* As above with a label of its own (copied) for the line. */
void ask_open_labelled(struct ui *ui, const struct ask_ops *ops,
                          const char *label, const char *text);
void ask_close(struct ui *ui);
/* Puts this text (copied) in place of what stands in the line. */
void ask_set(struct ask *p, const char *text);
/* A key while it is open; false: not a key of the prompt. */
bool ask_key(struct ui *ui, const struct key *k);
/* Draws into row y; sets the cursor. */
void ask_draw(const struct ask *p, struct grid *g, int y, int *cx,
                 int *cy);

#endif
