/* src/get_bar.h  How far a download is, on stderr: a line that redraws itself
 * on a terminal, else a line at every tenth. Main thread. */
#ifndef JIELONG_GET_BAR_H
#define JIELONG_GET_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct get_bar {
    uint64_t total; /* bytes of all files */
    uint64_t done;  /* of files that are there */
    bool terminal;
    bool drawn;       /* a line stands there that is not ended */
    int tenth;        /* last one told */
    int64_t drawn_at; /* ms */
    /* speed: bytes that came since `since`, over the last seconds */
    int64_t since;
    uint64_t since_at;
    double speed; /* bytes a second; 0: not known yet */
};

void get_bar_init(struct get_bar *b, uint64_t total);
/* So many bytes of the file that is under way are there. */
void get_bar_show(struct get_bar *b, const char *file, uint64_t at);
/* A whole file of this size is there. */
void get_bar_add(struct get_bar *b, uint64_t size);
/* Ends the line, so that something else can be said. */
void get_bar_end(struct get_bar *b);
/* "548.1 MB" into buf, which is returned. */
const char *get_size_text(uint64_t bytes, char *buf, size_t cap);

#endif
