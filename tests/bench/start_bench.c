/* tests/bench/start_bench.c  What a writer waits for, in the real program.
 *
 *     start_bench PROGRAM [ROUNDS]
 *
 * Starts the program on the model in the box in a pseudo-terminal, again and
 * again, and measures in milliseconds: from the start to the first finished
 * frame; from Tab after an opening of 20 characters to the frame that shows
 * the first token; from a key to its frame while the model writes, in a new
 * story and in one of a million characters without a line break; from an
 * arrow to its frame while three candidates are written; and the most memory
 * the process ever held. Median, 99th percentile and worst. The terminal here
 * is a program of the same machine, so its share is in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/pty.h"

#define OPENING "渡口的灯是酉时灭的，老船工把篙横在膝上听"
#define KEYS    40

struct series {
    const char *what;
    double v[4096];
    int n;
};

static struct series first_frame = { .what = "start to first frame" };
static struct series first_token = { .what = "Tab to first token" };
static struct series key_short = { .what = "key to frame, model writing" };
static struct series key_cards = { .what = "the same, three candidates" };
static struct series key_long = { .what = "the same, 10^6 characters" };
static struct series opening = { .what = "start to text, 10^6 characters" };

static double
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void
add(struct series *s, double v)
{
    if (s->n < (int)(sizeof s->v / sizeof *s->v))
        s->v[s->n++] = v;
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
print(struct series *s)
{
    qsort(s->v, (size_t)s->n, sizeof *s->v, by_value);
    if (s->n)
        printf("%-32s %4d  median %7.2f  p99 %7.2f  worst %7.2f ms\n", s->what,
               s->n, s->v[s->n / 2], s->v[s->n * 99 / 100], s->v[s->n - 1]);
}

/* Milliseconds since `since` till test comes true; -1: the program ended. */
static double
wait_for(struct pty *p, double since, bool (*test)(struct pty *p, void *ud),
         void *ud)
{
    while (!test(p, ud))
        if (!pty_pump(p, 1000))
            return -1;
    return now_ms() - since;
}

static bool
has_frames(struct pty *p, void *ud)
{
    return pty_frames(p) >= *(int *)ud;
}

/* The caret stands elsewhere than before. */
struct place {
    int x, y;
};

static bool
caret_moved(struct pty *p, void *ud)
{
    struct place *at = ud;
    int x, y;
    bool visible;

    pty_cursor(p, &x, &y, &visible);
    return visible && (x != at->x || y != at->y);
}

static struct place
caret(struct pty *p)
{
    struct place at;
    bool visible;

    pty_cursor(p, &at.x, &at.y, &visible);
    return at;
}

static long
peak_kb(struct pty *p)
{
    char path[64], line[256];
    long kb = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pty_pid(p));
    f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

/* Keys at the top of the page while the model writes at its end. */
static void
keys_while_writing(struct pty *p, struct series *s)
{
    int i;
    double t;

    for (i = 0; i < KEYS; i++) {
        struct place at = caret(p);

        t = now_ms();
        pty_send(p, i % 2 ? "\x1b[D" : "\x1b[C");
        t = wait_for(p, t, caret_moved, &at);
        if (t >= 0)
            add(s, t);
        usleep(15000);
        pty_pump(p, 0);
    }
}

static bool
mark_moved(struct pty *p, void *ud)
{
    int x = -1;

    return pty_find(p, "❯", &x) >= 0 && x != *(int *)ud;
}

/* From card to card while all are written. */
static void
keys_among_cards(struct pty *p)
{
    pty_send(p, "\x1b"); /* ends the run */
    pty_quiet(p, 100);
    pty_send(p, "\x1b[Z");
    pty_wait_text(p, "1  mean");
    for (int i = 0; i < KEYS; i++) {
        int x = -1;
        double t;

        pty_find(p, "❯", &x);
        t = now_ms();
        pty_send(p, "\x1b[C");
        t = wait_for(p, t, mark_moved, &x);
        if (t >= 0)
            add(&key_cards, t);
        usleep(15000);
        pty_pump(p, 0);
    }
}

