/* tests/gen_test.c  What a request gives, with the model in the box, on one
 * thread: a host that records events stands in for the worker. Nothing here
 * depends on what the model would write, so that it may be replaced. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tokenizer.h"
#include "engine/writer.h"

enum { MAX_EVENTS = 4096 };

static struct model *model;

static struct {
    struct gen_event ev[MAX_EVENTS];
    size_t n;
    atomic_bool cancel;
    uint32_t cancel_at; /* token index, 0: never */
    uint32_t knobs_at;  /* token index at which `knobs` arrive, 0: never */
    struct knobs knobs;
    char text[65536]; /* of all tokens */
    size_t len;
    int ids[MAX_EVENTS];
    size_t n_ids;
} got;

static void
on_post(void *ud, const struct gen_event *ev, bool droppable)
{
    assert_true(got.n < MAX_EVENTS);
    got.ev[got.n++] = *ev;
    if (ev->type != GEN_TOKEN)
        return;
    memcpy(got.text + got.len, ev->u.token.text, ev->u.token.len + 1);
    got.len += ev->u.token.len;
    got.ids[got.n_ids++] = ev->u.token.id;
    if (got.cancel_at && got.n_ids == got.cancel_at)
        atomic_store(&got.cancel, true);
}

static bool
on_knobs(void *ud, struct knobs *k, uint32_t *serial)
{
    if (!got.knobs_at || got.n_ids != got.knobs_at)
        return false;
    *k = got.knobs;
    *serial = 77;
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
static struct writer *writer;

static void
forget(void)
{
    for (size_t i = 0; i < got.n; i++)
        gen_event_finish(&got.ev[i]);
    memset(&got, 0, sizeof got);
}

static const struct gen_event *
find(enum gen_event_type type, size_t nth)
{
    for (size_t i = 0; i < got.n; i++)
        if (got.ev[i].type == type && nth-- == 0)
            return &got.ev[i];
    return NULL;
}

static const struct gen_event *
end_event(void)
{
    assert_true(got.n > 0);
    assert_int_equal(got.ev[got.n - 1].type, GEN_END);
    return &got.ev[got.n - 1];
}

/* Length 30, ended by that alone: any of the 60 likeliest, so that no loop is
 * to be feared whatever the model; end of text banned. */
static struct gen_request
request(const struct prompt_span *span)
{
    struct gen_request r = { .kind = GEN_RUN,
                             .spans = span,
                             .n_spans = 1,
                             .seed = 12345,
                             .run = 1,
                             .n_lanes = 1 };

    knobs_default(&r.knobs);
    r.knobs.stop_at = STOP_AT_LENGTH;
    r.knobs.temp = INFINITY;
    r.knobs.top_k = 60;
    r.knobs.top_p = 1;
    r.knobs.min_p = 0;
    r.knobs.length = r.length_left = 30;
    snprintf(r.knobs.bias, sizeof r.knobs.bias, "id:%d=-inf",
             vocab_profile(model_vocab(model))->end);
    return r;
}

static struct prompt_span
text_span(const char *text)
{
    struct prompt_span s = { .text = text, .len = strlen(text) };

    return s;
}

static void
serve(const struct gen_request *r)
{
    struct job *j = job_new(r, 5);

    writer_do(writer, j);
    job_free(j);
    for (size_t i = 0; i < got.n; i++)
        assert_int_equal(got.ev[i].serial, 5);
}

static const char opening[] = "那天晚上，渡口的老人没有回家，他坐在河边，";

static void
same_seed_same_text(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);
    char first[4096];

    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_LENGTH);
    assert_int_equal(end_event()->u.end.n, 30);
    assert_int_equal(got.n_ids, 30);
    assert_true(got.len >= 30);
    strcpy(first, got.text);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(find(GEN_TOKEN, i)->u.token.i, i);
    forget();
    serve(&r);
    assert_string_equal(got.text, first);
    forget();
    r.br = 1; /* a locked seed still gives another text on retry */
    serve(&r);
    assert_string_not_equal(got.text, first);
    forget();
    r.br = 0;
    r.seed++;
    serve(&r);
    assert_string_not_equal(got.text, first);
    forget();
}

