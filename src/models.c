/* src/models.c  `jielong models`: what is there, and what is wrong with it. */
#include "src/models.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/get_bar.h"
#include "src/hub.h"
#include "src/i18n.h"
#include "src/paths.h"
#include "src/pins.h"

#define CARD_MAX ((size_t)1 << 20)
#define COLUMNS  7

/* --- licences --- */

/* "license: mit" between the two lines "---" that a card begins with. */
static void
licence_of_card(const char *text, char *out, size_t cap)
{
    const char *line = strncmp(text, "---\n", 4) == 0 ? text + 4 : "";

    for (; *line && strncmp(line, "---", 3) != 0; line += *line == '\n') {
        size_t n = strcspn(line, "\n"), skip;

        if (strncmp(line, "license:", 8) == 0) {
            skip = 8 + strspn(line + 8, " \t\"'");
            if (skip < n)
                snprintf(out, cap, "%.*s",
                         (int)strcspn(line + skip, " \t\r\n\"'#"), line + skip);
            if (!hub_is_plain(out))
                out[0] = '\0'; /* nothing for a terminal to obey */
            return;
        }
        line += n;
    }
}

static void
find_licence(struct model_row *r, const char *models)
{
    static const char *const cards[] = { "README.md", "CARD.md" };
    const struct hub_known *known = hub_find(r->name);
    struct pins pins;
    struct err err = { 0 };
    size_t len;
    char *text;

    for (size_t i = 0; i < 2 && !r->licence[0]; i++) {
        char *path = xasprintf("%s/%s", r->path, cards[i]);

        if (file_read(path, CARD_MAX, &text, &len, NULL)) {
            licence_of_card(text, r->licence, sizeof r->licence);
            free(text);
        }
        free(path);
    }
    if (!r->licence[0] && pins_read(&pins, models, r->name, &err))
        snprintf(r->licence, sizeof r->licence, "%s", pins.licence);
    else if (r->licence[0])
        return;
    pins_finish(&pins);
    if (!r->licence[0] && known && known->licence)
        snprintf(r->licence, sizeof r->licence, "%s", known->licence);
}

/* --- the list --- */

static bool
is_model(const char *path, const char *name)
{
    size_t n = strlen(name);
    struct stat st;

    if (name[0] == '.' || stat(path, &st) != 0)
        return false;
    return S_ISDIR(st.st_mode) || (n > 5 && strcmp(name + n - 5, ".gguf") == 0);
}

static bool
is_listed(const struct model_rows *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].name, name) == 0)
            return true;
    return false;
}

/* path is taken over. */
static void
add(struct model_rows *r, const char *models, const char *name, char *path,
    bool in_box)
{
    struct model_row *row;

    r->v = xreallocarray(r->v, r->n + 1, sizeof *r->v);
    row = &r->v[r->n++];
    memset(row, 0, sizeof *row);
    row->name = xstrdup(name);
    row->path = path;
    row->in_box = in_box;
    row->ok = model_peek(row->path, &row->peek, &row->err);
    find_licence(row, models);
}

static void
add_folder(struct model_rows *r, const char *models, bool in_box)
{
    struct dirent **entry;
    int n = scandir(models, &entry, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        char *path = xasprintf("%s/%s", models, name);

        if (is_model(path, name) && !is_listed(r, name))
            add(r, models, name, path, in_box);
        else
            free(path);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

static bool
same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

void
models_list(struct model_rows *r, const char *chosen)
{
    char *data = paths_data_home(), *own = xasprintf("%s/models", data);
    char *box = paths_shared("models");
    char *first = chosen ? paths_find_model(chosen) : paths_default_model();
    bool found = false;

    memset(r, 0, sizeof *r);
    add_folder(r, own, false);
    add_folder(r, box, true);
    for (size_t i = 0; first && i < r->n; i++) {
        r->v[i].is_default = same_file(first, r->v[i].path);
        found |= r->v[i].is_default;
    }
    if (chosen && !found) { /* from elsewhere, or missing: that is told */
        add(r, own, chosen, xstrdup(first), false);
        r->v[r->n - 1].is_default = true;
    }
    free(first);
    free(box);
    free(own);
    free(data);
}

void
models_free(struct model_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].name);
        free(r->v[i].path);
    }
    free(r->v);
    memset(r, 0, sizeof *r);
}

const char *
models_params_text(size_t n, char *buf, size_t cap)
{
    if (n < 100000)
        snprintf(buf, cap, "%.1f k", (double)n / 1e3);
    else if (n < 1000000)
        snprintf(buf, cap, "%.0f k", (double)n / 1e3);
    else if (n < 10000000)
        snprintf(buf, cap, "%.1f M", (double)n / 1e6);
    else if (n < 1000000000)
        snprintf(buf, cap, "%.0f M", (double)n / 1e6);
    else
        snprintf(buf, cap, "%.1f B", (double)n / 1e9);
    return buf;
}

/* --- the table --- */

