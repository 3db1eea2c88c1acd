/* tests/lanes_test.c  Several continuations at once, and runs that go on past
 * their window: what each lane gets is what it would get alone, and no token
 * waits for a window to be read. On one thread. */
#include "engine/writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "engine/outbox.h"
#include "engine/tokenizer.h"

enum { LANES = 5, TOKENS = 1024, WINDOWS = 256 };

struct told { /* of one lane */
    int n, n_windows, ends;
    int id[TOKENS];
    float lp[TOKENS], q[TOKENS];
    uint64_t rows[TOKENS]; /* of the network before the token went out */
    size_t end_of[TOKENS]; /* bytes of text with this token */
    char text[8 * TOKENS];
    size_t len;
    struct {
        uint32_t i;
        size_t at;
    } window[WINDOWS];
    enum gen_why why;
    uint32_t n_end;
    int knobs_at; /* tokens told before KNOBS, -1: not told */
};

/* That in the box, one of 24 positions and 61 tokens, and the same with a
 * Jamo among its tokens. */
static struct model *box, *tiny, *jamo, *model;
static struct writer *box_writer, *tiny_writer, *jamo_writer, *writer;
static struct {
    struct told lane[LANES];
    int n_knobs, n_reading, n_failed;
    uint32_t knobs_i;
    atomic_bool cancel;
    int cancel_at, knobs_at; /* tokens of lane 0, 0: never */
    struct knobs knobs;
    uint32_t i0;
} got;

static void
on_token(struct told *t, const struct gen_event *ev)
{
    assert_true(t->n < TOKENS && t->ends == 0);
    assert_int_equal(ev->u.token.i, got.i0 + (uint32_t)t->n);
    memcpy(t->text + t->len, ev->u.token.text, ev->u.token.len + 1);
    t->len += ev->u.token.len;
    t->id[t->n] = ev->u.token.id;
    t->lp[t->n] = ev->u.token.lp;
    t->q[t->n] = ev->u.token.q;
    t->rows[t->n] = writer_rows(writer);
    t->end_of[t->n++] = t->len;
}

static void
on_post(void *ud, const struct gen_event *from, bool droppable)
{
    struct gen_event ev = *from;
    struct told *t = &got.lane[ev.lane];

    assert_in_range(ev.lane, 0, LANES - 1);
    switch (ev.type) {
    case GEN_TOKEN: on_token(t, &ev); break;
    case GEN_READING:
        got.n_reading += ev.u.reading.done == ev.u.reading.total;
        break;
    case GEN_WINDOW:
        assert_true(t->n_windows < WINDOWS && t->ends == 0);
        t->window[t->n_windows].i = ev.u.window.i;
        t->window[t->n_windows++].at = ev.u.window.at;
        break;
    case GEN_KNOBS:
        got.n_knobs++;
        got.knobs_i = ev.u.knobs.i;
        for (int i = 0; i < LANES; i++)
            got.lane[i].knobs_at = got.lane[i].n;
        break;
    case GEN_END:
        t->why = ev.u.end.why;
        t->n_end = ev.u.end.n;
        t->ends++;
        break;
    case GEN_FAILED: got.n_failed++; break;
    default: fail_msg("event %d", ev.type);
    }
    if (got.cancel_at && got.lane[0].n == got.cancel_at)
        atomic_store(&got.cancel, true);
    gen_event_finish(&ev);
}

static bool
on_knobs(void *ud, struct knobs *k, uint32_t *serial)
{
    if (!got.knobs_at || got.lane[0].n < got.knobs_at)
        return false;
    *k = got.knobs;
    *serial = 9;
    got.knobs_at = 0;
    return true;
}

static bool
on_keep(void *ud, int *lane)
{
    return false;
}

static const struct writer_host host = { NULL, on_post, on_knobs, on_keep,
                                         &got.cancel };

static const char opening[] = "那天晚上，渡口的老人没有回家，他坐在河边，";

