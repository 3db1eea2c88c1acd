/* src/cli_parts.h  Commands that live in files of their own.
 *
 * Each is a row of the command table in cli.c. argv[0] is the command's name,
 * the options follow; the result is the exit status (0 ok, 1 failure,
 * 2 usage, 3 model). They write data to stdout and talk to stderr.
 */
#ifndef JIELONG_CLI_PARTS_H
#define JIELONG_CLI_PARTS_H

/* tokens -m MODEL | --vocab DIR [--json] [--decode] [--special] */
int cli_tokens(int argc, char **argv);
/* logits -m MODEL --ids 5,7,9 [--greedy N] */
int cli_logits(int argc, char **argv);

/* check MODEL [--type TYPE] [FILE] (cli_check.c) */
int cli_check(int argc, char **argv);

/* convert MODEL FILE [--type TYPE] [--vocab DIR] [--force] (cli_convert.c) */
int cli_convert(int argc, char **argv);

/* bench [MODEL | --shape SHAPE] [--json] ... (cli_bench.c) */
int cli_bench(int argc, char **argv);

/* replay STORY.jl [-m MODEL] [--vocab DIR] [--json] (cli_replay.c) */
int cli_replay(int argc, char **argv);
/* get [NAME] [--yes] [--as FOLDER]: downloads a model (get.c) */
int cli_get(int argc, char **argv);
/* models [--json]: those that are there (models.c) */
int cli_models(int argc, char **argv);

/* cache [clear [NAME]]: converted weights on the disk (cli_cache.c) */
int cli_cache(int argc, char **argv);

#endif
