/* ui/view_story.c */
