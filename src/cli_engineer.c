/* src/cli_engineer.c */
