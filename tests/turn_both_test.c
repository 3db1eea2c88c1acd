/* tests/turn_both_test.c  Writer and model at once: typing while a run streams,
 * with a scripted generator, with the real one, and in chaos. */
#include <poll.h>

#include "src/paths.h"
#include "tests/turn_desk.h"

/* --- writing while the model writes --- */

static void
typing_elsewhere_makes_the_run_wait(void **state)
{
    struct desk *d = *state;
    uint64_t seed, typed;

    begin_run(d);
    seed = d->gen.run.seed;
    turn_set_caret(d->turn, 1, d->now);
    token(d, "e"); /* a move does not pause it, the caret stays */
    assert_text(d, "abcde");
    assert_int_equal(turn_caret(d->turn), 1);
    say_token(&d->gen, d->gen.serial, "f"); /* not seen by the writer */
    type(d, "X");
    assert_text(d, "aXbcde");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_EDIT);
    assert_int_equal(status(d).state, TURN_WAITING);
    assert_int_equal(turn_pen(d->turn), 6);
    assert_int_equal(d->gen.cancels, 1);
    typed = story_head(d->story);
    poll_at(d, 299);
    assert_int_equal(d->gen.submits, 1);
    type(d, "Y"); /* the writer is still writing */
    poll_at(d, 299);
    assert_int_equal(d->gen.submits, 1);
    assert_int_equal(turn_timeout(d->turn, d->now), 1);
    poll_at(d, 1);
    assert_int_equal(d->gen.submits, 2);
    assert_string_equal(d->gen.prompt, "aXYbcde");
    assert_true(d->gen.run.seed == seed);
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.i0, 2);
    assert_int_equal(d->gen.run.length_left, 78);
    token(d, "g");
    assert_text(d, "aXYbcdeg");
    assert_true(head(d).cont);
    assert_int_equal(head(d).i0, 2);
    assert_true(head(d).seed == seed);
    assert_int_equal(head(d).parent, typed);
    assert_int_equal(turn_caret(d->turn), 3);
    end(d, GEN_WHY_LENGTH);
    assert_int_equal(status(d).last_n, 3);
    assert_true(turn_undo(d->turn));
    assert_text(d, "aXYbcde");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcde");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
}

static void
typing_before_the_first_token_waits_too(void **state)
{
    struct desk *d = *state;

    type(d, "abc");
    tab(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "Xabc");
    token(d, "d");
    assert_false(head(d).cont); /* its first node */
    assert_text(d, "Xabcd");
}

static void
typing_after_the_pen_waits_too(void **state)
{
    struct desk *d = *state;

    type(d, "ab");
    turn_set_caret(d->turn, 1, d->now);
    tab(d);
    token(d, "x");
    turn_set_caret(d->turn, 3, d->now);
    token(d, "y"); /* what stands after the pen moves on with the caret */
    assert_text(d, "axyb");
    assert_int_equal(turn_caret(d->turn), 4);
    type(d, "c");
    assert_text(d, "axybc");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "axy");
    turn_set_caret(d->turn, 3, d->now);
    assert_true(turn_delete(d->turn, 3, 1, d->now)); /* Del at the pen */
    assert_int_equal(status(d).state, TURN_WAITING);
}

static void
an_edit_inside_the_running_text_ends_the_run(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    token(d, "e");
    turn_set_caret(d->turn, 4, d->now);
    type(d, "X");
    assert_text(d, "abcdXe");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(status(d).last_why, GEN_WHY_EDIT);
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);

    turn_set_caret(d->turn, 6, d->now);
    tab(d);
    token(d, "f");
    assert_true(turn_delete(d->turn, 6, 1, d->now)); /* Backspace at the pen */
    assert_text(d, "abcdXe");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
an_edit_at_the_start_of_the_running_text_is_not_inside(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 3, d->now);
    type(d, "X");
    assert_text(d, "abcXd");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "abcXd");
    turn_set_caret(d->turn, 5, d->now);
    turn_set_caret(d->turn, 4, d->now);
    assert_true(turn_delete(d->turn, 3, 1, d->now)); /* Backspace before it */
    assert_int_equal(status(d).state, TURN_WAITING);
    assert_true(turn_replace(d->turn, 2, 2, "", 0, d->now)); /* reaches in */
    assert_text(d, "ab");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
typing_at_the_pen_takes_over(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    type(d, "X");
    assert_text(d, "abcdX");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(status(d).last_why, GEN_WHY_EDIT);
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);
}

static void
esc_ends_a_waiting_run(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    assert_true(turn_stop(d->turn));
    assert_false(turn_stop(d->turn));
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);
}

static void
tab_at_the_pen_adds_a_length(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    tab(d);
    assert_int_equal(d->gen.submits, 1);
    assert_int_equal(d->gen.sent.length, 160);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    assert_int_equal(d->gen.run.length_left, 159);
    say_knobs(&d->gen, 1, 1); /* a longer run is no turned knob */
    poll_at(d, 1);
    assert_null(last(d, OP_KNOB));
}

