/* tests/cache_test.c  Converted weights on the disk: found again, checked,
 * limited, and never in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"
#include "engine/cache.h"
#include "engine/load/cache_file.h"

#include "tests/one_layer.h"
#include "tests/originals.h"
#include "tests/random_gpt2.h"

#define LIMIT ((int64_t)1 << 30)
#define BLOCK (((size_t)9 << 20) + 76) /* three chunks, the last one odd */

static char *dir;    /* the test's own */
static char *folder; /* of the cache in it */
static unsigned char *block;

static int
setup(void **state)
{
    uint64_t seed = 7;

    dir = scratch_make();
    setenv("XDG_CACHE_HOME", dir, 1);
    folder = cache_folder();
    block = xmalloc(BLOCK);
    for (size_t i = 0; i < BLOCK / 4; i++)
        ((uint32_t *)block)[i] = (uint32_t)random_next(&seed);
    return 0;
}

static int
teardown(void **state)
{
    free(block);
    free(folder);
    scratch_remove(dir);
    return 0;
}

/* A disk that is nearly full keeps nothing: then there is nothing to test. */
static void
need_room(void)
{
    struct statvfs v;

    assert_int_equal(statvfs(dir, &v), 0);
    if (v.f_bavail < v.f_blocks / 20 ||
        (uint64_t)v.f_bavail * v.f_frsize < (uint64_t)3 << 30) {
        print_message("# SKIPPED: the disk is nearly full\n");
        skip();
    }
}

static struct cache_head
head_of(char digit, const char *name)
{
    struct cache_head h = { .bytes = BLOCK, .type = "int8" };

    memset(h.key, digit, 64);
    snprintf(h.name, sizeof h.name, "%s", name);
    return h;
}

static bool
keep(char digit, const char *name, int64_t limit)
{
    struct cache_head h = head_of(digit, name);

    return cache_keep(folder, limit, &h, block, NULL);
}

/* What the file of this key is; when it is good, the block is the same. */
static enum cache_state
look(char digit)
{
    struct cache_head h = head_of(digit, "");
    char *path = cache_path(folder, h.key);
    enum cache_state state;
    float *got = cache_file_map(path, h.key, BLOCK, &state);

    assert_int_equal(got != NULL, state == CACHE_GOOD);
    if (got) {
        assert_int_equal((uintptr_t)got % 64, 0);
        assert_memory_equal(got, block, BLOCK);
    }
    mem_big_free(got);
    free(path);
    return state;
}

static void
change_byte(char digit, size_t at)
{
    struct cache_head h = head_of(digit, "");
    char *path = cache_path(folder, h.key);
    unsigned char c;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= 0x40;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    close(fd);
    free(path);
}

static void
cut(char digit, off_t bytes)
{
    struct cache_head h = head_of(digit, "");
    char *path = cache_path(folder, h.key);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - bytes), 0);
    free(path);
}

/* --- files --- */

static void
thirds_are_the_same_sums(void **state)
{
    for (size_t n = 0; n < 200; n++) {
        const unsigned char *p = block + n % 7;
        size_t third = n / 24 * 8;
        uint32_t sum[3];

        crc32c_thirds(p, n, sum);
        assert_int_equal(sum[0], crc32c_by_table(0, p, third));
        assert_int_equal(sum[1], crc32c_by_table(0, p + third, third));
        assert_int_equal(sum[2],
                         crc32c_by_table(0, p + 2 * third, n - 2 * third));
    }
}

static void
a_block_is_found_again(void **state)
{
    need_room();
    assert_int_equal(look('a'), CACHE_ABSENT);
    assert_true(keep('a', "some model", LIMIT));
    assert_int_equal(look('a'), CACHE_GOOD);
    assert_int_equal(look('b'), CACHE_ABSENT);
}

