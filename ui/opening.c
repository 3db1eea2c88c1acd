/* ui/opening.c  Opening another story, and leaving. What a name means is said
 * in src/story_name.h, the same for the command line. */
#include "ui/opening.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "src/i18n.h"
#include "src/story_name.h"

#include "ui/ui_state.h"

static bool
ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && strcmp(s + n - m, end) == 0;
}

static char *
expand_home(const char *path)
{
    const char *home = getenv("HOME");

    if (path[0] == '~' && path[1] == '/' && home)
        return xasprintf("%s%s", home, path + 1);
    return xstrdup(path);
}

static bool
open_path(struct ui *ui, const char *path, struct err *err)
{
    struct story_name name;
    bool ok;

    if (!story_name_find(path, &name, err))
        return false;
    ok = ui_open_story(ui, name.story, name.text, err);
    if (ok && name.note)
        ui_say(ui, SAY_INFO, "%s", name.note);
    story_name_finish(&name);
    return ok;
}

static bool
same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static bool
open_enter(struct ui *ui, const char *text)
{
    char *path = expand_home(text);
    struct err err = { 0 };
    bool done = true;

    if (*path == '\0') {
        /* nothing asked */
    } else if (same_file(path, storyfile_path(ui->file))) {
        ui_say(ui, SAY_INFO, "%s", _("This story is open already"));
    } else if (storyfile_state(ui->file) == STORYFILE_FAILING) {
        ui_say(ui, SAY_WARN, "%s", storyfile_message(ui->file));
    } else if (!open_path(ui, path, &err)) {
        ui_say(ui, SAY_WARN, "%s", err.msg);
        done = false;
    }
    free(path);
    return done;
}

/* --- Tab: the rest of a name --- */

struct names {
    char *common; /* what all of them begin with; owned, or NULL */
    char *list;   /* all of them, for a person; owned, or NULL */
    int n;
};

static bool
is_folder(const char *dir, const char *name)
{
    char *path = xasprintf("%s%s", dir, name);
    struct stat st;
    bool yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

    free(path);
    return yes;
}

static void
add_name(struct names *all, const char *name, bool folder)
{
    char *full = xasprintf("%s%s", name, folder ? "/" : ""), *list;
    size_t same = 0;

    list =
        xasprintf("%s%s%s", all->n ? all->list : "", all->n ? "  " : "", full);
    free(all->list);
    all->list = list;
    if (all->n++ == 0) {
        all->common = full;
        return;
    }
    while (full[same] && full[same] == all->common[same])
        same++;
    while (same > 0 && ((unsigned char)full[same] & 0xC0) == 0x80)
        same--; /* not into a character */
    all->common[same] = '\0';
    free(full);
}

/* Stories, texts and folders in dir ("" or ending in '/') that begin so. */
static void
find_names(struct names *all, const char *dir, const char *start)
{
    struct dirent **v = NULL;
    int n = scandir(*dir ? dir : ".", &v, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        const char *name = v[i]->d_name;
        bool hidden = name[0] == '.' && start[0] != '.';

        if (strncmp(name, start, strlen(start)) == 0 && !hidden) {
            bool folder = is_folder(dir, name);

            if (folder || ends_with(name, ".jl") || ends_with(name, ".txt") ||
                ends_with(name, ".md"))
                add_name(all, name, folder);
        }
        free(v[i]);
    }
    free(v);
}

static void
complete(struct ui *ui)
{
    char *path = expand_home(ui->ask.text);
    char *dir = xstrndup(path, (size_t)(file_name(path) - path));
    struct names all = { 0 };
    char *text;

    find_names(&all, dir, file_name(path));
    if (all.n > 0) {
        text = xasprintf("%s%s", dir, all.common);
        ask_set(&ui->ask, text);
        free(text);
    }
    if (all.n > 1)
        ui_say(ui, SAY_INFO, "%s", all.list);
    else if (all.n == 0)
        ui_say(ui, SAY_INFO, "%s", _("No story begins so"));
    free(all.common);
    free(all.list);
    free(dir);
    free(path);
}

static bool
open_key(struct ui *ui, const struct key *k)
{
    if (k->code != KEY_TAB || k->mods)
        return false;
    complete(ui);
    return true;
}

static const struct ask_ops open_ask = {
    .label = N_("Open"),
    .hints = N_("Enter opens it, a new name begins a new story  Tab completes  "
                "Esc back"),
    .enter = open_enter,
    .key = open_key,
};

void
opening_ask(struct ui *ui)
{
    const char *path = storyfile_path(ui->file);
    char *folder = xstrndup(path, (size_t)(file_name(path) - path));

    ask_open(ui, &open_ask, folder);
    free(folder);
}

/* --- leaving --- */

static bool
is_yes(const char *s)
{
    return strcmp(s, "y") == 0 || strcmp(s, "Y") == 0 ||
           strcmp(s, "\xE6\x98\xAF") == 0 || strcmp(s, "yes") == 0; /* 是 */
}

static bool
quit_enter(struct ui *ui, const char *text)
{
    char *s = xstrdup(text);

    s[keys_fold_wide(s, strlen(s))] = '\0';
    ui->quit = is_yes(s);
    free(s);
    return true;
}

static const struct ask_ops quit_ask = {
    .label = N_("Not all is on disk. Leave all the same? (y/n)"),
    .hints = N_("y and Enter leaves  Esc back to the page"),
    .enter = quit_enter,
};

void
opening_quit(struct ui *ui)
{
    if (storyfile_state(ui->file) == STORYFILE_FAILING)
        ask_open(ui, &quit_ask, "");
    else
        ui->quit = true;
}