static void
tab_elsewhere_starts_anew(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 1, d->now);
    tab(d);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_USER);
    assert_int_equal(d->gen.submits, 2);
    assert_int_equal(d->gen.run.run, 2);
    assert_string_equal(d->gen.prompt, "a");
    token(d, "x");
    assert_text(d, "axbcd");
}

static void
retry_of_a_part_that_went_on(void **state)
{
    struct desk *d = *state;
    struct err err = { 0 };

    begin_run(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    token(d, "e");
    end(d, GEN_WHY_LENGTH);
    assert_true(turn_retry(d->turn, d->now, &err));
    assert_text(d, "Xabcd");
    assert_int_equal(d->gen.run.i0, 1);
    assert_int_equal(d->gen.run.br, 1);
    assert_int_equal(d->gen.run.length_left, 79);
    token(d, "f");
    assert_true(head(d).cont);
    assert_text(d, "Xabcdf");
}

/* --- with the model in the box --- */

/* Waits for the worker; the clock of the turn stands still meanwhile. */
static void
serve(struct desk *d, struct gen *g)
{
    struct pollfd fd = { .fd = gen_fd(g), .events = POLLIN };

    poll(&fd, 1, 100);
    turn_poll(d->turn, d->now);
}

/* A locked seed's run in "渡口的灯灭了，|后文"; when asked for, the writer adds
 * to what follows the pen after a few tokens. The model's text; given. */
static char *
real_run(struct desk *d, const char *model, bool interrupt)
{
    const char *opening = "渡口的灯灭了，后文";
    size_t pen = strlen("渡口的灯灭了，"), end = strlen("后文");
    struct model_options opt = { 0 };
    struct gen *g = gen_local(model, &opt, 0);
    struct knobs k;
    char *text;

    turn_free(d->turn);
    d->turn = turn_new(d->file, g);
    k = *turn_knobs(d->turn);
    k.seed_random = false;
    k.seed = 5;
    k.length = 40;
    k.stop_at = STOP_AT_LENGTH;
    turn_set_knobs(d->turn, &k);
    assert_true(turn_replace(d->turn, 0, text_len(story_text(d->story)),
                             opening, strlen(opening), d->now));
    turn_set_caret(d->turn, pen, d->now);
    tab(d);
    if (interrupt) {
        while (turn_pen(d->turn) < pen + 20)
            serve(d, g);
        turn_set_caret(d->turn, text_len(story_text(d->story)), d->now);
        type(d, "又");
        assert_int_equal(status(d).state, TURN_WAITING);
        end += strlen("又");
        d->now += 300;
        turn_poll(d->turn, d->now);
    }
    while (status(d).state != TURN_IDLE)
        serve(d, g);
    assert_int_equal(status(d).last_why, GEN_WHY_LENGTH);
    assert_int_equal(status(d).last_n, 40);
    text = text_dup(story_text(d->story), pen,
                    text_len(story_text(d->story)) - pen - end);
    turn_free(d->turn);
    gen_free(g);
    d->turn = turn_new(d->file, &d->gen.gen);
    return text;
}

static void
a_pause_does_not_change_what_is_written(void **state)
{
    struct desk *d = *state;
    char *model = paths_default_model(), *whole, *paused;

    if (!model) {
        print_message("SKIP: no model in the box\n");
        skip();
    }
    whole = real_run(d, model, false);
    /* Runs are counted, and the count is part of the draw: a new story. */
    close_desk(d);
    unlink(d->path);
    open_desk(d, true);
    paused = real_run(d, model, true);
    assert_true(strlen(whole) > 40);
    assert_string_equal(whole, paused);
    free(whole);
    free(paused);
    free(model);
}

/* --- chaos --- */

static uint32_t dice_state = 12345;

static uint32_t
dice(uint32_t n)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % n;
}

/* A caret stop at or before `at`: the test types ASCII and Han only. */
static size_t
stop_before(const struct text *t, size_t at)
{
    char c;

    while (at > 0 && text_read(t, at, &c, 1) &&
           ((unsigned char)c & 0xC0) == 0x80)
        at--;
    return at;
}

static void
random_events(struct desk *d)
{
    static const char *const tokens[] = { "字", "a", "，灯", "", "\n" };

    for (uint32_t i = 0; i < 1 + dice(4); i++) {
        uint32_t serial = dice(8) ? d->gen.serial : d->gen.serial - 1;

        int lane = (int)dice(3);

        switch (dice(8)) {
        case 0: say_lane_end(&d->gen, serial, lane, GEN_WHY_LENGTH); break;
        case 1: say_knobs(&d->gen, dice(9), d->gen.knob_serial); break;
        default: say_lane(&d->gen, serial, lane, tokens[dice(5)]); break;
        }
    }
}

