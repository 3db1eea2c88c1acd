/* ui/command.h  The table of commands; keys name them, help lists them.
 *
 * A command is a row of commands[]; a key reaches it by a row of
 * key_bindings[] (bindings.c) that names it. Main thread.
 */
#ifndef JIELONG_COMMAND_H
#define JIELONG_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct ui;

struct command {
    const char *name;
    const char *help; /* one line; N_() */
    const char *hint; /* a word or two for the last row, N_(); NULL: none */
    void (*fn)(struct ui *ui);
};

extern const struct command commands[];
extern const size_t n_commands;

const struct command *command_find(const char *name); /* NULL: unknown */
/* Runs it; false when there is no such command. */
bool command_run(struct ui *ui, const char *name);

/* What a paste becomes: CR and CRLF are line breaks, control bytes other
 * than line break and tab are dropped, all else stays to the byte. Given;
 * *n gets the length. */
char *paste_clean(const char *s, size_t len, size_t *n);

#endif
