/* tests/replay_test.c  A story written by a real model with everything that a
 * writer may do to a run, then written again and compared; and what replay
 * says of a story that was tampered with, damaged, or written elsewhere.
 *
 * The model has 24 positions, so that a run of a line moves its window. */
#include <math.h>
#include <poll.h>
#include <sys/wait.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "src/replay.h"
#include "tests/turn_desk.h"

#define OPENING "一人在山中，天上有"
/* More than the model sees: what follows does not depend on what came before. */
#define LONG                                                              \
    "我在这里生了一子，他说要到天下去，就和她来了。那年中国大地上有人们是" \
    "自以为会的。"

struct tale { /* a desk whose turn has a real generator */
    struct desk *d;
    struct gen *g;
    uint64_t from; /* head as the run was asked for */
    char model[1024];
};

static void
serve(struct tale *t)
{
    struct pollfd fd = { .fd = gen_fd(t->g), .events = POLLIN };

    poll(&fd, 1, 20);
    poll_at(t->d, 1);
}

static void
wait_till_loaded(struct tale *t)
{
    while (!status(t->d).model_loaded) {
        if (status(t->d).model_failed)
            fail_msg("%s", status(t->d).model_err.msg);
        serve(t);
    }
}

static void
begin(struct tale *t, struct desk *d)
{
    struct model_options opt = { .type = "f32" };

    t->d = d;
    snprintf(t->model, sizeof t->model, "%s/models/f32",
             getenv("JIELONG_TEST_DATA"));
    t->g = gen_local(t->model, &opt, 2);
    turn_free(d->turn);
    d->turn = turn_new(d->file, t->g);
    wait_till_loaded(t);
}

/* The file's text; given. */
static char *
read_file(const char *path)
{
    struct err err = { 0 };
    char *text;
    size_t len;

    if (!file_read(path, 64 << 20, &text, &len, &err))
        fail_msg("%s", err.msg);
    return text;
}

/* Waits till the story says which model wrote: its hashes take a moment. */
static void
wait_for_hashes(struct tale *t)
{
    bool known = false;

    while (!known) {
        char *text = read_file(t->d->path);

        known = strstr(text, "\"sha\":\"f3") != NULL;
        free(text);
        if (!known)
            serve(t);
    }
}

/* Ends the tale; the file at d->path is whole. The desk is opened again for
 * teardown, which closes it. */
static void
finish(struct tale *t)
{
    wait_for_hashes(t);
    close_desk(t->d);
    gen_free(t->g);
    open_desk(t->d, false);
}

static void
set_knobs(struct tale *t, double temp, int64_t top_k, int64_t length,
          enum stop_at stop)
{
    struct knobs k = *turn_knobs(t->d->turn);

    k.seed_random = false; /* the same tale each time: no loop ends it early */
    k.seed = 11;
    k.top_p = 1;
    k.min_p = 0;
    k.temp = temp;
    k.top_k = top_k;
    k.length = length;
    /* No end of text in the long runs. */
    strcpy(k.bias, stop == STOP_AT_NEVER ? "id:3=-inf" : "");
    k.stop_at = stop;
    turn_set_knobs(t->d->turn, &k);
}

/* Till the run has written n tokens in all, or has ended. */
static void
let_write(struct tale *t, uint32_t n)
{
    while (status(t->d).state != TURN_IDLE &&
           (head(t->d).n == t->from || head(t->d).kind != NODE_RUN ||
            head(t->d).i0 + head(t->d).n_tok < n))
        serve(t);
}

static void
go_on(struct tale *t)
{
    t->from = story_head(t->d->story);
    tab(t->d);
}

static void
let_end(struct tale *t)
{
    while (status(t->d).state != TURN_IDLE)
        serve(t);
}

