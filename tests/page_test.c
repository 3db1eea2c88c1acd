/* The real program in a terminal: what a writer does, and what may happen.
 *
 * Each test has a home of its own under /tmp. The model is the one in the
 * box. Keys are the bytes a terminal sends; the screen is read by an emulator
 * that knows nothing of us (pty.h).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/file.h"

#include "src/storyfile.h"

#include "tests/pty.h"

#define OPENING     "老船工把篙横在膝上，听雨点敲着乌篷。"
#define ENTER       "\r"
#define ESC         "\033"
#define BACKTAB     "\033[Z"
#define TAB         "\t"
#define UNDO        "\032"
#define REDO        "\031"
#define RETRY       "\022"
#define KNOBS       "\024"
#define FIND        "\006"
#define QUIT        "\021"
#define ARROW_UP    "\033[A"
#define ARROW_LEFT  "\033[D"
#define ARROW_RIGHT "\033[C"
#define CTRL_HOME   "\033[1;5H"

struct page {
    char home[64], story[96];
    struct pty *pty;
};

static int
setup(void **state)
{
    struct page *p = calloc(1, sizeof *p);

    strcpy(p->home, "/tmp/jielong-page-XXXXXX");
    if (!p || !mkdtemp(p->home))
        return -1;
    snprintf(p->story, sizeof p->story, "%s/ferry.jl", p->home);
    *state = p;
    return 0;
}

static int
teardown(void **state)
{
    struct page *p = *state;
    char command[96];

    if (p->pty)
        pty_free(p->pty);
    snprintf(command, sizeof command, "rm -rf '%s'", p->home);
    if (system(command) != 0)
        return -1;
    free(p);
    return 0;
}

/* Starts the program with these arguments on its story; waits for the page. */
static void
start_with(struct page *p, int cols, int rows, const char *const more[])
{
    const char *argv[12] = { getenv("JIELONG_TEST_PROGRAM"), p->story };
    char home[96], data[112], state[112], config[112], cache[112];
    const char *env[] = {
        home, data, state, config, cache, "LANG=C.UTF-8", NULL
    };

    assert_non_null(argv[0]);
    for (int i = 0; more && more[i]; i++)
        argv[2 + i] = more[i];
    snprintf(home, sizeof home, "HOME=%s", p->home);
    snprintf(data, sizeof data, "XDG_DATA_HOME=%s/data", p->home);
    snprintf(state, sizeof state, "XDG_STATE_HOME=%s/state", p->home);
    snprintf(config, sizeof config, "XDG_CONFIG_HOME=%s/config", p->home);
    snprintf(cache, sizeof cache, "XDG_CACHE_HOME=%s/cache", p->home);
    if (p->pty)
        pty_free(p->pty);
    p->pty = pty_start(argv, cols, rows, env);
}

static void
start(struct page *p)
{
    start_with(p, 80, 24, NULL);
    assert_true(pty_wait_text(p->pty, "Page ›"));
    assert_true(pty_wait_text(p->pty, "F1 help"));
}

static void
press(struct page *p, const char *keys)
{
    assert_true(pty_send(p->pty, keys));
}

static void
sees(struct page *p, const char *text)
{
    if (!pty_wait_text(p->pty, text)) {
        char *screen = pty_screen(p->pty);

        fail_msg("no \"%s\" on the screen:\n%s", text, screen);
    }
}

/* --- the story as it lies on disk, read apart from the program --- */

struct disk {
    struct storyfile *file;
    char *text; /* of the head */
};

static struct disk
disk_open(const struct page *p)
{
    struct storyfile_options opt = { .read_only = true };
    struct err err = { 0 };
    struct disk d = { storyfile_open(p->story, &opt, &err), NULL };
    const struct text *t;

    if (!d.file)
        fail_msg("%s", err.msg);
    t = story_text(storyfile_story(d.file));
    d.text = text_dup(t, 0, text_len(t));
    return d;
}

static void
disk_close(struct disk *d)
{
    free(d->text);
    storyfile_close(d->file);
}

