/*
 * idle.c: the moment when everybody waits, and who waits for that (park.c).
 *
 * The idea: a hub knows when it has nothing to do: nobody is ready, no timer is due, and the kernel
 * has nothing to tell. Just before it would sleep then, or let simulated time pass, it wakes who
 * asked for that moment (hub_turn in hub.c). So nobody has to guess how often to yield.
 *
 * Who wants the quiet to have lasted for a while says so (`cushion_ns`); the hub then sleeps that
 * long at most, and whatever happens meanwhile starts the cushion anew. Of those who wait, the ones
 * with the smallest cushion are woken, and of these the ones with the highest priority; waking them
 * ends the quiet for the others.
 *
 * Invariant: hub->idle is sorted in the order of waking.
 * Callers: park.c and hub.c, on the hub's own thread.
 */
#include "core/core.h"

static fbl_idle *idle_of(fbl_link *link)
{
    return fbl_container_of(fbl_container_of(link, fbl_waiter, link), fbl_idle, waiter);
}

static bool idle_is_before(const fbl_idle *left, const fbl_idle *right)
{
    if (left->cushion_ns != right->cushion_ns)
        return left->cushion_ns < right->cushion_ns;
    return left->priority > right->priority;
}

/* The link in hub->idle before which a waiter like that must be listed: behind its equals. */
fbl_link *fbl_idle_place(fbl_hub *hub, const fbl_idle *idle)
{
    fbl_link *link = hub->idle.next;
    while (link != &hub->idle && !idle_is_before(idle, idle_of(link)))
        link = link->next;
    return link;
}

/* How long it must have been quiet before the first is woken. Somebody waits. */
uint64_t fbl_idle_cushion(fbl_hub *hub)
{
    assert(!fbl_list_is_empty(&hub->idle));
    return idle_of(hub->idle.next)->cushion_ns;
}

/* It has been quiet for so long: wakes the first, and all that are equal to it. */
void fbl_idle_fire(fbl_hub *hub)
{
    /* Copied: the waiter is on the stack of a fiber that may end as soon as it runs. */
    const fbl_idle first = *idle_of(hub->idle.next);
    while (!fbl_list_is_empty(&hub->idle)) {
        fbl_idle *idle = idle_of(hub->idle.next);
        if (idle_is_before(&first, idle))
            return;
        fbl_waiter_fire(&idle->waiter);
    }
}
