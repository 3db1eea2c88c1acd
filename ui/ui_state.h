/* ui/ui_state.h  What the page is made of, for the files of ui/ that draw it
 * or act on it.
 *
 * One struct ui, one thread (main). Rows of the screen, from above: the page;
 * a drawer when a panel is open; the prompt when one is open; a message of
 * more than one row; the status; the hints. ui_draw() and ui_key() need no
 * terminal: tests call them as the loop does.
 */
#ifndef JIELONG_UI_STATE_H
#define JIELONG_UI_STATE_H

#include "engine/gen.h"
#include "src/cli.h"
#include "src/models.h"
#include "src/storyfile.h"
#include "src/turn.h"
#include "ui/grid.h"
#include "ui/keys.h"
#include "ui/layout.h"
#include "ui/ask.h"
#include "ui/term.h"
#include "ui/view.h"

enum focus {
    FOCUS_PAGE,
    FOCUS_KNOBS,
    FOCUS_HELP,
    FOCUS_MODELS,
    FOCUS_CANDIDATES, /* as long as some are on show and no other has it */
    FOCUS_COUNT
};

enum say_level { SAY_INFO, SAY_WARN };

#define SAY_QUEUE 8

struct said { /* a message in the place of the hints */
    enum say_level level;
    char *text; /* owned */
};

struct ui {
    const struct page_request *req; /* borrowed; NULL in tests */
    struct storyfile *file;         /* owned, with its story */
    struct turn *turn;              /* owned */
    struct gen *gen;                /* owned */
    struct layout layout;
    struct term *term;              /* owned; NULL in tests */

    int cols, rows;
    bool mono;                      /* no colours: authors get a mark */
    int64_t now;                    /* ms, monotonic: when this key came */

    struct turn_status status;      /* as of this frame */
    const struct model *noted;      /* whose notes were told */
    bool was_running;               /* in the frame before */
    enum focus focus;
    int page_rows;                  /* text rows of the last frame */
    int goal;                       /* column that Up and Down keep; -1 */
    bool keep_goal;                 /* set by Up and Down themselves */

    struct ask ask;

    struct {
        char *needle;               /* owned, or NULL */
        size_t origin;              /* where the search began */
        bool wrapped;
    } find;
    struct {
        int row, top;               /* chosen row, first row shown */
    } knobs;
    struct {
        int top, lines;
    } help;
    struct {
        int row; /* the chosen one */
        int top; /* first line shown of a card; -1: the last ones are */
        int end; /* the largest `top` that hides nothing at the end */
    } cards;

    struct {
        struct model_rows list; /* as of the drawer's opening */
        int row, top;
        char *path;       /* chosen in this page, owned; NULL: req->model */
        struct gen *next; /* loads, to take over; owned, or NULL */
        char *next_path;  /* owned */
    } models;

    struct said said[SAY_QUEUE];    /* the first is shown; a key drops it */
    int n_said;

    bool quit;
    int64_t progress_at;            /* when progress was last drawn; 0 */
    int64_t progress_from;          /* when the work began */
};

/* Takes over file and gen; turn is made here. */
void ui_init(struct ui *ui, struct storyfile *file, struct gen *gen);
void ui_finish(struct ui *ui);
/* A generator on this machine with the options of req (may be NULL); its
 * model, the one at path or else the one that req names, loads from now on.
 * Given. */
struct gen *ui_new_generator(const struct page_request *req, const char *path);
/* Opens a story beside the one that is open, then lets go of that one. With
 * `import`, the text of that file is what a new story begins with. */
bool ui_open_story(struct ui *ui, const char *path, const char *import,
                   struct err *err);
/* A frame of ui->cols x ui->rows into g (resized to that); the cursor's cell
 * in *cx, *cy. */
void ui_draw(struct ui *ui, struct grid *g, int *cx, int *cy);
void ui_key(struct ui *ui, const struct key *k);

/* Shows a sentence in the place of the hints till the next key. */
void ui_say(struct ui *ui, enum say_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, after those that already wait. */
void ui_say_later(struct ui *ui, enum say_level level, const char *text);

struct story *ui_story(const struct ui *ui);
const struct text *ui_text(const struct ui *ui);
bool ui_running(const struct ui *ui); /* a run is open or waits */
/* Moves the caret (the writer's own move). */
void ui_move(struct ui *ui, size_t at);
/* The terminal may show anything, and other widths than before. */
void ui_redraw(struct ui *ui);
bool ui_room_for_drawers(const struct ui *ui);
/* A long story opens: bytes done of total. Draws when it takes long. */
void ui_progress(void *ud, size_t done, size_t total);

/* --- status.c --- */

void status_draw(struct ui *ui, struct grid *g, int y);
void hints_draw(struct ui *ui, struct grid *g, int y);
/* Rows the first message needs at this width: 0 none, at most `max`. */
int said_rows(const struct ui *ui, int max);
void said_draw(const struct ui *ui, struct grid *g, int y, int rows);
/* The story's name for people: its title, or the file's name. Given. */
char *status_story_name(const struct ui *ui);
/* What ended the last run, with speed and seed ("" when none); into buf. */
void status_last_run(const struct ui *ui, char *buf, size_t cap);

/* Are the model's tokens characters (字) to a person? */
bool ui_counts_characters(const struct ui *ui);

/* --- view_story.c --- */

/* The place the view follows: the caret, or the match while finding. */
size_t page_eye(const struct ui *ui);

/* --- move.c: places in the text; nothing is changed --- */

size_t move_vertical(struct ui *ui, int lines); /* keeps ui->goal */
size_t move_line_start(const struct ui *ui);
size_t move_line_end(const struct ui *ui);
size_t move_word(const struct text *t, size_t at, int dir);
size_t move_clause(const struct text *t, size_t at, int dir);

/* --- view_models.c --- */

void models_open(struct ui *ui);   /* reads the list anew */
void models_finish(struct ui *ui);
/* Readable while a model that was chosen has something to tell; -1: none. */
int models_fd(const struct ui *ui);
/* Takes that. Returns true when something visible changed. */
bool models_poll(struct ui *ui);
/* A generator with the model of this page, for another turn. Given. */
struct gen *models_generator(const struct ui *ui);

/* --- find.c --- */

extern const struct ask_ops find_ask;
bool find_step(struct ui *ui, int dir);

#endif
