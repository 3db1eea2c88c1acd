/* ui/view_help.c */
