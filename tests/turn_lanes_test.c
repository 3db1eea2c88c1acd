/* tests/turn_lanes_test.c  Candidates: several continuations at once, with a
 * scripted generator. What is on show is in the story file; one is taken, the
 * others stay branches. */
#include <math.h>

#include "engine/base/file.h"

#include "tests/turn_desk.h"

static void
deal(struct desk *d)
{
    struct err err = { 0 };

    if (!turn_candidates(d->turn, d->now, &err))
        fail_msg("%s", err.msg);
}

/* A token of a lane of the request that runs, not yet drained. */
static void
lane(struct desk *d, int i, const char *text)
{
    say_lane(&d->gen, d->gen.serial, i, text);
}

static void
lane_end(struct desk *d, int i, enum gen_why why)
{
    say_lane_end(&d->gen, d->gen.serial, i, why);
    poll_at(d, 10);
}

static struct turn_candidate
candidate(const struct desk *d, int i)
{
    struct turn_candidate c;

    turn_candidate(d->turn, i, &c);
    return c;
}

static void
assert_node(const struct desk *d, uint64_t node, const char *want)
{
    char *have = text_dup(story_node_text(d->story, node), 0, (size_t)-1);

    assert_string_equal(have, want);
    free(have);
}

/* How often this stands in the file so far. */
static size_t
lines_with(const struct desk *d, const char *what)
{
    struct err err = { 0 };
    size_t len, n = 0;
    char *data;

    if (!file_read(d->path, 1 << 20, &data, &len, &err))
        fail_msg("%s", err.msg);
    for (const char *s = data; (s = strstr(s, what)) != NULL; s++)
        n++;
    free(data);
    return n;
}

/* "abc", and three lanes that have written x, y, z. */
static void
begin_three(struct desk *d)
{
    type(d, "abc");
    deal(d);
    lane(d, 0, "x");
    lane(d, 1, "y");
    lane(d, 2, "z");
    poll_at(d, 10);
}

static void
three_are_asked_for(void **state)
{
    struct desk *d = *state;

    type(d, "abc");
    deal(d);
    assert_int_equal(d->gen.run.n_lanes, 3);
    assert_int_equal(d->gen.run.br, 0);
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.length_left, 80);
    assert_string_equal(d->gen.prompt, "abc");
    assert_int_equal(turn_n_candidates(d->turn), 3);
    assert_int_equal(status(d).state, TURN_READING);
    assert_true(candidate(d, 0).open);
    assert_int_equal(candidate(d, 0).node, 0);
    deal(d); /* nothing is there yet: asked for once is enough */
    assert_int_equal(d->gen.submits, 1);
}

static void
they_grow_beside_the_text(void **state)
{
    struct desk *d = *state;
    uint64_t p;
    struct node_info n;

    begin_three(d);
    p = story_head(d->story);
    assert_text(d, "abc");
    assert_int_equal(turn_caret(d->turn), 3);
    assert_int_equal(status(d).state, TURN_WRITING);
    assert_int_equal(status(d).n_next, 3);
    assert_int_equal(count(d, OP_RUN), 3);
    lane(d, 2, "Z");
    lane(d, 0, "X");
    lane(d, 2, "!");
    poll_at(d, 10);
    assert_int_equal(count(d, OP_TOK), 5); /* one of each lane in a frame */
    assert_node(d, candidate(d, 0).node, "abcxX");
    assert_node(d, candidate(d, 1).node, "abcy");
    assert_node(d, candidate(d, 2).node, "abczZ!");
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(story_node(d->story, candidate(d, (int)i).node, &n));
        assert_true(n.parent == p && n.open);
        assert_int_equal(n.run, 1);
        assert_int_equal(n.br, i);
        assert_true(n.seed == d->gen.run.seed);
    }
    assert_int_equal(candidate(d, 2).n_tok, 3);
    assert_true(fabs(candidate(d, 2).p - exp(-1)) < 1e-9);
    assert_true(story_head(d->story) == p);
}