static struct gen_request
request(const struct prompt_span *span, int64_t n)
{
    struct gen_request r = { .kind = GEN_RUN,
                             .spans = span,
                             .n_spans = 1,
                             .seed = 4711,
                             .run = 1,
                             .n_lanes = 1 };

    knobs_default(&r.knobs);
    r.knobs.stop_at = STOP_AT_LENGTH;
    r.knobs.temp = INFINITY; /* so that no loop ends it */
    r.knobs.top_k = 60;
    r.knobs.top_p = 1;
    r.knobs.min_p = 0;
    r.knobs.length = r.length_left = n;
    snprintf(r.knobs.bias, sizeof r.knobs.bias, "id:%d=-inf",
             vocab_profile(model_vocab(model))->end);
    return r;
}

static struct prompt_span
text_span(const char *text)
{
    return (struct prompt_span){ .text = text, .len = strlen(text) };
}

/* Keeps what was to happen, and forgets what did. */
static void
serve(const struct gen_request *r)
{
    struct job *j = job_new(r, 5);

    memset(got.lane, 0, sizeof got.lane);
    for (int i = 0; i < LANES; i++)
        got.lane[i].knobs_at = -1;
    got.n_knobs = got.n_reading = got.n_failed = 0;
    got.i0 = r->i0;
    atomic_store(&got.cancel, false);
    writer_do(writer, j);
    job_free(j);
    for (int i = 0; i < LANES; i++)
        assert_int_equal(got.lane[i].ends, i < r->n_lanes ? 1 : 0);
}

static void
assert_same(const struct told *a, const struct told *b)
{
    size_t n = (size_t)a->n;

    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->id, b->id, n * sizeof *a->id);
    assert_memory_equal(a->lp, b->lp, n * sizeof *a->lp);
    assert_memory_equal(a->q, b->q, n * sizeof *a->q);
    assert_memory_equal(a->end_of, b->end_of, n * sizeof *a->end_of);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->n_windows, b->n_windows);
    for (int i = 0; i < a->n_windows; i++) {
        assert_int_equal(a->window[i].i, b->window[i].i);
        assert_int_equal(a->window[i].at, b->window[i].at);
    }
    assert_int_equal(a->why, b->why);
    assert_int_equal(a->n_end, b->n_end);
}

/* All lanes of r against requests of their own. */
static void
check_lanes(struct gen_request r)
{
    struct told *lanes = xcalloc(LANES, sizeof *lanes);
    int n = 0;

    r.n_lanes = LANES;
    r.br = 3;
    serve(&r);
    assert_true(got.n_reading > 0);
    memcpy(lanes, got.lane, sizeof got.lane);
    r.n_lanes = 1;
    for (int i = 0; i < LANES; i++, r.br++) {
        serve(&r);
        assert_same(&lanes[i], &got.lane[0]);
        n += got.lane[0].n;
    }
    assert_true(n > LANES);
    free(lanes);
}

static void
each_lane_is_as_alone(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 12);

    check_lanes(r);
    r.knobs.stop_at = STOP_AT_SENTENCE; /* they end one by one */
    check_lanes(r);
    r.knobs.stop_at = STOP_AT_LENGTH;
    snprintf(r.knobs.stop, sizeof r.knobs.stop, "的");
    r.knobs.length = r.length_left = 30;
    check_lanes(r);
    s.len = 3; /* hardly a prompt */
    check_lanes(r);
}

static void
knobs_part_all_lanes_at_one_token(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 30);
    int least = TOKENS;

    /* Tokens wait for what comes after them, in some lanes. */
    snprintf(r.knobs.stop, sizeof r.knobs.stop, "，，，，\\n。。。。");
    r.knobs.stop_at = STOP_AT_SENTENCE;
    r.n_lanes = LANES;
    got.knobs = r.knobs;
    got.knobs.temp = 0;
    got.knobs_at = 8;
    serve(&r);
    assert_int_equal(got.n_knobs, 1);
    assert_true(got.knobs_i >= 8);
    for (int i = 0; i < LANES; i++) {
        const struct told *t = &got.lane[i];

        assert_true(t->knobs_at <= (int)got.knobs_i);
        if (t->n > t->knobs_at) /* it went on: nothing was left behind */
            assert_int_equal(t->knobs_at, got.knobs_i);
        for (int k = 0; k < t->n; k++)
            assert_true((t->q[k] == 0) == (k >= (int)got.knobs_i));
        least = t->n < least ? t->n : least;
    }
    assert_true(least > 0);
    memset(&got, 0, sizeof got);
}