static void
random_key(struct desk *d)
{
    static const char *const typed[] = { "我", "b", "\n", "雨 c" };
    const struct text *t = story_text(d->story);
    size_t len = text_len(t), at = stop_before(t, dice((uint32_t)len + 1));
    size_t to = stop_before(t, at + dice(7) < len ? at + dice(7) : len);
    const char *s = typed[dice(4)];
    struct knobs k = *turn_knobs(d->turn);
    char back[16];
    size_t caret;

    switch (dice(20)) {
    case 16:
    case 17: turn_candidates(d->turn, d->now, NULL); break;
    case 18: turn_take(d->turn, (int)dice(4)); break;
    case 19: turn_leave(d->turn); break;
    case 0:
    case 1:
    case 2:
    case 3:
        type(d, s);
        caret = turn_caret(d->turn);
        text_read(story_text(d->story), caret - strlen(s), back, strlen(s));
        assert_memory_equal(back, s, strlen(s));
        break;
    case 4: turn_paste(d->turn, s, strlen(s), d->now); break;
    case 5:
    case 6:
        caret = turn_caret(d->turn);
        if (caret)
            turn_delete(d->turn, stop_before(t, caret - 1),
                        caret - stop_before(t, caret - 1), d->now);
        break;
    case 7:
        if (to > at)
            turn_replace(d->turn, at, to - at, s, strlen(s), d->now);
        break;
    case 8:
    case 9: turn_set_caret(d->turn, at, d->now); break;
    case 10: turn_set_caret(d->turn, len, d->now); break;
    case 11: turn_stop(d->turn); break;
    case 12: turn_undo(d->turn); break;
    case 13: turn_redo(d->turn); break;
    case 14: turn_sibling(d->turn, dice(2) ? 1 : -1); break;
    default:
        k.temp = (double)dice(20) / 10;
        turn_set_knobs(d->turn, &k);
        break;
    }
}

static void
check_places(const struct desk *d)
{
    const struct text *t = story_text(d->story);
    size_t caret = turn_caret(d->turn), pen = turn_pen(d->turn);

    assert_true(caret <= text_len(t));
    assert_int_equal(stop_before(t, caret), caret);
    for (int i = 0; i < turn_n_candidates(d->turn); i++) {
        struct turn_candidate c;
        struct node_info n;

        turn_candidate(d->turn, i, &c);
        if (!c.node)
            continue;
        assert_true(story_node(d->story, c.node, &n));
        assert_true(n.parent == story_head(d->story) && n.open == c.open);
    }
    if (pen == TEXT_NONE)
        return;
    assert_true(pen <= text_len(t));
    assert_int_equal(stop_before(t, pen), pen);
}

/* Every version of the story, as one text. */
static char *
all_versions(const struct story *s)
{
    size_t len = 0, cap = 0;
    char *all = NULL;

    for (uint64_t n = 0; n < story_next_n(s); n++) {
        const struct text *t = story_node_text(s, n);
        struct node_info info;

        if (!story_node(s, n, &info))
            continue;
        all = mem_grow(all, &cap, len + text_len(t) + 200, 1);
        len += (size_t)sprintf(all + len, "[%d<%d %d %d %d %d %d]", (int)n,
                               (int)info.parent, (int)info.run, (int)info.br,
                               (int)info.i0, (int)info.n_tok, info.kind);
        len += text_read(t, 0, all + len, text_len(t));
    }
    all = mem_grow(all, &cap, len + 1, 1);
    all[len] = '\0';
    return all;
}

static void
reopen_and_compare(struct desk *d)
{
    char *before, *after;
    uint64_t at;
    double temp;

    turn_free(d->turn);
    before = all_versions(d->story);
    at = story_head(d->story);
    temp = story_knobs(d->story)->temp;
    storyfile_close(d->file);
    open_desk(d, true);
    after = all_versions(d->story);
    assert_string_equal(before, after);
    assert_int_equal(story_head(d->story), at);
    assert_true(story_knobs(d->story)->temp == temp);
    assert_null(storyfile_damage_text(d->file));
    free(before);
    free(after);
}

static void
chaos(void **state)
{
    struct desk *d = *state;

    for (int i = 0; i < 10000; i++) {
        struct err err = { 0 };

        d->now += dice(3) ? dice(200) : dice(1500);
        switch (dice(8)) {
        case 0: tab(d); break;
        case 1: turn_retry(d->turn, d->now, &err); break;
        case 2:
        case 3: random_events(d); break;
        case 4: turn_poll(d->turn, d->now); break;
        default: random_key(d); break;
        }
        if (dice(2))
            turn_poll(d->turn, d->now);
        check_places(d);
        if (i % 2500 == 2499)
            reopen_and_compare(d);
        if (text_len(story_text(d->story)) > 4000)
            turn_replace(d->turn, 0, text_len(story_text(d->story)), "", 0,
                         d->now);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(typing_elsewhere_makes_the_run_wait),
        TEST(typing_before_the_first_token_waits_too),
        TEST(typing_after_the_pen_waits_too),
        TEST(an_edit_inside_the_running_text_ends_the_run),
        TEST(an_edit_at_the_start_of_the_running_text_is_not_inside),
        TEST(typing_at_the_pen_takes_over),
        TEST(esc_ends_a_waiting_run),
        TEST(tab_at_the_pen_adds_a_length),
        TEST(tab_elsewhere_starts_anew),
        TEST(retry_of_a_part_that_went_on),
        TEST(a_pause_does_not_change_what_is_written),
        TEST(chaos),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
