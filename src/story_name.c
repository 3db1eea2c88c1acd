/* src/story_name.c  See story_name.h. */
#include "src/story_name.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#define TEXT_MAX ((size_t)1 << 30)

static bool
ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && !strcasecmp(name + n - m, suffix);
}

static bool
is_there(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* The story that belongs to a text: x.txt and x.md give x.jl; given. */
static char *
story_beside(const char *name)
{
    size_t n = strlen(name);

    if (ends_in(name, ".txt"))
        n -= 4;
    else if (ends_in(name, ".md"))
        n -= 3;
    return xasprintf("%.*s.jl", (int)n, name);
}

/* A story under any name begins with its first record's number. */
static bool
looks_like_story(const char *text, size_t len)
{
    return len >= 5 && !memcmp(text, "{\"n\":", 5);
}

/* An existing file that is no .jl: a text to import, or a renamed story. */
static bool
find_existing(const char *file, struct story_name *out, struct err *err)
{
    struct err why = { 0 };
    char *text;
    size_t len;
    bool is_story, binary, utf8;

    if (!file_read(file, TEXT_MAX, &text, &len, &why))
        return err_set(err, ERR_STORY, _("this text cannot be opened: %s"),
                       why.msg);
    is_story = looks_like_story(text, len);
    binary = memchr(text, '\0', len) != NULL;
    utf8 = uni_valid(text, len);
    free(text);
    if (is_story) {
        out->story = xstrdup(file);
        return true;
    }
    if (binary)
        return err_set(err, ERR_STORY,
                       _("%s is neither a story nor a text: it holds NUL "
                         "bytes"),
                       file);
    out->story = story_beside(file);
    out->text = xstrdup(file);
    out->note = utf8 ? xasprintf(_("%s stays as it is; the story is %s"), file,
                                 out->story)
                     : xasprintf(_("%s is not all UTF-8: its odd bytes are "
                                   "kept and shown as <..>; the story is %s"),
                                 file, out->story);
    return true;
}

/* A name under which nothing lies. */
static bool
find_missing(const char *file, struct story_name *out, struct err *err)
{
    if (ends_in(file, ".txt") || ends_in(file, ".md"))
        return err_set(
            err, ERR_STORY,
            _("%s does not exist; the name of a new story ends in .jl"), file);
    out->story = story_beside(file);
    out->note = xasprintf(_("a new story: %s"), out->story);
    return true;
}

bool
story_name_find(const char *file, struct story_name *out, struct err *err)
{
    struct stat st;

    *out = (struct story_name){ 0 };
    if (!*file)
        return err_set(err, ERR_USAGE, "%s",
                       _("the name of a story cannot be empty"));
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, ERR_STORY,
                       _("%s is a folder; name a story in it, such as "
                         "%s/1.jl"),
                       file, file);
    if (ends_in(file, ".jl")) {
        out->story = xstrdup(file);
        return true;
    }
    out->story = story_beside(file);
    if (is_there(out->story)) {
        out->note =
            xasprintf(_("%s is open: the story of %s"), out->story, file);
        return true;
    }
    story_name_finish(out);
    return is_there(file) ? find_existing(file, out, err)
                          : find_missing(file, out, err);
}

void
story_name_finish(struct story_name *n)
{
    free(n->story);
    free(n->text);
    free(n->note);
    *n = (struct story_name){ 0 };
}