static void
they_end_one_by_one(void **state)
{
    struct desk *d = *state;

    begin_three(d);
    lane_end(d, 1, GEN_WHY_SENTENCE);
    assert_false(candidate(d, 1).open);
    assert_int_equal(candidate(d, 1).why, GEN_WHY_SENTENCE);
    assert_true(candidate(d, 0).open);
    assert_int_equal(status(d).state, TURN_WRITING);
    lane(d, 1, "never"); /* what comes after an end is not painted */
    lane(d, 0, "X");
    poll_at(d, 10);
    assert_node(d, candidate(d, 1).node, "abcy");
    assert_node(d, candidate(d, 0).node, "abcxX");
    lane_end(d, 0, GEN_WHY_LENGTH);
    lane_end(d, 2, GEN_WHY_EOS);
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(turn_n_candidates(d->turn), 3); /* still on show */
    assert_int_equal(count(d, OP_END), 3);
    assert_int_equal(d->gen.cancels, 0);
}

static void
one_is_taken_when_all_have_ended(void **state)
{
    struct desk *d = *state;
    uint64_t p, taken;

    begin_three(d);
    p = story_head(d->story);
    for (int i = 0; i < 3; i++)
        lane_end(d, i, GEN_WHY_SENTENCE);
    taken = candidate(d, 1).node;
    assert_false(turn_take(d->turn, 3));
    assert_true(turn_take(d->turn, 1));
    assert_text(d, "abcy");
    assert_int_equal(turn_caret(d->turn), 4);
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_true(story_head(d->story) == taken);
    assert_int_equal(status(d).sibling, 2);
    assert_int_equal(status(d).n_siblings, 3);
    assert_true(turn_sibling(d->turn, 1)); /* the others are versions */
    assert_text(d, "abcz");
    assert_true(turn_sibling(d->turn, -1));
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
    assert_true(story_head(d->story) == p);
    assert_true(turn_redo(d->turn));
    assert_text(d, "abcy");
    tab(d); /* a new run goes on from there */
    assert_int_equal(d->gen.run.n_lanes, 1);
    assert_int_equal(d->gen.run.run, 2);
    assert_string_equal(d->gen.prompt, "abcy");
}

static void
one_that_writes_goes_on_when_taken(void **state)
{
    struct desk *d = *state;
    struct gen_event failed = { .type = GEN_FAILED };
    uint64_t other;

    begin_three(d);
    other = candidate(d, 0).node;
    assert_true(turn_take(d->turn, 2));
    assert_text(d, "abcz");
    assert_int_equal(status(d).state, TURN_WRITING);
    assert_int_equal(d->gen.submits, 1); /* the same request */
    assert_int_equal(d->gen.kept_of, d->gen.serial);
    assert_int_equal(d->gen.kept, 2);
    lane(d, 0, "never");
    lane(d, 2, "Z");
    poll_at(d, 10);
    assert_text(d, "abczZ");
    assert_int_equal(turn_caret(d->turn), 5);
    assert_node(d, other, "abcx");
    failed.serial = d->gen.serial;
    say(&d->gen, failed);          /* of lane 0 */
    lane_end(d, 0, GEN_WHY_ERROR); /* not the end of this one */
    assert_int_equal(status(d).state, TURN_WRITING);
    lane_end(d, 2, GEN_WHY_LENGTH);
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(d->gen.cancels, 0);
    assert_int_equal(status(d).last_n, 2);
    assert_int_equal(head(d).n_tok, 2);
    assert_true(turn_undo(d->turn)); /* all of it is one step */
    assert_text(d, "abc");
    assert_true(turn_redo(d->turn));
    assert_text(d, "abczZ");
}