static void
damage_is_found_and_mended(void **state)
{
    /* A head, a key, the first and the last byte of the block, a byte of
     * either third of a chunk, a sum. */
    const size_t places[] = {
        0,
        17,
        40,
        ((size_t)2 << 20),
        ((size_t)2 << 20) + BLOCK - 1,
        ((size_t)5 << 20) + 1,
        ((size_t)7 << 20) + 8,
        ((size_t)2 << 20) + (BLOCK + 63) / 64 * 64 + 13,
    };
    struct cache_head h = head_of('a', "");
    char *path = cache_path(folder, h.key);

    need_room();
    assert_true(keep('a', "x", LIMIT));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        change_byte('a', places[i]);
        if (look('a') != CACHE_DAMAGED)
            fail_msg("byte %zu may change", places[i]);
        /* The heads of the rest are good: only opening finds it out. */
        unlink(path);
        assert_true(keep('a', "x", LIMIT));
    }
    cut('a', 1);
    assert_int_equal(look('a'), CACHE_DAMAGED);
    assert_true(keep('a', "x", LIMIT)); /* is not taken for a good one */
    assert_int_equal(look('a'), CACHE_GOOD);
    cut('a', (off_t)BLOCK);
    assert_int_equal(look('a'), CACHE_DAMAGED);
    must_write(path, "", 0);
    assert_int_equal(look('a'), CACHE_DAMAGED);
    free(path);
}

static void
another_version_is_no_damage(void **state)
{
    need_room();
    assert_true(keep('a', "x", LIMIT));
    change_byte('a', 8);
    assert_int_equal(look('a'), CACHE_OTHER);
    assert_true(keep('a', "x", LIMIT));
    assert_int_equal(look('a'), CACHE_GOOD);
}

/* --- the folder --- */

static void
used_at(char digit, time_t when)
{
    struct cache_head h = head_of(digit, "");
    char *path = cache_path(folder, h.key);
    struct timespec t[2] = { { .tv_sec = when }, { .tv_sec = when } };

    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    free(path);
}

static void
the_longest_unused_goes_first(void **state)
{
    int64_t room = (int64_t)(5 * BLOCK / 2); /* for two */
    struct cache_rows r;

    need_room();
    assert_true(keep('a', "first", room));
    assert_true(keep('b', "second", room));
    used_at('a', 1000);
    used_at('b', 2000);
    assert_int_equal(look('a'), CACHE_GOOD); /* used: now b is the oldest */
    assert_true(keep('c', "third", room));
    assert_int_equal(look('a'), CACHE_GOOD);
    assert_int_equal(look('b'), CACHE_ABSENT);
    used_at('c', 3000);
    cache_list(&r, folder);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.v[0].name, "first");
    assert_string_equal(r.v[1].name, "third");
    assert_string_equal(r.v[0].type, "int8");
    assert_true(r.bytes >= 2 * BLOCK && r.bytes < 2 * BLOCK + (1 << 20));
    cache_rows_free(&r);
    /* Larger than all there may be: the others stay. */
    assert_false(keep('d', "fourth", (int64_t)BLOCK / 2));
    assert_int_equal(look('a'), CACHE_GOOD);
}

static void
clearing_takes_one_or_all(void **state)
{
    struct err err = { 0 };
    struct cache_rows r;
    char *half = xasprintf("%s/.new-abcdef", folder);
    uint64_t bytes;
    size_t n;

    need_room();
    assert_true(keep('a', "one", LIMIT));
    assert_true(keep('b', "one", LIMIT)); /* of another type, say */
    assert_true(keep('c', "two", LIMIT));
    assert_true(keep('d', "\x1b[2J\xff", LIMIT));
    cache_list(&r, folder);
    for (size_t i = 0; i < r.n; i++)
        assert_false(strchr(r.v[i].name, '\x1b'));
    cache_rows_free(&r);
    assert_true(cache_clear(folder, "one", &n, &bytes, &err));
    assert_int_equal(n, 2);
    assert_true(bytes >= 2 * BLOCK);
    assert_int_equal(look('c'), CACHE_GOOD);
    scratch_put(folder, "notes.txt", "x", 1);
    must_write(half, "x", 1);
    change_byte('c', 8); /* one of another version goes with all */
    assert_true(cache_clear(folder, NULL, &n, &bytes, &err));
    assert_int_equal(n, 2);
    assert_true(access(half, F_OK) != 0);
    free(half);
    half = xasprintf("%s/notes.txt", folder);
    assert_int_equal(access(half, F_OK), 0); /* not ours */
    free(half);
    assert_true(cache_clear(dir, NULL, &n, &bytes, &err));
    assert_int_equal(n, 0);
    assert_true(cache_clear(NULL, NULL, &n, &bytes, &err));
}

