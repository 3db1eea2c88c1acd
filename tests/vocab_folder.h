/* tests/vocab_folder.h  Vocabularies of tests/data, and a folder to spoil.
 *
 * For tokenizer tests; include after cmocka.h. `data` is set by the test (from
 * JIELONG_TEST_DATA); the folder is made by make_folder and emptied before
 * each test that writes by empty_folder.
 */
#ifndef JIELONG_TESTS_VOCAB_FOLDER_H
#define JIELONG_TESTS_VOCAB_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/model.h"

static const char *data;
static char folder[64];

static inline struct vocab *
must_open_vocab(const char *path)
{
    struct err err = { 0 };
    struct vocab *v = vocab_open(path, &err);

    if (!v)
        fail_msg("%s", err.msg);
    return v;
}

static inline struct vocab *
open_data(const char *name)
{
    char *path = xasprintf("%s/vocab/%s", data, name);
    struct vocab *v = must_open_vocab(path);

    free(path);
    return v;
}

static inline struct vocab *
open_folder(void)
{
    return must_open_vocab(folder);
}

/* The folder must be refused with a sentence that holds these words. */
static inline void
refused(const char *a, const char *b)
{
    struct err err = { 0 };
    struct vocab *v = vocab_open(folder, &err);

    assert_null(v);
    assert_int_equal(err.kind, ERR_MODEL);
    if (!strstr(err.msg, a) || !strstr(err.msg, b))
        fail_msg("\"%s\" has not \"%s\" and \"%s\"", err.msg, a, b);
}

static inline void
write_bytes(const char *name, const char *s, size_t len)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(s, 1, len, f), len);
    fclose(f);
    free(path);
}

static inline void
write_text(const char *name, const char *s)
{
    write_bytes(name, s, strlen(s));
}

static inline int
empty_folder(void **state)
{
    DIR *d = opendir(folder);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char *path = xasprintf("%s/%s", folder, e->d_name);

        if (e->d_name[0] != '.')
            unlink(path);
        free(path);
    }
    if (d)
        closedir(d);
    return 0;
}

static inline int
make_folder(void **state)
{
    strcpy(folder, "/tmp/jielong-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int
remove_folder(void **state)
{
    empty_folder(state);
    return rmdir(folder);
}

#endif