static void
a_taken_one_waits_for_the_writer(void **state)
{
    struct desk *d = *state;

    begin_three(d);
    assert_true(turn_take(d->turn, 1));
    turn_set_caret(d->turn, 0, d->now);
    type(d, "A");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_int_equal(d->gen.submits, 2);
    assert_int_equal(d->gen.run.n_lanes, 1);
    assert_int_equal(d->gen.run.br, 1); /* the numbers it drew with */
    assert_int_equal(d->gen.run.i0, 1);
    assert_string_equal(d->gen.prompt, "Aabcy");
    token(d, "Y"); /* now it is lane 0 */
    assert_text(d, "AabcyY");
    end(d, GEN_WHY_LENGTH);
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
nothing_is_taken(void **state)
{
    struct desk *d = *state;
    uint64_t p;

    begin_three(d);
    p = story_head(d->story);
    assert_true(turn_stop(d->turn)); /* stopped; they stay on show */
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(turn_n_candidates(d->turn), 3);
    assert_int_equal(candidate(d, 0).why, GEN_WHY_USER);
    assert_false(turn_stop(d->turn));
    assert_true(turn_leave(d->turn));
    assert_false(turn_leave(d->turn));
    assert_text(d, "abc");
    assert_true(story_head(d->story) == p);
    assert_int_equal(status(d).n_next, 3);
    assert_true(turn_redo(d->turn)); /* and are found again */
    assert_text(d, "abcz");
    assert_true(turn_sibling(d->turn, -1));
    assert_text(d, "abcy");
}

static void
again_deals_others(void **state)
{
    struct desk *d = *state;
    uint64_t seed, first, other;

    begin_three(d);
    assert_int_equal(turn_candidates_batch(d->turn, &seed), 1);
    first = candidate(d, 0).node;
    deal(d);
    assert_int_equal(turn_candidates_batch(d->turn, &other), 2);
    assert_true(seed != other && other == d->gen.run.seed);
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 3);
    assert_string_equal(d->gen.prompt, "abc");
    lane(d, 1, "v");
    poll_at(d, 10);
    assert_int_equal(candidate(d, 0).node, 0);
    assert_node(d, candidate(d, 1).node, "abcv");
    assert_node(d, first, "abcx"); /* kept */
    assert_int_equal(status(d).n_next, 4);
    assert_true(turn_take(d->turn, 1));
    assert_int_equal(head(d).br, 4);
    deal(d); /* from another place: a new run */
    assert_int_equal(d->gen.run.run, 2);
    assert_int_equal(d->gen.run.br, 0);
    assert_string_equal(d->gen.prompt, "abcv");
}

static void
retry_deals_others_too(void **state)
{
    struct desk *d = *state;
    struct err err = { 0 };

    begin_three(d);
    assert_true(turn_retry(d->turn, d->now, &err));
    assert_int_equal(d->gen.run.br, 3);
    assert_int_equal(d->gen.run.n_lanes, 3);
    lane(d, 0, "w");
    poll_at(d, 10);
    assert_true(turn_take(d->turn, 0));
    end(d, GEN_WHY_LENGTH);
    assert_true(turn_retry(d->turn, d->now, &err)); /* of the one taken */
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 4);
    assert_int_equal(d->gen.run.n_lanes, 1);
}

static void
typing_leaves_them(void **state)
{
    struct desk *d = *state;
    uint64_t first;

    begin_three(d);
    first = candidate(d, 0).node;
    type(d, "!");
    assert_text(d, "abc!");
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_int_equal(d->gen.cancels, 1);
    assert_int_equal(count(d, OP_END), 3);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_EDIT);
    assert_node(d, first, "abcx");
    lane(d, 0, "never");
    poll_at(d, 10);
    assert_node(d, first, "abcx");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
}

static void
undo_takes_back_the_asking(void **state)
{
    struct desk *d = *state;

    type(d, "abc");
    deal(d);
    assert_true(turn_undo(d->turn)); /* before the first token */
    assert_text(d, "abc");
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_int_equal(d->gen.cancels, 1);
    deal(d);
    lane(d, 0, "x");
    poll_at(d, 10);
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_true(turn_undo(d->turn));
    assert_text(d, "");
}

static void
a_run_under_way_ends(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    deal(d);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_USER);
    assert_string_equal(d->gen.prompt, "abcd");
    assert_int_equal(d->gen.run.run, 2);
    lane(d, 0, "x");
    poll_at(d, 10);
    tab(d); /* and the other way round */
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_string_equal(d->gen.prompt, "abcd");
    assert_int_equal(d->gen.run.n_lanes, 1);
    assert_int_equal(d->gen.run.run, 3);
}

static void
a_knob_reaches_all_of_them(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    begin_three(d);
    lane_end(d, 1, GEN_WHY_EOS);
    k.temp = 0.5;
    k.length = 100;
    turn_set_knobs(d->turn, &k);
    assert_true(d->gen.sent.temp == 0.5);
    assert_int_equal(d->gen.sent.length, 100);
    say_knobs(&d->gen, 1, 1);
    lane(d, 0, "X");
    poll_at(d, 10);
    assert_int_equal(count(d, OP_KNOB), 2); /* of the two that write */
    assert_true(last(d, OP_KNOB)->op.has_of);
    assert_int_equal(last(d, OP_KNOB)->op.of, candidate(d, 2).node);
    assert_int_equal(last(d, OP_KNOB)->op.i, 1);
    assert_true(story_knobs(d->story)->temp == 0.5);
    assert_int_equal(lines_with(d, "\"temperature\":0.5"), 2);
    lane_end(d, 0, GEN_WHY_EOS); /* one is left, and obeys */
    k.temp = 0.25;
    turn_set_knobs(d->turn, &k);
    assert_true(d->gen.sent.temp == 0.25);
    say_knobs(&d->gen, 2, 2);
    lane(d, 2, "Z");
    poll_at(d, 10);
    assert_int_equal(count(d, OP_KNOB), 3);
    assert_int_equal(last(d, OP_KNOB)->op.of, candidate(d, 2).node);
}

