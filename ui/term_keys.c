/* ui/term_keys.c  The parser of keys.
 *
 * try_key() looks at the bytes from in->at and says how many belong to the
 * first key; 0 means that its end has not come. Tables give the codes; see
 * "XTerm Control Sequences" (Dickey) for the forms, "fixterms" (Evans) for
 * CSI u.
 *
 * Shift-F3 and a position report for row 1 are the same bytes, CSI 1;2 R;
 * reports are asked for on row 2 only, and row 1 is always the key.
 */
#include "ui/term_keys.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

enum {
    ESC = 0x1B,
    ESC_MS = 25,     /* a lone ESC is a key */
    CUT_MS = 250,    /* the rest of a sequence is lost */
    TORN_MS = 1000,  /* the rest of a character is lost */
    PASTE_MS = 1000, /* the end of a paste is lost */
    CSI_MAX = 64,
    PARAMS = 4
};

#define PASTE_MAX ((size_t)64 << 20)

static const char paste_end[] = "\033[201~";

enum { PASTE_END = sizeof paste_end - 1 };

void
key_input_init(struct key_input *in)
{
    memset(in, 0, sizeof *in);
}

void
key_input_finish(struct key_input *in)
{
    free(in->buf);
    free(in->paste);
    memset(in, 0, sizeof *in);
}

void
key_input_feed(struct key_input *in, const char *s, size_t len, int64_t now)
{
    if (in->at > 0) {
        memmove(in->buf, in->buf + in->at, in->len - in->at);
        in->len -= in->at;
        in->at = 0;
    }
    if (in->len + len > in->cap)
        in->buf = mem_grow(in->buf, &in->cap, in->len + len, 1);
    memcpy(in->buf + in->len, s, len);
    in->len += len;
    in->last = now;
}

/* --- single bytes and characters --- */

/* A control byte as a key; 0x1B comes elsewhere. */
static void
control_key(unsigned char c, struct key *k)
{
    switch (c) {
    case '\t': k->code = KEY_TAB; break;
    case '\r': k->code = KEY_ENTER; break;
    case 0x08:
    case 0x7F: k->code = KEY_BACKSPACE; break;
    default: k->code = KEY_CTRL; k->ch = c + '@';
    }
}

static void
text_key(struct key_input *in, const char *s, size_t len, struct key *k)
{
    memcpy(in->text, s, len);
    k->code = KEY_TEXT;
    k->s = in->text;
    k->len = len;
}

/* One ASCII character, or a run of others: an input method commits several
 * at once. */
static size_t
try_text(struct key_input *in, const char *s, size_t len, bool run,
         struct key *k)
{
    size_t n = 0, one;
    uint32_t cp;

    if ((unsigned char)*s < 0x80) {
        text_key(in, s, 1, k);
        return 1;
    }
    len = uni_whole(s, len < sizeof in->text ? len : sizeof in->text);
    while (n < len && (unsigned char)s[n] >= 0x80) {
        one = uni_decode(s + n, len - n, &cp);
        n += one;
        if (!run)
            break;
    }
    if (n > 0)
        text_key(in, s, n, k);
    return n;
}

/* --- control sequences --- */

struct csi {
    int p[PARAMS]; /* -1 where not given; sub-parameters are left out */
    int n;
    int event;  /* the sub-parameter of p[1], 1 press, 3 release */
    char mark;  /* a private mark "<=>?" or 0 */
    char inter; /* an intermediate byte or 0 */
    char final;
};

/* s[0..len) begins behind "ESC [". Returns the bytes up to the final one, 0
 * when it has not come. A byte that cannot be part of it ends it: final 0. */
static size_t
read_csi(const char *s, size_t len, struct csi *c)
{
    bool sub = false;
    size_t i;

    memset(c, 0, sizeof *c);
    for (int k = 0; k < PARAMS; k++)
        c->p[k] = -1;
    for (i = 0; i < len && i < CSI_MAX; i++) {
        unsigned char b = (unsigned char)s[i];

        if (b >= '0' && b <= '9') {
            int *p = sub ? &c->event : c->n < PARAMS ? &c->p[c->n] : NULL;

            if (p)
                *p = (*p < 0 ? 0 : *p > 9999999 ? 9999999 : *p) * 10 + b - '0';
        } else if (b == ';') {
            c->n++;
            sub = false;
        } else if (b == ':') {
            sub = true;
            c->event = 0;
        } else if (b >= '<' && b <= '?') {
            c->mark = (char)b;
        } else if (b >= 0x20 && b <= 0x2F) {
            c->inter = (char)b;
        } else if (b >= 0x40 && b <= 0x7E) {
            c->final = (char)b;
            c->n++;
            return i + 1;
        } else {
            return i; /* broken: what stands here is the next key */
        }
    }
    return i == CSI_MAX ? i : 0;
}