/* Three continuations at once, a knob turned meanwhile, the second taken. */
static void
choose_candidate(struct tale *t)
{
    struct turn_candidate c = { 0 };
    struct err err = { 0 };

    if (!turn_candidates(t->d->turn, t->d->now, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < 3; i++) {
        do {
            turn_candidate(t->d->turn, i, &c);
            serve(t);
        } while (c.n_tok < 2 && turn_n_candidates(t->d->turn));
        if (i == 0)
            set_knobs(t, 5, 0, 50, STOP_AT_LENGTH);
    }
    assert_true(turn_take(t->d->turn, 1));
    let_end(t);
}

/* Knobs turned in mid-run, the writer typing elsewhere, a retry, going back
 * and another way on, the writer taking over, runs that end by themselves. */
static void
write_tale(struct tale *t)
{
    struct desk *d = t->d;
    struct err err;

    type(d, OPENING);
    set_knobs(t, 3, 0, 4000, STOP_AT_NEVER);
    go_on(t);
    let_write(t, 30);
    set_knobs(t, 5, 0, 4000, STOP_AT_NEVER);
    let_write(t, 300);
    set_knobs(t, INFINITY, 40, 4000, STOP_AT_NEVER);
    let_write(t, 500);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "他说");
    poll_at(d, 400);
    let_write(t, 700);
    turn_stop(d->turn);

    set_knobs(t, 3, 40, 20, STOP_AT_SENTENCE);
    turn_set_caret(d->turn, text_len(story_text(d->story)), d->now);
    go_on(t);
    let_end(t);
    for (int i = 0; i < 3; i++) {
        assert_true(turn_retry(d->turn, d->now, &err));
        let_end(t);
    }
    for (int i = 0; i < 3; i++)
        assert_true(turn_undo(d->turn));
    turn_set_caret(d->turn, text_len(story_text(d->story)), d->now);
    turn_paste(d->turn, "你来了。", strlen("你来了。"), d->now);
    set_knobs(t, 4, 0, 60, STOP_AT_LENGTH);
    go_on(t);
    let_end(t);
    go_on(t);
    tab(d); /* one more length */
    let_write(t, 5);
    set_knobs(t, 3, 0, 50, STOP_AT_LENGTH);
    choose_candidate(t);
    turn_paste(d->turn, LONG, strlen(LONG), d->now);
    set_knobs(t, 0, 0, 40, STOP_AT_LENGTH); /* greedy: a loop */
    go_on(t);
    let_end(t);
}

static struct gen *
load(struct tale *t)
{
    struct model_options opt = { .type = "f32" };
    struct gen *g = gen_local(t->model, &opt, 1);
    struct gen_event ev;

    while (!gen_model(g)) {
        struct pollfd fd = { .fd = gen_fd(g), .events = POLLIN };

        poll(&fd, 1, 20);
        while (gen_next(g, &ev))
            gen_event_finish(&ev);
    }
    return g;
}

static struct replay *
open_replay(const char *path)
{
    struct err err = { 0 };
    struct replay *r = replay_open(path, &err);

    if (!r)
        fail_msg("%s", err.msg);
    return r;
}

static struct replay_found
check(struct replay *r, size_t i, struct gen *g)
{
    struct replay_found f;
    struct err err = { 0 };

    if (!replay_check(r, i, g, &f, &err))
        fail_msg("%s", err.msg);
    return f;
}

static void
a_story_is_written_again(void **state)
{
    struct tale t;
    struct replay *r;
    struct gen *g;
    size_t conts = 0, whys[GEN_WHY_COUNT] = { 0 };

    begin(&t, *state);
    write_tale(&t);
    finish(&t);
    r = open_replay(t.d->path);
    g = load(&t);
    assert_true(replay_count(r) >= 12); /* 9 one by one, 3 at once */
    for (size_t i = 0; i < replay_count(r); i++) {
        struct replay_found f = check(r, i, g);
        struct replay_run x;

        replay_run(r, i, &x);
        assert_true(x.whole && x.n_tok > 0);
        assert_string_equal(replay_model(r, x.m)->name, "f32");
        conts += x.i0 > 0;
        whys[x.why]++;
        if (f.what != REPLAY_EQUAL)
            fail_msg("run %u.%u (%s): %d at token %zu of %zu: id %d and %d, "
                     "lp %.9g and %.9g, window %zu and %zu",
                     x.run, x.br, gen_why_name(x.why), (int)f.what, f.k,
                     x.n_tok, f.want, f.got, (double)f.lp[0], (double)f.lp[1],
                     f.win[0], f.win[1]);
    }
    assert_true(conts > 0 && whys[GEN_WHY_EDIT] && whys[GEN_WHY_USER] &&
                whys[GEN_WHY_LENGTH] && whys[GEN_WHY_LOOP]);
    gen_free(g);
    replay_free(r);
}

/* --- tampering --- */

/* Writes `from` as `to` in the line that begins at `line`, where `from` comes
 * behind `after`, and makes the line's checksum right. */
