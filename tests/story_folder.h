/* tests/story_folder.h  A folder for story files that a test damages.
 *
 * In memory where possible: thousands of files are synced. Include after
 * cmocka.h; the story lies at `path`, and what goes elsewhere goes there too.
 */
#ifndef JIELONG_TESTS_STORY_FOLDER_H
#define JIELONG_TESTS_STORY_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[64], path[256];

static inline int
setup(void **state)
{
    strcpy(dir, "/dev/shm/jielong-test-XXXXXX");
    if (!mkdtemp(dir)) {
        strcpy(dir, "/tmp/jielong-test-XXXXXX");
        assert_non_null(mkdtemp(dir));
    }
    snprintf(path, sizeof path, "%s/s.jl", dir);
    setenv("XDG_STATE_HOME", dir, 1);
    return 0;
}

static inline int
teardown(void **state)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    return system(cmd);
}

#endif