static long
one_start(const char *program, const char *dir, int round)
{
    char path[512];
    const char *argv[] = { program,  "--length", "4000", "--stop-at",
                           "length", path,       NULL };
    char home[512];
    const char *env[] = { home, NULL };
    int one = 1;
    struct place at;
    struct pty *p;
    double t = now_ms();
    long kb;

    snprintf(path, sizeof path, "%s/short-%d.jl", dir, round);
    snprintf(home, sizeof home, "HOME=%s", dir);
    p = pty_start(argv, 100, 30, env);
    add(&first_frame, wait_for(p, t, has_frames, &one));
    pty_quiet(p, 400); /* the model is loaded */
    pty_send(p, OPENING);
    pty_wait_text(p, "膝上听");
    pty_quiet(p, 500); /* and has read the opening */
    at = caret(p);
    t = now_ms();
    pty_send(p, "\t");
    add(&first_token, wait_for(p, t, caret_moved, &at));
    pty_send(p, "\x1b[1;5H"); /* to the start of the story: the pen stays */
    pty_pump(p, 50);
    keys_while_writing(p, &key_short);
    keys_among_cards(p);
    kb = peak_kb(p);
    pty_free(p);
    return kb;
}

static void
write_long(const char *path)
{
    static const char *const part[] = { "渡口的灯是酉时灭的，", "老船工等着，",
                                        "雨落下来了。", "“数字”" };
    FILE *f = fopen(path, "w");
    size_t chars = 0, i;

    for (i = 0; f && chars < 1000000; i++) {
        fputs(part[i % 4], f);
        chars += strlen(part[i % 4]) / 3;
    }
    if (f)
        fclose(f);
}

static long
one_long(const char *program, const char *dir, int round)
{
    char path[512], home[512], old[600];
    const char *argv[] = { program,  "--length", "4000", "--stop-at",
                           "length", path,       NULL };
    const char *env[] = { home, NULL };
    struct pty *p;
    double t;
    long kb;

    snprintf(path, sizeof path, "%s/long-%d.txt", dir, round);
    snprintf(home, sizeof home, "HOME=%s", dir);
    write_long(path);
    t = now_ms();
    p = pty_start(argv, 100, 30, env);
    pty_wait_text(p, "老船工");
    add(&opening, now_ms() - t);
    pty_quiet(p, 500);
    pty_send(p, "\x1b[1;5F"); /* to the end */
    pty_quiet(p, 300);
    pty_send(p, "\t");
    pty_quiet(p, 100);
    pty_send(p, "\x1b[1;5H");
    pty_pump(p, 100);
    keys_while_writing(p, &key_long);
    kb = peak_kb(p);
    pty_free(p);
    unlink(path);
    snprintf(old, sizeof old, "%s/long-%d.jl", dir, round);
    unlink(old);
    return kb;
}

int
main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 9, i;
    char dir[] = "/tmp/jielong-start-XXXXXX", cmd[128];
    long kb = 0, kb_long = 0, k;

    if (argc < 2 || rounds < 1 || !mkdtemp(dir)) {
        fprintf(stderr, "usage: start_bench PROGRAM [ROUNDS]\n");
        return 2;
    }
    for (i = 0; i < rounds; i++) {
        k = one_start(argv[1], dir, i);
        kb = k > kb ? k : kb;
    }
    for (i = 0; i < (rounds + 2) / 3; i++) {
        k = one_long(argv[1], dir, i);
        kb_long = k > kb_long ? k : kb_long;
    }
    print(&first_frame);
    print(&first_token);
    print(&key_short);
    print(&key_cards);
    print(&opening);
    print(&key_long);
    printf("%-32s %.1f MB, in the long story %.1f MB\n", "memory at most",
           (double)kb / 1024, (double)kb_long / 1024);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) == 0 ? 0 : 1;
}
