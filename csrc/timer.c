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
#include "core.h"

static bool timer_is_before(const weft_heap_node *left, const weft_heap_node *right)
{
    const weft_timer *a = weft_container_of(left, const weft_timer, node);
    const weft_timer *b = weft_container_of(right, const weft_timer, node);
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->order < b->order;
}

void weft_timer_start(weft_hub *hub, weft_timer *timer, uint64_t deadline_ns)
{
    assert(timer->fire != NULL && !timer->is_started);
    timer->deadline_ns = deadline_ns;
    timer->order = hub->timer_order++;
    timer->is_started = true;
    hub->timer_count += !timer->is_aside;
    hub->timers = weft_heap_insert(hub->timers, &timer->node, timer_is_before);
}

void weft_timer_cancel(weft_hub *hub, weft_timer *timer)
{
    if (!timer->is_started)
        return;
    timer->is_started = false;
    hub->timer_count -= !timer->is_aside;
    hub->timers = weft_heap_remove(hub->timers, &timer->node, timer_is_before);
}

/* The earliest deadline, or WEFT_NEVER. */
uint64_t weft_timer_next(const weft_hub *hub)
{
    if (hub->timers == NULL)
        return WEFT_NEVER;
    return weft_container_of(hub->timers, weft_timer, node)->deadline_ns;
}

/* The timer after `timer`, or the first for NULL, of all that are started, in no order; NULL at the
 * end. None may be started or cancelled meanwhile. */
weft_timer *weft_timer_after(const weft_hub *hub, weft_timer *timer)
{
    weft_heap_node *node = timer == NULL ? hub->timers : weft_heap_after(&timer->node);
    return node == NULL ? NULL : weft_container_of(node, weft_timer, node);
}

/* Fires what was due when we looked, the earliest first, but not all of a crowd: those who wait for
 * the kernel wait meanwhile. Timers started by fire() wait for the next turn. */
void weft_timer_fire_due(weft_hub *hub)
{
    if (hub->timers == NULL)
        return;
    uint64_t now_ns = hub->now(hub);
    uint64_t order_end = hub->timer_order;
    for (int count = 0; hub->timers != NULL && count < WEFT_HUB_DUE; count++) {
        weft_timer *timer = weft_container_of(hub->timers, weft_timer, node);
        if (timer->deadline_ns > now_ns || timer->order >= order_end)
            return;
        weft_timer_cancel(hub, timer);
        timer->fire(hub, timer);
    }
}

/* The hub closes: nothing fires any more, but every timer may still be cancelled. */
void weft_timer_clear(weft_hub *hub)
{
    while (hub->timers != NULL)
        weft_timer_cancel(hub, weft_container_of(hub->timers, weft_timer, node));
}

/* Whether the hub, with nothing else to do, still waits for this one. */
void weft_timer_set_aside(weft_hub *hub, weft_timer *timer, bool is_aside)
{
    if (timer->is_started)
        hub->timer_count += (uint32_t)timer->is_aside - (uint32_t)is_aside;
    timer->is_aside = is_aside;
}
