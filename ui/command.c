/* ui/command.c  What the writer can do: one row per command.
 *
 * A new command is a function and a row here, and a row in bindings.c if a
 * key shall reach it; help and hints follow by themselves.
 */
#include "ui/command.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/opening.h"
#include "ui/ui_state.h"

/* --- the model --- */

static void
say_error(struct ui *ui, const struct err *err)
{
    ui_say(ui, SAY_WARN, "%s", err->msg[0] ? err->msg : _("That did not work"));
}

static void
cmd_continue(struct ui *ui)
{
    struct err err = { 0 };

    if (!turn_continue(ui->turn, ui->now, &err))
        say_error(ui, &err);
}

static void
cmd_candidates(struct ui *ui)
{
    struct err err = { 0 };

    if (!turn_candidates(ui->turn, ui->now, &err)) {
        say_error(ui, &err);
        return;
    }
    ui->cards.row = 0;
    ui->cards.top = -1;
    ui->focus = FOCUS_CANDIDATES;
}

static void
cmd_stop(struct ui *ui)
{
    if (!turn_stop(ui->turn))
        ui_say(ui, SAY_INFO, "%s",
               _("Nothing to stop; Ctrl-Q leaves, the story is kept"));
}

static void
leave_candidates(struct ui *ui)
{
    turn_leave(ui->turn);
    ui->focus = FOCUS_PAGE;
    ui_say(ui, SAY_INFO, "%s",
           _("All are kept: Ctrl-Y goes to one, Alt-Left and Alt-Right to the "
             "others"));
}

/* The first Esc stops the model, from anywhere; else one step back. */
static void
cmd_escape(struct ui *ui)
{
    if (turn_stop(ui->turn))
        return;
    if (ui->ask.ops)
        ask_close(ui);
    else if (ui->focus == FOCUS_CANDIDATES)
        leave_candidates(ui);
    else
        ui->focus = FOCUS_PAGE;
}

static void
cmd_retry(struct ui *ui)
{
    struct err err = { 0 };

    if (!turn_retry(ui->turn, ui->now, &err))
        say_error(ui, &err);
}

static void
version(struct ui *ui, int step)
{
    if (!turn_sibling(ui->turn, step))
        ui_say(ui, SAY_INFO, "%s",
               step < 0 ? _("No earlier version here")
                        : _("No later version here; Ctrl-R writes one"));
}

static void
cmd_version_prev(struct ui *ui)
{
    version(ui, -1);
}

static void
cmd_version_next(struct ui *ui)
{
    version(ui, 1);
}

static void
cmd_undo(struct ui *ui)
{
    if (!turn_undo(ui->turn))
        ui_say(ui, SAY_INFO, "%s", _("Nothing to undo"));
}

static void
cmd_redo(struct ui *ui)
{
    if (!turn_redo(ui->turn))
        ui_say(ui, SAY_INFO, "%s", _("Nothing to redo"));
}

/* --- panels and prompts --- */

static void
cmd_knobs(struct ui *ui)
{
    if (ui->focus == FOCUS_KNOBS)
        ui->focus = FOCUS_PAGE;
    else if (ui_room_for_drawers(ui))
        ui->focus = FOCUS_KNOBS;
    else
        ui_say(ui, SAY_WARN, "%s",
               _("The knobs need a window of 60 by 16 at least"));
}

static void
cmd_models(struct ui *ui)
{
    if (ui->focus == FOCUS_MODELS) {
        ui->focus = FOCUS_PAGE;
    } else if (ui_room_for_drawers(ui)) {
        models_open(ui);
        ui->focus = FOCUS_MODELS;
    } else {
        ui_say(ui, SAY_WARN, "%s",
               _("The list of models needs a window of 60 by 16 at least"));
    }
}

static void
cmd_help(struct ui *ui)
{
    ui->focus = ui->focus == FOCUS_HELP ? FOCUS_PAGE : FOCUS_HELP;
    ui->help.top = 0;
}

static void
cmd_find(struct ui *ui)
{
    ui->find.origin = turn_caret(ui->turn);
    ui->layout.found = TEXT_NONE;
    ui->focus = FOCUS_PAGE;
    ask_open(ui, &find_ask, "");
}

static void
cmd_find_next(struct ui *ui)
{
    if (ui->ask.ops == &find_ask)
        find_step(ui, 1);
}

