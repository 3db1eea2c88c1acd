/* src/cli_story.c  Which story a name means, and the command `export`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/cli.h"
#include "src/cli_options.h"
#include "src/export.h"
#include "src/i18n.h"
#include "src/paths.h"
#include "src/storyfile.h"

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
static int
choose_existing(const char *file, struct page_request *page)
{
    struct err err = { 0 };
    char *text, *story;
    size_t len;
    bool is_story, binary, utf8;

    if (!file_read(file, TEXT_MAX, &text, &len, &err)) {
        cli_say(_("this text cannot be opened: %s"), err.msg);
        return EXIT_STORY;
    }
    is_story = looks_like_story(text, len);
    binary = memchr(text, '\0', len) != NULL;
    utf8 = uni_valid(text, len);
    free(text);
    if (is_story) {
        page->story = xstrdup(file);
        return EXIT_OK;
    }
    if (binary) {
        cli_say(_("%s is neither a story nor a text: it holds NUL bytes"),
                file);
        return EXIT_STORY;
    }
    story = story_beside(file);
    page->story = story;
    page->import_from = xstrdup(file);
    page->note =
        utf8 ? xasprintf(_("%s stays as it is; the story is %s"), file, story)
             : xasprintf(_("%s is not all UTF-8: its odd bytes are "
                           "kept and shown as <..>; the story is %s"),
                         file, story);
    return EXIT_OK;
}

/* A name under which nothing lies. */
static int
choose_missing(const char *file, struct page_request *page)
{
    if (ends_in(file, ".txt") || ends_in(file, ".md")) {
        cli_say(_("%s does not exist; the name of a new story ends in .jl"),
                file);
        return EXIT_STORY;
    }
    page->story = story_beside(file);
    page->note = xasprintf(_("a new story: %s"), page->story);
    return EXIT_OK;
}

static int
choose_unnamed(struct page_request *page)
{
    struct err err = { 0 };

    page->story = paths_last_story();
    if (!page->story)
        page->story = paths_new_story(&err);
    if (page->story)
        return EXIT_OK;
    cli_say(_("no place for a new story: %s"), err.msg);
    return EXIT_STORY;
}

int
cli_choose_story(const char *file, struct page_request *page)
{
    struct stat st;
    char *story;

    if (!file)
        return choose_unnamed(page);
    if (!*file) {
        cli_say(_("the name of a story cannot be empty"));
        return EXIT_USAGE;
    }
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
        cli_say(_("%s is a folder; name a story in it, such as %s/1.jl"), file,
                file);
        return EXIT_STORY;
    }
    if (ends_in(file, ".jl")) {
        page->story = xstrdup(file);
        return EXIT_OK;
    }
    story = story_beside(file);
    if (is_there(story)) {
        page->story = story;
        page->note = xasprintf(_("%s is open: the story of %s"), story, file);
        return EXIT_OK;
    }
    free(story);
    return is_there(file) ? choose_existing(file, page)
                          : choose_missing(file, page);
}

/* --- export --- */

struct export_options {
    const char *story, *out;
};

static bool
read_export(struct export_options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool dash = argv[i][0] == '-' && argv[i][1];
        bool out = !strcmp(argv[i], "-o") || !strcmp(argv[i], "--output");

        if (out && i + 1 < argc) {
            o->out = argv[++i];
        } else if (out) {
            cli_say(_("%s needs a value"), argv[i]);
            return false;
        } else if (dash) {
            cli_say(_("export has no option %s; only -o NAME"), argv[i]);
            return false;
        } else if (o->story) {
            cli_say(_("one story at a time: \"%s\" and \"%s\" were named"),
                    o->story, argv[i]);
            return false;
        } else {
            o->story = argv[i];
        }
    }
    if (!o->story)
        cli_say(_("export which story? jielong export NAME.jl [-o NAME.txt]"));
    else if (o->out && !ends_in(o->out, ".txt") && !ends_in(o->out, ".md"))
        cli_say(_("\"%s\" ends neither in .txt nor in .md"), o->out);
    else
        return true;
    return false;
}

static int
write_export(const char *out, const char *text, size_t len)
{
    struct err err = { 0 };

    if (out && !file_replace(out, text, len, &err))
        return cli_fault(_("the text cannot be written"), &err);
    if (!out) {
        fwrite(text, 1, len, stdout); /* cli_main looks at the flush */
        if (len && text[len - 1] != '\n' && isatty(STDOUT_FILENO))
            putchar('\n');
    }
    return EXIT_OK;
}

int
cli_export(int argc, char **argv)
{
    struct storyfile_options opt = { .read_only = true };
    struct export_options o = { 0 };
    struct err err = { 0 };
    struct storyfile *f;
    const char *damage;
    char *text;
    size_t len;
    int status;

    if (!read_export(&o, argc, argv))
        return EXIT_USAGE;
    f = storyfile_open(o.story, &opt, &err);
    if (!f) {
        cli_say(_("the story cannot be opened: %s"), err.msg);
        return EXIT_STORY;
    }
    damage = storyfile_damage_text(f);
    if (damage)
        cli_say("%s", damage);
    text = export_story(storyfile_story(f),
                        o.out && ends_in(o.out, ".md") ? EXPORT_MD : EXPORT_TXT,
                        &len);
    status = write_export(o.out, text, len);
    free(text);
    storyfile_close(f);
    return status;
}
