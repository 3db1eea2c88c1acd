/* tests/session_test.c  What a session runs again and what it keeps. */
#include "engine/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/kernels/kernels.h"

#include "tests/random_gpt2.h"

#define V 61
#define P 1024

static const struct shape shape = { V, P, 32, 2, 4, 64, false };

struct fixture {
    struct gpt2 *g;
    struct session *s;
    atomic_bool cancel;
    int ids[P + 1];
    int told, total, cancel_at; /* progress; cancel once it is reached */
};

static void
reading(void *ud, int done, int total)
{
    struct fixture *f = ud;

    assert_true(done > f->told);
    f->told = done;
    f->total = total;
    if (f->cancel_at && done >= f->cancel_at)
        f->cancel = true;
}

static int
setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct session_options opt = {
        .n_threads = 2, .cancel = &f->cancel, .reading = reading, .ud = f
    };
    struct err err = { 0 };
    uint64_t seed = 1;

    f->g = random_gpt2(&shape, 0.7f, 1);
    f->s = session_new_gpt2(f->g, &opt, &err);
    for (int i = 0; i < P + 1; i++)
        f->ids[i] = (int)(random_next(&seed) % V);
    *state = f;
    return f->s ? 0 : 1;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    session_free(f->s);
    gpt2_free(f->g);
    free(f);
    return 0;
}

