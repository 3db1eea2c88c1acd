/* src/pins.c  See pins.h. Lines that are neither a sum nor one of our
 * comments are skipped, as sha256sum does. */
#include "src/pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#define PINS_MAX ((size_t)1 << 20)

char *
pins_path(const char *models, const char *name)
{
    return xasprintf("%s/%s.sha256", models, name);
}

void
pins_init(struct pins *p, const char *repo, const char *revision,
          const char *licence)
{
    *p = (struct pins){ xstrdup(repo), xstrdup(revision), xstrdup(licence),
                        NULL, 0 };
}

void
pins_finish(struct pins *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].name);
    free(p->v);
    free(p->repo);
    free(p->revision);
    free(p->licence);
    memset(p, 0, sizeof *p);
}

void
pins_add(struct pins *p, const char *file, const char *sha256)
{
    p->v = xreallocarray(p->v, p->n + 1, sizeof *p->v);
    p->v[p->n].name = xstrdup(file);
    snprintf(p->v[p->n++].sha256, 65, "%.64s", sha256);
}

const char *
pins_find(const struct pins *p, const char *file)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, file) == 0)
            return p->v[i].sha256;
    return NULL;
}

static void
read_comment(struct pins *p, const char *line)
{
    const struct {
        const char *word;
        char **to;
    } rows[] = { { "# repo ", &p->repo },
                 { "# revision ", &p->revision },
                 { "# licence ", &p->licence } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(line, rows[i].word, strlen(rows[i].word)) == 0) {
            free(*rows[i].to);
            *rows[i].to = xstrdup(line + strlen(rows[i].word));
        }
}

bool
pins_read(struct pins *p, const char *models, const char *name, struct err *err)
{
    char *path = pins_path(models, name), *text, *rest, *line;
    size_t len;
    bool ok;

    pins_init(p, "", "", "");
    ok = access(path, F_OK) == 0 && file_read(path, PINS_MAX, &text, &len, err);
    free(path);
    if (!ok)
        return false;
    rest = text;
    while ((line = strsep(&rest, "\n"))) {
        const char *slash = strrchr(line, '/');

        if (line[0] == '#') {
            read_comment(p, line);
        } else if (strspn(line, "0123456789abcdef") == 64 &&
                   strncmp(line + 64, "  ", 2) == 0 && slash && slash[1]) {
            line[64] = '\0';
            pins_add(p, slash + 1, line);
        }
    }
    free(text);
    return true;
}

bool
pins_write(const struct pins *p, const char *models, const char *name,
           struct err *err)
{
    char *path = pins_path(models, name), *text, *more;
    bool ok;

    text = xasprintf("# downloaded by jielong; sha256sum -c %s.sha256 checks "
                     "it\n# repo %s\n# revision %s\n# licence %s\n",
                     name, p->repo, p->revision, p->licence);
    for (size_t i = 0; i < p->n; i++) {
        more = xasprintf("%s%s  %s/%s\n", text, p->v[i].sha256, name,
                         p->v[i].name);
        free(text);
        text = more;
    }
    ok = file_replace(path, text, strlen(text), err);
    free(text);
    free(path);
    return ok;
}
