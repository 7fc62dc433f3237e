/*
 * space.c: how much of the address space stacks may take, where it is limited.
 *
 * The idea: stacks take addresses, and memory only once touched, so usually nobody counts them. Two
 * settings make addresses short: RLIMIT_AS (batch machines, some containers), and
 * vm.overcommit_memory=2, where each writable mapping is promised in full, whatever MAP_NORESERVE
 * says. There, stacks of the usual size may take a quarter of what there is; then smaller ones are
 * made, up to three quarters, because objects and other mappings need addresses as well: better
 * that a fiber cannot start than that any allocation fails.
 *
 * The embedder's lock is its lock. Callers: slab.c. Do not add: which size is tried when (stack.c).
 */
#include "core/core.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static size_t space_taken_bytes; /* by all threads' slabs */

/* The digits at the beginning of a text. Not by strtoul(): newer headers make another function of
 * it, which older systems lack. */
static size_t space_number(const char *text)
{
    size_t number = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (size_t)(*text - '0');
    return number;
}

/* The number on the first line of a file that begins so; 0: there is none. */
static size_t space_read_number(const char *path, const char *beginning)
{
    size_t number = 0, length = strlen(beginning);
    char line[128];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (number == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, beginning, length) == 0)
            number = space_number(line + length);
    fclose(file);
    return number;
}

/* What the kernel would still promise, and what it has promised to stacks already. */
static size_t space_promised(void)
{
    static enum { UNKNOWN, FREELY, IN_FULL } way; /* set once, to the same, by any thread */
    if (way == UNKNOWN)
        way = space_read_number("/proc/sys/vm/overcommit_memory", "") == 2 ? IN_FULL : FREELY;
    if (way == FREELY)
        return SIZE_MAX;
    size_t limit_kib = space_read_number("/proc/meminfo", "CommitLimit:");
    size_t promised_kib = space_read_number("/proc/meminfo", "Committed_AS:");
    return space_taken_bytes + (limit_kib > promised_kib ? (limit_kib - promised_kib) << 10 : 0);
}

/* What this process may map in all; SIZE_MAX: as much as it likes. A system call, at the least. */
static size_t space_limit(void)
{
    struct rlimit limit;
    size_t promised = space_promised();
    if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return promised;
    return limit.rlim_cur < promised ? (size_t)limit.rlim_cur : promised;
}

/* How much more may be mapped for stacks, if they may take so many quarters of what there is. */
size_t fbl_space_left(unsigned quarters)
{
    size_t limit = quarters == FBL_QUARTERS_ALL ? SIZE_MAX : space_limit();
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    size_t share = limit / 4 * quarters;
    return share > space_taken_bytes ? share - space_taken_bytes : 0;
}

/* Stacks were mapped (or, negative, unmapped). */
void fbl_space_take(ptrdiff_t bytes) { space_taken_bytes += (size_t)bytes; }
