/* src/i18n.h  Translations: every text shown to a person goes through _(). */
#ifndef JIELONG_I18N_H
#define JIELONG_I18N_H

#include <libintl.h>

#define _(s)  gettext(s)
#define N_(s) (s)

/* Picks language and locale: lang ("zh", "en" or NULL), else LC_ALL,
 * LC_MESSAGES, LANG read by hand; sets LANGUAGE, LC_CTYPE to a UTF-8 locale
 * (C.UTF-8 where the wanted one is missing), LC_NUMERIC to C. Returns false
 * when no UTF-8 locale can be had. Main, before threads. */
#include <stdbool.h>
bool i18n_init(const char *lang);
const char *i18n_lang(void); /* "zh_CN" or "en" */

#endif