static void
cancel_ends_all_lanes(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 100);

    r.n_lanes = LANES;
    got.cancel_at = 10;
    serve(&r);
    for (int i = 0; i < LANES; i++) {
        assert_int_equal(got.lane[i].why, GEN_WHY_USER);
        assert_int_equal(got.lane[i].n_end, got.lane[i].n);
        assert_in_range(got.lane[i].n, 9, 10);
    }
    got.cancel_at = 0;
    r.n_lanes = 2; /* the same writer goes on serving */
    serve(&r);
    assert_int_equal(got.lane[1].why, GEN_WHY_LENGTH);
}

static void
what_fails_fails_in_all_lanes(void **state)
{
    struct prompt_span s = text_span("");
    struct gen_request r = request(&s, 10);

    r.n_lanes = 3;
    r.win_at = 50; /* no begin token either */
    serve(&r);
    assert_int_equal(got.n_failed, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(got.lane[i].why, GEN_WHY_ERROR);
}

/* --- past the window --- */

/* No token costs more than its own row and a few of the next window. */
static void
assert_no_pause(const struct told *t, int lanes)
{
    for (int i = 1; i < t->n; i++)
        if (t->rows[i] - t->rows[i - 1] > (uint64_t)(5 * lanes))
            fail_msg("token %d waited for %u rows", i,
                     (unsigned)(t->rows[i] - t->rows[i - 1]));
}

static void
no_token_waits_for_a_window(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 800);

    serve(&r);
    assert_int_equal(got.lane[0].n, 800);
    assert_true(got.lane[0].n_windows >= 20); /* of 24 positions */
    assert_no_pause(&got.lane[0], 1);
}

/* Wherever the run is taken up again, from text and exact ids alone, it goes
 * on alike: nothing that was read ahead shows. */
static void
a_run_is_taken_up_anywhere(void **state)
{
    struct prompt_span s[2] = { text_span(opening) };
    struct gen_request r = request(s, 700);
    struct told *whole = xcalloc(1, sizeof *whole);
    struct prompt_span other = text_span("别的。");
    struct gen_request forget = request(&other, 1);

    serve(&r);
    *whole = got.lane[0];
    for (int at = 97; at < 700; at += 131) {
        size_t win = 0, from;

        for (int w = 0; w < whole->n_windows; w++)
            if (whole->window[w].i <= (uint32_t)at)
                win = whole->window[w].at;
        from = win > s[0].len ? win - s[0].len : 0;
        serve(&forget); /* nothing is left of what was read */
        struct prompt_span part[2] = { s[0] };
        int first = 0;

        while (first < at && (first ? whole->end_of[first - 1] : 0) < from)
            first++;
        part[0].text += win < s[0].len ? win : s[0].len;
        part[0].len -= win < s[0].len ? win : s[0].len;
        part[1].text = whole->text + from;
        part[1].len = whole->end_of[at - 1] - from;
        part[1].ids = whole->id + first;
        part[1].n_ids = (size_t)(at - first);
        part[1].tok = model_tok_hash(model);
        r.spans = part;
        r.n_spans = 2;
        r.win_at = win;
        r.i0 = (uint32_t)at;
        r.length_left = 700 - at;
        serve(&r);
        assert_int_equal(got.lane[0].n, 700 - at);
        assert_memory_equal(got.lane[0].id, whole->id + at,
                            (size_t)(700 - at) * sizeof(int));
        assert_memory_equal(got.lane[0].lp, whole->lp + at,
                            (size_t)(700 - at) * sizeof(float));
        assert_no_pause(&got.lane[0], 1);
    }
    free(whole);
}

