/* ui/view_knobs.c */
