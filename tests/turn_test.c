/* tests/turn_test.c  Steps, runs, versions, knobs: every rule of taking turns
 * that concerns one side at a time. */
#include "tests/turn_desk.h"

/* --- steps of the writer --- */

static void
typing_is_one_step_till_a_pause(void **state)
{
    struct desk *d = *state;

    type(d, "渡");
    d->now += 999;
    type(d, "口");
    d->now += 1000;
    type(d, "灯");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_int_equal(count(d, OP_ADD), 1);
    assert_text(d, "渡口灯");
    assert_true(turn_undo(d->turn));
    assert_text(d, "渡口");
    assert_int_equal(turn_caret(d->turn), 6);
    assert_true(turn_undo(d->turn));
    assert_text(d, "");
    assert_false(turn_undo(d->turn));
    assert_true(turn_redo(d->turn));
    assert_true(turn_redo(d->turn));
    assert_text(d, "渡口灯");
    assert_int_equal(turn_caret(d->turn), 9);
    assert_false(turn_redo(d->turn));
}

static void
enter_ends_the_step(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    type(d, "\n");
    type(d, "b");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_true(turn_undo(d->turn));
    assert_text(d, "a\n");
}

static void
a_caret_move_ends_the_step(void **state)
{
    struct desk *d = *state;

    type(d, "ab");
    turn_set_caret(d->turn, 1, d->now);
    type(d, "x");
    assert_text(d, "axb");
    turn_set_caret(d->turn, 2, d->now); /* no move at all */
    type(d, "y");
    assert_text(d, "axyb");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_true(turn_undo(d->turn));
    assert_text(d, "ab");
}

static void
deleting_is_a_step_of_its_kind(void **state)
{
    struct desk *d = *state;

    type(d, "abcdef");
    assert_true(turn_delete(d->turn, 5, 1, d->now)); /* Backspace */
    assert_true(turn_delete(d->turn, 4, 1, d->now));
    assert_text(d, "abcd");
    assert_int_equal(count(d, OP_EDIT), 2);
    turn_set_caret(d->turn, 1, d->now);
    assert_true(turn_delete(d->turn, 1, 1, d->now)); /* Del */
    assert_true(turn_delete(d->turn, 1, 1, d->now));
    assert_text(d, "ad");
    assert_int_equal(count(d, OP_EDIT), 3);
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcd");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcdef");
    assert_int_equal(turn_caret(d->turn), 6);
    assert_false(turn_delete(d->turn, 6, 1, d->now));  /* nothing there */
    assert_true(turn_delete(d->turn, 4, 100, d->now)); /* cut to the end */
    assert_text(d, "abcd");
}

static void
a_paste_is_one_step_and_kept_byte_for_byte(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    assert_true(turn_paste(d->turn, "x\n\xE4y", 4, d->now));
    type(d, "b");
    assert_int_equal(count(d, OP_EDIT), 3);
    assert_text(d, "ax\n\xE4yb");
    close_desk(d);
    open_desk(d, true);
    assert_text(d, "ax\n\xE4yb");
    assert_true(turn_undo(d->turn));
    assert_true(turn_undo(d->turn));
    assert_text(d, "a");
    assert_true(turn_replace(d->turn, 0, 1, "灯", 3, d->now));
    assert_text(d, "灯");
    assert_true(turn_undo(d->turn));
    assert_text(d, "a");
}

/* --- a run --- */

