/*
 * poller.c: how a hub asks the kernel: opened when first needed, woken by other threads, and the
 * clock by which it sleeps.
 *
 * The idea: most hubs of short threads never sleep, so nothing is opened for them. Whatever poller
 * serves a hub (poll/ has one file each), these are how the others reach it.
 * Callers: the hub's own thread; fbl_hub_notify: any. Do not add: what is ready, or who waits.
 */
#include "core/poller.h"

#include <time.h>

/* The real one, whatever world a hub is in. */
uint64_t fbl_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t fbl_hub_now(fbl_hub *hub) { return fbl_clock_ns() + hub->clock_offset_ns; }

/* A clock that costs nothing to read (3 ns; the other 22), and goes in steps of some milliseconds,
 * which is enough to see who has computed for long. May be behind hub->now by such a step. */
uint64_t fbl_hub_glance(fbl_hub *hub)
{
    if (fbl_unlikely(hub->now != fbl_hub_now))
        return hub->now(hub);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + hub->clock_offset_ns;
}

/* When `seconds` from now is, on the hub's clock; rounded up, so that nothing fires early. Not by
 * ceil(): some compilers call it, and then the library of mathematics must be there. */
uint64_t fbl_hub_deadline(fbl_hub *hub, double seconds)
{
    uint64_t now_ns = hub->now(hub);
    if (!(seconds > 0))
        return now_ns;
    double delay_ns = seconds * 1e9;
    if (delay_ns >= (double)(FBL_NEVER - now_ns))
        return FBL_NEVER - 1;
    uint64_t whole_ns = (uint64_t)delay_ns;
    return now_ns + whole_ns + ((double)whole_ns < delay_ns);
}

int fbl_hub_open(fbl_hub *hub)
{
    if (hub->is_open)
        return 0;
    int rc = hub->poller->open(hub);
    hub->is_open = rc == 0;
    return rc;
}

/* Another thread made somebody ready while this hub sleeps. */
void fbl_hub_notify(fbl_hub *hub)
{
    if (hub->is_open)
        hub->poller->wake(hub);
}
