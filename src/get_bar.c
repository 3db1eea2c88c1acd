/* src/get_bar.c  See get_bar.h. Speed is measured over stretches of two
 * seconds, each half forgotten in the next: steady enough to read. */
#include "src/get_bar.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/i18n.h"

#define FRAME_MS   100
#define STRETCH_MS 2000
#define BAR_COLS   20

static int64_t
clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *
get_size_text(uint64_t bytes, char *buf, size_t cap)
{
    if (bytes < 1000000)
        snprintf(buf, cap, "%.1f kB", (double)bytes / 1e3);
    else if (bytes < 1000000000)
        snprintf(buf, cap, "%.1f MB", (double)bytes / 1e6);
    else
        snprintf(buf, cap, "%.2f GB", (double)bytes / 1e9);
    return buf;
}

void
get_bar_init(struct get_bar *b, uint64_t total)
{
    memset(b, 0, sizeof *b);
    b->total = total;
    b->terminal = isatty(STDERR_FILENO);
}

/* What was on the disk already, and a file that starts again, are no speed. */
static void
measure(struct get_bar *b, uint64_t at, int64_t now)
{
    double s = (double)(now - b->since) / 1e3;

    if (b->since == 0 || at < b->since_at) {
        b->since = now;
        b->since_at = at;
    } else if (now - b->since >= STRETCH_MS || (b->speed == 0 && s > 0.5)) {
        double v = (double)(at - b->since_at) / s;

        b->speed = b->speed > 0 ? (b->speed + v) / 2 : v;
        b->since = now;
        b->since_at = at;
    }
}

static void
draw(struct get_bar *b, const char *file, uint64_t at)
{
    char have[32], all[32], speed[48] = "", left[32] = "";
    double part = b->total ? (double)at / (double)b->total : 1;
    int full = (int)(part * BAR_COLS);

    if (b->speed > 0) {
        uint64_t rest = b->total > at ? b->total - at : 0;
        long s = (long)((double)rest / b->speed + 0.5);
        char v[32];

        snprintf(speed, sizeof speed, "  %s/s",
                 get_size_text((uint64_t)b->speed, v, sizeof v));
        snprintf(left, sizeof left, "  %ld:%02ld", s / 60, s % 60);
    }
    fputs("\r\033[K", stderr);
    if (b->total == 0) { /* nobody told how much it is */
        fprintf(stderr, "%s%s  %s", get_size_text(at, have, sizeof have), speed,
                file);
    } else {
        fprintf(stderr, "%3d %% ", (int)(part * 100));
        for (int i = 0; i < BAR_COLS; i++)
            fputs(i < full ? "▐" : "░", stderr);
        fprintf(stderr, " %s/%s%s%s  %s", get_size_text(at, have, sizeof have),
                get_size_text(b->total, all, sizeof all), speed, left, file);
    }
    fflush(stderr);
    b->drawn = true;
}

void
get_bar_show(struct get_bar *b, const char *file, uint64_t at)
{
    int64_t now = clock_ms();
    uint64_t all = b->done + at;
    int tenth = b->total ? (int)(all * 10 / b->total) : 0;
    char have[32], total[32];

    if (b->total && all > b->total) /* some sizes were not told */
        b->total = all;
    measure(b, all, now);
    if (b->terminal) {
        if (now - b->drawn_at >= FRAME_MS) {
            b->drawn_at = now;
            draw(b, file, all);
        }
    } else if (tenth > b->tenth) {
        b->tenth = tenth;
        fprintf(stderr, "%3d %%  %s/%s  %s\n", tenth * 10,
                get_size_text(all, have, sizeof have),
                get_size_text(b->total, total, sizeof total), file);
    }
}

void
get_bar_add(struct get_bar *b, uint64_t size)
{
    b->done += size;
}

void
get_bar_end(struct get_bar *b)
{
    if (b->drawn)
        fputc('\n', stderr);
    b->drawn = false;
}