static void
assert_on_disk(const struct page *p, const char *want)
{
    struct disk d = disk_open(p);

    assert_string_equal(d.text, want);
    assert_null(storyfile_damage_text(d.file));
    disk_close(&d);
}

/* The story's text on the page without margins, blanks and line breaks. */
static char *
page_letters(struct page *p)
{
    char *screen = pty_screen(p->pty), *out = calloc(strlen(screen) + 1, 1);
    char *save = NULL, *row;
    int cols, rows, y = 0;
    size_t n = 0;

    pty_size(p->pty, &cols, &rows);
    for (row = screen; row && y < rows - 2; y++, row = save) {
        save = strchr(row, '\n');
        if (save)
            *save++ = '\0';
        if (strstr(row, "╌╌"))
            continue; /* the rule at the model's horizon is no text */
        for (const char *c = row; *c; c++)
            if (*c != ' ')
                out[n++] = *c;
    }
    free(screen);
    return out;
}

static char *
without_blanks(const char *s)
{
    char *out = calloc(strlen(s) + 1, 1);
    size_t n = 0;

    for (; *s; s++)
        if (*s != ' ' && *s != '\n')
            out[n++] = *s;
    return out;
}

/* --- what a writer does --- */

static void
a_word_is_written_and_kept(void **state)
{
    struct page *p = *state;
    struct termios before, after;

    start(p);
    assert_true(pty_alternate(p->pty));
    press(p, OPENING);
    sees(p, "敲着乌篷。");
    assert_true(pty_modes(p->pty, &after));
    assert_false(after.c_lflag & (ICANON | ECHO | ISIG));
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_false(pty_alternate(p->pty));
    assert_on_disk(p, OPENING);

    start(p); /* again: the text is there, and the modes are as found */
    sees(p, OPENING);
    assert_true(pty_modes(p->pty, &before));
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_true(pty_modes(p->pty, &after));
    assert_true(after.c_lflag & ICANON);
    assert_true(after.c_lflag & ECHO);
    assert_true(after.c_iflag & ICRNL);
    assert_true(after.c_oflag & OPOST);
}

static void
the_model_goes_on_and_everything_is_undone(void **state)
{
    struct page *p = *state;
    struct disk d;
    char *first, *second;

    start(p);
    press(p, OPENING);
    press(p, TAB);
    sees(p, "seed "); /* the sentence after a run */
    d = disk_open(p);
    first = strdup(d.text);
    assert_true(strlen(first) > strlen(OPENING));
    assert_memory_equal(first, OPENING, strlen(OPENING));
    disk_close(&d);

    press(p, UNDO); /* one step, however long the run was */
    sees(p, "F1 help");
    pty_quiet(p->pty, 50);
    assert_on_disk(p, OPENING);
    press(p, REDO);
    pty_quiet(p->pty, 50);
    assert_on_disk(p, first);
    press(p, RETRY); /* the old version stays, as a sibling */
    sees(p, "version 2/2");
    sees(p, "seed ");
    d = disk_open(p);
    second = strdup(d.text);
    disk_close(&d);
    assert_string_not_equal(first, second);
    press(p, "\033[1;3D"); /* Alt-Left */
    sees(p, "version 1/2");
    assert_on_disk(p, first);
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_on_disk(p, first);
    free(first);
    free(second);
}

/* The number of the model's end of text, as its vocabulary has it. */
static int
end_token(void)
{
    char path[512], line[256];
    int id = -1, n = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/../../models/jielong-zh/vocab.txt",
             getenv("JIELONG_TEST_DATA"));
    f = fopen(path, "r");
    assert_non_null(f);
    for (; fgets(line, sizeof line, f); n++)
        if (strcmp(line, "[CLS]\n") == 0)
            id = n;
    fclose(f);
    assert_true(id >= 0);
    return id;
}

/* The key asks for what does not end by itself, for what happens in mid-run:
 * no length, no end of text, and too random to go round in circles. */
