/*
 * timer.c: deadlines, kept in the pairing heap of the hub.
 *
 * The idea: a timer is a field of the thing that waits (a fiber, a Timeout), so starting one
 * allocates nothing and cannot fail, and cancelling one that never fires is O(1).
 *
 * Ties fire in the order they were started: programs sleep for equal times and expect turns.
 * Invariant: a timer is cancelled before fire() is called, so fire() may start it again.
 * Callers: waiter.c, hub.c, the embedder's timeouts; on the hub's thread or under its lock.
 * Do not add: clocks. Who starts a timer has read the clock.
 */
#include "core/core.h"

static bool timer_is_before(const fbl_heap_node *left, const fbl_heap_node *right)
{
    const fbl_timer *a = fbl_container_of(left, const fbl_timer, node);
    const fbl_timer *b = fbl_container_of(right, const fbl_timer, node);
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->order < b->order;
}

void fbl_timer_start(fbl_hub *hub, fbl_timer *timer, uint64_t deadline_ns)
{
    assert(timer->fire != NULL && !timer->is_started);
    timer->deadline_ns = deadline_ns;
    timer->order = hub->timer_order++;
    timer->is_started = true;
    hub->timer_count += !timer->is_aside;
    hub->timers = fbl_heap_insert(hub->timers, &timer->node, timer_is_before);
}

void fbl_timer_cancel(fbl_hub *hub, fbl_timer *timer)
{
    if (!timer->is_started)
        return;
    timer->is_started = false;
    hub->timer_count -= !timer->is_aside;
    hub->timers = fbl_heap_remove(hub->timers, &timer->node, timer_is_before);
}

/* The earliest deadline, or FBL_NEVER. */
uint64_t fbl_timer_next(const fbl_hub *hub)
{
    if (hub->timers == NULL)
        return FBL_NEVER;
    return fbl_container_of(hub->timers, fbl_timer, node)->deadline_ns;
}

/* The timer after `timer`, or the first for NULL, of all that are started, in no order; NULL at the
 * end. None may be started or cancelled meanwhile. */
fbl_timer *fbl_timer_after(const fbl_hub *hub, fbl_timer *timer)
{
    fbl_heap_node *node = timer == NULL ? hub->timers : fbl_heap_after(&timer->node);
    return node == NULL ? NULL : fbl_container_of(node, fbl_timer, node);
}

/* Fires what was due when we looked, the earliest first, but not all of a crowd: those who wait for
 * the kernel wait meanwhile. Timers started by fire() wait for the next turn. */
void fbl_timer_fire_due(fbl_hub *hub)
{
    if (hub->timers == NULL)
        return;
    uint64_t now_ns = hub->now(hub);
    uint64_t order_end = hub->timer_order;
    for (int count = 0; hub->timers != NULL && count < FBL_HUB_DUE; count++) {
        fbl_timer *timer = fbl_container_of(hub->timers, fbl_timer, node);
        if (timer->deadline_ns > now_ns || timer->order >= order_end)
            return;
        fbl_timer_cancel(hub, timer);
        timer->fire(hub, timer);
    }
}

/* The hub closes: nothing fires any more, but every timer may still be cancelled. */
void fbl_timer_clear(fbl_hub *hub)
{
    while (hub->timers != NULL)
        fbl_timer_cancel(hub, fbl_container_of(hub->timers, fbl_timer, node));
}

/* Whether the hub, with nothing else to do, still waits for this one. */
void fbl_timer_set_aside(fbl_hub *hub, fbl_timer *timer, bool is_aside)
{
    if (timer->is_started)
        hub->timer_count += (uint32_t)timer->is_aside - (uint32_t)is_aside;
    timer->is_aside = is_aside;
}