static void
two_writers_do_no_damage(void **state)
{
    struct cache_rows r;
    pid_t pid[4];

    need_room();
    for (int i = 0; i < 4; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            for (int k = 0; k < 3; k++) {
                struct cache_head h = head_of('a', "x");
                char *path = cache_path(folder, h.key);

                if (k == 1) /* as if the other had found it broken */
                    unlink(path);
                keep('a', "x", LIMIT);
                free(path);
            }
            _exit(look('a') == CACHE_DAMAGED);
        }
        assert_true(pid[i] > 0);
    }
    for (int i = 0; i < 4; i++) {
        int status;

        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(look('a'), CACHE_GOOD);
    cache_list(&r, folder);
    assert_int_equal(r.n, 1);
    cache_rows_free(&r);
}

static void
no_folder_is_no_trouble(void **state)
{
    const atomic_bool stop = true;
    struct cache_head h = head_of('a', "x");
    struct cache_rows r;
    char *blocked;

    assert_false(cache_keep(folder, LIMIT, &h, block, &stop));
    assert_int_equal(look('a'), CACHE_ABSENT);
    cache_list(&r, folder);
    assert_int_equal(r.n, 0);
    cache_rows_free(&r);
    scratch_put(dir, "file", "x", 1);
    blocked = xasprintf("%s/file/weights", dir);
    assert_false(cache_keep(blocked, LIMIT, &h, block, NULL));
    cache_list(&r, blocked);
    assert_int_equal(r.n, 0);
    cache_rows_free(&r);
    free(blocked);
    if (geteuid() == 0)
        return; /* root may write everywhere */
    assert_int_equal(chmod(folder, 0500), 0);
    assert_false(keep('a', "x", LIMIT));
    assert_int_equal(chmod(folder, 0700), 0);
}

static void
limits_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        { "auto", CACHE_DEFAULT },
        { "off", CACHE_OFF },
        { "0G", CACHE_OFF },
        { "500M", 500000000 },
        { "8G", CACHE_LIMIT },
        { "1.5g", 1500000000 },
        { "2k", 2000 },
        { "1T", 1000000000000 },
    };
    static const char *const bad[] = { "",    "8",    "G",  "-1G", "8GB",
                                       "8 G", "nanG", "8x", "on",  "9999999T" };
    int64_t got;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(cache_parse_limit(good[i].text, &got));
        assert_true(got == good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cache_parse_limit(bad[i], &got))
            fail_msg("\"%s\" is no limit", bad[i]);
}

/* --- models --- */

/* GPT-2 of one narrow layer and many tokens, F16: small as a file, and large
 * enough as int8 to be kept. */
static void
make_model(uint64_t seed)
{
    static const char config[] = "{\"n_head\":2,\"n_ctx\":16}";
    size_t at;
    char *header = one_layer_header(130000, 16, 128, "F16", &at);
    uint16_t *data = xmalloc(at);

    for (size_t i = 0; i < at / 2; i++) /* about 0.01 to 1, both signs */
        data[i] = (uint16_t)(0x2000 + (random_next(&seed) >> 48) % 0x1c00 +
                             (i & 1) * 0x8000);
    scratch_safetensors(dir, header, strlen(header), data, at);
    scratch_put(dir, "config.json", config, strlen(config));
    free(data);
    free(header);
}

#define N_IDS 4
static const int IDS[N_IDS] = { 5, 129999, 70, 0 };

static bool
sum_row(void *ud, size_t i, const float *logits)
{
    uint32_t *crc = ud;

    *crc = crc32c(*crc, logits, 130000 * sizeof *logits);
    return true;
}

/* Opens, says whether the weights came from the disk, and keeps them. The sum
 * is that of all logits. */
