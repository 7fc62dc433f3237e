/* die.h: how the benchmark's C programs end when something fails.
 *
 * One line on stderr, what was tried and what the system said, and status 1: bench/rounds.py shows
 * that line as the contender's error. Set errno to 0 first if the system has nothing to say.
 */
#ifndef BENCH_DIE_H
#define BENCH_DIE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, errno ? "%s: %s\n" : "%s\n", what, strerror(errno));
    exit(1);
}

#endif