static void
probabilities_are_probabilities(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    serve(&r);
    for (uint32_t i = 0; i < 30; i++) {
        const struct gen_event *e = find(GEN_TOKEN, i);

        assert_true(e->u.token.lp <= 0 && e->u.token.q <= 0);
        assert_true(isfinite(e->u.token.lp) && isfinite(e->u.token.q));
    }
    assert_true(end_event()->u.end.seconds > 0);
    forget();
}

static void
reading_ahead_is_not_done_twice(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    r.kind = GEN_READ;
    s.text = "另一个故事，完全不同。";
    s.len = strlen(s.text);
    serve(&r);
    s = text_span(opening);
    serve(&r);
    assert_true(writer_last_run(writer) > 15);
    assert_null(find(GEN_TOKEN, 0));
    assert_int_equal(find(GEN_READING, 0)->u.reading.total,
                     find(GEN_READING, 0)->u.reading.done);
    forget();
    r.kind = GEN_RUN;
    r.knobs.length = r.length_left = 1;
    serve(&r);
    assert_true(writer_last_run(writer) <= 1);
    assert_int_equal(got.n_ids, 1);
    forget();
}

static void
knobs_turn_in_mid_run(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);
    const struct gen_event *k;
    char plain[4096];
    size_t same = 0;

    serve(&r);
    strcpy(plain, got.text);
    forget();
    got.knobs = r.knobs;
    got.knobs.temp = 0;
    got.knobs.length = 14; /* a few, lest they loop */
    got.knobs_at = 10;
    serve(&r);
    k = find(GEN_KNOBS, 0);
    assert_non_null(k);
    assert_int_equal(k->u.knobs.i, 10);
    assert_int_equal(k->u.knobs.knobs_serial, 77);
    assert_int_equal(end_event()->u.end.n, 14);
    for (uint32_t i = 0; i < 14; i++) {
        const struct gen_event *t = find(GEN_TOKEN, i);

        assert_true((t->u.token.q == 0) == (i >= 10));
        if (i < 10)
            same += t->u.token.len;
    }
    assert_memory_equal(plain, got.text, same);
    /* the answer stands between the tokens it parts */
    assert_true(k > find(GEN_TOKEN, 9) && k < find(GEN_TOKEN, 10));
    forget();
}

static void
a_run_goes_on_where_it_paused(void **state)
{
    struct prompt_span s[2] = { text_span(opening) };
    struct gen_request r = request(s);
    static struct peek_row rows[5];
    static char text[4096];
    static int ids[32];

    serve(&r);
    strcpy(text, got.text);
    memcpy(ids, got.ids, sizeof ids);
    forget();
    /* exact ids, another half: the same next token stands at the pen */
    s[1] = text_span(text);
    s[1].ids = ids;
    s[1].n_ids = 30;
    s[1].tok = model_tok_hash(model);
    r.n_spans = 2;
    r.kind = GEN_PEEK;
    r.i0 = 30;
    r.n_peek = 5;
    serve(&r);
    assert_int_equal(find(GEN_PEEKED, 0)->u.peek.i, 30);
    assert_int_equal(find(GEN_PEEKED, 0)->u.peek.n, 5);
    memcpy(rows, find(GEN_PEEKED, 0)->u.peek.rows, sizeof rows);
    assert_int_equal(writer_last_run(writer), 1); /* only the last token */
    assert_true(rows[0].p_before >= rows[1].p_before);
    assert_true(rows[0].text[0] != '\0');
    forget();
    /* looked at again with other knobs: no forward pass */
    r.knobs.top_k = 1;
    serve(&r);
    assert_int_equal(writer_last_run(writer), 0);
    assert_int_equal(find(GEN_PEEKED, 0)->u.peek.n_kept, 1);
    assert_true(find(GEN_PEEKED, 0)->u.peek.rows[0].p_before ==
                rows[0].p_before);
    forget();
    /* ids of another tokenizer are not used: the text is, to the same end,
     * since this vocabulary has one way to write a text */
    s[1].tok =
        "0000000000000000000000000000000000000000000000000000000000000000";
    ids[3] = 17;
    serve(&r);
    assert_true(fabsf(find(GEN_PEEKED, 0)->u.peek.rows[0].p_before -
                      rows[0].p_before) < 1e-3f);
    forget();
}

