/* engine/load/texts.h  Text files of a model: opened here, parsed in a jail.
 *
 * Parsers of JSON and of lists read files by path, and some look which files
 * there are. Inside the jail there are no paths: this process opens whatever
 * a parser may ask for, and the child finds the descriptors under the same
 * paths. It answers with named values (meta.h), which whoever asked checks.
 */
#ifndef JIELONG_TEXTS_H
#define JIELONG_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"
#include "engine/load/meta.h"

struct text_file {
    char *path;
    int fd; /* -1: it could not be opened, `why` is errno */
    int why;
    bool there;   /* stat() finds it */
    bool regular; /* and it is a file */
};

struct texts {
    struct text_file *v;
    size_t n, cap;
};

/* Opens the path, once; what does not exist is left out. */
void texts_add(struct texts *t, const char *path);
void texts_add_in(struct texts *t, const char *dir, const char *name);
void texts_close(struct texts *t);
/* The file of this path; NULL when there is none. Borrowed. */
const struct text_file *texts_find(const struct texts *t, const char *path);
/* file_read() of a path that was added. */
bool texts_read(const struct texts *t, const char *path, size_t max,
                char **data, size_t *len, struct err *err);

/* Runs in the child: reads from t, puts what it finds, or sets err. */
typedef bool texts_parser(const struct texts *t, void *ud, struct meta *out,
                          struct err *err);
/* Any thread. out: given (texts_answer_free), and no more to be believed than
 * the files. err is the parser's, with its kind; a reader that ends badly is
 * ERR_MODEL, told with `name`. */
bool texts_parse(const struct texts *t, texts_parser *parse, void *ud,
                 const char *name, struct meta *out, struct err *err);
void texts_answer_free(struct meta *answer);

#endif