static void
a_run_writes_at_the_caret(void **state)
{
    struct desk *d = *state;
    struct gen_event reading = { .type = GEN_READING };

    type(d, "渡口");
    tab(d);
    assert_int_equal(status(d).state, TURN_READING);
    assert_string_equal(d->gen.prompt, "渡口");
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 0);
    assert_int_equal(d->gen.run.i0, 0);
    assert_int_equal(d->gen.run.length_left, 80);
    assert_int_equal(turn_pen(d->turn), 6);
    reading.serial = d->gen.serial;
    reading.u.reading.done = 1;
    reading.u.reading.total = 3;
    say(&d->gen, reading);
    poll_at(d, 5);
    assert_int_equal(status(d).read_done, 1);
    assert_int_equal(status(d).read_total, 3);

    say_token(&d->gen, d->gen.serial, "的");
    say_token(&d->gen, d->gen.serial, "");
    say_token(&d->gen, d->gen.serial, "灯");
    poll_at(d, 5);
    assert_text(d, "渡口的灯");
    assert_int_equal(count(d, OP_TOK), 1); /* one poll, one record */
    assert_int_equal(last(d, OP_TOK)->op.n_tok, 3);
    assert_int_equal(status(d).state, TURN_WRITING);
    assert_int_equal(turn_caret(d->turn), 12); /* it rides along */
    assert_int_equal(status(d).window_used, 6);
    token(d, "。");
    end(d, GEN_WHY_SENTENCE);
    assert_text(d, "渡口的灯。");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(turn_pen(d->turn), TEXT_NONE);
    assert_int_equal(status(d).last_why, GEN_WHY_SENTENCE);
    assert_int_equal(status(d).last_n, 4);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_SENTENCE);
    assert_int_equal(head(d).n_tok, 4);
    assert_int_equal(d->gen.cancels, 0);
    assert_true(turn_undo(d->turn)); /* a run is one step */
    assert_text(d, "渡口");
}

static void
a_run_in_the_middle_leaves_what_follows(void **state)
{
    struct desk *d = *state;

    type(d, "前后");
    turn_set_caret(d->turn, 3, d->now);
    tab(d);
    assert_string_equal(d->gen.prompt, "前");
    assert_true(status(d).after_unseen);
    token(d, "中");
    assert_text(d, "前中后");
    assert_int_equal(turn_caret(d->turn), 6);
}

static void
a_run_names_its_model_and_knobs(void **state)
{
    struct desk *d = *state;
    struct gen_event hashed = { .type = GEN_HASHED };
    uint32_t m;

    type(d, "a");
    assert_null(last(d, OP_KNOBS));
    tab(d);
    assert_null(last(d, OP_RUN)); /* nothing written yet: no node */
    token(d, "b");
    m = head(d).model;
    assert_int_equal(m, 1);
    assert_int_equal(head(d).k, 1);
    assert_int_equal(last(d, OP_KNOBS)->op.k, 1);
    strcpy(hashed.u.hashes.weights, "aa");
    strcpy(hashed.u.hashes.config, "bb");
    strcpy(hashed.u.hashes.tokenizer, "cc");
    say(&d->gen, hashed);
    token(d, "c");
    assert_int_equal(story_model_count(d->story), 1);
    assert_int_equal(story_model_find(d->story, "aa", "bb", "cc", ""), m);
    end(d, GEN_WHY_LENGTH);
    tab(d);
    token(d, "d");
    assert_int_equal(head(d).model, m);
    assert_int_equal(head(d).k, 1); /* the same table still holds */
    assert_int_equal(head(d).run, 2);
    end(d, GEN_WHY_LENGTH);
    close_desk(d);
    open_desk(d, true);
    assert_int_equal(story_model_find(d->story, "aa", "bb", "cc", ""), m);
    say(&d->gen, hashed);
    tab(d);
    token(d, "e");
    assert_int_equal(head(d).model, m);
    assert_int_equal(head(d).run, 3);
}

static void
esc_keeps_what_was_seen(void **state)
{
    struct desk *d = *state;
    uint32_t old;

    type(d, "a");
    assert_false(turn_stop(d->turn));
    tab(d);
    token(d, "b");
    say_token(&d->gen, d->gen.serial, "c"); /* not drained yet */
    assert_true(turn_stop(d->turn));
    assert_int_equal(d->gen.cancels, 1);
    old = d->gen.serial;
    say_token(&d->gen, old, "d");
    say_end(&d->gen, old, GEN_WHY_USER);
    poll_at(d, 5);
    assert_text(d, "ab");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_USER);
    assert_int_equal(count(d, OP_END), 1);
    tab(d); /* the next run does not hear the old one either */
    say_token(&d->gen, old, "x");
    say_token(&d->gen, d->gen.serial, "e");
    poll_at(d, 5);
    assert_text(d, "abe");
}

