/* tests/worker_test.c  The worker's thread: loading, replacing, cancelling,
 * a full ring, and going away in the middle of it all. Run under the thread
 * sanitizer too. */
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/base/ring.h"
#include "engine/gen.h"

static char box[4096]; /* path of the model in the box */

static struct prompt_span opening = { .text = "那天晚上，渡口的老人" };

/* A run that ends by itself only after n tokens. */
static struct gen_request
request(int64_t n)
{
    struct gen_request r = { .kind = GEN_RUN,
                             .spans = &opening,
                             .n_spans = 1,
                             .seed = 1,
                             .run = 1,
                             .n_lanes = 1 };

    opening.len = strlen(opening.text);
    knobs_default(&r.knobs);
    r.knobs.temp = INFINITY; /* so that no loop ends it */
    r.knobs.top_k = 0;
    r.knobs.top_p = 1;
    r.knobs.min_p = 0;
    r.knobs.stop_at = STOP_AT_LENGTH;
    r.knobs.length = r.length_left = n;
    return r;
}

static void
wait_readable(struct gen *g)
{
    struct pollfd p = { .fd = gen_fd(g), .events = POLLIN };

    /* Far longer than anything here takes: only against hanging. */
    if (poll(&p, 1, 60000) != 1)
        fail_msg("no event came");
}

/* The next event that is not mere progress, waiting for it. */
static struct gen_event
next_event(struct gen *g)
{
    struct gen_event ev;

    for (;;) {
        if (!gen_next(g, &ev)) {
            wait_readable(g);
            continue;
        }
        if (ev.type != GEN_LOADING && ev.type != GEN_READING &&
            ev.type != GEN_HASHED)
            return ev;
        gen_event_finish(&ev);
    }
}

static struct gen_event
next_of(struct gen *g, enum gen_event_type type)
{
    for (;;) {
        struct gen_event ev = next_event(g);

        if (ev.type == type)
            return ev;
        gen_event_finish(&ev);
    }
}

static void
nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

static struct gen *
loaded(void)
{
    struct gen *g = gen_local(box, NULL, 2);
    struct gen_event ev = next_event(g);

    if (ev.type == GEN_FAILED)
        fail_msg("%s", ev.u.err.msg);
    assert_int_equal(ev.type, GEN_LOADED);
    assert_int_equal(ev.serial, 0);
    assert_non_null(gen_model(g));
    return g;
}

static void
loads_hashes_and_writes(void **state)
{
    struct gen *g = gen_local(box, NULL, 0);
    struct gen_request r = request(12);
    struct gen_event ev;
    uint32_t serial = gen_submit(g, &r), i = 0; /* waits for the model */
    bool seen_loaded = false, seen_hashes = false, ended = false;

    assert_true(serial > 0);
    while (!seen_hashes || !ended) {
        if (!gen_next(g, &ev)) {
            wait_readable(g);
            continue;
        }
        switch (ev.type) {
        case GEN_LOADING:
            assert_false(seen_loaded);
            assert_true(ev.u.loading.done <= ev.u.loading.total);
            break;
        case GEN_LOADED: seen_loaded = true; break;
        case GEN_HASHED:
            assert_true(seen_loaded);
            assert_int_equal(strlen(ev.u.hashes.weights), 64);
            seen_hashes = true;
            break;
        case GEN_TOKEN:
            assert_true(seen_loaded && !ended);
            assert_int_equal(ev.serial, serial);
            assert_int_equal(ev.u.token.i, i++);
            assert_int_equal(strlen(ev.u.token.text), ev.u.token.len);
            break;
        case GEN_END:
            assert_int_equal(ev.u.end.why, GEN_WHY_LENGTH);
            assert_int_equal(ev.u.end.n, 12);
            ended = true;
            break;
        default: break;
        }
        gen_event_finish(&ev);
    }
    assert_int_equal(i, 12);
    gen_free(g);
}

static void
what_cannot_be_loaded_says_so(void **state)
{
    struct gen *g = gen_local("/nonexistent/model", NULL, 1);
    struct gen_request r = request(5);
    struct gen_event ev = next_event(g);
    uint32_t serial;

    assert_int_equal(ev.type, GEN_FAILED);
    assert_int_equal(ev.serial, 0);
    assert_int_equal(ev.u.err.kind, ERR_MODEL);
    assert_non_null(strstr(ev.u.err.msg, "/nonexistent/model"));
    assert_null(gen_model(g));
    serial = gen_submit(g, &r);
    ev = next_event(g);
    assert_int_equal(ev.type, GEN_FAILED);
    assert_int_equal(ev.serial, serial);
    ev = next_event(g);
    assert_int_equal(ev.type, GEN_END);
    assert_int_equal(ev.u.end.why, GEN_WHY_ERROR);
    gen_free(g);
}

