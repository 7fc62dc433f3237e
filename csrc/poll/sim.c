/*
 * sim.c: the poller of the test world: no kernel, a clock that jumps, readiness by order.
 *
 * The idea: a wait that would sleep moves the clock forward by exactly that time and returns, so a
 * test of timeouts takes no time and gives the same answer each time. Readiness is what the test
 * said with weft_sim_feed; it is delivered in the order in which it was said.
 *
 * A wait for ever with nothing fed cannot end: it says -EDEADLK, where a real poller would hang.
 * Thread: the hub's own; wake() only counts.
 */
#include "../poll.h"

#include <errno.h>
#include <stdlib.h>

typedef struct {
    uint64_t now_ns;                    /* the jumping clock */
    weft_event fed[WEFT_HUB_EVENTS];    /* what the test said is ready */
    int fed_count;                      /* how many of `fed` */
    uint32_t wake_count;                /* calls of wake() since the last wait */
} sim_world;

static uint64_t sim_now(weft_hub *hub) { return ((sim_world *)hub->poller_data)->now_ns; }

static int sim_open(weft_hub *hub) { return hub->poller_data != NULL ? 0 : -EINVAL; }

static void sim_close(weft_hub *hub) { (void)hub; }

static int sim_want(weft_hub *hub, weft_fd *entry)
{
    (void)hub;
    (void)entry;
    return 0;
}

static void sim_forget(weft_hub *hub, weft_fd *entry)
{
    (void)hub;
    (void)entry;
}

static int sim_wait(weft_hub *hub, uint64_t timeout_ns)
{
    sim_world *world = hub->poller_data;
    int count = world->fed_count;
    for (int i = 0; i < count; i++)
        hub->events[i] = world->fed[i];
    world->fed_count = 0;
    if (count > 0 || timeout_ns == 0 || world->wake_count > 0) {
        world->wake_count = 0;
        return count;
    }
    if (timeout_ns == WEFT_NEVER)
        return -EDEADLK;
    world->now_ns += timeout_ns;
    return 0;
}

static void sim_wake(weft_hub *hub) { ((sim_world *)hub->poller_data)->wake_count++; }

const weft_poller weft_poller_sim = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .want = sim_want,
    .forget = sim_forget,
    .wait = sim_wait,
    .wake = sim_wake,
};

/* Puts a hub that has not asked the kernel yet into the test world, at time 1 s. */
int weft_sim_install(weft_hub *hub)
{
    if (hub->is_open || hub->poller_data != NULL)
        return -EBUSY;
    sim_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return -ENOMEM;
    world->now_ns = 1000000000u;
    hub->poller = &weft_poller_sim;
    hub->poller_data = world;
    hub->now = sim_now;
    return 0;
}

/* Back to the real world, for a hub nobody waits on. */
void weft_sim_remove(weft_hub *hub)
{
    if (hub->poller != &weft_poller_sim)
        return;
    free(hub->poller_data);
    hub->poller_data = NULL;
    hub->poller = &weft_poller_epoll;
    hub->now = weft_hub_now;
    hub->is_open = false;
}

/* The descriptor is ready from the next wait on. */
int weft_sim_feed(weft_hub *hub, int fd, unsigned ready)
{
    if (hub->poller != &weft_poller_sim)
        return -EINVAL;
    sim_world *world = hub->poller_data;
    if (world->fed_count == WEFT_HUB_EVENTS)
        return -ENOBUFS;
    weft_fd *entry;
    int rc = weft_fd_get(hub, fd, &entry);
    if (rc < 0)
        return rc;
    world->fed[world->fed_count++] =
        (weft_event){.fd = fd, .generation = entry->generation, .ready = ready};
    return 0;
}
