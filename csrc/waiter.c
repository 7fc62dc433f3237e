/*
 * waiter.c: the one way to block.
 *
 * The idea: a fiber that must wait puts one waiter into the list of each thing it waits for, parks,
 * and goes on when the first of them fires, its deadline comes, or somebody wakes it by name. The
 * waker takes all of the fiber's other waiters out at once, so nothing can be handed to a fiber
 * that has been woken already: no wake-up is doubled, and none is lost.
 *
 * Who may touch what:
 *   waiter.link, fiber.waiters   the parking fiber until it parks; then the waker, once
 *   fiber.wake                   NONE by the parking fiber, anything else once by the waker
 *   fiber.ready                  the waker appends; weft_hub_next or an explicit switch removes
 *
 * References: parking turns the "current" reference into the one that whoever will wake the fiber
 * owns (is_held); running turns it back. So a park and wake changes no reference count.
 *
 * Do not add: policy about who is woken first. Lists are first come first served.
 */
#include "enter.h"

static void fiber_hold(weft_fiber *fiber)
{
    if (fiber->is_held)
        return;
    fiber->is_held = true;
    weft_embed_hold(fiber);
}

static void fiber_append_ready(weft_fiber *fiber)
{
    weft_hub *hub = fiber->hub;
    weft_list_append(&hub->ready, &fiber->ready);
    if (weft_unlikely(hub->is_blocked))
        weft_hub_notify(hub);
}

/* Takes the fiber out of everything it waits for. */
static void fiber_cancel_waits(weft_fiber *fiber)
{
    for (weft_waiter *waiter = fiber->waiters; waiter != NULL; waiter = waiter->next)
        weft_list_remove(&waiter->link);
    fiber->waiters = NULL;
    weft_timer_cancel(fiber->hub, &fiber->timer);
}

/* Puts the current fiber's waiter at the end of `list`. The waiter must outlive the park. */
void weft_waiter_add(weft_waiter *waiter, weft_hub *hub, weft_link *list)
{
    weft_fiber *fiber = hub->current;
    waiter->fiber = fiber;
    waiter->is_fired = false;
    waiter->next = fiber->waiters;
    fiber->waiters = waiter;
    weft_list_append(list, &waiter->link);
}

void weft_waiter_fire(weft_waiter *waiter)
{
    assert(waiter->fiber->wake == WEFT_WAKE_NONE);
    waiter->is_fired = true;
    weft_wake_fiber(waiter->fiber, WEFT_WAKE_FIRED);
}

/* Fires the longest waiting one; false if nobody waits. */
bool weft_waiter_fire_first(weft_link *list)
{
    if (weft_list_is_empty(list))
        return false;
    weft_waiter_fire(weft_container_of(list->next, weft_waiter, link));
    return true;
}

/* Whether the list that this waiter is in owns the fiber's reference (see is_held): a collector of
 * cycles may follow it then. Timers and descriptors are roots, and only one of several waiters may
 * count. */
bool weft_waiter_is_owner(const weft_waiter *waiter)
{
    const weft_fiber *fiber = waiter->fiber;
    return fiber->state == WEFT_FIBER_PARKED && fiber->is_held && fiber->waiters == waiter &&
           !fiber->is_fd_wait && !fiber->timer.is_started;
}

/* Wakes a parked fiber. The first reason wins; a fiber that is not parked is left alone. */
void weft_wake_fiber(weft_fiber *fiber, weft_wake why)
{
    assert(why != WEFT_WAKE_NONE);
    if (fiber->state != WEFT_FIBER_PARKED || fiber->wake != WEFT_WAKE_NONE)
        return;
    fiber_cancel_waits(fiber);
    fiber->wake = why;
    fiber_append_ready(fiber);
}

/* Makes a fiber run that nobody would wake: a NEW one, or a SUSPENDED one with news for it. */
void weft_ready_fiber(weft_fiber *fiber)
{
    assert(fiber->state == WEFT_FIBER_NEW || fiber->state == WEFT_FIBER_SUSPENDED);
    if (weft_fiber_is_ready(fiber))
        return;
    weft_timer_cancel(fiber->hub, &fiber->timer);
    fiber_hold(fiber);
    fiber_append_ready(fiber);
}

/* The same, when its time has come. */
void weft_ready_fiber_at(weft_fiber *fiber, uint64_t deadline_ns)
{
    assert(fiber->state == WEFT_FIBER_NEW && !weft_fiber_is_ready(fiber));
    fiber_hold(fiber);
    weft_timer_start(fiber->hub, &fiber->timer, deadline_ns);
    if (weft_unlikely(fiber->hub->is_blocked))
        weft_hub_notify(fiber->hub);
}

/* The fire() of every fiber's own timer. */
static void fiber_timer_fire(weft_hub *hub, weft_timer *timer)
{
    (void)hub;
    weft_fiber *fiber = weft_container_of(timer, weft_fiber, timer);
    if (fiber->state == WEFT_FIBER_NEW)
        weft_ready_fiber(fiber);
    else
        weft_wake_fiber(fiber, WEFT_WAKE_TIMEOUT);
}

/* Gives the thread to others until the fiber is ready again. */
static void fiber_leave_wait(weft_hub *hub)
{
    weft_fiber *self = hub->current;
    self->state = WEFT_FIBER_PARKED;
    self->is_held = true;
    weft_fiber *next = weft_hub_next(hub, false);
    if (next != self) {
        uint64_t float_modes = weft_float_modes();
        if (next->state == WEFT_FIBER_NEW)
            weft_float_restore(hub->float_modes);
        weft_fiber_enter_switch(next);
        weft_float_restore(float_modes);
        return;
    }
    self->state = WEFT_FIBER_RUNNING;
    self->is_held = false;
    weft_embed_stay(self);
}

/* Parks the current fiber until one of its waiters fires, or the deadline. */
weft_wake weft_park_wait(weft_hub *hub, uint64_t deadline_ns)
{
    weft_fiber *self = hub->current;
    assert(self->state == WEFT_FIBER_RUNNING);
    if (deadline_ns != WEFT_NEVER)
        weft_timer_start(hub, &self->timer, deadline_ns);
    self->wake = WEFT_WAKE_NONE;
    fiber_leave_wait(hub);
    assert(self->wake != WEFT_WAKE_NONE && self->waiters == NULL);
    return self->wake;
}

/* Lets everybody run who is ready now, then goes on. */
weft_wake weft_yield_wait(weft_hub *hub)
{
    weft_fiber *self = hub->current;
    self->wake = WEFT_WAKE_FIRED;
    weft_list_append(&hub->ready, &self->ready);
    fiber_leave_wait(hub);
    return self->wake;
}