int
models_text_cols(const char *s)
{
    size_t len = strlen(s), at = 0;
    int cols = 0;

    while (at < len) {
        uint32_t c;

        at += uni_decode(s + at, len - at, &c);
        cols += uni_width(c) > 0 ? uni_width(c) : 0;
    }
    return cols;
}

struct cells {
    char c[COLUMNS][160];
};

static void
fill(struct cells *to, const struct model_row *r)
{
    const struct model_info *i = &r->peek.info;
    char text[32];

    snprintf(to->c[0], sizeof to->c[0], "%c %.150s", r->is_default ? '*' : ' ',
             r->name);
    for (int k = 1; k < COLUMNS; k++)
        strcpy(to->c[k], "-");
    if (r->ok) {
        snprintf(to->c[1], sizeof to->c[1], "%s", i->network);
        snprintf(to->c[2], sizeof to->c[2], "%s",
                 models_params_text(i->n_params, text, sizeof text));
        snprintf(to->c[3], sizeof to->c[3], "%s",
                 get_size_text(r->peek.file_bytes, text, sizeof text));
        snprintf(to->c[4], sizeof to->c[4], "%s", i->type);
        snprintf(to->c[5], sizeof to->c[5], "%d %s", r->peek.vocab_size,
                 r->peek.vocab_kind);
    }
    if (r->licence[0])
        snprintf(to->c[6], sizeof to->c[6], "%s", r->licence);
}

static void
print_row(const struct cells *row, const int widths[COLUMNS])
{
    for (int k = 0; k < COLUMNS; k++) {
        fputs(row->c[k], stdout);
        if (k + 1 < COLUMNS)
            printf("%*s", widths[k] + 2 - models_text_cols(row->c[k]), "");
    }
    putchar('\n');
}

static void
print_table(const struct model_rows *r)
{
    const char *const heads[COLUMNS] = {
        N_("  name"), N_("network"),    N_("parameters"), N_("size"),
        N_("type"),   N_("vocabulary"), N_("licence"),
    };
    struct cells *rows = xcalloc(r->n + 1, sizeof *rows);
    int widths[COLUMNS] = { 0 };

    for (int k = 0; k < COLUMNS; k++)
        snprintf(rows[0].c[k], sizeof rows[0].c[k], "%s", _(heads[k]));
    for (size_t i = 0; i < r->n; i++)
        fill(&rows[i + 1], &r->v[i]);
    for (size_t i = 0; i <= r->n; i++)
        for (int k = 0; k < COLUMNS; k++) {
            int cols = models_text_cols(rows[i].c[k]);

            widths[k] = cols > widths[k] ? cols : widths[k];
        }
    print_row(&rows[0], widths);
    for (size_t i = 0; i < r->n; i++) {
        print_row(&rows[i + 1], widths);
        if (!r->v[i].ok)
            printf("    %s: %s\n", _("broken"), r->v[i].err.msg);
    }
    free(rows);
}

static void
print_json(const struct model_row *r)
{
    const struct model_info *i = &r->peek.info;
    json_t *o =
        json_pack("{s:s, s:s, s:b, s:b, s:b}", "name", r->name, "path", r->path,
                  "default", r->is_default, "in_box", r->in_box, "ok", r->ok);
    char *text;

    if (!o) /* a name that is no UTF-8 cannot be JSON */
        return;
    if (r->ok) {
        json_object_set_new(o, "network", json_string(i->network));
        json_object_set_new(o, "parameters",
                            json_integer((json_int_t)i->n_params));
        json_object_set_new(o, "bytes",
                            json_integer((json_int_t)r->peek.file_bytes));
        json_object_set_new(o, "type", json_string(i->type));
        json_object_set_new(o, "rows", json_integer(i->n_vocab));
        json_object_set_new(o, "positions", json_integer(i->n_pos));
        json_object_set_new(o, "vocabulary", json_integer(r->peek.vocab_size));
        json_object_set_new(o, "vocabulary_kind",
                            json_string(r->peek.vocab_kind));
    } else {
        json_object_set_new(o, "error", json_string(r->err.msg));
    }
    if (r->licence[0])
        json_object_set_new(o, "licence", json_string(r->licence));
    text = json_dumps(o, JSON_COMPACT);
    if (text)
        puts(text);
    free(text);
    json_decref(o);
}

/* --- the command --- */

int
cli_models(int argc, char **argv)
{
    char *path = paths_config_file();
    struct model_rows rows;
    struct config config;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") != 0) {
            cli_no_option(argv[0], argv[i]);
            free(path);
            return EXIT_USAGE;
        }
        json = true;
    }
    config_init(&config);
    config_read_file(&config, path);
    models_list(&rows, config.model);
    if (json)
        for (size_t i = 0; i < rows.n; i++)
            print_json(&rows.v[i]);
    else if (rows.n > 0)
        print_table(&rows);
    if (rows.n == 0)
        cli_say(_("no model is here; jielong get NAME downloads one"));
    models_free(&rows);
    config_finish(&config);
    free(path);
    return EXIT_OK;
}