static void
cmd_find_prev(struct ui *ui)
{
    if (ui->ask.ops == &find_ask)
        find_step(ui, -1);
}

/* --- the file --- */

static void
cmd_save(struct ui *ui)
{
    const char *trouble = storyfile_message(ui->file);

    storyfile_commit(ui->file);
    if (storyfile_state(ui->file) == STORYFILE_FAILING ||
        storyfile_state(ui->file) == STORYFILE_READ_ONLY)
        ui_say(ui, SAY_WARN, "%s", trouble);
    else
        ui_say(ui, SAY_INFO, _("Saved: %s"), storyfile_path(ui->file));
}

static void
cmd_open(struct ui *ui)
{
    opening_ask(ui);
}

static void
cmd_quit(struct ui *ui)
{
    opening_quit(ui);
}

static void
cmd_redraw(struct ui *ui)
{
    ui_redraw(ui);
}

/* --- moving --- */

static void
cmd_left(struct ui *ui)
{
    if (turn_caret(ui->turn) > 0)
        ui_move(ui, text_prev(ui_text(ui), turn_caret(ui->turn)));
}

static void
cmd_right(struct ui *ui)
{
    if (turn_caret(ui->turn) < text_len(ui_text(ui)))
        ui_move(ui, text_next(ui_text(ui), turn_caret(ui->turn)));
}

static void
cmd_up(struct ui *ui)
{
    ui_move(ui, move_vertical(ui, -1));
}

static void
cmd_down(struct ui *ui)
{
    ui_move(ui, move_vertical(ui, 1));
}

/* Two lines stay in view over a page. */
static int
page_lines(const struct ui *ui)
{
    return ui->page_rows > 3 ? ui->page_rows - 2 : 1;
}

static void
cmd_page_up(struct ui *ui)
{
    ui_move(ui, move_vertical(ui, -page_lines(ui)));
}

static void
cmd_page_down(struct ui *ui)
{
    ui_move(ui, move_vertical(ui, page_lines(ui)));
}

static void
cmd_line_start(struct ui *ui)
{
    ui_move(ui, move_line_start(ui));
}

static void
cmd_line_end(struct ui *ui)
{
    ui_move(ui, move_line_end(ui));
}

static void
cmd_text_start(struct ui *ui)
{
    ui_move(ui, 0);
}

static void
cmd_text_end(struct ui *ui)
{
    ui_move(ui, text_len(ui_text(ui)));
}

static void
cmd_clause_left(struct ui *ui)
{
    ui_move(ui, move_clause(ui_text(ui), turn_caret(ui->turn), -1));
}

static void
cmd_clause_right(struct ui *ui)
{
    ui_move(ui, move_clause(ui_text(ui), turn_caret(ui->turn), 1));
}

static void
cmd_word_left(struct ui *ui)
{
    ui_move(ui, move_word(ui_text(ui), turn_caret(ui->turn), -1));
}

static void
cmd_word_right(struct ui *ui)
{
    ui_move(ui, move_word(ui_text(ui), turn_caret(ui->turn), 1));
}

/* --- changing --- */

static void
remove_range(struct ui *ui, size_t from, size_t to)
{
    if (from < to && !turn_delete(ui->turn, from, to - from, ui->now))
        ui_say(ui, SAY_WARN, "%s", storyfile_message(ui->file));
}

static void
cmd_backspace(struct ui *ui)
{
    size_t caret = turn_caret(ui->turn);

    if (caret > 0)
        remove_range(ui, text_prev(ui_text(ui), caret), caret);
}

static void
cmd_delete(struct ui *ui)
{
    size_t caret = turn_caret(ui->turn);

    if (caret < text_len(ui_text(ui)))
        remove_range(ui, caret, text_next(ui_text(ui), caret));
}

static void
cmd_newline(struct ui *ui)
{
    if (!turn_type(ui->turn, "\n", 1, ui->now))
        ui_say(ui, SAY_WARN, "%s", storyfile_message(ui->file));
}

/* At a paragraph's end the line break itself goes. */
static void
cmd_kill_end(struct ui *ui)
{
    size_t caret = turn_caret(ui->turn);
    size_t end = text_line_end(ui_text(ui), caret);

    if (end == caret && end < text_len(ui_text(ui)))
        end++;
    remove_range(ui, caret, end);
}