static bool
open_once(const char *type, int64_t limit, uint32_t *sum, const char *note)
{
    struct model_options opt = { .no_vocab_needed = true,
                                 .type = type,
                                 .cache_limit = limit };
    struct model *m = must_open(dir, &opt);
    struct model_hashes h;
    struct err err = { 0 };
    bool found = model_info(m)->from_cache, noted = !note;

    *sum = 0;
    assert_true(model_logits(m, IDS, N_IDS, sum_row, sum, &err));
    for (int i = 0; model_note(m, i); i++)
        if (note)
            noted |= strstr(model_note(m, i), note) != NULL;
        else if (strstr(model_note(m, i), "converted"))
            fail_msg("%s", model_note(m, i));
    assert_true(noted);
    assert_true(model_hash(m, &h, NULL, &err));
    assert_int_equal(model_keep(m, &h, NULL),
                     !found && limit >= 0 && strcmp(type, "f32") != 0);
    model_close(m);
    return found;
}

static void
for_the_only_file(void (*fn)(const char *path))
{
    struct cache_rows r;

    cache_list(&r, folder);
    assert_int_equal(r.n, 1);
    fn(r.v[0].path);
    cache_rows_free(&r);
}

static void
flip(const char *path)
{
    char c;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, 5000000), 1);
    c ^= 1;
    assert_int_equal(pwrite(fd, &c, 1, 5000000), 1);
    close(fd);
}

static void
shorten(const char *path)
{
    assert_int_equal(truncate(path, 3 << 20), 0);
}

static void
make_other_version(const char *path)
{
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, "\x63", 1, 8), 1);
    close(fd);
}

static void
a_model_opens_from_the_disk(void **state)
{
    uint32_t want, got, other;

    need_room();
    make_model(1);
    assert_false(open_once("int8", 0, &want, NULL));
    assert_true(open_once("int8", 0, &got, NULL));
    assert_int_equal(got, want);
    assert_false(open_once("int8", CACHE_OFF, &got, NULL));
    assert_int_equal(got, want);

    for_the_only_file(flip);
    assert_false(open_once("int8", 0, &got, "damaged"));
    assert_int_equal(got, want);
    for_the_only_file(shorten);
    assert_false(open_once("int8", 0, &got, "damaged"));
    assert_int_equal(got, want);
    for_the_only_file(make_other_version);
    assert_false(open_once("int8", 0, &got, "another version"));
    assert_int_equal(got, want);
    assert_true(open_once("int8", 0, &got, NULL)); /* said once */
    assert_int_equal(got, want);

    assert_false(open_once("int4", 0, &other, NULL)); /* another file */
    assert_true(other != want);
    assert_true(open_once("int8", 0, &got, NULL));
    assert_true(open_once("int4", 0, &got, NULL));
    assert_int_equal(got, other);

    make_model(2); /* the file is another one */
    assert_false(open_once("int8", 0, &other, NULL));
    assert_true(other != want);
    make_model(1); /* the old one again: not known to be, till it is read */
    assert_false(open_once("f32", 0, &got, NULL));
    assert_true(open_once("int8", 0, &got, NULL));
    assert_int_equal(got, want);
}

/* Converted, then changed on the disk before it was hashed. */
static void
a_file_that_changed_is_not_kept(void **state)
{
    struct model_options opt = { .no_vocab_needed = true, .type = "int8" };
    struct model_hashes h;
    struct err err = { 0 };
    struct model *m;
    char *path;
    int fd;

    make_model(1);
    m = must_open(dir, &opt);
    path = xasprintf("%s/model.safetensors", dir);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "\x11\x22", 2, 1 << 20), 2);
    close(fd);
    assert_true(model_hash(m, &h, NULL, &err));
    assert_false(model_keep(m, &h, NULL));
    model_close(m);
    free(path);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(thirds_are_the_same_sums),
        TEST(a_block_is_found_again),
        TEST(damage_is_found_and_mended),
        TEST(another_version_is_no_damage),
        TEST(the_longest_unused_goes_first),
        TEST(clearing_takes_one_or_all),
        TEST(two_writers_do_no_damage),
        TEST(no_folder_is_no_trouble),
        TEST(limits_are_read),
        TEST(a_model_opens_from_the_disk),
        TEST(a_file_that_changed_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
