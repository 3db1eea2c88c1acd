/* tests/memory_of.h  What opening a file costs in memory. For tests only. */
#ifndef JIELONG_TESTS_MEMORY_OF_H
#define JIELONG_TESTS_MEMORY_OF_H

#include <malloc.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature
#    define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#    define WATCHED_MEMORY 1
#else
#    define WATCHED_MEMORY 0
#endif

static inline void
skip_if_memory_is_watched(void)
{
    if (!WATCHED_MEMORY)
        return;
    print_message("# SKIPPED: the sanitizer's own memory would count\n");
    skip();
}

/* Kilobytes: what a child of this process, or one of that child's own, needs
 * at most for trying path. */
static inline long
memory_of(void (*try)(const char *path), const char *path)
{
    struct rusage before, after, jailed;
    long kb = 0;
    int fd[2];
    pid_t pid;

    assert_int_equal(pipe(fd), 0);
    malloc_trim(0); /* what is still held from before would not be seen */
    pid = fork();
    if (pid == 0) {
        mallopt(M_PERTURB, 0); /* meson has freed memory written to */
        getrusage(RUSAGE_SELF, &before);
        try(path);
        getrusage(RUSAGE_SELF, &after);
        getrusage(RUSAGE_CHILDREN, &jailed);
        kb = (jailed.ru_maxrss > after.ru_maxrss ? jailed.ru_maxrss
                                                 : after.ru_maxrss) -
             before.ru_maxrss;
        _exit(write(fd[1], &kb, sizeof kb) == sizeof kb ? 0 : 1);
    }
    assert_int_equal(read(fd[0], &kb, sizeof kb), sizeof kb);
    waitpid(pid, NULL, 0);
    close(fd[0]);
    close(fd[1]);
    return kb;
}

#endif