static void
cmd_kill_start(struct ui *ui)
{
    size_t caret = turn_caret(ui->turn);

    remove_range(ui, text_line_start(ui_text(ui), caret), caret);
}

static void
cmd_kill_word(struct ui *ui)
{
    size_t caret = turn_caret(ui->turn);

    remove_range(ui, move_word(ui_text(ui), caret, -1), caret);
}

const struct command commands[] = {
    { "continue", N_("the model writes on from the caret"), N_("write on"),
      cmd_continue },
    { "candidates", N_("several continuations at once; take one, all are kept"),
      N_("candidates"), cmd_candidates },
    { "escape", N_("stop the model; else back to the page"), N_("stop"),
      cmd_escape },
    { "stop", N_("stop the model (never quits)"), NULL, cmd_stop },
    { "retry", N_("write it again; the old version is kept"), N_("again"),
      cmd_retry },
    { "version-prev", N_("the version before, here"), NULL, cmd_version_prev },
    { "version-next", N_("the next version, here"), NULL, cmd_version_next },
    { "undo", N_("undo (a run of the model is one step)"), N_("undo"),
      cmd_undo },
    { "redo", N_("redo what was undone"), N_("redo"), cmd_redo },
    { "knobs", N_("the knobs: temperature, length, ..."), N_("knobs"),
      cmd_knobs },
    { "models", N_("choose the model that writes"), NULL, cmd_models },
    { "find", N_("find in the story"), N_("find"), cmd_find },
    { "find-next", N_("the next match"), NULL, cmd_find_next },
    { "find-prev", N_("the match before"), NULL, cmd_find_prev },
    { "save", N_("everything to disk now (it is saved all the time)"),
      N_("save"), cmd_save },
    { "open", N_("open another story"), N_("open"), cmd_open },
    { "quit", N_("leave; the story is kept"), N_("quit"), cmd_quit },
    { "help", N_("this help"), N_("help"), cmd_help },
    { "redraw", N_("draw the screen again"), NULL, cmd_redraw },

    { "left", N_("one character left"), NULL, cmd_left },
    { "right", N_("one character right"), NULL, cmd_right },
    { "up", N_("one line up"), NULL, cmd_up },
    { "down", N_("one line down"), NULL, cmd_down },
    { "line-start", N_("to the start of the line; again: of the paragraph"),
      NULL, cmd_line_start },
    { "line-end", N_("to the end of the line; again: of the paragraph"), NULL,
      cmd_line_end },
    { "clause-left", N_("one clause left (Latin: one word)"), NULL,
      cmd_clause_left },
    { "clause-right", N_("one clause right (Latin: one word)"), NULL,
      cmd_clause_right },
    { "word-left", N_("one word left"), NULL, cmd_word_left },
    { "word-right", N_("one word right"), NULL, cmd_word_right },
    { "page-up", N_("one page up"), NULL, cmd_page_up },
    { "page-down", N_("one page down"), NULL, cmd_page_down },
    { "text-start", N_("to the start of the story"), NULL, cmd_text_start },
    { "text-end", N_("to the end of the story"), NULL, cmd_text_end },

    { "newline", N_("a line break"), NULL, cmd_newline },
    { "backspace", N_("delete the character before"), NULL, cmd_backspace },
    { "delete", N_("delete the character after"), NULL, cmd_delete },
    { "kill-end", N_("delete to the end of the paragraph"), NULL,
      cmd_kill_end },
    { "kill-start", N_("delete to the start of the paragraph"), NULL,
      cmd_kill_start },
    { "kill-word", N_("delete the word before"), NULL, cmd_kill_word },
};
const size_t n_commands = sizeof commands / sizeof *commands;

const struct command *
command_find(const char *name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

bool
command_run(struct ui *ui, const char *name)
{
    const struct command *c = command_find(name);

    if (c)
        c->fn(ui);
    return c != NULL;
}

char *
paste_clean(const char *s, size_t len, size_t *n)
{
    char *out = xmalloc(len + 1);

    *n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '\r') {
            if (i + 1 == len || s[i + 1] != '\n')
                out[(*n)++] = '\n';
        } else if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F)) {
            out[(*n)++] = s[i];
        }
    }
    out[*n] = '\0';
    return out;
}