static void
an_empty_run_leaves_no_step(void **state)
{
    struct desk *d = *state;
    uint64_t before;

    type(d, "a");
    before = story_head(d->story);
    tab(d);
    end(d, GEN_WHY_EOS);
    assert_int_equal(story_head(d->story), before);
    assert_int_equal(status(d).last_why, GEN_WHY_EOS);
    assert_int_equal(status(d).last_n, 0);
    assert_null(last(d, OP_RUN));
    tab(d);
    assert_true(turn_undo(d->turn)); /* only the request was under way */
    assert_text(d, "a");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
undo_stops_a_running_run(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    tab(d);
    token(d, "b");
    assert_true(turn_undo(d->turn));
    assert_int_equal(d->gen.cancels, 1);
    assert_text(d, "a");
    assert_int_equal(status(d).state, TURN_IDLE);
    token(d, "c");
    assert_text(d, "a");
    assert_true(turn_redo(d->turn));
    assert_text(d, "ab");
    assert_int_equal(turn_caret(d->turn), 2);
}

static void
retry_keeps_the_old_version(void **state)
{
    struct desk *d = *state;
    struct err err = { 0 };
    struct node_info first, second;

    type(d, "a");
    assert_false(turn_retry(d->turn, d->now, &err)); /* that was the writer */
    assert_string_not_equal(err.msg, "");
    tab(d);
    assert_true(turn_retry(d->turn, d->now, &err)); /* nothing to retry yet */
    assert_int_equal(d->gen.submits, 1);
    token(d, "b");
    end(d, GEN_WHY_LENGTH);
    first = head(d);
    assert_true(turn_retry(d->turn, d->now, &err));
    assert_text(d, "a");
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 1);
    token(d, "c");
    assert_text(d, "ac");
    second = head(d);
    assert_int_equal(second.parent, first.parent);
    assert_int_equal(status(d).n_siblings, 2);
    assert_int_equal(status(d).sibling, 2);
    assert_true(turn_retry(d->turn, d->now, &err)); /* in mid-stream */
    assert_int_equal(d->gen.run.br, 2);
    token(d, "d");
    end(d, GEN_WHY_LENGTH);
    assert_text(d, "ad");
    assert_true(turn_sibling(d->turn, -1));
    assert_text(d, "ac");
    assert_true(turn_sibling(d->turn, -1));
    assert_text(d, "ab");
    assert_int_equal(turn_caret(d->turn), 2);
    assert_false(turn_sibling(d->turn, -1));
    assert_true(turn_retry(d->turn, d->now, &err)); /* of the first again */
    assert_int_equal(d->gen.run.br, 3);
    assert_int_equal(story_runs(d->story), 1);
}

static void
seeds_are_drawn_or_locked(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);
    uint64_t a, b;

    type(d, "a");
    tab(d);
    a = d->gen.run.seed;
    token(d, "b");
    end(d, GEN_WHY_LENGTH);
    assert_true(head(d).seed == a);
    assert_true(status(d).last_seed == a);
    tab(d);
    b = d->gen.run.seed;
    assert_true(a != b);
    assert_true(a < (1ull << 53) && b < (1ull << 53));
    turn_stop(d->turn);
    k.seed_random = false;
    k.seed = 42;
    turn_set_knobs(d->turn, &k);
    tab(d);
    assert_true(d->gen.run.seed == 42);
}

/* --- knobs --- */

static void
a_knob_turned_in_mid_run_holds_from_its_token_on(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    begin_run(d);
    k.temp = 0.5;
    turn_set_knobs(d->turn, &k);
    assert_true(d->gen.sent.temp == 0.5);
    k.temp = 0.4;
    turn_set_knobs(d->turn, &k);
    token(d, "e");
    assert_null(last(d, OP_KNOB));
    say_knobs(&d->gen, 2, 2);
    token(d, "f");
    assert_int_equal(count(d, OP_KNOB), 1);
    assert_int_equal(last(d, OP_KNOB)->op.i, 2);
    assert_true(last(d, OP_KNOB)->op.has_of);
    assert_int_equal(last(d, OP_KNOB)->op.of, story_head(d->story));
    assert_true(story_knobs(d->story)->temp == 0.4);
    k.temp = 0.3; /* the run ends before the worker says anything */
    turn_set_knobs(d->turn, &k);
    end(d, GEN_WHY_LENGTH);
    assert_false(last(d, OP_KNOB)->op.has_of);
    assert_true(story_knobs(d->story)->temp == 0.3);
    assert_true(turn_undo(d->turn)); /* knobs are never undone */
    assert_true(turn_knobs(d->turn)->temp == 0.3);
    tab(d);
    token(d, "g"); /* a run names a full table of its own */
    assert_int_equal(head(d).k, 2);
    close_desk(d);
    open_desk(d, true);
    assert_true(turn_knobs(d->turn)->temp == 0.3);
}

