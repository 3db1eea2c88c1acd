/* ui/keys.c  Names of keys, and the way from a key to a command.
 *
 * A binding is compared by name, so the table, the help and the parser speak
 * of a key in one way only. Letters are written in capitals: Ctrl-R, Alt-B.
 */
#include "ui/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/unicode.h"

static const struct {
    enum key_code code;
    const char *name;
} names[] = {
    { KEY_ENTER, "Enter" },      { KEY_TAB, "Tab" },
    { KEY_ESC, "Esc" },          { KEY_BACKSPACE, "Backspace" },
    { KEY_DEL, "Del" },          { KEY_INSERT, "Ins" },
    { KEY_UP_ARROW, "Up" },      { KEY_DOWN_ARROW, "Down" },
    { KEY_LEFT_ARROW, "Left" },  { KEY_RIGHT_ARROW, "Right" },
    { KEY_HOME_KEY, "Home" },    { KEY_END_KEY, "End" },
    { KEY_PGUP, "PgUp" },        { KEY_PGDN, "PgDn" },
    { KEY_PASTE, "Paste" },      { KEY_FOCUS_OUT, "FocusOut" },
    { KEY_FOCUS_IN, "FocusIn" },
};

enum { N_NAMES = sizeof names / sizeof *names };

/* --- names --- */

/* A text key has a name when it is one character. */
static int
text_name(const struct key *k, const char *mods, char *buf, size_t cap)
{
    uint32_t cp;

    if (k->len == 0 || uni_decode(k->s, k->len, &cp) != k->len)
        return -1;
    if (cp == UNI_BAD || !uni_is_safe(cp))
        return -1;
    if (cp == ' ')
        return snprintf(buf, cap, "%sSpace", mods);
    if (k->mods && k->len == 1 && *k->s >= 'a' && *k->s <= 'z')
        return snprintf(buf, cap, "%s%c", mods, *k->s - 'a' + 'A');
    return snprintf(buf, cap, "%s%.*s", mods, (int)k->len, k->s);
}

int
key_name(const struct key *k, char *buf, size_t cap)
{
    char mods[24];
    unsigned m = k->mods;
    int n = -1;

    if (k->code == KEY_CTRL)
        m |= MOD_CTRL;
    if (k->code == KEY_BACKTAB)
        m |= MOD_SHIFT;
    snprintf(mods, sizeof mods, "%s%s%s", m & MOD_CTRL ? "Ctrl-" : "",
             m & MOD_ALT ? "Alt-" : "", m & MOD_SHIFT ? "Shift-" : "");
    if (k->code == KEY_TEXT)
        n = text_name(k, mods, buf, cap);
    else if (k->code == KEY_CTRL)
        n = snprintf(buf, cap, "%s%c", mods, k->ch);
    else if (k->code == KEY_BACKTAB)
        n = snprintf(buf, cap, "%sTab", mods);
    else if (k->code == KEY_FN)
        n = snprintf(buf, cap, "%sF%d", mods, k->ch);
    for (int i = 0; n < 0 && i < N_NAMES; i++)
        if (names[i].code == k->code)
            n = snprintf(buf, cap, "%s%s", mods, names[i].name);
    if (n < 0) {
        if (cap)
            buf[0] = '\0';
        return 0;
    }
    return n;
}

/* Takes "Ctrl-", "Alt-", "Shift-" off the front. */
static const char *
parse_mods(const char *name, unsigned *mods)
{
    static const struct {
        const char *name;
        unsigned mod;
    } prefix[] = { { "Ctrl-", MOD_CTRL },
                   { "Alt-", MOD_ALT },
                   { "Shift-", MOD_SHIFT } };

    *mods = 0;
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(prefix[i].name);

        if (strncmp(name, prefix[i].name, n) == 0 && name[n]) {
            *mods |= prefix[i].mod;
            name += n;
            i = -1;
        }
    }
    return name;
}

static bool
parse_special(const char *rest, struct key *k)
{
    char *end;
    long n;

    for (int i = 0; i < N_NAMES; i++)
        if (strcmp(names[i].name, rest) == 0) {
            k->code = names[i].code;
            return true;
        }
    if (rest[0] != 'F' || rest[1] < '1' || rest[1] > '9')
        return false;
    n = strtol(rest + 1, &end, 10);
    if (*end || n > 12)
        return false;
    k->code = KEY_FN;
    k->ch = (int)n;
    return true;
}

bool
key_parse(const char *name, struct key *k)
{
    const char *rest;
    size_t len;
    uint32_t cp;

    memset(k, 0, sizeof *k);
    rest = parse_mods(name, &k->mods);
    if (parse_special(rest, k)) {
        if (k->code == KEY_TAB && k->mods & MOD_SHIFT) {
            k->code = KEY_BACKTAB;
            k->mods &= ~(unsigned)MOD_SHIFT;
        }
        return true;
    }
    if (strcmp(rest, "Space") == 0)
        rest = " ";
    len = strlen(rest);
    if (len == 0 || uni_decode(rest, len, &cp) != len || !uni_is_safe(cp))
        return false;
    if (k->mods & MOD_CTRL && cp < 0x80 && cp != ' ') {
        k->code = KEY_CTRL;
        k->ch = (int)(cp >= 'a' && cp <= 'z' ? cp - 'a' + 'A' : cp);
        k->mods &= ~(unsigned)MOD_CTRL;
        return true;
    }
    k->code = KEY_TEXT;
    k->s = rest;
    k->len = len;
    return true;
}

/* --- bindings --- */

const char *
keys_lookup(enum key_where where, const struct key *k)
{
    const char *any = NULL;
    char name[40];

    if (key_name(k, name, sizeof name) == 0)
        return NULL;
    for (size_t i = 0; i < n_key_bindings; i++) {
        const struct binding *b = &key_bindings[i];

        if (strcmp(b->key, name) != 0)
            continue;
        if (b->where == where)
            return b->command;
        if (b->where == WHERE_ANY && !any)
            any = b->command;
    }
    return any;
}

const char *
keys_for(enum key_where where, const char *command)
{
    const char *any = "";

    for (size_t i = 0; i < n_key_bindings; i++) {
        const struct binding *b = &key_bindings[i];

        if (strcmp(b->command, command) != 0)
            continue;
        if (b->where == where)
            return b->key;
        if (b->where == WHERE_ANY && !*any)
            any = b->key;
    }
    return any;
}

/* --- full-width forms --- */

static uint32_t
fold(uint32_t cp)
{
    if (cp >= 0xFF01 && cp <= 0xFF5E)
        return cp - 0xFF01 + '!';
    switch (cp) {
    case 0x3000: return ' ';
    case 0x3001: return '/'; /* 、 is where / is with an input method on */
    case 0x3002: return '.';
    case 0x3010: return '[';
    case 0x3011: return ']';
    case 0xFFE5: return '$';
    default: return cp;
    }
}

size_t
keys_fold_wide(char *s, size_t len)
{
    size_t out = 0, n;
    uint32_t cp, to;

    for (size_t i = 0; i < len; i += n) {
        n = uni_decode(s + i, len - i, &cp);
        to = fold(cp);
        if (to != cp) {
            s[out++] = (char)to;
        } else {
            memmove(s + out, s + i, n);
            out += n;
        }
    }
    return out;
}