static void
cancel_ends_the_run(void **state)
{
    struct gen *g = loaded();
    struct gen_request r = request(100000);
    uint32_t serial, n = 0;
    struct gen_event ev;

    gen_cancel(g); /* nothing runs: nothing happens */
    serial = gen_submit(g, &r);
    ev = next_of(g, GEN_TOKEN);
    gen_event_finish(&ev);
    gen_cancel(g);
    for (n = 1;; n++) {
        ev = next_event(g);
        if (ev.type == GEN_END)
            break;
        gen_event_finish(&ev);
    }
    assert_int_equal(ev.serial, serial);
    assert_int_equal(ev.u.end.why, GEN_WHY_USER);
    assert_true(ev.u.end.n >= 1 && ev.u.end.n < 100000);
    gen_free(g);
}

static void
a_request_replaces_the_one_before(void **state)
{
    struct gen *g = loaded();
    struct gen_request long_one = request(100000), short_one = request(3);
    uint32_t a, b, c, ends = 0;
    struct gen_event ev;

    a = gen_submit(g, &long_one);
    ev = next_of(g, GEN_TOKEN);
    gen_event_finish(&ev);
    b = gen_submit(g, &long_one); /* maybe never begun */
    c = gen_submit(g, &short_one);
    assert_true(a < b && b < c);
    while (ends < 3) {
        ev = next_event(g);
        if (ev.type == GEN_END) {
            ends++;
            assert_int_equal(ev.u.end.why,
                             ev.serial == c ? GEN_WHY_LENGTH : GEN_WHY_USER);
        } else if (ev.type == GEN_TOKEN && ev.serial == c) {
            assert_true(ends == 2);
        }
        gen_event_finish(&ev);
    }
    gen_free(g);
}

static void
requests_before_the_model_is_there(void **state)
{
    struct gen *g = gen_local(box, NULL, 2);
    struct gen_request r = request(2);
    uint32_t last = 0, ends = 0;

    for (int i = 0; i < 5; i++)
        last = gen_submit(g, &r);
    while (ends < 5) {
        struct gen_event ev = next_event(g);

        if (ev.type == GEN_END) {
            ends++;
            assert_int_equal(ev.u.end.why,
                             ev.serial == last ? GEN_WHY_LENGTH : GEN_WHY_USER);
        }
        gen_event_finish(&ev);
    }
    gen_free(g);
    g = gen_local(box, NULL, 2);
    gen_submit(g, &r);
    gen_free(g); /* while it loads */
}

/* Every lane of every request gets its END, whether it ran or not. */
static void
each_lane_ends_once(void **state)
{
    struct gen *g = gen_local(box, NULL, 2);
    struct gen_request r = request(3), endless = request(100000);
    uint32_t ends[8][5] = { 0 }, n = 0, serial[6];

    r.n_lanes = endless.n_lanes = 5;
    for (int i = 0; i < 5; i++) /* the model is not there yet */
        serial[i] = gen_submit(g, i == 4 ? &endless : &r);
    for (;;) {
        struct gen_event ev = next_of(g, GEN_TOKEN); /* of the fifth */
        bool last = ev.lane == 4;

        assert_int_equal(ev.serial, serial[4]);
        gen_event_finish(&ev);
        if (last)
            break;
    }
    serial[5] = gen_submit(g, &r);
    while (n < 10) {
        struct gen_event ev = next_of(g, GEN_END);

        assert_in_range(ev.lane, 0, 4);
        assert_int_equal(ev.u.end.why, ev.serial == serial[5] ? GEN_WHY_LENGTH
                                                              : GEN_WHY_USER);
        assert_int_equal(ends[ev.serial][ev.lane]++, 0);
        n++;
    }
    for (int lane = 0; lane < 5; lane++)
        assert_int_equal(
            ends[serial[4]][lane] + ends[serial[5]][lane], 2);
    gen_free(g);
    g = gen_local("/nonexistent/model", NULL, 1);
    serial[0] = gen_submit(g, &r);
    for (int lane = 0; lane < 5; lane++) {
        struct gen_event ev = next_of(g, GEN_END);

        assert_int_equal(ev.serial, serial[0]);
        assert_int_equal(ev.lane, lane);
        assert_int_equal(ev.u.end.why, GEN_WHY_ERROR);
    }
    gen_free(g);
}

/* One lane goes on, with the tokens that it would get anyway; the others end
 * at once. */
static void
one_lane_is_kept(void **state)
{
    struct gen *g = loaded();
    struct gen_request r = request(60);
    uint32_t serial, n[3] = { 0 }, ends = 0;
    bool stopped = false;
    int alone[60], i = 0;

    r.br = 1;
    gen_submit(g, &r);
    while (i < 60) {
        struct gen_event ev = next_of(g, GEN_TOKEN);

        alone[i++] = ev.u.token.id;
        gen_event_finish(&ev);
    }
    r = request(100000);
    r.n_lanes = 3;
    serial = gen_submit(g, &r);
    gen_keep_lane(g, serial + 1, 0); /* of no request */
    while (ends < 3) {
        struct gen_event ev = next_event(g);

        if (ev.type == GEN_TOKEN && ev.serial == serial) {
            if (ev.lane == 1 && n[1] < 60)
                assert_int_equal(ev.u.token.id, alone[n[1]]);
            if (++n[ev.lane] == 2 && ev.lane == 1)
                gen_keep_lane(g, serial, 1);
        } else if (ev.type == GEN_END && ev.serial == serial) {
            assert_int_equal(ev.u.end.why, GEN_WHY_USER);
            assert_int_equal(ev.u.end.n, n[ev.lane]);
            assert_int_equal(ev.lane == 1, ends == 2);
            ends++;
        }
        if (ends == 2 && n[1] >= 60 && !stopped) {
            gen_cancel(g);
            stopped = true;
        }
        gen_event_finish(&ev);
    }
    assert_true(stopped);
    gen_free(g);
}