static const struct {
    char final;
    enum key_code code;
    int ch;
} finals[] = {
    { 'A', KEY_UP_ARROW, 0 },    { 'B', KEY_DOWN_ARROW, 0 },
    { 'C', KEY_RIGHT_ARROW, 0 }, { 'D', KEY_LEFT_ARROW, 0 },
    { 'H', KEY_HOME_KEY, 0 },    { 'F', KEY_END_KEY, 0 },
    { 'P', KEY_FN, 1 },          { 'Q', KEY_FN, 2 },
    { 'R', KEY_FN, 3 },          { 'S', KEY_FN, 4 },
    { 'Z', KEY_BACKTAB, 0 },     { 'M', KEY_ENTER, 0 },
};

static const struct {
    int n;
    enum key_code code;
    int ch;
} tildes[] = {
    { 1, KEY_HOME_KEY, 0 }, { 2, KEY_INSERT, 0 },  { 3, KEY_DEL, 0 },
    { 4, KEY_END_KEY, 0 },  { 5, KEY_PGUP, 0 },    { 6, KEY_PGDN, 0 },
    { 7, KEY_HOME_KEY, 0 }, { 8, KEY_END_KEY, 0 }, { 11, KEY_FN, 1 },
    { 12, KEY_FN, 2 },      { 13, KEY_FN, 3 },     { 14, KEY_FN, 4 },
    { 15, KEY_FN, 5 },      { 17, KEY_FN, 6 },     { 18, KEY_FN, 7 },
    { 19, KEY_FN, 8 },      { 20, KEY_FN, 9 },     { 21, KEY_FN, 10 },
    { 23, KEY_FN, 11 },     { 24, KEY_FN, 12 },
};

static bool
final_key(char final, struct key *k)
{
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++)
        if (finals[i].final == final) {
            k->code = finals[i].code;
            k->ch = finals[i].ch;
            return true;
        }
    if (final >= 'a' && final <= 'd') { /* rxvt */
        k->mods |= MOD_SHIFT;
        return final_key((char)(final - 'a' + 'A'), k);
    }
    return false;
}

static bool
tilde_key(int n, struct key *k)
{
    for (size_t i = 0; i < sizeof tildes / sizeof *tildes; i++)
        if (tildes[i].n == n) {
            k->code = tildes[i].code;
            k->ch = tildes[i].ch;
            return true;
        }
    return false;
}