static void
a_knob_turned_between_runs_is_kept(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    k.top_k = 7;
    turn_set_knobs(d->turn, &k);
    poll_at(d, 5000);
    assert_int_equal(d->n_seen, 0); /* a setting alone makes no file */
    type(d, "a");
    assert_int_equal(story_knobs(d->story)->top_k, 7);
    poll_at(d, 1000);
    k.top_k = 8;
    turn_set_knobs(d->turn, &k);
    k.top_k = 9;
    turn_set_knobs(d->turn, &k);
    poll_at(d, 999);
    assert_int_equal(story_knobs(d->story)->top_k, 7);
    poll_at(d, 1);
    assert_int_equal(story_knobs(d->story)->top_k, 9);
    assert_int_equal(count(d, OP_KNOB), 1);
}

static void
a_longer_length_reaches_the_run(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    begin_run(d);
    k.length = 100;
    turn_set_knobs(d->turn, &k);
    assert_int_equal(d->gen.sent.length, 100);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    assert_int_equal(d->gen.run.length_left, 99);
}

/* --- loading, reading, windows, faults --- */

static void
the_prompt_is_read_in_advance(void **state)
{
    struct desk *d = *state;

    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 0); /* an empty page */
    type(d, "a");
    poll_at(d, 299);
    type(d, "b");
    poll_at(d, 299);
    assert_int_equal(d->gen.reads, 0);
    assert_int_equal(turn_timeout(d->turn, d->now), 1);
    poll_at(d, 1);
    assert_int_equal(d->gen.reads, 1);
    assert_string_equal(d->gen.read_prompt, "ab");
    poll_at(d, 1000);
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 1);
    assert_int_equal(turn_timeout(d->turn, d->now), -1);
    turn_set_caret(d->turn, 1, d->now);
    poll_at(d, 300);
    assert_int_equal(d->gen.reads, 2);
    assert_string_equal(d->gen.read_prompt, "a");
    tab(d);
    turn_set_caret(d->turn, 2, d->now);
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 2); /* a run goes before */
}

static void
a_run_waits_for_the_model_to_load(void **state)
{
    struct desk *d = *state;
    struct gen_event loading = { .type = GEN_LOADING };

    close_desk(d);
    open_desk(d, false);
    type(d, "a");
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 0);
    tab(d);
    assert_int_equal(status(d).state, TURN_LOADING);
    loading.u.loading.done = 3;
    loading.u.loading.total = 9;
    say(&d->gen, loading);
    poll_at(d, 1);
    assert_int_equal(status(d).load_done, 3);
    assert_int_equal(status(d).load_total, 9);
    say_own(&d->gen, GEN_LOADED);
    poll_at(d, 1);
    assert_int_equal(status(d).state, TURN_READING);
    token(d, "b");
    assert_text(d, "ab");
}

static void
a_broken_model_locks_nothing_up(void **state)
{
    struct desk *d = *state;
    struct gen_event failed = { .type = GEN_FAILED };
    struct err err = { 0 };

    close_desk(d);
    open_desk(d, false);
    type(d, "a");
    tab(d);
    err_set(&failed.u.err, ERR_MODEL, "/m/config.json: no such file");
    say(&d->gen, failed);
    poll_at(d, 1);
    assert_true(status(d).model_failed);
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_false(turn_continue(d->turn, d->now, &err));
    assert_non_null(strstr(err.msg, "/m/config.json"));
    type(d, "b");
    assert_text(d, "ab");
}