static void
knobs_reach_a_running_request(void **state)
{
    struct gen *g = loaded();
    struct gen_request r = request(100000);
    uint32_t serial = gen_submit(g, &r), n, held = 0;
    struct gen_event ev = next_of(g, GEN_TOKEN);

    gen_event_finish(&ev);
    r.knobs.temp = 0;
    r.knobs.length = 200;               /* and so the run ends */
    gen_knobs(g, serial + 1, &r.knobs); /* of no request: ignored */
    n = gen_knobs(g, serial, &r.knobs);
    for (;;) {
        ev = next_event(g);
        if (ev.type == GEN_END)
            break;
        if (ev.type == GEN_KNOBS) {
            assert_int_equal(ev.u.knobs.knobs_serial, n);
            held = ev.u.knobs.i;
        } else if (ev.type == GEN_TOKEN && held) {
            assert_true(ev.u.token.i >= held);
            assert_true(ev.u.token.q == 0); /* greedy from here on */
        }
        gen_event_finish(&ev);
    }
    assert_true(held > 0);
    assert_true(ev.u.end.n < 100000);
    gen_free(g);
}

static void
a_slow_reader_loses_nothing(void **state)
{
    enum { N = RING_SLOTS * 4 };
    struct gen *g = loaded();
    struct gen_request r = request(N);
    uint32_t i = 0;
    struct gen_event ev;

    gen_submit(g, &r);
    nap(300); /* the ring fills, the worker waits */
    for (;;) {
        /* one event for each time that the descriptor is readable */
        wait_readable(g);
        if (!gen_next(g, &ev))
            continue;
        if (ev.type == GEN_TOKEN)
            assert_int_equal(ev.u.token.i, i++);
        if (ev.type == GEN_END)
            break;
        gen_event_finish(&ev);
    }
    assert_int_equal(i, N);
    assert_int_equal(ev.u.end.n, N);
    gen_free(g);
}

static void
a_full_ring_does_not_hold_up_the_end(void **state)
{
    struct gen *g = loaded();
    struct gen_request r = request(100000);
    struct gen_event ev;

    gen_submit(g, &r);
    nap(300);
    gen_cancel(g);
    ev = next_of(g, GEN_END);
    assert_int_equal(ev.u.end.why, GEN_WHY_USER);
    gen_submit(g, &r);
    nap(300);
    gen_submit(g, &r); /* replaces a run that waits for room */
    nap(50);
    gen_free(g); /* and nobody reads any more */
}

static void
free_in_mid_run(void **state)
{
    for (int i = 0; i < 8; i++) {
        struct gen *g = loaded();
        struct gen_request r = request(100000);
        struct gen_event ev;

        gen_submit(g, &r);
        for (int j = 0; j < i * 3; j++) {
            ev = next_of(g, GEN_TOKEN);
            gen_event_finish(&ev);
        }
        gen_free(g);
    }
}

static void
nothing_to_read_is_not_readable(void **state)
{
    struct gen *g = loaded();
    struct gen_request r = request(3);
    struct gen_event ev;
    struct pollfd p = { .fd = gen_fd(g), .events = POLLIN };

    r.kind = GEN_READ;
    gen_submit(g, &r);
    ev = next_of(g, GEN_END);
    assert_int_equal(ev.u.end.why, GEN_WHY_NONE);
    nap(200); /* the hashes have come too */
    while (gen_next(g, &ev))
        gen_event_finish(&ev);
    assert_int_equal(poll(&p, 1, 0), 0);
    gen_free(g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_hashes_and_writes),
        cmocka_unit_test(what_cannot_be_loaded_says_so),
        cmocka_unit_test(cancel_ends_the_run),
        cmocka_unit_test(a_request_replaces_the_one_before),
        cmocka_unit_test(requests_before_the_model_is_there),
        cmocka_unit_test(each_lane_ends_once),
        cmocka_unit_test(one_lane_is_kept),
        cmocka_unit_test(knobs_reach_a_running_request),
        cmocka_unit_test(a_slow_reader_loses_nothing),
        cmocka_unit_test(a_full_ring_does_not_hold_up_the_end),
        cmocka_unit_test(free_in_mid_run),
        cmocka_unit_test(nothing_to_read_is_not_readable),
    };
    const char *data = getenv("JIELONG_TEST_DATA");

    snprintf(box, sizeof box, "%s/../../models/jielong-zh",
             data ? data : "tests/data");
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