static void
the_knob_says_how_many(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    k.candidates = 9;
    turn_set_knobs(d->turn, &k);
    type(d, "abc");
    deal(d);
    assert_int_equal(d->gen.run.n_lanes, 9);
    lane(d, 8, "i");
    poll_at(d, 10);
    assert_true(turn_take(d->turn, 8));
    assert_int_equal(head(d).br, 8);
    k.candidates = 1;
    turn_set_knobs(d->turn, &k);
    deal(d);
    assert_int_equal(d->gen.run.n_lanes, 1);
    assert_int_equal(turn_n_candidates(d->turn), 1);
}

static void
a_failure_shows_nothing(void **state)
{
    struct desk *d = *state;
    struct gen_event ev = { .type = GEN_FAILED };

    type(d, "abc");
    deal(d);
    ev.serial = d->gen.serial;
    err_set(&ev.u.err, ERR_MODEL, "no finite logit");
    say(&d->gen, ev);
    for (int i = 0; i < 3; i++)
        lane_end(d, i, GEN_WHY_ERROR);
    assert_int_equal(turn_n_candidates(d->turn), 0);
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(status(d).last_why, GEN_WHY_ERROR);
    assert_string_equal(status(d).run_err.msg, "no finite logit");
    assert_int_equal(count(d, OP_RUN), 0);
}

/* The program dies while they write: what the file has at that instant is all
 * that was shown, and the writer stands where he stood. */
static void
killed_while_they_write(void **state)
{
    struct desk *d = *state;
    struct storyfile_options opt = { .create = false };
    struct err err = { 0 };
    char other[128], *data;
    struct storyfile *f;
    struct story *s;
    uint64_t node[3];
    size_t len;
    FILE *out;

    begin_three(d);
    for (int i = 0; i < 3; i++)
        node[i] = candidate(d, i).node;
    assert_true(file_read(d->path, 1 << 20, &data, &len, &err));
    assert_int_equal(lines_with(d, "\"aside\":true"), 3);
    snprintf(other, sizeof other, "%s/dead.jl", d->dir);
    out = fopen(other, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, len, out), len);
    fclose(out);
    free(data);
    f = storyfile_open(other, &opt, &err);
    if (!f)
        fail_msg("%s", err.msg);
    assert_null(storyfile_damage_text(f));
    s = storyfile_story(f);
    assert_true(story_head(s) == story_head(d->story));
    assert_int_equal(story_children(s, story_head(s)), 3);
    for (int i = 0; i < 3; i++) {
        char *have = text_dup(story_node_text(s, node[i]), 0, (size_t)-1);
        struct node_info n;

        assert_true(story_node(s, node[i], &n));
        assert_false(n.open || n.orphan);
        assert_int_equal(n.br, i);
        assert_int_equal(have[3], "xyz"[i]);
        free(have);
    }
    storyfile_close(f);
}

static void
closed_and_opened_again(void **state)
{
    struct desk *d = *state;

    begin_three(d);
    assert_true(turn_take(d->turn, 1));
    lane(d, 1, "Y");
    poll_at(d, 10);
    close_desk(d);
    open_desk(d, true);
    assert_text(d, "abcyY");
    assert_int_equal(status(d).n_siblings, 3);
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
    assert_true(turn_redo(d->turn));
    assert_text(d, "abcyY");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_are_asked_for),
        TEST(they_grow_beside_the_text),
        TEST(they_end_one_by_one),
        TEST(one_is_taken_when_all_have_ended),
        TEST(one_that_writes_goes_on_when_taken),
        TEST(a_taken_one_waits_for_the_writer),
        TEST(nothing_is_taken),
        TEST(again_deals_others),
        TEST(retry_deals_others_too),
        TEST(typing_leaves_them),
        TEST(undo_takes_back_the_asking),
        TEST(a_run_under_way_ends),
        TEST(a_knob_reaches_all_of_them),
        TEST(the_knob_says_how_many),
        TEST(a_failure_shows_nothing),
        TEST(killed_while_they_write),
        TEST(closed_and_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