static void
sync_to(struct fixture *f, size_t n, size_t want_run)
{
    struct err err = { 0 };

    f->told = 0;
    if (!session_sync(f->s, f->ids, n, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(session_n(f->s), n);
    assert_memory_equal(session_ids(f->s), f->ids, n * sizeof *f->ids);
    assert_int_equal(session_last_run(f->s), want_run);
    assert_non_null(session_logits(f->s));
}

/* The row that a session without a past has after the same tokens. */
static void
assert_same_row(const float *got, const struct gpt2 *g, const int *ids,
                size_t n)
{
    struct err err = { 0 };
    struct session *alone = session_new_gpt2(g, NULL, &err);

    assert_non_null(got);
    assert_true(session_sync(alone, ids, n, &err));
    assert_memory_equal(got, session_logits(alone), V * sizeof *got);
    session_free(alone);
}

static void
assert_row_is_fresh(struct fixture *f, size_t n)
{
    assert_same_row(session_logits(f->s), f->g, f->ids, n);
}

static void
common_prefix_is_kept(void **state)
{
    struct fixture *f = *state;

    assert_null(session_logits(f->s));
    sync_to(f, 900, 900);
    sync_to(f, 900, 0); /* nothing has changed */
    f->ids[897] = (f->ids[897] + 1) % V;
    sync_to(f, 900, 3); /* an edit at the end */
    assert_row_is_fresh(f, 900);
    sync_to(f, 910, 10); /* more text */
    sync_to(f, 700, 1);  /* back: only the row is made again */
    assert_row_is_fresh(f, 700);
    sync_to(f, 700, 0);
    f->ids[0] = (f->ids[0] + 1) % V;
    sync_to(f, 20, 20); /* another beginning */
    assert_row_is_fresh(f, 20);
}

/* Forgotten tokens stay forgotten: going back and on again runs them. */
static void
going_back_forgets(void **state)
{
    struct fixture *f = *state;

    sync_to(f, 100, 100);
    sync_to(f, 60, 1);
    f->ids[60] = (f->ids[60] + 1) % V;
    sync_to(f, 100, 40);
    assert_row_is_fresh(f, 100);
}

static void
steps_equal_a_sync(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    sync_to(f, 30, 30);
    for (size_t i = 30; i < 50; i++) {
        assert_true(session_step(f->s, f->ids[i], &err));
        assert_int_equal(session_last_run(f->s), 1);
        assert_int_equal(session_n(f->s), i + 1);
    }
    assert_row_is_fresh(f, 50);
    sync_to(f, 50, 0); /* the steps count as text */
}

static void
every_split_gives_the_same_row(void **state)
{
    static const int splits[] = { 1, 3, 7, 24 };
    struct fixture *f = *state;

    for (size_t i = 0; i < 4; i++) {
        f->ids[0] = (f->ids[0] + 1) % V;
        for (int n = splits[i]; n < 48; n += splits[i])
            sync_to(f, (size_t)n, (size_t)splits[i]);
        sync_to(f, 48,
                48 % splits[i] ? (size_t)(48 % splits[i]) : (size_t)splits[i]);
        assert_row_is_fresh(f, 48);
    }
}

static void
same_input_same_bits(void **state)
{
    struct fixture *f = *state;
    float before[V];

    sync_to(f, 333, 333);
    memcpy(before, session_logits(f->s), sizeof before);
    f->ids[0] = (f->ids[0] + 1) % V;
    sync_to(f, 333, 333);
    assert_memory_not_equal(before, session_logits(f->s), sizeof before);
    f->ids[0] = (f->ids[0] + V - 1) % V;
    sync_to(f, 333, 333);
    assert_memory_equal(before, session_logits(f->s), sizeof before);
}

/* The cut into chunks depends on shapes alone. */
static void
thread_count_changes_no_bit(void **state)
{
    struct fixture *f = *state;

    for (int t = 1; t <= 4; t++) {
        struct session_options opt = { .n_threads = t };
        struct err err = { 0 };
        struct session *s = session_new_gpt2(f->g, &opt, &err);

        assert_non_null(s);
        assert_true(session_sync(s, f->ids, 200, &err));
        assert_true(session_step(s, 3, &err));
        f->ids[200] = 3;
        if (t == 1) {
            sync_to(f, 200, 200);
            assert_true(session_step(f->s, 3, &err));
        }
        assert_memory_equal(session_logits(s), session_logits(f->s),
                            V * sizeof(float));
        session_free(s);
    }
}

static void
cancel_keeps_whole_slices(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    f->cancel_at = 1; /* after the first slice */
    assert_false(session_sync(f->s, f->ids, 1000, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(f->total, 1000);
    assert_true(f->told > 0 && f->told < 1000);
    assert_int_equal(session_n(f->s), f->told);
    assert_int_equal(session_last_run(f->s), f->told);
    assert_null(session_logits(f->s));
    f->cancel_at = 0;
    f->cancel = false;
    sync_to(f, 1000, 1000 - session_n(f->s));
    assert_int_equal(f->told, f->total);
    assert_row_is_fresh(f, 1000);
}

static void
cancelled_before_anything(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    sync_to(f, 40, 40);
    f->cancel = true;
    assert_false(session_step(f->s, 1, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(session_n(f->s), 40);
    assert_false(session_sync(f->s, f->ids, 60, &err));
    assert_int_equal(session_n(f->s), 40);
    f->cancel = false;
    sync_to(f, 60, 20);
    assert_row_is_fresh(f, 60);
}

static void
out_of_room_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    assert_false(session_sync(f->s, f->ids, P + 1, &err));
    assert_non_null(strstr(err.msg, "1024 positions"));
    assert_false(session_sync(f->s, f->ids, 0, &err));
    sync_to(f, P, P);
    assert_false(session_step(f->s, 1, &err));
    assert_int_equal(session_n(f->s), P);
    sync_to(f, P, 0); /* and it still stands there */
}

static void
foreign_ids_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    sync_to(f, 10, 10);
    f->ids[5] = V;
    assert_false(session_sync(f->s, f->ids, 10, &err));
    assert_non_null(strstr(err.msg, "61"));
    f->ids[5] = -1;
    assert_false(session_sync(f->s, f->ids, 10, &err));
    assert_false(session_step(f->s, V, &err));
    assert_false(session_step(f->s, -7, &err));
    assert_int_equal(session_n(f->s), 10);
}

struct rows {
    size_t n, stop_at;
    double max;
    const double *want;
};

static bool
take_row(void *ud, size_t i, const float *logits)
{
    struct rows *r = ud;

    assert_int_equal(i, r->n);
    for (int v = 0; v < V; v++)
        r->max =
            fmax(r->max, fabs((double)logits[v] - r->want[i * V + (size_t)v]));
    r->n++;
    return r->n != r->stop_at;
}

static void
all_rows_come_in_order(void **state)
{
    struct fixture *f = *state;
    double *want = true_logits(f->g, f->ids, 100);
    struct rows all = { .want = want }, some = { .want = want, .stop_at = 41 };
    struct err err = { 0 };

    sync_to(f, 7, 7);
    assert_true(session_all_logits(f->s, f->ids, 100, take_row, &all, &err));
    assert_int_equal(all.n, 100);
    assert_true(all.max <= 2e-5);
    f->told = 0;
    assert_true(session_all_logits(f->s, f->ids, 100, take_row, &some, &err));
    assert_int_equal(some.n, 41);
    assert_null(session_logits(f->s));
    sync_to(f, 20, 1); /* what was run counts as text */
    assert_row_is_fresh(f, 20);
    free(want);
}

/* --- lanes --- */

enum { LANES = 5, PROMPT = 70, STEPS = 75 };

/* What lane i writes as its token t. */
static int
lane_id(int i, int t)
{
    return (i * 17 + t * (i + 3)) % V;
}

/* The whole text of lane i after n steps. */
static size_t
lane_text(const struct fixture *f, int i, int n, int *out)
{
    memcpy(out, f->ids, PROMPT * sizeof *out);
    for (int t = 0; t < n; t++)
        out[PROMPT + t] = lane_id(i, t);
    return PROMPT + (size_t)n;
}

/* Lanes end one by one, and what is left goes on in one pass. */
static void
step_all(struct session *s, int t)
{
    struct session_token token[LANES];
    struct err err = { 0 };
    int n = 0;

    for (int i = 0; i < LANES; i++)
        if (t < STEPS - 10 * i)
            token[n++] =
                (struct session_token){ .lane = i, .id = lane_id(i, t) };
    if (t % 2 && n > 1) { /* in any order */
        struct session_token first = token[0];

        token[0] = token[n - 1];
        token[n - 1] = first;
    }
    assert_true(session_step_lanes(s, token, n, &err));
    assert_int_equal(session_last_run(s), n);
}

static void
check_lanes(struct fixture *f, struct gpt2 *g)
{
    struct err err = { 0 };
    struct session *s = session_new_gpt2(g, NULL, &err);
    int ids[P];

    assert_true(session_sync(s, f->ids, PROMPT, &err));
    assert_true(session_fork(s, LANES, &err));
    for (int i = 0; i < LANES; i++)
        assert_memory_equal(session_lane_logits(s, i), session_logits(s),
                            V * sizeof(float));
    for (int t = 0; t < STEPS; t++)
        step_all(s, t);
    unsetenv("JIELONG_CPU"); /* the truth is that of the best level */
    for (int i = 0; i < LANES; i++) {
        size_t n = lane_text(f, i, STEPS - 10 * i, ids);

        assert_int_equal(session_lane_n(s, i), n);
        assert_same_row(session_lane_logits(s, i), g, ids, n);
    }
    session_free(s);
}

static void
lanes_have_the_bits_of_one_run(void **state)
{
    struct fixture *f = *state;
    const struct kernels *k;

    for (int type = WT_F32; type < WT_COUNT; type++) {
        struct gpt2 *g = random_gpt2(&shape, 0.7f, 2);

        if (type != WT_F32)
            retype_gpt2(g, (enum weight_type)type);
        for (int l = 0; (k = kernels_get(l)); l++) {
            setenv("JIELONG_CPU", k->name, 1);
            check_lanes(f, g);
        }
        gpt2_free(g);
    }
}

/* Whichever lane the text goes on from, it was read. */
static void
a_lane_can_be_gone_on_from(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    size_t page = gpt2_kv_bytes(f->g) / (P / KV_PAGE);
    int ids[P];

    sync_to(f, PROMPT, PROMPT);
    assert_true(session_fork(f->s, LANES, &err));
    for (int t = 0; t < STEPS; t++)
        step_all(f->s, t);
    /* One page is everybody's; then there are two each, or one. */
    assert_int_equal(session_kv_bytes(f->s), page * (1 + 2 + 2 + 1 + 1 + 1));
    lane_text(f, 3, STEPS - 30, ids);
    ids[PROMPT + STEPS - 30] = 7;
    f->told = 0;
    assert_true(session_sync(f->s, ids, PROMPT + STEPS - 30 + 1, &err));
    assert_int_equal(session_last_run(f->s), 1);
    assert_same_row(session_logits(f->s), f->g, ids, PROMPT + STEPS - 30 + 1);
    /* The others are gone, and their pages serve again. */
    memcpy(f->ids + PROMPT, ids + PROMPT, (STEPS - 29) * sizeof *ids);
    sync_to(f, 64 * 8, 64 * 8 - PROMPT - STEPS + 29);
    assert_int_equal(session_kv_bytes(f->s), page * 8);
}

static void
cancelled_lanes_stand_still(void **state)
{
    struct fixture *f = *state;
    struct session_token t[2] = { { .lane = 0, .id = 1 },
                                  { .lane = 1, .id = 2 } };
    struct err err = { 0 };
    int ids[P];

    sync_to(f, PROMPT, PROMPT);
    assert_true(session_fork(f->s, 2, &err));
    f->cancel = true;
    assert_false(session_step_lanes(f->s, t, 2, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(session_lane_n(f->s, 1), PROMPT);
    assert_null(session_lane_logits(f->s, 1));
    f->cancel = false;
    assert_true(session_step_lanes(f->s, t, 2, &err));
    memcpy(ids, f->ids, PROMPT * sizeof *ids);
    ids[PROMPT] = 2;
    assert_same_row(session_lane_logits(f->s, 1), f->g, ids, PROMPT + 1);
}

/* --- the next window --- */

/* 100 tokens from the 50th on, read beside steps, four with each. */
static void
what_was_read_ahead_serves(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    const int *next = f->ids + 50;

    sync_to(f, 100, 100);
    for (size_t t = 100; t < 130; t++) {
        struct session_token token = {
            .id = f->ids[t], .next = next, .n_next = t + 1 - 50, .n_rows = 4
        };

        assert_true(session_step_lanes(f->s, &token, 1, &err));
        assert_true(session_last_run(f->s) <= 5);
        assert_row_is_fresh(f, t + 1);
    }
    assert_true(session_move(f->s, 0, next, 81, &err));
    assert_int_equal(session_last_run(f->s), 1);
    assert_int_equal(session_n(f->s), 81);
    assert_same_row(session_logits(f->s), f->g, next, 81);
}

/* Another window than thought, or one that was hardly read. */
static void
what_was_not_read_ahead_is_run(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    struct session_token token = {
        .id = f->ids[100], .next = f->ids + 40, .n_next = 61, .n_rows = 30
    };

    sync_to(f, 100, 100);
    assert_true(session_step_lanes(f->s, &token, 1, &err));
    assert_int_equal(session_last_run(f->s), 31);
    assert_true(session_read_ahead(f->s, 0, f->ids + 40, 61, 10, &err));
    assert_int_equal(session_last_run(f->s), 21);
    assert_true(session_read_ahead(f->s, 0, f->ids + 41, 60, 60, &err));
    assert_int_equal(session_last_run(f->s), 0); /* forgotten */
    assert_true(session_move(f->s, 0, f->ids + 40, 61, &err));
    assert_int_equal(session_last_run(f->s), 61);
    assert_same_row(session_logits(f->s), f->g, f->ids + 40, 61);
    sync_to(f, 61, 61);
}

/* Pages of the text that is there, and little beside them. */
static void
memory_is_told(void **state)
{
    struct fixture *f = *state;
    size_t page = gpt2_kv_bytes(f->g) / (P / KV_PAGE);

    /* values stand in whole tiles of 16 */
    assert_int_equal(gpt2_kv_bytes(f->g), sizeof(float) * 2 * P * 4 * (8 + 16));
    assert_int_equal(session_kv_bytes(f->s), page);
    sync_to(f, 129, 129);
    assert_int_equal(session_kv_bytes(f->s), 3 * page);
    sync_to(f, P, P - 129);
    assert_int_equal(session_kv_bytes(f->s), gpt2_kv_bytes(f->g));
    assert_true(session_bytes(f->s) > gpt2_kv_bytes(f->g));
    assert_true(session_bytes(f->s) < gpt2_kv_bytes(f->g) + 2000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(common_prefix_is_kept),
        TEST(going_back_forgets),
        TEST(steps_equal_a_sync),
        TEST(every_split_gives_the_same_row),
        TEST(same_input_same_bits),
        TEST(thread_count_changes_no_bit),
        TEST(cancel_keeps_whole_slices),
        TEST(cancelled_before_anything),
        TEST(out_of_room_is_refused),
        TEST(foreign_ids_are_refused),
        TEST(all_rows_come_in_order),
        TEST(memory_is_told),
        TEST(lanes_have_the_bits_of_one_run),
        TEST(a_lane_can_be_gone_on_from),
        TEST(cancelled_lanes_stand_still),
        TEST(what_was_read_ahead_serves),
        TEST(what_was_not_read_ahead_is_run),
    };

    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