static void
lanes_leave_their_windows(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 800);
    struct told *lanes = xcalloc(LANES, sizeof *lanes);

    r.n_lanes = 3;
    serve(&r);
    memcpy(lanes, got.lane, sizeof got.lane);
    for (int i = 0; i < 3; i++) {
        assert_true(lanes[i].n_windows >= 20);
        assert_no_pause(&lanes[i], 3);
    }
    r.n_lanes = 1;
    r.br = 2;
    serve(&r);
    assert_same(&lanes[2], &got.lane[0]);
    free(lanes);
}

/* An edit when the next window was read already, and back; a run that was
 * stopped in mid-window. */
static void
what_was_read_ahead_never_shows(void **state)
{
    char *text = xstrdup(opening), was[6];
    size_t at = strlen(text) - 30;
    struct prompt_span s = text_span(text);
    struct gen_request r = request(&s, 120), read = r;
    struct told *want = xcalloc(1, sizeof *want);

    serve(&r);
    *want = got.lane[0];
    read.kind = GEN_READ;
    serve(&read);
    memcpy(was, text + at, 6);
    memcpy(text + at, "春夏", 6);
    serve(&read);
    serve(&r);
    assert_true(memcmp(want->lp, got.lane[0].lp, sizeof want->lp) != 0);
    memcpy(text + at, was, 6);
    got.cancel_at = 30;
    serve(&r);
    got.cancel_at = 0;
    serve(&r);
    assert_same(want, &got.lane[0]);
    assert_no_pause(want, 1);
    free(want);
    free(text);
}

/* A syllable is kept back while it may grow; where the run ends it is text of
 * the last token, however it ends. */
static void
the_last_syllable_is_text(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s, 2);

    r.knobs.temp = 0;
    snprintf(r.knobs.bias, sizeof r.knobs.bias, "id:4=1000");
    serve(&r);
    assert_int_equal(got.lane[0].n, 2);
    assert_string_equal(got.lane[0].text, "\xe1\x84\x80 \xe1\x84\x80");
    assert_int_equal(got.lane[0].end_of[0], 0); /* it might have grown */
    r.knobs.length = r.length_left = 5;
    got.cancel_at = 2; /* in the third, when the second has gone out */
    serve(&r);
    got.cancel_at = 0;
    assert_int_equal(got.lane[0].why, GEN_WHY_USER);
    assert_int_equal(got.lane[0].n, 3);
    assert_int_equal(got.lane[0].len, 11);
}

/* --- the outbox by itself --- */

static char log_of[256];

static void
write_down(void *ud, const struct gen_event *from)
{
    struct gen_event ev = *from;
    size_t n = strlen(log_of);

    if (ev.type == GEN_TOKEN)
        snprintf(log_of + n, sizeof log_of - n, "%d%s ", ev.lane,
                 ev.u.token.text);
    else
        snprintf(log_of + n, sizeof log_of - n, "%s ",
                 ev.type == GEN_KNOBS ? "K" : "E");
    gen_event_finish(&ev);
}

static void
token(struct outbox *o, int lane, const char *text)
{
    struct gen_event ev = { .type = GEN_TOKEN, .lane = lane };

    ev.u.token.text = xstrdup(text);
    ev.u.token.len = strlen(text);
    outbox_token(o, &ev);
}

static void
events_stay_in_order(void **state)
{
    struct outbox *o = xcalloc(1, sizeof *o);
    struct gen_event knobs = { .type = GEN_KNOBS }, end = { .type = GEN_END };

    o->post = write_down;
    outbox_begin(o, 3);
    token(o, 0, "a"), token(o, 1, "a"), token(o, 2, "a");
    outbox_settle(o, 0, 1);
    assert_string_equal(log_of, "0a ");
    outbox_all(o, &knobs); /* waits for lanes 1 and 2 */
    token(o, 0, "b");
    outbox_settle(o, 0, 1);
    end.lane = 0;
    outbox_put(o, &end); /* behind its token, which waits too */
    assert_string_equal(log_of, "0a ");
    outbox_settle(o, 2, 1);
    assert_string_equal(log_of, "0a 2a ");
    token(o, 1, "bcd");
    outbox_all(o, &knobs); /* of lanes 1 and 2 */
    outbox_settle(o, 1, 1);
    assert_string_equal(log_of, "0a 2a 1a K 0b E ");
    outbox_drop(o, 1, 2); /* what is left of it is before the second K */
    assert_string_equal(log_of, "0a 2a 1a K 0b E 1bc K ");
    token(o, 2, "x");
    outbox_add_text(o, 2, "yz", 2);
    token(o, 1, "gone");
    outbox_drop(o, 1, 0);
    outbox_settle(o, 2, 1);
    assert_string_equal(log_of, "0a 2a 1a K 0b E 1bc K 2xyz ");
    assert_int_equal(o->lane[0].n_tokens, 2);
    assert_int_equal(o->lane[1].n_tokens, 2);
    token(o, 1, "left");
    outbox_finish(o);
    free(o);
}

