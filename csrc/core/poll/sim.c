/*
 * sim.c: the poller of the test world: no kernel, a clock that jumps, readiness by order.
 *
 * The idea: a wait that would sleep moves the clock forward by exactly that time and returns, so a
 * test of timeouts takes no time and gives the same answer each time. Readiness is what the test
 * said with fbl_sim_feed; it is delivered in the order in which it was said.
 *
 * Nothing comes from outside, but for wake-ups that were promised (hub->expected): while one is,
 * time stands still and the wait really waits for it. Any other wait for ever cannot end: it says
 * -EDEADLK, where a real poller would hang.
 *
 * The hub's clock never goes backwards: the world begins at the hub's present time, and afterwards
 * the real clock goes on from where the world's stood. So a deadline means the same on both sides.
 * Thread: the hub's own; any may call wake().
 */
#include "core/poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
    uint64_t now_ns;                 /* the jumping clock */
    fbl_event fed[FBL_HUB_EVENTS]; /* what the test said is ready */
    int fed_count;                   /* how many of `fed` */
} sim_world;

static uint64_t sim_now(fbl_hub *hub) { return ((sim_world *)hub->poller_data)->now_ns; }

static int sim_open(fbl_hub *hub)
{
    hub->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return hub->wake_fd < 0 ? -errno : 0;
}

static void sim_close(fbl_hub *hub)
{
    close(hub->wake_fd);
    hub->wake_fd = -1;
}

static int sim_want(fbl_hub *hub, fbl_fd *entry)
{
    (void)hub;
    (void)entry;
    return 0;
}

static void sim_forget(fbl_hub *hub, fbl_fd *entry)
{
    (void)hub;
    (void)entry;
}

static int sim_deliver(fbl_hub *hub, sim_world *world)
{
    int count = world->fed_count;
    for (int i = 0; i < count; i++)
        hub->events[i] = world->fed[i];
    world->fed_count = 0;
    return count;
}

/* Was wake() called since it was last asked? */
static bool sim_was_woken(fbl_hub *hub)
{
    uint64_t unused;
    return read(hub->wake_fd, &unused, sizeof unused) > 0;
}

/* Until wake() is called, however long that takes. */
static int sim_wait_outside(fbl_hub *hub)
{
    struct pollfd wake = {.fd = hub->wake_fd, .events = POLLIN};
    if (poll(&wake, 1, -1) < 0)
        return -errno;
    (void)sim_was_woken(hub);
    return 0;
}

/* Whoever takes a promise back wakes the hub, so `expected` is looked at again. */
static int sim_wait(fbl_hub *hub, uint64_t timeout_ns)
{
    sim_world *world = hub->poller_data;
    int count = sim_deliver(hub, world);
    if (count > 0 || timeout_ns == 0 || sim_was_woken(hub))
        return count;
    if (__atomic_load_n(&hub->expected, __ATOMIC_RELAXED) > 0)
        return sim_wait_outside(hub);
    if (timeout_ns == FBL_NEVER)
        return -EDEADLK;
    world->now_ns += timeout_ns;
    return 0;
}

static void sim_wake(fbl_hub *hub)
{
    uint64_t one = 1;
    (void)!write(hub->wake_fd, &one, sizeof one);
}

const fbl_poller fbl_poller_sim = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .want = sim_want,
    .forget = sim_forget,
    .wait = sim_wait,
    .wake = sim_wake,
};

static void sim_exchange(fbl_hub *hub, const fbl_poller *poller)
{
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    hub->poller = poller;
}

/* Puts a hub into the test world, whose time begins now. Refused (-EBUSY) where it is in one, or
 * where somebody waits for the real time or the real kernel. */
int fbl_sim_install(fbl_hub *hub)
{
    if (hub->poller == &fbl_poller_sim || hub->timers != NULL || fbl_fd_is_awaited(hub))
        return -EBUSY;
    sim_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return -ENOMEM;
    world->now_ns = hub->now(hub);
    sim_exchange(hub, &fbl_poller_sim);
    hub->poller_data = world;
    hub->now = sim_now;
    hub->looked_ns = world->now_ns;
    fbl_fd_renew(hub);
    return 0;
}

/* Back to the real world, where the hub's clock goes on from here. Who still waits for time has as
 * much left as it had, and who waits for a descriptor is registered with the kernel. */
void fbl_sim_remove(fbl_hub *hub)
{
    if (hub->poller != &fbl_poller_sim)
        return;
    uint64_t now_ns = sim_now(hub);
    sim_exchange(hub, &fbl_poller_epoll);
    free(hub->poller_data);
    hub->poller_data = NULL;
    hub->now = fbl_hub_now;
    hub->clock_offset_ns += now_ns - fbl_hub_now(hub);
    fbl_fd_renew(hub);
}

/* The descriptor is ready from the next wait on. */
int fbl_sim_feed(fbl_hub *hub, int fd, unsigned ready)
{
    if (hub->poller != &fbl_poller_sim)
        return -EINVAL;
    sim_world *world = hub->poller_data;
    if (world->fed_count == FBL_HUB_EVENTS)
        return -ENOBUFS;
    fbl_fd *entry;
    int rc = fbl_fd_get(hub, fd, &entry);
    if (rc < 0)
        return rc;
    world->fed[world->fed_count++] =
        (fbl_event){.fd = fd, .generation = entry->generation, .ready = ready};
    return 0;
}