static void
tamper(const char *path, const char *text, const char *line, const char *after,
       const char *from, const char *to)
{
    const char *at = strstr(line, after), *end = strchr(line, '\n');
    struct err err = { 0 };
    char *body, *all;

    assert_non_null(at);
    at = strstr(at + strlen(after), from);
    assert_true(at && at < end);
    body = xasprintf("%.*s%s%.*s", (int)(at - line), line, to,
                     (int)(strstr(at, ",\"c\":\"") - at - (long)strlen(from)),
                     at + strlen(from));
    all = xasprintf("%.*s%s,\"c\":\"%08x\"}%s", (int)(line - text), text, body,
                    crc32c(0, body, strlen(body)), end);
    if (!file_replace(path, all, strlen(all), &err))
        fail_msg("%s", err.msg);
    free(body);
    free(all);
}

/* The first or last line of this type. */
static const char *
find_line(const char *text, const char *type, bool last)
{
    char *mark = xasprintf("\"t\":\"%s\"", type);
    const char *found = NULL;

    for (const char *at = text; (at = strstr(at, mark)); at++)
        if (last || !found)
            found = at;
    free(mark);
    assert_non_null(found);
    while (found > text && found[-1] != '\n')
        found--;
    return found;
}

static const char *
last_line(const char *text, const char *type)
{
    return find_line(text, type, true);
}

/* What the program says of the story; *status its exit status. Given. */
static char *
run_replay(const struct tale *t, const char *more, int *status)
{
    char *command =
        xasprintf("HOME='%s' XDG_CACHE_HOME='%s/cache' XDG_DATA_HOME='%s/data' "
                  "JIELONG_CONFIG='%s/config' LANG=C.UTF-8 '%s' replay '%s' %s 2>&1",
                  t->d->dir, t->d->dir, t->d->dir, t->d->dir,
                  getenv("JIELONG_TEST_PROGRAM"), t->d->path, more);
    FILE *in = popen(command, "r");
    char *out = xcalloc(1, 65536);
    size_t n;

    assert_non_null(in);
    n = fread(out, 1, 65535, in);
    out[n] = '\0';
    *status = pclose(in);
    assert_true(WIFEXITED(*status));
    *status = WEXITSTATUS(*status);
    free(command);
    return out;
}

/* The config of run_replay() names the model. */
static void
configure(const struct tale *t)
{
    char *path = xasprintf("%s/config", t->d->dir);
    char *line = xasprintf("model = %s\n", t->model);
    struct err err = { 0 };

    if (!file_replace(path, line, strlen(line), &err))
        fail_msg("%s", err.msg);
    free(path);
    free(line);
}

static void
assert_says(const struct tale *t, const char *more, int status,
            const char *words)
{
    int got;
    char *out = run_replay(t, more, &got);

    if (got != status || !strstr(out, words))
        fail_msg("status %d instead of %d, and \"%s\" instead of \"%s\"", got,
                 status, out, words);
    free(out);
}

static void
the_program_names_the_first_difference(void **state)
{
    struct tale t;
    char *text, *model, *json;
    const char *line;
    char where[64];

    begin(&t, *state);
    write_tale(&t);
    finish(&t);
    model = xasprintf("--model '%s'", t.model);
    assert_says(&t, model, 0, "different 0; not verifiable: 0");
    text = read_file(t.d->path);
    line = last_line(text, "tok");
    tamper(t.d->path, text, line, "\"i\":", "[", "[1");
    assert_says(&t, model, 1, "different 1; not verifiable: 0");
    snprintf(where, sizeof where, "in record %ld, byte ",
             strtol(line + strlen("{\"n\":"), NULL, 10));
    assert_says(&t, model, 1, where);
    assert_says(&t, model, 1, "the story has ");
    tamper(t.d->path, text, line, "\"lp\":", "[-", "[-1");
    assert_says(&t, model, 1, "from the model");
    tamper(t.d->path, text, last_line(text, "win"), "\"at\"", ":", ":1");
    assert_says(&t, model, 1, "the window starts at byte ");
    json = xasprintf("%s --json", model);
    assert_says(&t, json, 1, "\"result\": \"window\"");
    free(json);
    tamper(t.d->path, text, last_line(text, "end"), "\"why\":\"", "loop", "eos");
    assert_says(&t, model, 1, "the model does not");
    free(text);
    free(model);
}

