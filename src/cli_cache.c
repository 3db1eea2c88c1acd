/* src/cli_cache.c  `jielong cache`: the converted weights on the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/cache.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/get_bar.h"
#include "src/i18n.h"
#include "src/models.h"
#include "src/paths.h"

#define SIZE_TEXT 32

/* The configured limit, or what stands for none. */
static int64_t
read_limit(void)
{
    char *path = paths_config_file();
    struct config config;
    int64_t limit;

    config_init(&config);
    config_read_file(&config, path);
    limit = config.cache_limit;
    config_finish(&config);
    free(path);
    return limit == CACHE_DEFAULT ? CACHE_LIMIT : limit;
}

static void
print_row(const struct cache_row *r, int name_cols)
{
    const char *name = r->name[0] ? r->name : _("(of another version)");
    time_t used = (time_t)r->used;
    char size[SIZE_TEXT], when[32];
    struct tm tm;

    localtime_r(&used, &tm);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    printf("%s%*s  %-4s  %9s  %s\n", name, name_cols - models_text_cols(name),
           "", r->type, get_size_text(r->bytes, size, sizeof size), when);
}

static int
list(const char *folder)
{
    int64_t limit = read_limit();
    char total[SIZE_TEXT], most[SIZE_TEXT];
    struct cache_rows r;
    int cols = 0;

    cache_list(&r, folder);
    for (size_t i = 0; i < r.n; i++) {
        const char *name =
            r.v[i].name[0] ? r.v[i].name : _("(of another version)");
        int n = models_text_cols(name);

        cols = n > cols ? n : cols;
    }
    for (size_t i = 0; i < r.n; i++)
        print_row(&r.v[i], cols);
    get_size_text(r.bytes, total, sizeof total);
    if (limit < 0)
        printf(_("%s in all; switched off\n"), total);
    else
        printf(_("%s in all, at most %s\n"), total,
               get_size_text((uint64_t)limit, most, sizeof most));
    cache_rows_free(&r);
    return EXIT_OK;
}

static int
clear(const char *folder, const char *name)
{
    struct err err = { 0 };
    char size[SIZE_TEXT];
    uint64_t bytes;
    size_t n;
    bool ok = cache_clear(folder, name, &n, &bytes, &err);

    if (ok && name && n == 0) {
        cli_say(_("the cache holds no model named \"%s\""), name);
        return EXIT_FAILED;
    }
    printf(_("%zu files removed, %s\n"), n,
           get_size_text(bytes, size, sizeof size));
    return ok ? EXIT_OK : cli_fault(_("the cache cannot be cleared"), &err);
}

int
cli_cache(int argc, char **argv)
{
    bool clears = argc > 1 && strcmp(argv[1], "clear") == 0;
    char *folder;
    int status;

    if (argc > (clears ? 3 : 1)) {
        cli_say(_("%s takes nothing, or clear and the name of one model"),
                argv[0]);
        return EXIT_USAGE;
    }
    folder = cache_folder();
    status = clears ? clear(folder, argc > 2 ? argv[2] : NULL) : list(folder);
    free(folder);
    return status;
}
