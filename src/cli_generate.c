/* src/cli_generate.c */
