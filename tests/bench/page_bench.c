/* tests/bench/page_bench.c  What a key costs in a long story.
 *
 *     jielong_page_bench [--chars N] [--keys N]
 *
 * A story of N characters (a million unless told), once in paragraphs and
 * once as a single line, a puppet for a generator that writes three
 * characters between any two keys. For keys at the end, in the middle and at
 * the start, and for choosing among three candidates that stream: from the key to the finished cells, in milliseconds, median,
 * 99th percentile and worst. Also what opening takes, with the first layout,
 * and what one undo takes. The terminal's own share is not in it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"

#include "ui/ui_state.h"

#include "tests/fake_gen.h"

static double
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static char *
make_text(size_t chars, bool lines, size_t *len)
{
    static const char *const part[] = { "渡口的灯是酉时灭的，", "老船工等着，",
                                        "雨落下来了。", "“数字……”" };
    char *s = xmalloc(chars * 4 + 64);
    size_t n = 0, c = 0;
    unsigned rnd = 1;

    while (c < chars) {
        const char *p = part[(rnd = rnd * 1664525u + 1013904223u) >> 30];

        memcpy(s + n, p, strlen(p));
        n += strlen(p);
        c += strlen(p) / 3;
        if (lines && (rnd >> 20) % 16 == 0)
            s[n++] = '\n';
    }
    *len = n;
    return s;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct bench {
    struct ui ui;
    struct fake_gen *gen;
    struct grid g;
    double *ms;
    int n_keys;
};

static void
frame(struct bench *b)
{
    int cx, cy;

    ui_draw(&b->ui, &b->g, &cx, &cy);
}

static void
press(struct bench *b, const char *name)
{
    struct key k;

    key_parse(name, &k);
    ui_key(&b->ui, &k);
}

/* Three tokens come, then a key; only the key is timed, with its frame. */
static double
one_key(struct bench *b, const struct key *k)
{
    double t;

    if (b->gen->running)
        for (int i = 0; i < 3; i++)
            fake_lane(b->gen, i % b->gen->req.n_lanes, "字");
    turn_poll(b->ui.turn, b->ui.now);
    b->ui.now += 20;
    t = now_ms();
    ui_key(&b->ui, k);
    frame(b);
    t = now_ms() - t;
    layout_work(&b->ui.layout, 128 * 1024);
    return t;
}

static void
report(struct bench *b, const char *what)
{
    qsort(b->ms, (size_t)b->n_keys, sizeof *b->ms, compare);
    printf("  %-34s %7.2f %7.2f %7.2f ms\n", what, b->ms[b->n_keys / 2],
           b->ms[b->n_keys * 99 / 100], b->ms[b->n_keys - 1]);
}

/* Types at `at` while a run writes at the end (or where the caret is). */
static void
keys_at(struct bench *b, const char *what, const char *go)
{
    struct key k = { .code = KEY_TEXT, .s = "雨", .len = 3 };
    struct key left, right;

    key_parse("Left", &left);
    key_parse("Right", &right);
    press(b, "Ctrl-End");
    press(b, "Tab");
    turn_poll(b->ui.turn, b->ui.now);
    press(b, go);
    frame(b);
    for (int i = 0; i < b->n_keys; i++) {
        const struct key *key = i % 4 == 3 ? &left : i % 4 == 1 ? &right : &k;

        if (i % 16 == 0)
            b->ui.now += 400; /* a pause: the run goes on */
        b->ms[i] = one_key(b, key);
    }
    press(b, "Esc");
    turn_poll(b->ui.turn, b->ui.now);
    report(b, what);
}

/* Goes from card to card while each gets a character between two keys; a new
 * batch when they are as long as candidates get. */
static void
keys_among_cards(struct bench *b)
{
    struct key right;

    key_parse("Right", &right);
    press(b, "Ctrl-End");
    for (int i = 0; i < b->n_keys; i++) {
        if (i % 100 == 0) {
            press(b, "Shift-Tab");
            frame(b);
        }
        b->ms[i] = one_key(b, &right);
    }
    press(b, "Esc");
    press(b, "Esc");
    turn_poll(b->ui.turn, b->ui.now);
    report(b, "among three candidates");
}

static void
time_undo(struct bench *b)
{
    double t;

    press(b, "Ctrl-Home");
    b->ui.now += 2000;
    press(b, "Enter");
    frame(b);
    t = now_ms();
    press(b, "Ctrl-Z");
    frame(b);
    printf("  %-34s %7.2f ms\n", "undo of a key at the start", now_ms() - t);
}

static void
open_ui(struct bench *b, const char *path)
{
    struct storyfile_options opt = { .create = true };
    struct err err = { 0 };
    struct storyfile *f = storyfile_open(path, &opt, &err);

    if (!f) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    b->gen = fake_gen_new();
    b->ui = (struct ui){ .cols = 100, .rows = 40, .now = 1000 };
    ui_init(&b->ui, f, &b->gen->base);
    fake_loaded(b->gen);
}

static void
run(size_t chars, int n_keys, bool lines)
{
    struct bench b = { .n_keys = n_keys };
    char dir[] = "/tmp/jielong-bench-XXXXXX", path[64];
    size_t len;
    char *text = make_text(chars, lines, &len);
    double t;

    if (!mkdtemp(dir))
        exit(1);
    snprintf(path, sizeof path, "%s/long.jl", dir);
    b.ms = xcalloc((size_t)n_keys, sizeof *b.ms);
    grid_init(&b.g, 100, 40);
    printf("%zu characters, %s\n", chars,
           lines ? "in paragraphs" : "without line breaks");
    open_ui(&b, path);
    storyfile_import(b.ui.file, text, len, NULL);
    free(text);
    ui_finish(&b.ui);

    t = now_ms();
    open_ui(&b, path);
    frame(&b);
    while (layout_work(&b.ui.layout, 128 * 1024))
        ;
    frame(&b);
    printf("  %-34s %7.2f ms\n", "opening, laid out", now_ms() - t);
    printf("  %-34s %7s %7s %7s\n", "key to cells", "median", "p99", "worst");
    keys_at(&b, "at the end, the run's pen there too", "Ctrl-End");
    keys_at(&b, "a page above the pen", "PgUp");
    keys_at(&b, "at the start", "Ctrl-Home");
    keys_among_cards(&b);
    time_undo(&b);
    ui_finish(&b.ui);
    grid_finish(&b.g);
    free(b.ms);
    unlink(path);
    rmdir(dir);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = { { "chars", 1, NULL, 'c' },
                                             { "keys", 1, NULL, 'k' },
                                             { 0 } };
    size_t chars = 1000000;
    int n_keys = 2000, c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'c')
            chars = strtoul(optarg, NULL, 10);
        else if (c == 'k')
            n_keys = atoi(optarg);
        else
            return 2;
    }
    if (n_keys < 100)
        n_keys = 100;
    run(chars, n_keys, true);
    run(chars, n_keys, false);
    return 0;
}
