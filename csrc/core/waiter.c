/*
 * waiter.c: what a parked fiber waits on, and waking it.
 *
 * The idea: a fiber that must wait puts one waiter into the list of each thing it waits for, parks
 * (park.c), and goes on when the first fires, its deadline comes, or it is woken by name. The
 * waker takes all of the fiber's other waiters out at once, so nothing can be handed to a fiber
 * that has been woken already: no wake-up is doubled, and none is lost.
 *
 * Who may touch what:
 *   waiter.link, fiber.waiters   the parking fiber until it parks; then the waker, once
 *   fiber.wake                   NONE by the parking fiber, anything else once by the waker
 *   fiber.ready                  the waker appends and may advance, or who gives way appends
 *                                (park.c); fbl_hub_next or an explicit switch removes
 *
 * References: parking turns the "current" reference into the one that whoever will wake the fiber
 * owns (is_held); running turns it back. So a park and wake changes no reference count.
 *
 * Do not add: policy about who is woken first. Lists are first come first served, and who advances
 * somebody has the reason. Nor what parks: waking never switches.
 */
#include "core/core.h"

static void fiber_hold(fbl_fiber *fiber)
{
    if (fiber->is_held)
        return;
    fiber->is_held = true;
    fbl_embed_hold(fiber);
}

/* Takes the fiber out of everything it waits for. */
static void fiber_cancel_waits(fbl_fiber *fiber)
{
    for (fbl_waiter *waiter = fiber->waiters; waiter != NULL; waiter = waiter->next)
        fbl_list_remove(&waiter->link);
    fiber->waiters = NULL;
    fbl_timer_cancel(fiber->hub, &fiber->timer);
}

/* Puts the current fiber's waiter at the end of `list`. The waiter must outlive the park. */
void fbl_waiter_add(fbl_waiter *waiter, fbl_hub *hub, fbl_link *list)
{
    fbl_fiber *fiber = hub->current;
    waiter->fiber = fiber;
    waiter->is_fired = false;
    waiter->next = fiber->waiters;
    fiber->waiters = waiter;
    fbl_list_append(list, &waiter->link);
}

void fbl_waiter_fire(fbl_waiter *waiter)
{
    assert(waiter->fiber->wake == FBL_WAKE_NONE);
    waiter->is_fired = true;
    fbl_wake_fiber(waiter->fiber, FBL_WAKE_FIRED);
}

/* Fires the longest waiting one; false if nobody waits. */
bool fbl_waiter_fire_first(fbl_link *list)
{
    if (fbl_list_is_empty(list))
        return false;
    fbl_waiter_fire(fbl_container_of(list->next, fbl_waiter, link));
    return true;
}

/* Whether the list that this waiter is in owns the fiber's reference (see is_held): a collector of
 * cycles may follow it then. Timers and descriptors are roots, and only one of several waiters may
 * count. */
bool fbl_waiter_is_owner(const fbl_waiter *waiter)
{
    const fbl_fiber *fiber = waiter->fiber;
    return fiber->state == FBL_FIBER_PARKED && fiber->is_held && fiber->waiters == waiter &&
           !fiber->is_fd_wait && !fiber->timer.is_started;
}

/* Wakes a parked fiber. The first reason wins; a fiber that is not parked is left alone. */
void fbl_wake_fiber(fbl_fiber *fiber, fbl_wake why)
{
    assert(why != FBL_WAKE_NONE);
    if (fiber->state != FBL_FIBER_PARKED || fiber->wake != FBL_WAKE_NONE)
        return;
    fiber_cancel_waits(fiber);
    fiber->wake = why;
    fbl_ready_append(fiber);
}

/* Makes a fiber run that nobody would wake: a NEW one, or a SUSPENDED one with news for it. */
void fbl_ready_fiber(fbl_fiber *fiber)
{
    assert(fiber->state == FBL_FIBER_NEW || fiber->state == FBL_FIBER_SUSPENDED);
    if (fbl_fiber_is_ready(fiber))
        return;
    fbl_timer_cancel(fiber->hub, &fiber->timer);
    fiber_hold(fiber);
    fbl_ready_append(fiber);
}

/* The same, when its time has come. */
void fbl_ready_fiber_at(fbl_fiber *fiber, uint64_t deadline_ns)
{
    assert(fiber->state == FBL_FIBER_NEW && !fbl_fiber_is_ready(fiber));
    fiber_hold(fiber);
    fbl_timer_start(fiber->hub, &fiber->timer, deadline_ns);
    if (fbl_unlikely(fiber->hub->is_blocked))
        fbl_hub_notify(fiber->hub);
}

/* The fire() of every fiber's own timer. */
static void fiber_timer_fire(fbl_hub *hub, fbl_timer *timer)
{
    (void)hub;
    fbl_fiber *fiber = fbl_container_of(timer, fbl_fiber, timer);
    if (fiber->state == FBL_FIBER_NEW)
        fbl_ready_fiber(fiber);
    else
        fbl_wake_fiber(fiber, FBL_WAKE_TIMEOUT);
}