static void
start_endless_with(struct page *p, const char *key)
{
    char bias[32];
    const char *more[] = {
        "--length=100000", "--stop-at=never", "--temp=inf", "--top-k=1000",
        "--top-p=1",       "--min-p=0",       bias,         NULL
    };

    snprintf(bias, sizeof bias, "--bias=id:%d=-inf", end_token());
    start_with(p, 80, 24, more);
    assert_true(pty_wait_text(p->pty, "F1 help"));
    press(p, OPENING);
    press(p, key);
    sees(p, "writing ");
}

static void
start_endless(struct page *p)
{
    start_endless_with(p, TAB);
}

static bool
grown(struct pty *pty, void *ud)
{
    return pty_frames(pty) >= *(int *)ud;
}

static void
let_it_write(struct page *p, int frames)
{
    int until = pty_frames(p->pty) + frames;

    if (!pty_wait(p->pty, grown, &until))
        fail_msg("it no longer writes:\n%s", pty_screen(p->pty));
}

static void
escape_stops_and_says_so(void **state)
{
    struct page *p = *state;

    start_endless(p);
    let_it_write(p, 5);
    press(p, ESC);
    sees(p, "stopped by you");
    press(p, "\003"); /* nothing runs now: Ctrl-C says so, and stays */
    sees(p, "Nothing to stop");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
}

static void
knobs_turn_while_it_writes(void **state)
{
    struct page *p = *state;
    char *journal;
    size_t len;
    struct err err = { 0 };

    start_endless(p);
    press(p, KNOBS);
    sees(p, "❯1 temperature");
    press(p, "2" ARROW_RIGHT ARROW_RIGHT);
    sees(p, "1002");
    let_it_write(p, 5);
    press(p, ESC);
    sees(p, "Panel › knobs  stopped by you");
    press(p, ESC);
    sees(p, "Page ›");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_true(file_read(p->story, 1 << 26, &journal, &len, &err));
    assert_non_null(strstr(journal, "\"t\":\"knob\""));
    free(journal);
}

static void
typing_elsewhere_pauses_the_run(void **state)
{
    struct page *p = *state;
    struct disk d;

    start_endless(p);
    let_it_write(p, 3);
    press(p, CTRL_HOME);
    press(p, "从前");
    sees(p, "从前老船工");
    sees(p, "writing "); /* after a pause it goes on by itself */
    let_it_write(p, 3);
    press(p, ESC);
    sees(p, "stopped by you");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    d = disk_open(p);
    assert_memory_equal(d.text, "从前" OPENING, strlen("从前" OPENING));
    disk_close(&d);
}

static void
find_goes_to_the_match(void **state)
{
    struct page *p = *state;
    int x, y;

    start(p);
    press(p, OPENING);
    press(p, FIND "雨点");
    sees(p, "Find: 雨点");
    press(p, ESC);
    sees(p, "Page ›");
    pty_quiet(p->pty, 50);
    pty_cursor(p->pty, &x, &y, NULL);
    assert_int_equal(y, 0);
    assert_int_equal(x, 4 + 22);
    press(p, "大");
    sees(p, "听大雨点");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
}

/* Did these bytes go to the terminal? */
static bool
written(struct page *p, const char *bytes)
{
    size_t len;
    const char *log = pty_log(p->pty, &len);

    return memmem(log, len, bytes, strlen(bytes)) != NULL;
}

static void
a_paste_is_one_step_and_harmless(void **state)
{
    struct page *p = *state;

    start(p);
    press(p, "前");
    press(p, "\033[200~行一\r\n行\033[2J二\033]0;x\007\x9b"
             "31m末\033[201~");
    sees(p, "行[2J二]0;x");
    pty_quiet(p->pty, 50);
    sees(p, "Page ›");
    assert_false(written(p, "\033]0;x"));
    press(p, UNDO);
    assert_true(pty_wait_gone(p->pty, "行一"));
    press(p, REDO);
    sees(p, "行一");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_on_disk(p, "前行一\n行[2J二]0;x\x9b"
                      "31m末");
}

