/* ui/status.c */