static void
a_failing_run_keeps_its_text(void **state)
{
    struct desk *d = *state;
    struct gen_event failed = { .type = GEN_FAILED };

    begin_run(d);
    failed.serial = d->gen.serial;
    err_set(&failed.u.err, ERR_FAILED, "no distribution");
    say_token(&d->gen, d->gen.serial, "e");
    say(&d->gen, failed);
    end(d, GEN_WHY_ERROR);
    assert_text(d, "abcde");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_ERROR);
    assert_string_equal(status(d).run_err.msg, "no distribution");
    tab(d); /* it may be tried again */
    token(d, "f");
    assert_text(d, "abcdef");
}

static void
the_window_moves_and_stays(void **state)
{
    struct desk *d = *state;
    struct gen_event window = { .type = GEN_WINDOW };

    type(d, "abcdef");
    tab(d);
    window.serial = d->gen.serial;
    window.u.window.at = 2;
    say(&d->gen, window);
    token(d, "g");
    assert_int_equal(head(d).win, 2);
    assert_int_equal(status(d).window_at, 2);
    window.u.window.i = 1;
    window.u.window.at = 4;
    say(&d->gen, window);
    token(d, "h");
    assert_int_equal(last(d, OP_WIN)->op.at, 4);
    assert_int_equal(last(d, OP_WIN)->op.i, 1);
    end(d, GEN_WHY_LENGTH);
    tab(d);
    assert_int_equal(d->gen.run.win_at, 4);
    assert_string_equal(d->gen.prompt, "efgh");
    turn_stop(d->turn);
    turn_set_caret(d->turn, 0, d->now); /* an edit before it moves it along */
    type(d, "XY");
    turn_set_caret(d->turn, 10, d->now);
    tab(d);
    assert_int_equal(d->gen.run.win_at, 6);
    assert_string_equal(d->gen.prompt, "efgh");
    token(d, "i");
    turn_set_caret(d->turn, 0, d->now); /* also while the run waits */
    type(d, "Z");
    assert_int_equal(status(d).state, TURN_WAITING);
    assert_int_equal(status(d).window_at, 7);
}

static void
a_read_only_story_is_not_changed(void **state)
{
    struct desk *d = *state;
    struct storyfile_options opt = { .read_only = true };
    struct err err = { 0 };

    type(d, "a");
    close_desk(d);
    d->file = storyfile_open(d->path, &opt, &err);
    assert_non_null(d->file);
    d->story = storyfile_story(d->file);
    d->turn = turn_new(d->file, &d->gen.gen);
    assert_false(turn_type(d->turn, "b", 1, d->now));
    assert_false(turn_delete(d->turn, 0, 1, d->now));
    assert_false(turn_undo(d->turn));
    assert_false(turn_continue(d->turn, d->now, &err));
    assert_string_not_equal(err.msg, "");
    assert_text(d, "a");
    {
        struct knobs k = *turn_knobs(d->turn);

        poll_at(d, 1);
        k.top_k++;
        turn_set_knobs(d->turn, &k);
        poll_at(d, 5000);
        assert_int_equal(turn_timeout(d->turn, d->now), -1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(typing_is_one_step_till_a_pause),
        TEST(enter_ends_the_step),
        TEST(a_caret_move_ends_the_step),
        TEST(deleting_is_a_step_of_its_kind),
        TEST(a_paste_is_one_step_and_kept_byte_for_byte),
        TEST(a_run_writes_at_the_caret),
        TEST(a_run_in_the_middle_leaves_what_follows),
        TEST(a_run_names_its_model_and_knobs),
        TEST(esc_keeps_what_was_seen),
        TEST(an_empty_run_leaves_no_step),
        TEST(undo_stops_a_running_run),
        TEST(retry_keeps_the_old_version),
        TEST(seeds_are_drawn_or_locked),
        TEST(a_knob_turned_in_mid_run_holds_from_its_token_on),
        TEST(a_knob_turned_between_runs_is_kept),
        TEST(a_longer_length_reaches_the_run),
        TEST(the_prompt_is_read_in_advance),
        TEST(a_run_waits_for_the_model_to_load),
        TEST(a_broken_model_locks_nothing_up),
        TEST(a_failing_run_keeps_its_text),
        TEST(the_window_moves_and_stays),
        TEST(a_read_only_story_is_not_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