static void
a_second_instance_only_reads(void **state)
{
    struct page *p = *state;
    struct page second = *p;

    start(p);
    press(p, OPENING);
    sees(p, OPENING);
    second.pty = NULL;
    start_with(&second, 80, 24, NULL);
    sees(&second, "read-only");
    sees(&second, OPENING);
    press(&second, "x");
    press(&second, TAB KNOBS ARROW_RIGHT ESC);
    pty_quiet(second.pty, 100);
    assert_false(pty_shows(second.pty, "x" OPENING));
    press(&second, QUIT);
    assert_int_equal(pty_end(second.pty), 0);
    pty_free(second.pty);
    press(p, "后");
    sees(p, "后");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_on_disk(p, OPENING "后");
}

static void
a_missing_model_locks_nothing_up(void **state)
{
    struct page *p = *state;
    const char *more[] = { "-m", p->home, NULL };

    start_with(p, 80, 24, more);
    sees(p, "no model (Tab says why)");
    press(p, OPENING);
    sees(p, OPENING);
    press(p, TAB);
    sees(p, "holds no model");
    press(p, "后");
    sees(p, "篷。后");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_on_disk(p, OPENING "后");
}

/* The heading of the panel reaches from edge to edge. */
static bool
drawn_so_wide(struct pty *p, void *ud)
{
    char *row = pty_row(p, 4);
    int n = 0;

    for (const char *c = row; *c; c++)
        n += (*c & 0xC0) != 0x80;
    free(row);
    return n == *(int *)ud;
}

/* What has no room in a panel is left out whole, never cut. */
static void
narrow_panels_cut_no_word(void **state)
{
    static const char *const cut[] = { "neve", "greed", "gree", "tutoria",
                                       "gpt2-m", "rese", "bac" };
    static const char *const whole[] = { "never", "greedy", "greedy",
                                         "tutorial", "gpt2-ml", "reset",
                                         "back" };
    struct page *p = *state;

    start_with(p, 60, 16, NULL);
    sees(p, "Page ›");
    press(p, KNOBS);
    sees(p, "Preset");
    for (int cols = 61; cols < 90; cols++) {
        char *screen;

        pty_resize(p->pty, cols, 16);
        assert_true(pty_wait(p->pty, drawn_so_wide, &cols));
        pty_quiet(p->pty, 20); /* the rest of that frame */
        screen = pty_screen(p->pty);
        for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
            if (strstr(screen, cut[i]) && !strstr(screen, whole[i]))
                fail_msg("%s in %d columns:\n%s", cut[i], cols, screen);
        free(screen);
    }
}

/* --- what may happen --- */

static void
sizes_change_while_it_writes(void **state)
{
    struct page *p = *state;

    start_endless(p);
    pty_resize(p->pty, 120, 40);
    let_it_write(p, 3);
    pty_resize(p->pty, 1, 1);
    pty_quiet(p->pty, 50);
    pty_resize(p->pty, 3, 2);
    pty_quiet(p->pty, 50);
    pty_resize(p->pty, 39, 10);
    sees(p, "Window too small");
    for (int i = 1; i < 60; i++)
        pty_resize(p->pty, i * 3, 1 + i % 50);
    pty_resize(p->pty, 60, 20);
    sees(p, "Page › writing");
    press(p, ESC);
    sees(p, "stopped by you");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
}

/* Write before paint: what was on the screen is in the file. */
static void
killed_in_mid_sentence_it_loses_nothing(void **state)
{
    struct page *p = *state;

    for (int round = 0; round < 3; round++) {
        struct disk d;
        char *shown, *kept;

        unlink(p->story);
        start_endless(p);
        let_it_write(p, 2 + 3 * round);
        kill(pty_pid(p->pty), SIGKILL);
        assert_int_equal(pty_end(p->pty), 128 + SIGKILL);
        shown = page_letters(p);
        d = disk_open(p);
        kept = without_blanks(d.text);
        assert_true(strlen(shown) > 0);
        if (!strstr(kept, shown))
            fail_msg("on the screen:\n%s\nin the file:\n%s", shown, kept);
        free(shown);
        free(kept);
        disk_close(&d);
        start(p); /* and it opens again, without a word about damage */
        pty_quiet(p->pty, 50);
        assert_true(pty_shows(p->pty, "F1 help"));
        press(p, QUIT);
        assert_int_equal(pty_end(p->pty), 0);
    }
}