static void
cancel_ends_with_why_user(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    got.cancel_at = 7;
    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_USER);
    assert_int_equal(end_event()->u.end.n, 7);
    forget();
    serve(&r); /* the same writer goes on serving */
    assert_int_equal(end_event()->u.end.why, GEN_WHY_LENGTH);
    forget();
}

static void
specials_are_never_text(void **state)
{
    const struct profile *p = vocab_profile(model_vocab(model));
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    r.knobs.top_k = 0; /* anything that is not banned */
    r.knobs.length = r.length_left = 300;
    serve(&r);
    assert_true(p->n_ban > 3);
    for (size_t i = 0; i < got.n_ids; i++) {
        assert_int_not_equal(got.ids[i], p->end);
        for (size_t j = 0; j < p->n_ban; j++)
            assert_int_not_equal(got.ids[i], p->ban[j]);
    }
    assert_null(strstr(got.text, "[UNK]"));
    assert_null(strstr(got.text, "##"));
    forget();
}

static void
end_of_text_waits_for_a_sentence(void **state)
{
    const struct profile *p = vocab_profile(model_vocab(model));
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    /* The model wants to end at once. */
    r.knobs.stop_at = STOP_AT_NEVER;
    r.knobs.temp = 1;
    snprintf(r.knobs.bias, sizeof r.knobs.bias, "id:%d=900, 。=6", p->end);
    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_EOS);
    assert_true(got.n_ids >= 1);
    assert_true(got.len >= 3);
    for (size_t i = 0; i < got.n_ids; i++)
        assert_int_not_equal(got.ids[i], p->end);
    forget();
}

static void
bias_bans_a_word_and_forces_one(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    r.knobs.temp = 1;
    strcpy(r.knobs.bias, "的=-inf,一=-inf,，=-inf,渡=500");
    r.knobs.length = r.length_left = 5;
    serve(&r);
    assert_string_equal(got.text, "渡渡渡渡渡");
    forget();
    strcpy(r.knobs.bias, "渡=500,渡渡=-inf"); /* a word of two tokens */
    serve(&r);
    assert_memory_equal(got.text, "渡", 3);
    assert_null(strstr(got.text, "渡渡"));
    forget();
}

static void
stop_string_ends_the_run_unseen(void **state)
{
    struct prompt_span s = text_span(opening);
    struct gen_request r = request(&s);

    r.knobs.temp = 1;
    strcpy(r.knobs.bias, "渡=500,渡渡=-inf,渡口=900");
    strcpy(r.knobs.stop, "口渡");
    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_STOP);
    assert_string_equal(got.text, "渡");
    assert_int_equal(end_event()->u.end.n, 1);
    forget();
}

static void
an_empty_story_can_be_begun(void **state)
{
    struct prompt_span s = text_span("");
    struct gen_request r = request(&s);

    serve(&r);
    assert_int_equal(end_event()->u.end.n, 30);
    assert_int_equal(find(GEN_READING, 0)->u.reading.total, 1);
    forget();
    r.win_at = 99; /* but a window in mid-story has no begin token */
    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_ERROR);
    assert_int_equal(find(GEN_FAILED, 0)->u.err.kind, ERR_FAILED);
    forget();
}

