/* ui/term_keys.h  Bytes from a terminal to keys.
 *
 * Pure: bytes and the time go in, keys come out, so every broken or split
 * sequence can be tested without a terminal. What is understood: UTF-8 split
 * anywhere; ESC + key as Alt; CSI and SS3 arrows, function keys with xterm's
 * modifiers, the Linux console's and rxvt's forms; CSI u and modifyOtherKeys
 * (Ctrl-Enter); bracketed paste; focus events; cursor position reports. An
 * unknown control sequence is dropped whole and never becomes text. Main
 * thread.
 */
#ifndef JIELONG_TERM_KEYS_H
#define JIELONG_TERM_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ui/keys.h"

struct key_input {
    char *buf; /* bytes [at, len) are not keys yet */
    size_t at, len, cap;
    char *paste; /* a paste so far, or the one last given out */
    size_t paste_len, paste_cap;
    bool pasting;
    int64_t last;    /* when the last byte came, in milliseconds */
    char text[1024]; /* of the last KEY_TEXT */
    bool reported;   /* a cursor position report has come */
    int report_row, report_col;
};

void key_input_init(struct key_input *in);
void key_input_finish(struct key_input *in);
void key_input_feed(struct key_input *in, const char *s, size_t len,
                    int64_t now);
/* The next key; false when there is no whole one. With `late`, what has
 * waited long enough for its end is settled: a lone ESC is the key Esc after
 * 25 ms, a cut sequence is dropped, a paste whose end never comes is given
 * out after a second of silence (and piece by piece beyond 64 MiB). Key bytes
 * are borrowed till the next call. */
bool key_input_next(struct key_input *in, struct key *k, int64_t now,
                    bool late);
/* Milliseconds till `late` would settle something; -1 when nothing waits. */
int key_input_timeout(const struct key_input *in, int64_t now);
/* Takes a cursor position report (row >= 2) out of what was fed, wherever it
 * stands between keys; they stay. */
bool key_input_take_report(struct key_input *in, int *row, int *col);

#endif
