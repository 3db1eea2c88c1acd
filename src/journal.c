/* src/journal.c */