/* --- candidates --- */

/* What card i (from 0) shows in this row of the screen; given. */
static char *
card_row(struct page *p, int i, int y)
{
    char *row = pty_row(p->pty, y), *from = row, *part, *end;

    for (; i > 0 && from; i--) {
        from = strstr(from, "╎");
        from = from ? from + strlen("╎") : NULL;
    }
    assert_non_null(from);
    end = strstr(from, "╎");
    if (end)
        *end = '\0';
    part = without_blanks(from);
    free(row);
    return part;
}

/* What candidate i (from 0) brought after the head; given. */
static char *
version_after(struct disk *d, int i)
{
    struct story *s = storyfile_story(d->file);
    uint64_t all[16];
    struct node_info n = { .br = 99 };
    char *text, *part;
    size_t count = story_siblings(s, story_redo_target(s), all, 16, NULL);

    for (size_t k = 0; k < count; k++)
        if (story_node(s, all[k], &n) && n.br == (uint32_t)i)
            break;
    assert_int_equal(n.br, i);
    text = text_dup(story_node_text(s, n.n), n.at, n.len);
    part = without_blanks(text);
    free(text);
    return part;
}

static void
three_are_written_and_one_is_taken(void **state)
{
    struct page *p = *state;
    struct disk d;
    char *want, *first;

    start(p);
    press(p, OPENING);
    press(p, BACKTAB);
    sees(p, "Candidates S-Tab");
    sees(p, "3 to choose from");
    assert_on_disk(p, OPENING);
    d = disk_open(p);
    want = version_after(&d, 1);
    disk_close(&d);
    first = card_row(p, 1, 14);
    for (int y = 15; !*first && y < 20; y++) { /* it began with a line break */
        free(first);
        first = card_row(p, 1, y);
    }
    assert_true(strlen(first) > 0 && strstr(want, first));
    press(p, "2");
    sees(p, "F1 help");
    pty_quiet(p->pty, 50);
    assert_true(pty_shows(p->pty, "/3"));
    d = disk_open(p);
    assert_memory_equal(d.text, OPENING, strlen(OPENING));
    free(first);
    first = without_blanks(d.text + strlen(OPENING));
    assert_string_equal(first, want);
    disk_close(&d);
    press(p, UNDO);
    sees(p, "3 versions follow");
    assert_on_disk(p, OPENING);
    press(p, BACKTAB); /* others; the page is left while they write */
    sees(p, "batch 1");
    sees(p, "mean 0.");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
    assert_on_disk(p, OPENING);
    start(p);
    sees(p, "versions follow");
    free(first);
    free(want);
}

static void
killed_while_three_are_written(void **state)
{
    struct page *p = *state;

    for (int round = 0; round < 3; round++) {
        struct disk d;

        unlink(p->story);
        start_endless_with(p, BACKTAB);
        let_it_write(p, 2 + 5 * round);
        kill(pty_pid(p->pty), SIGKILL);
        assert_int_equal(pty_end(p->pty), 128 + SIGKILL);
        assert_on_disk(p, OPENING);
        d = disk_open(p);
        for (int i = 0; i < 3; i++) {
            char *kept = version_after(&d, i);

            for (int y = 14; y < 22; y++) {
                char *shown = card_row(p, i, y);

                if (!strstr(kept, shown))
                    fail_msg("card %d shows\n%s\nnot in the file:\n%s", i + 1,
                             shown, kept);
                free(shown);
            }
            free(kept);
        }
        disk_close(&d);
        start(p);
        sees(p, "3 versions follow");
        press(p, QUIT);
        assert_int_equal(pty_end(p->pty), 0);
    }
}

static void
a_dead_terminal_ends_it(void **state)
{
    struct page *p = *state;

    start(p);
    press(p, OPENING);
    sees(p, OPENING);
    pty_hang_up(p->pty);
    assert_true(pty_end(p->pty) > 0);
    assert_on_disk(p, OPENING);
}

