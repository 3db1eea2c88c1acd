/* ui/keys.h  Key names, and keys to commands.
 *
 * A binding is a row { where, key, command }; the help is written from the
 * same rows. Single chords only. Full-width forms are folded to
 * ASCII in panels and prompts only.
 */
#ifndef JIELONG_KEYS_H
#define JIELONG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_code {
    KEY_NONE,
    KEY_TEXT,   /* printable text: key.s, key.len */
    KEY_PASTE,  /* a bracketed paste, whole: key.s, key.len, raw bytes */
    KEY_CTRL,   /* Ctrl + key.ch ('A'..'Z', '_', ...) */
    KEY_ENTER, KEY_TAB, KEY_BACKTAB, KEY_ESC, KEY_BACKSPACE, KEY_DEL,
    KEY_INSERT, KEY_UP_ARROW, KEY_DOWN_ARROW, KEY_LEFT_ARROW, KEY_RIGHT_ARROW,
    KEY_HOME_KEY, KEY_END_KEY, KEY_PGUP, KEY_PGDN,
    KEY_FN,     /* F key.ch (1..12) */
    KEY_FOCUS_OUT, KEY_FOCUS_IN
};
enum { MOD_SHIFT = 1, MOD_ALT = 2, MOD_CTRL = 4 };

struct key {
    enum key_code code;
    int ch;
    unsigned mods;
    const char *s;
    size_t len;
};

/* "Ctrl-R", "Alt-Left", "F1", "Tab" ...; key_parse(name) is the way back. */
int key_name(const struct key *k, char *buf, size_t cap);
bool key_parse(const char *name, struct key *k);

enum key_where { WHERE_PAGE, WHERE_PANEL, WHERE_PROMPT, WHERE_ANY };

struct binding {
    enum key_where where;
    const char *key;     /* as key_name writes it */
    const char *command; /* a name of command.c's table */
};
extern const struct binding key_bindings[];
extern const size_t n_key_bindings;
/* The command bound to this key there (ANY rows serve every place), or NULL. */
const char *keys_lookup(enum key_where where, const struct key *k);
/* The first key bound to a command, for hints and help; "" when none. */
const char *keys_for(enum key_where where, const char *command);

/* U+FF01..FF5E and the Chinese marks an input method types to ASCII, in place. */
size_t keys_fold_wide(char *s, size_t len);

#endif
