/* file_limit.h: as many open files as the system allows, for a thousand connections.
 *
 * The soft limit is often 1,024; a program may raise it to the hard one by itself. Called once,
 * first thing in main.
 */
#ifndef BENCH_FILE_LIMIT_H
#define BENCH_FILE_LIMIT_H

#include <sys/resource.h>

#include "die.h"

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("setrlimit");
}

#endif