/* A character code with modifiers, from CSI u and modifyOtherKeys. */
static bool
code_key(struct key_input *in, int code, struct key *k)
{
    char s[4];
    uint32_t cp = (uint32_t)code;

    if (code < 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return false;
    if (cp == ESC) {
        k->code = KEY_ESC;
        return true;
    }
    if (cp < 0x20 || cp == 0x7F) {
        control_key((unsigned char)cp, k);
        if (k->code == KEY_TAB && k->mods & MOD_SHIFT) {
            k->code = KEY_BACKTAB;
            k->mods &= ~(unsigned)MOD_SHIFT;
        }
        return true;
    }
    if (!uni_is_safe(cp)) /* kitty numbers its other keys in private use */
        return false;
    if (cp < 0x80 && cp != ' ' && k->mods & MOD_CTRL) {
        k->code = KEY_CTRL;
        k->ch = cp >= 'a' && cp <= 'z' ? code - 'a' + 'A' : code;
        k->mods &= ~(unsigned)MOD_CTRL;
        return true;
    }
    if (k->mods & MOD_SHIFT) {
        if (cp >= 'a' && cp <= 'z')
            cp -= 'a' - 'A';
        k->mods &= ~(unsigned)MOD_SHIFT;
    }
    text_key(in, s, uni_encode(cp, s), k);
    return true;
}

static unsigned
csi_mods(int p)
{
    return p > 1 ? (unsigned)(p - 1) & (MOD_SHIFT | MOD_ALT | MOD_CTRL) : 0;
}

/* A whole sequence to a key; false: nothing for us. */
static bool
csi_key(struct key_input *in, const struct csi *c, struct key *k)
{
    if (c->mark || c->inter || c->event == 3)
        return false;
    if (c->final == 'R' && c->p[0] > 1) {
        in->reported = true;
        in->report_row = c->p[0];
        in->report_col = c->p[1];
        return false;
    }
    k->mods |= csi_mods(c->p[1]);
    switch (c->final) {
    case '~':
        if (c->p[0] == 200) {
            in->pasting = true;
            in->paste_len = 0;
            return false;
        }
        if (c->p[0] == 27)
            return code_key(in, c->p[2], k);
        return tilde_key(c->p[0], k);
    case '^': /* rxvt: Ctrl */
        k->mods |= MOD_CTRL;
        return tilde_key(c->p[0], k);
    case 'u': return code_key(in, c->p[0], k);
    case 'I': k->code = KEY_FOCUS_IN; return true;
    case 'O': k->code = KEY_FOCUS_OUT; return true;
    default: return final_key(c->final, k);
    }
}

static size_t
try_csi(struct key_input *in, const char *s, size_t len, struct key *k)
{
    struct csi c;
    size_t n;

    if (len > 2 && s[2] == '[') { /* the Linux console's F1 to F5 */
        if (len < 4)
            return 0;
        if (s[3] >= 'A' && s[3] <= 'E') {
            k->code = KEY_FN;
            k->ch = s[3] - 'A' + 1;
        }
        return 4;
    }
    if (len < 3)
        return 0;
    n = read_csi(s + 2, len - 2, &c);
    if (n == 0 && c.final == 0) {
        unsigned char b = (unsigned char)s[2];

        return b < 0x20 || b > 0x7E ? 2 : 0;
    }
    if (c.final && !csi_key(in, &c, k))
        k->code = KEY_NONE;
    return n + 2;
}

static size_t
try_ss3(const char *s, size_t len, struct key *k)
{
    unsigned char b;

    if (len < 3)
        return 0;
    b = (unsigned char)s[2];
    if (b >= 'a' && b <= 'd') { /* rxvt */
        k->mods |= MOD_CTRL;
        b = (unsigned char)(b - 'a' + 'A');
    }
    if (b < 0x20 || b > 0x7E)
        return 2;
    if (b == 'I')
        k->code = KEY_TAB;
    else if (!final_key((char)b, k))
        k->code = KEY_NONE;
    return 3;
}

/* s[0] is ESC. */
static size_t
try_escape(struct key_input *in, const char *s, size_t len, struct key *k)
{
    unsigned char b;
    size_t n;

    if (len < 2)
        return 0;
    b = (unsigned char)s[1];
    if (b == '[')
        return try_csi(in, s, len, k);
    if (b == 'O')
        return try_ss3(s, len, k);
    if (b == ESC) {
        if (len < 3)
            return 0;
        if (s[2] == '[' || s[2] == 'O') { /* rxvt: Alt + a special key */
            n = try_escape(in, s + 1, len - 1, k);
            k->mods |= MOD_ALT;
            return n ? n + 1 : 0;
        }
        k->code = KEY_ESC;
        return 1;
    }
    k->mods |= MOD_ALT;
    if (b < 0x20 || b == 0x7F) {
        control_key(b, k);
        return 2;
    }
    n = try_text(in, s + 1, len - 1, false, k);
    return n ? n + 1 : 0;
}

static size_t
try_key(struct key_input *in, struct key *k)
{
    size_t len = in->len - in->at;
    const char *s;
    unsigned char b;

    memset(k, 0, sizeof *k);
    if (len == 0)
        return 0;
    s = in->buf + in->at;
    b = (unsigned char)*s;
    if (b == ESC)
        return try_escape(in, s, len, k);
    if (b < 0x20 || b == 0x7F) {
        control_key(b, k);
        return 1;
    }
    return try_text(in, s, len, true, k);
}

/* --- waiting --- */

/* How long the bytes at in->at may wait for the rest. */
static int
patience(const struct key_input *in)
{
    size_t len = in->len - in->at;
    const char *s;

    if (in->pasting)
        return PASTE_MS;
    if (len == 0)
        return -1;
    s = in->buf + in->at;
    if (*s != ESC)
        return TORN_MS;
    return len == 1 || (len == 2 && (s[1] == 'O' || s[1] == ESC)) ? ESC_MS
                                                                  : CUT_MS;
}

int
key_input_timeout(const struct key_input *in, int64_t now)
{
    int ms = patience(in);
    int64_t left;

    if (ms < 0)
        return -1;
    left = in->last + ms - now;
    return left < 0 ? 0 : left > ms ? ms : (int)left;
}

/* The end of the first key will not come any more. */
static bool
settle(struct key_input *in, struct key *k)
{
    const char *s = in->buf + in->at;
    size_t len = in->len - in->at;

    memset(k, 0, sizeof *k);
    if (*s != ESC) {
        text_key(in, s, 1, k); /* a torn character: its byte, as it is */
        in->at++;
        return true;
    }
    if (len == 2 && s[1] == 'O') {
        text_key(in, s + 1, 1, k);
        k->mods = MOD_ALT;
        in->at += 2;
        return true;
    }
    if (len == 1 || s[1] == ESC) {
        k->code = KEY_ESC;
        in->at++;
        return true;
    }
    in->at = in->len;
    return false;
}

/* --- paste --- */

static bool
paste_key(struct key_input *in, size_t len, struct key *k)
{
    memset(k, 0, sizeof *k);
    k->code = KEY_PASTE;
    k->s = in->paste;
    k->len = len;
    return len > 0;
}

/* Moves what has come into the paste; true when it can be given out. */
static bool
paste_on(struct key_input *in, struct key *k, bool late)
{
    size_t n = in->len - in->at, from, keep;
    char *end;

    from = in->paste_len < PASTE_END ? 0 : in->paste_len - PASTE_END + 1;
    if (in->paste_len + n > in->paste_cap)
        in->paste = mem_grow(in->paste, &in->paste_cap, in->paste_len + n, 1);
    if (n > 0)
        memcpy(in->paste + in->paste_len, in->buf + in->at, n);
    in->paste_len += n;
    in->at = in->len;
    end = in->paste_len == 0 ? NULL
                             : memmem(in->paste + from, in->paste_len - from,
                                      paste_end, PASTE_END);
    if (end) {
        size_t len = (size_t)(end - in->paste);

        in->at = in->len - (in->paste_len - len - PASTE_END);
        in->pasting = false;
        in->paste_len = 0;
        return paste_key(in, len, k);
    }
    if (!late && in->paste_len < PASTE_MAX)
        return false;
    /* Half an end mark at the end is no text. */
    keep = in->paste_len < PASTE_END - 1 ? in->paste_len : PASTE_END - 1;
    while (keep > 0 &&
           memcmp(in->paste + in->paste_len - keep, paste_end, keep) != 0)
        keep--;
    n = in->paste_len - keep;
    in->paste_len = 0;
    in->pasting = !late;
    if (!late && keep > 0) {
        memcpy(in->buf, paste_end, keep); /* comes back with what follows */
        in->at = 0;
        in->len = keep;
    }
    return paste_key(in, n, k);
}

/* --- keys --- */

bool
key_input_next(struct key_input *in, struct key *k, int64_t now, bool late)
{
    size_t n;

    if (!in->pasting && in->paste_cap > (1 << 20)) {
        free(in->paste); /* the last paste has been looked at */
        in->paste = NULL;
        in->paste_cap = 0;
    }
    late = late && key_input_timeout(in, now) == 0;
    for (;;) {
        if (in->pasting) {
            bool was_late = late;

            if (paste_on(in, k, late))
                return true;
            if (in->pasting)
                return false;
            late = late && !was_late;
            continue;
        }
        n = try_key(in, k);
        if (n == 0)
            break;
        in->at += n;
        in->last = now; /* what comes next is waited for from here on */
        if (k->code != KEY_NONE)
            return true;
    }
    return in->at < in->len && late && settle(in, k);
}

bool
key_input_take_report(struct key_input *in, int *row, int *col)
{
    for (size_t i = in->at; i + 2 < in->len && !in->pasting; i++) {
        struct csi c;
        size_t n;

        if (in->buf[i] != ESC || in->buf[i + 1] != '[')
            continue;
        n = read_csi(in->buf + i + 2, in->len - i - 2, &c);
        if (n == 0 || c.final != 'R' || c.mark || c.p[0] < 2)
            continue;
        *row = c.p[0];
        *col = c.p[1];
        memmove(in->buf + i, in->buf + i + 2 + n, in->len - i - 2 - n);
        in->len -= 2 + n;
        return true;
    }
    return false;
}