/* What hangs from a step with a hole has another text than it had. */
static void
a_hole_is_no_difference(void **state)
{
    struct tale t;
    char *text, *model, *rest;
    const char *line;
    struct err err = { 0 };

    begin(&t, *state);
    write_tale(&t);
    finish(&t);
    model = xasprintf("--model '%s'", t.model);
    text = read_file(t.d->path);
    line = find_line(text, "tok", false); /* of the first run */
    rest = xasprintf("%.*s%s", (int)(line - text), text,
                     strchr(line, '\n') + 1);
    if (!file_replace(t.d->path, rest, strlen(rest), &err))
        fail_msg("%s", err.msg);
    assert_says(&t, model, 0, "some of their records are lost");
    assert_says(&t, model, 0, "different 0; not verifiable: ");
    free(rest);
    free(text);
    free(model);
}

static void
what_cannot_be_verified_is_counted(void **state)
{
    struct tale t;
    char *text, *model;

    begin(&t, *state);
    type(t.d, OPENING);
    set_knobs(&t, 3, 0, 20, STOP_AT_LENGTH);
    go_on(&t);
    let_end(&t);
    finish(&t);
    model = xasprintf("--model '%s'", t.model);
    assert_says(&t, model, 0, "equal 1, different 0; not verifiable: 0");
    assert_says(&t, "", 3, "the model \"f32\" is needed and is not here");
    configure(&t);
    assert_says(&t, "", 0, "equal 1, different 0; not verifiable: 0");
    text = read_file(t.d->path);
    tamper(t.d->path, text, last_line(text, "model"), "\"num\":\"", "strict/1",
           "openblas-0.3.21/SkylakeX/avx512");
    assert_says(&t, model, 0, "not verifiable: 1");
    assert_says(&t, model, 0, "the arithmetic openblas-0.3.21/SkylakeX/");
    tamper(t.d->path, text, last_line(text, "model"), "\"num\":\"", "strict/1",
           "fast/openblas-0.3.21");
    assert_says(&t, model, 0, "not verifiable: 1");
    tamper(t.d->path, text, last_line(text, "model"), "\"sha\":\"", "f3", "00");
    assert_says(&t, model, 3, "are not those that wrote it");
    tamper(t.d->path, text, last_line(text, "tok"), "\"t\"", "tok", "lost");
    assert_says(&t, model, 0, "runs checked: ");
    free(text);
    free(model);
}

/* A model as a session left it that ended before the hashes were known. */
static void
put_bare_model(struct desk *d, const struct model *m, const char *files,
               const char *num)
{
    struct story_op op = { .type = OP_MODEL,
                           .name = "f32",
                           .files = files,
                           .cfg = model_early(m)->config,
                           .tok_hash = model_tok_hash(m),
                           .num = num };
    struct err err;

    if (!story_apply(d->story, &op, &err))
        fail_msg("%s", err.msg);
}

/* The next session with the same files completes the record, and no other. */
static void
hashes_come_in_the_next_session(void **state)
{
    struct tale t = { .d = *state };
    struct err err = { 0 };
    struct model_hashes h;
    char *path = xasprintf("%s/models/f32", getenv("JIELONG_TEST_DATA"));
    struct model *m = model_open(path, NULL, &err);
    struct story_op op;

    if (!m || !model_hash(m, &h, NULL, &err))
        fail_msg("%s", err.msg);
    put_bare_model(t.d, m, "00", "strict/1/f32"); /* of files that are gone */
    put_bare_model(t.d, m, model_early(m)->weights, "strict/1/int8");
    put_bare_model(t.d, m, "", "strict/1/bf16"); /* of an older version */
    close_desk(t.d);
    open_desk(t.d, false);
    begin(&t, t.d);
    finish(&t);
    assert_int_equal(story_model_count(t.d->story), 3);
    assert_int_equal(story_model_find(t.d->story, h.weights, h.config,
                                      h.tokenizer, "strict/1/int8"),
                     2);
    assert_int_equal(story_model_find(t.d->story, "", h.config, h.tokenizer,
                                      "strict/1/f32"),
                     1);
    assert_int_equal(story_model_find(t.d->story, "", h.config, h.tokenizer,
                                      "strict/1/bf16"),
                     3);
    assert_string_equal(story_model_name(t.d->story, 2), "f32");
    assert_false(story_model_complete(t.d->story, 1, model_early(m), &h, &op));
    strcpy(h.config, "another"); /* what wrote had another configuration */
    assert_false(story_model_complete(
        t.d->story, 1, &(struct model_hashes){ .weights = "00" }, &h, &op));
    model_close(m);
    free(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_story_is_written_again),
        TEST(the_program_names_the_first_difference),
        TEST(a_hole_is_no_difference),
        TEST(what_cannot_be_verified_is_counted),
        TEST(hashes_come_in_the_next_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
