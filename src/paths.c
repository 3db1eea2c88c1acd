/* src/paths.c  Where things are.
 *
 * People's files follow the XDG base directory specification 0.8: a variable
 * that is empty or not absolute counts as not set. The program's own files
 * are found from where the program lies, so that a build folder works without
 * installing and an installed tree works after it was moved.
 */
#include "src/paths.h"

#include <dirent.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "build_config.h"

static bool
exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static const char *
home(void)
{
    const char *h = getenv("HOME");
    struct passwd *pw;

    if (h && *h == '/')
        return h;
    pw = getpwuid(getuid());
    return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : "/tmp";
}

static char *
xdg(const char *var, const char *below_home)
{
    const char *v = getenv(var);

    if (v && *v == '/')
        return xasprintf("%s/jielong", v);
    return xasprintf("%s/%s/jielong", home(), below_home);
}

char *
paths_config_file(void)
{
    const char *own = getenv("JIELONG_CONFIG");
    char *dir, *path;

    if (own && *own)
        return xstrdup(own);
    dir = xdg("XDG_CONFIG_HOME", ".config");
    path = xasprintf("%s/config", dir);
    free(dir);
    return path;
}

char *
paths_data_home(void)
{
    return xdg("XDG_DATA_HOME", ".local/share");
}

char *
paths_state_home(void)
{
    return xdg("XDG_STATE_HOME", ".local/state");
}

char *
paths_cache_home(void)
{
    return xdg("XDG_CACHE_HOME", ".cache");
}

/* --- the program's own files --- */

static void
cut_last(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash)
        *slash = '\0';
}

/* The folder the running program lies in, "" when it cannot be told. */
static void
own_folder(char dir[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);

    dir[n > 0 ? n : 0] = '\0';
    cut_last(dir);
}

static bool
lies_under(const char *path, const char *top)
{
    size_t n = strlen(top);

    return !strncmp(path, top, n) && (path[n] == '/' || path[n] == '\0');
}

char *
paths_shared(const char *what)
{
    bool locale = !strcmp(what, "locale");
    const char *data = getenv("JIELONG_DATA");
    char dir[PATH_MAX], *path;

    if (data && *data)
        return xasprintf("%s/%s", data, what);
    own_folder(dir);
    if (lies_under(dir, JIELONG_BUILD_DIR))
        return locale ? xstrdup(JIELONG_BUILD_DIR "/po")
                      : xasprintf("%s/%s", JIELONG_SOURCE_DIR, what);
    cut_last(dir); /* PREFIX/bin to PREFIX */
    path = locale ? xasprintf("%s/share/locale", dir)
                  : xasprintf("%s/share/jielong/%s", dir, what);
    if (exists(path))
        return path;
    free(path);
    return locale ? xstrdup(JIELONG_LOCALEDIR)
                  : xasprintf("%s/%s", JIELONG_DATADIR, what);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

char *
paths_default_model(void)
{
    char *models = paths_shared("models"), *found = NULL;
    struct dirent **entry;
    int n = scandir(models, &entry, NULL, by_name);

    for (int i = 0; i < n; i++) {
        if (!found && entry[i]->d_name[0] != '.') {
            char *dir = xasprintf("%s/%s", models, entry[i]->d_name);
            char *config = xasprintf("%s/config.json", dir);

            if (exists(config))
                found = xstrdup(dir);
            free(config);
            free(dir);
        }
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    free(models);
    return found;
}

char *
paths_find_model(const char *name)
{
    char *top[] = { NULL, NULL };
    char *found = NULL;

    if (exists(name) || strchr(name, '/') || !*name)
        return xstrdup(name);
    top[0] = paths_data_home();
    top[1] = paths_shared("models");
    for (int i = 0; i < 2; i++) {
        char *path = i == 0 ? xasprintf("%s/models/%s", top[i], name)
                            : xasprintf("%s/%s", top[i], name);

        if (!found && exists(path))
            found = xstrdup(path);
        free(path);
        free(top[i]);
    }
    return found ? found : xstrdup(name);
}

/* --- stories --- */

char *
paths_new_story(struct err *err)
{
    char *home_dir = paths_data_home();
    char *dir = xasprintf("%s/stories", home_dir), *path = NULL;
    time_t now = time(NULL);
    struct tm tm;
    char day[16];

    free(home_dir);
    if (!file_make_dirs(dir, err)) {
        free(dir);
        return NULL;
    }
    localtime_r(&now, &tm);
    strftime(day, sizeof day, "%Y-%m-%d", &tm);
    for (unsigned n = 1;; n++) {
        path = xasprintf("%s/%s-%u.jl", dir, day, n);
        if (!exists(path))
            break;
        free(path);
    }
    free(dir);
    return path;
}

static char *
last_file(void)
{
    char *state = paths_state_home(), *path = xasprintf("%s/last", state);

    free(state);
    return path;
}

char *
paths_last_story(void)
{
    char *file = last_file(), *path = NULL;
    size_t len;

    /* A name may hold anything but NUL, a line break too: the file is the
     * name and nothing else. */
    if (exists(file) && file_read(file, PATH_MAX, &path, &len, NULL) &&
        (strlen(path) != len || !exists(path))) {
        free(path);
        path = NULL;
    }
    free(file);
    return path;
}

void
paths_remember_story(const char *path)
{
    char *state = paths_state_home(), *file = last_file();
    char here[PATH_MAX], *full;

    /* Forgetting which story was last is no reason to trouble anyone. */
    if (*path == '/' || !getcwd(here, sizeof here))
        full = xstrdup(path);
    else
        full = xasprintf("%s/%s", here, path);
    if (file_make_dirs(state, NULL))
        file_replace_lazily(file, full, strlen(full), NULL);
    free(full);
    free(file);
    free(state);
}
