/* src/i18n.c  Picks the language and a UTF-8 locale.
 *
 * The interface language and the character set are two questions. The
 * language is read from the environment by hand and handed to gettext as
 * LANGUAGE, so that it works where the wanted locale is not installed; for
 * that gettext only needs LC_MESSAGES to be anything but plain "C". The
 * character set has to be UTF-8, whatever locale brings it.
 */
#include "src/i18n.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/paths.h"

static char lang_now[8] = "en";

/* The first of LC_ALL, `name`, LANG that is set and not empty. */
static const char *
from_env(const char *name)
{
    const char *names[] = { "LC_ALL", name, "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);

        if (v && *v)
            return v;
    }
    return "";
}

static bool
is_utf8(const char *locale)
{
    const char *set;

    if (!setlocale(LC_CTYPE, locale))
        return false;
    set = nl_langinfo(CODESET);
    return !strcasecmp(set, "UTF-8") || !strcasecmp(set, "UTF8");
}

/* Sets LC_CTYPE to the locale asked for if it is UTF-8, else to one that is
 * there. C.UTF-8 comes with glibc; the others are for systems without it. */
static bool
set_ctype(void)
{
    const char *tries[] = { from_env("LC_CTYPE"), "C.UTF-8", "C.utf8",
                            "en_US.UTF-8", "zh_CN.UTF-8" };

    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (*tries[i] && is_utf8(tries[i]))
            return true;
    setlocale(LC_CTYPE, "C");
    return false;
}

bool
i18n_init(const char *lang)
{
    bool ok;
    char *dir;

    if (!lang || !*lang)
        lang = from_env("LC_MESSAGES");
    strcpy(lang_now, !strncasecmp(lang, "zh", 2) ? "zh_CN" : "en");
    setenv("LANGUAGE", lang_now, 1);

    ok = set_ctype();
    setlocale(LC_MESSAGES, setlocale(LC_CTYPE, NULL));
    setlocale(LC_NUMERIC, "C");

    dir = paths_shared("locale");
    bindtextdomain("jielong", dir);
    bind_textdomain_codeset("jielong", "UTF-8");
    textdomain("jielong");
    free(dir);
    return ok;
}

const char *
i18n_lang(void)
{
    return lang_now;
}
