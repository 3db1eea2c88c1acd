/* src/record.c */
