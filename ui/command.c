/* ui/command.c */