static void
any_bytes_can_be_read(void **state)
{
    static char bytes[256];
    struct prompt_span s = { .text = bytes, .len = sizeof bytes };
    struct gen_request r = request(&s);

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    serve(&r);
    assert_int_equal(end_event()->u.end.n, 30);
    forget();
}

/* --- the window --- */

/* A story of n sentences, three to a paragraph, no two alike. */
static char *
long_story(int n, size_t *len, bool breaks)
{
    static const char *const who[] = { "老人", "船家", "孩子", "姑娘", "先生" };
    static const char *const what[] = { "看着河水", "走过石桥", "点起了灯",
                                        "说起从前", "望着远山", "没有回头",
                                        "笑了一笑" };
    char *s = malloc((size_t)n * 64);

    *len = 0;
    for (int i = 0; i < n; i++)
        *len += (size_t)sprintf(s + *len, "%s%s%s%s", who[i % 5],
                                what[i * 3 % 7], breaks ? "。" : "",
                                breaks && i % 3 == 2 ? "\n" : "");
    return s;
}

static bool
is_boundary(const char *text, size_t at)
{
    return text[at - 1] == '\n' || (at >= 3 && !memcmp(text + at - 3, "。", 3));
}

static void
a_long_prompt_moves_the_window(void **state)
{
    size_t len, at;
    char *story = long_story(400, &len, true);
    struct prompt_span s = { .text = story, .len = len };
    struct gen_request r = request(&s);
    int P = model_info(model)->n_pos, n;

    r.win_at = 1000;
    r.kind = GEN_READ;
    serve(&r);
    assert_int_equal(got.ev[0].type, GEN_WINDOW);
    at = got.ev[0].u.window.at - 1000;
    n = find(GEN_READING, 0)->u.reading.total;
    assert_true(at > 0 && at < len);
    assert_int_equal(story[at - 1], '\n');
    assert_true(n <= P * 3 / 4 && n > P / 4);
    forget();
    /* sticky: from there on it fits, and stays */
    s.text += at;
    s.len -= at;
    r.win_at += at;
    serve(&r);
    assert_null(find(GEN_WINDOW, 0));
    assert_int_equal(find(GEN_READING, 0)->u.reading.total, n);
    assert_int_equal(writer_last_run(writer), 0); /* the very same tokens */
    forget();
    free(story);
}

static void
a_moved_window_stays_while_the_text_grows(void **state)
{
    size_t len, at;
    char *story = long_story(4000, &len, false);
    struct prompt_span s = { .text = story, .len = len - 3 * 30 };
    struct gen_request r = request(&s);

    r.win_at = 50;
    r.kind = GEN_READ;
    serve(&r);
    at = find(GEN_WINDOW, 0)->u.window.at;
    forget();
    for (int i = 0; i < 30; i++) {
        s.len += 3; /* one character typed */
        serve(&r);
        assert_int_equal(find(GEN_WINDOW, 0)->u.window.at, at);
        assert_int_equal(writer_last_run(writer), 1);
        forget();
    }
    s.len /= 2; /* the caret went elsewhere */
    serve(&r);
    assert_true(find(GEN_WINDOW, 0)->u.window.at < at);
    forget();
    free(story);
}

static void
a_prompt_without_boundaries_moves_too(void **state)
{
    size_t len, at;
    char *story = long_story(4000, &len, false);
    struct prompt_span s = { .text = story, .len = len };
    struct gen_request r = request(&s);
    int P = model_info(model)->n_pos;

    r.kind = GEN_READ;
    serve(&r);
    at = find(GEN_WINDOW, 0)->u.window.at;
    assert_true(((unsigned char)story[at] & 0xC0) != 0x80);
    assert_int_equal(find(GEN_READING, 0)->u.reading.total, P * 3 / 4);
    forget();
    free(story);
}

