/* src/story_tree.c */