static void
a_dead_terminal_ends_it_in_mid_run(void **state)
{
    struct page *p = *state;
    struct disk d;

    start_endless(p);
    pty_hang_up(p->pty);
    assert_true(pty_end(p->pty) > 0);
    d = disk_open(p);
    assert_memory_equal(d.text, OPENING, strlen(OPENING));
    disk_close(&d);
}

static void
signals_save_and_restore(void **state)
{
    static const int sigs[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
    struct page *p = *state;

    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
        struct termios tio;
        struct disk d;

        unlink(p->story);
        start_endless(p);
        kill(pty_pid(p->pty), sigs[i]);
        assert_int_equal(pty_end(p->pty), 128 + sigs[i]);
        assert_false(pty_alternate(p->pty));
        assert_true(pty_modes(p->pty, &tio));
        assert_true(tio.c_lflag & ICANON);
        d = disk_open(p);
        assert_memory_equal(d.text, OPENING, strlen(OPENING));
        disk_close(&d);
    }
}

/* Sanitizers have handlers of their own for these; then there is nothing of
 * ours to test. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED true
#elif defined(__has_feature)
#    define SANITIZED __has_feature(address_sanitizer)
#else
#    define SANITIZED false
#endif

static void
a_crash_restores_the_terminal(void **state)
{
    static const int sigs[] = { SIGSEGV, SIGABRT, SIGBUS };
    struct page *p = *state;
    const struct rlimit none = { 0, 0 };

    if (SANITIZED)
        skip();
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
        struct termios tio;

        unlink(p->story);
        start(p);
        press(p, OPENING);
        sees(p, OPENING);
        kill(pty_pid(p->pty), sigs[i]);
        assert_int_equal(pty_end(p->pty), 128 + sigs[i]);
        assert_false(pty_alternate(p->pty));
        assert_true(pty_modes(p->pty, &tio));
        assert_true(tio.c_lflag & ICANON);
        assert_on_disk(p, OPENING);
    }
}

static void
a_story_that_is_none_is_refused(void **state)
{
    struct page *p = *state;
    FILE *f = fopen(p->story, "w");

    fputs("this is no story\nat all\n", f);
    fclose(f);
    start_with(p, 80, 24, NULL);
    assert_int_equal(pty_end(p->pty), 4);
    assert_true(written(p, "ferry.jl"));
    assert_false(pty_alternate(p->pty));
}

/* Weights that are rounded and sums that cannot be replayed are named. */
static void
the_status_names_type_and_arithmetic(void **state)
{
    static const char *const more[] = { "--fast", "--type", "int8", NULL };
    struct page *p = *state;

    start_with(p, 120, 24, more);
    sees(p, "int8 fast");
    press(p, QUIT);
    assert_int_equal(pty_end(p->pty), 0);
}

int
main(void)
{
#define PAGE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        PAGE(a_word_is_written_and_kept),
        PAGE(the_model_goes_on_and_everything_is_undone),
        PAGE(escape_stops_and_says_so),
        PAGE(knobs_turn_while_it_writes),
        PAGE(typing_elsewhere_pauses_the_run),
        PAGE(find_goes_to_the_match),
        PAGE(a_paste_is_one_step_and_harmless),
        PAGE(a_second_instance_only_reads),
        PAGE(a_missing_model_locks_nothing_up),
        PAGE(the_status_names_type_and_arithmetic),
        PAGE(narrow_panels_cut_no_word),
        PAGE(sizes_change_while_it_writes),
        PAGE(killed_in_mid_sentence_it_loses_nothing),
        PAGE(three_are_written_and_one_is_taken),
        PAGE(killed_while_three_are_written),
        PAGE(a_dead_terminal_ends_it),
        PAGE(a_dead_terminal_ends_it_in_mid_run),
        PAGE(signals_save_and_restore),
        PAGE(a_crash_restores_the_terminal),
        PAGE(a_story_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
