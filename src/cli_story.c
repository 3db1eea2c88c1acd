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
#include "src/story_name.h"
#include "src/storyfile.h"

static bool
ends_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && !strcasecmp(name + n - m, suffix);
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
    struct story_name name;
    struct err err = { 0 };

    if (!file)
        return choose_unnamed(page);
    if (!story_name_find(file, &name, &err)) {
        cli_say("%s", err.msg);
        return err_exit_status(err.kind);
    }
    page->story = name.story;
    page->import_from = name.text;
    page->note = name.note;
    return EXIT_OK;
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
            cli_no_option(argv[0], argv[i]);
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
