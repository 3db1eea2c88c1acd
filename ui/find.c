/* ui/find.c  Find: the match is shown while the writer types the needle.
 *
 * The caret stays where it is till the prompt closes; meanwhile the view
 * follows the match. Esc leaves with the caret at the match shown.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/ui_state.h"

/* Shows the nearest match at or after (or before) `from`, around the end of the
 * story if need be. */
static bool
search(struct ui *ui, size_t from, bool back)
{
    const struct text *t = ui_text(ui);
    const char *needle = ui->find.needle;
    size_t at;

    ui->layout.found = TEXT_NONE;
    if (!needle || !*needle)
        return false;
    at = text_find(t, from, needle, strlen(needle), back);
    if (at == TEXT_NONE) {
        at = text_find(t, back ? text_len(t) : 0, needle, strlen(needle), back);
        if (at != TEXT_NONE)
            ui_say(ui, SAY_INFO, "%s",
                   back ? _("On from the end of the story")
                        : _("On from the start of the story"));
    }
    ui->layout.found = at;
    if (at == TEXT_NONE)
        ui_say(ui, SAY_WARN, _("Not found: %s"), needle);
    return at != TEXT_NONE;
}

static void
find_changed(struct ui *ui, const char *text)
{
    free(ui->find.needle);
    ui->find.needle = xstrdup(text);
    search(ui, ui->find.origin, false);
}

bool
find_step(struct ui *ui, int dir)
{
    size_t at = ui->layout.found;

    if (at == TEXT_NONE)
        at = ui->find.origin;
    else if (dir > 0)
        at = text_next(ui_text(ui), at);
    return search(ui, at, dir < 0);
}

static bool
find_enter(struct ui *ui, const char *text)
{
    find_step(ui, 1);
    return false;
}

static void
find_closed(struct ui *ui)
{
    if (ui->layout.found != TEXT_NONE)
        ui_move(ui, ui->layout.found);
    ui->layout.found = TEXT_NONE;
}

const struct ask_ops find_ask = {
    .label = N_("Find"),
    .hints = N_("Enter next  Up previous  Esc back to the page, at the match"),
    .enter = find_enter,
    .changed = find_changed,
    .closed = find_closed,
};
