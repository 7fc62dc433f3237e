/* spent.h: what a server has spent, seen from its client.
 *
 * POSIX gives every process a CPU clock that others may read to the nanosecond, so the server has
 * nothing to report and is not disturbed. "Starved" is the time that server and client stood ready
 * while others had their cores: a sample with much of it says more about the neighbours.
 */
#ifndef BENCH_SPENT_H
#define BENCH_SPENT_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "die.h"

/* Counted since some time in the past: take the difference of two. */
struct spent {
    uint64_t wall_ns;
    uint64_t server_ns;  /* CPU time of the server, all its threads */
    uint64_t starved_ns; /* of server and client together */
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) < 0)
        die("cannot read a clock (has the server ended?)");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How long a process has been ready but not running; 0 where the kernel does not count it. */
static uint64_t starved_ns(pid_t pid)
{
    char path[64];
    unsigned long long waited = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*u %llu", &waited) != 1)
        waited = 0;
    if (file)
        fclose(file);
    return waited;
}

static struct spent spent_until_now(pid_t server, clockid_t server_clock)
{
    return (struct spent){now_ns(CLOCK_MONOTONIC), now_ns(server_clock),
                          starved_ns(server) + starved_ns(getpid())};
}

#endif