static void
a_run_goes_on_past_the_window(void **state)
{
    size_t len, last = 0, n_moves = 0;
    char *story = long_story(30, &len, true);
    struct prompt_span s = { .text = story, .len = len };
    struct gen_request r = request(&s);
    int P = model_info(model)->n_pos;
    char *all = malloc(len + 65536);

    r.win_at = 7;
    r.knobs.length = r.length_left = 2 * P;
    serve(&r);
    assert_int_equal(end_event()->u.end.why, GEN_WHY_LENGTH);
    assert_int_equal(got.n_ids, 2 * P);
    memcpy(all, story, len);
    memcpy(all + len, got.text, got.len);
    for (size_t i = 0; i < got.n; i++) {
        const struct gen_event *e = &got.ev[i];
        const struct gen_event *next = e + 1;
        size_t at = e->u.window.at - 7;

        if (e->type != GEN_WINDOW)
            continue;
        n_moves++;
        assert_true(at > last && at < len + got.len);
        assert_true(is_boundary(all, at) ||
                    ((unsigned char)all[at] & 0xC0) != 0x80);
        while (next->type == GEN_READING)
            next++;
        assert_int_equal(next->type, GEN_TOKEN);
        assert_int_equal(next->u.token.i, e->u.window.i);
        last = at;
    }
    assert_true(n_moves >= 5 && n_moves <= 12);
    assert_true(last > len); /* it moved over what the run itself wrote */
    free(all);
    free(story);
    forget();
}

static void
the_window_moves_alike_from_ids_and_text(void **state)
{
    size_t len, at;
    char *story = long_story(200, &len, true);
    struct prompt_span s = { .text = story, .len = len };
    struct gen_request r = request(&s);
    int *ids;
    size_t n_ids;
    struct tok_ids t = { 0 };

    r.win_at = 3;
    r.kind = GEN_READ;
    serve(&r);
    at = find(GEN_WINDOW, 0)->u.window.at;
    forget();
    assert_true(vocab_encode_prompt(model_vocab(model), story, len, &t, NULL));
    ids = t.v;
    n_ids = t.n;
    s.ids = ids;
    s.n_ids = n_ids;
    s.tok = model_tok_hash(model);
    serve(&r);
    assert_int_equal(find(GEN_WINDOW, 0)->u.window.at, at);
    assert_int_equal(writer_last_run(writer), 0);
    forget();
    free(t.v);
    free(story);
}

static int
open_model(void **state)
{
    const char *data = getenv("JIELONG_TEST_DATA");
    struct err err = { 0 };
    char path[4096];

    snprintf(path, sizeof path, "%s/../../models/jielong-zh",
             data ? data : "tests/data");
    model = model_open(path, NULL, &err);
    writer = model ? writer_new(model, 2, &host, &err) : NULL;
    if (!writer)
        fprintf(stderr, "# %s\n", err.msg);
    return writer ? 0 : -1;
}

static int
close_model(void **state)
{
    writer_free(writer);
    model_close(model);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_text),
        cmocka_unit_test(probabilities_are_probabilities),
        cmocka_unit_test(reading_ahead_is_not_done_twice),
        cmocka_unit_test(knobs_turn_in_mid_run),
        cmocka_unit_test(a_run_goes_on_where_it_paused),
        cmocka_unit_test(cancel_ends_with_why_user),
        cmocka_unit_test(specials_are_never_text),
        cmocka_unit_test(end_of_text_waits_for_a_sentence),
        cmocka_unit_test(bias_bans_a_word_and_forces_one),
        cmocka_unit_test(stop_string_ends_the_run_unseen),
        cmocka_unit_test(an_empty_story_can_be_begun),
        cmocka_unit_test(any_bytes_can_be_read),
        cmocka_unit_test(a_long_prompt_moves_the_window),
        cmocka_unit_test(a_moved_window_stays_while_the_text_grows),
        cmocka_unit_test(a_prompt_without_boundaries_moves_too),
        cmocka_unit_test(a_run_goes_on_past_the_window),
        cmocka_unit_test(the_window_moves_alike_from_ids_and_text),
    };

    return cmocka_run_group_tests_name("gen", tests, open_model, close_model);
}