/* Weights of the test data, and a vocabulary of single characters. */
static struct model *
open_tiny(const char *data, const char *first, struct err *err)
{
    static const char chars[] = "那天晚上渡口的老人没有回家他坐在河边，。！"
                                "一二三四五六七八九十别春夏秋冬东西南北"
                                "山水火木金土日月星云雨";
    struct model_options opt = { 0 };
    char dir[] = "/tmp/jielong-lanes-XXXXXX", vocab[64], path[4096];
    struct model *m;
    FILE *f;

    if (!mkdtemp(dir))
        return NULL;
    snprintf(vocab, sizeof vocab, "%s/vocab.txt", dir);
    f = fopen(vocab, "w");
    fprintf(f, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n%s\n", first);
    for (const char *c = chars; *c; c += 3)
        fprintf(f, "%.3s\n", c);
    fclose(f);
    opt.vocab = vocab;
    snprintf(path, sizeof path, "%s/models/f32", data);
    m = model_open(path, &opt, err);
    unlink(vocab);
    rmdir(dir);
    return m;
}

static int
with_tiny(void **state)
{
    model = tiny;
    writer = tiny_writer;
    return 0;
}

static int
with_jamo(void **state)
{
    model = jamo;
    writer = jamo_writer;
    return 0;
}

static int
with_box(void **state)
{
    model = box;
    writer = box_writer;
    return 0;
}

#define TINY(name) cmocka_unit_test_setup(name, with_tiny)
#define JAMO(name) cmocka_unit_test_setup(name, with_jamo)
#define BOX(name)  cmocka_unit_test_setup(name, with_box)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOX(each_lane_is_as_alone),
        TINY(each_lane_is_as_alone),
        BOX(knobs_part_all_lanes_at_one_token),
        BOX(cancel_ends_all_lanes),
        BOX(what_fails_fails_in_all_lanes),
        TINY(no_token_waits_for_a_window),
        TINY(a_run_is_taken_up_anywhere),
        TINY(lanes_leave_their_windows),
        TINY(what_was_read_ahead_never_shows),
        JAMO(the_last_syllable_is_text),
        cmocka_unit_test(events_stay_in_order),
    };
    const char *data = getenv("JIELONG_TEST_DATA");
    struct err err = { 0 };
    char path[4096];
    int rc;

    data = data ? data : "tests/data";
    snprintf(path, sizeof path, "%s/../../models/jielong-zh", data);
    box = model_open(path, NULL, &err);
    tiny = open_tiny(data, "明", &err);
    jamo = open_tiny(data, "\xe1\x84\x80", &err); /* U+1100 */
    box_writer = box ? writer_new(box, 2, &host, &err) : NULL;
    tiny_writer = tiny ? writer_new(tiny, 2, &host, &err) : NULL;
    jamo_writer = jamo ? writer_new(jamo, 2, &host, &err) : NULL;
    if (!box_writer || !tiny_writer || !jamo_writer) {
        fprintf(stderr, "# %s\n", err.msg);
        return 1;
    }
    rc = cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
    writer_free(box_writer);
    writer_free(tiny_writer);
    writer_free(jamo_writer);
    model_close(box);
    model_close(tiny);
    model_close(jamo);
    return rc;
}
