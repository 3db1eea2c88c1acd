/* src/cli_options.h  What the command line asked for, for the files of the
 * command line alone. Main thread. */
#ifndef JIELONG_CLI_OPTIONS_H
#define JIELONG_CLI_OPTIONS_H

#include "engine/model.h"

#include "src/config.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_MODEL = 3,
    EXIT_STORY = 4,
    EXIT_INTERRUPTED = 130
};

struct cli_options { /* texts are borrowed from argv */
    const char *prompt, *model, *vocab, *type,
         *preset, *color, *ambiwidth, *lang, *theme;
    int64_t samples;
    bool echo, json, fast, help, version, paths;
    struct config config; /* the config file with the options applied */
    bool knob_given[KNOB_COUNT];
    const char *file; /* NULL: none named */
};

/* One sentence to stderr, with the program's name in front. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Tells a fault: a translated sentence, then what the engine said. Returns
 * the exit status of its kind. */
int cli_fault(const char *sentence, const struct err *err);
/* What is to be told once of a model that was opened (model_note()). */
void cli_tell_notes(const struct model *m);
/* An option that this command lacks; returns EXIT_USAGE. */
int cli_no_option(const char *command, const char *option);
/* The model's path that -m, the config or the shipped models name; given
 * (free). NULL after saying that there is none. */
char *cli_model_path(const struct cli_options *o);

/* Continues len bytes of text on stdout (cli_generate.c). Exit status. */
int cli_generate(const struct cli_options *o, const char *text, size_t len);
/* Fills story, import_from and note of a page for the file named (or none):
 * cli_story.c. Returns EXIT_OK, or another status after saying why. */
struct page_request;
int cli_choose_story(const char *file, struct page_request *page);
/* The command `export`. */
int cli_export(int argc, char **argv);
/* --help (cli_help.c). */
void cli_help(void);

/* --- the option table (cli.c) --- */

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_SAMPLES };

struct option_row {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    const char *value; /* how help calls its value; N_(); NULL for flags */
    const char *help;  /* N_() */
    size_t offset;     /* in struct cli_options */
};
extern const struct option_row cli_option_rows[];
extern const size_t cli_n_options;

struct command_row {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage; /* what follows the name; N_() */
    const char *help;  /* N_() */
};
extern const struct command_row cli_command_rows[];
extern const size_t cli_n_commands;

#endif
