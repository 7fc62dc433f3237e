/*
 * hub.c: one hub per thread: who runs next, and when the kernel is asked.
 *
 * The idea: the loop is cut at its only blocking call. prepare fires what is due and says how long
 * may be slept; block sleeps (and is the only place that lets go of the embedder's lock); dispatch
 * wakes whom the kernel named. weft_hub_next, called by the fiber that parks, loops over the three
 * until somebody is ready; a host loop, or a test, may drive the same three by itself.
 *
 * Fairness: after WEFT_HUB_BUDGET switches the kernel and the timers are looked at, whatever the
 * ready queue holds, so ready work cannot starve I/O.
 *
 * Invariant: only the hub's own thread runs these functions, except weft_hub_notify.
 * Do not add: knowledge of tasks, exceptions or callbacks; they are the embedder's.
 */
#include "core.h"
#include "poll.h"
#include "switch.h"

#include <errno.h>
#include <math.h>
#include <time.h>

uint64_t weft_hub_now(weft_hub *hub)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + hub->clock_offset_ns;
}

void weft_hub_init(weft_hub *hub, weft_fiber *main, size_t stack_bytes)
{
    hub->timers = NULL;
    hub->timer_order = 0;
    hub->switch_count = 0;
    hub->look_count = WEFT_HUB_BUDGET;
    hub->expected = 0;
    hub->timer_count = hub->fd_waiter_count = 0;
    hub->kept_count = 0;
    hub->is_observed = false;
    hub->turn_count = 0;
    hub->float_modes = weft_float_modes();
    weft_cxx_watch(hub);
    hub->is_blocked = hub->is_open = false;
    hub->now = weft_hub_now;
    hub->clock_offset_ns = 0;
    hub->poller = &weft_poller_epoll;
    hub->poller_fd = hub->wake_fd = hub->signal_fds[0] = hub->signal_fds[1] = -1;
    hub->wants_signals = false;
    hub->poller_data = NULL;
    hub->fds = NULL;
    hub->fds_length = 0;
    weft_list_init(&hub->ready);
    weft_list_init(&hub->idle);
    weft_list_init(&hub->fibers);
    hub->stack_bytes = stack_bytes;
    weft_stack_pool_init(&hub->stacks, stack_bytes);
    weft_fiber_init(main, hub);
    main->state = WEFT_FIBER_RUNNING;
    hub->main = hub->current = main;
}

/* The thread ends. Fibers that still have stacks are the embedder's to unwind or to leak. */
void weft_hub_close(weft_hub *hub)
{
    weft_sim_remove(hub);
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    weft_timer_clear(hub);
    weft_fd_clear(hub);
    weft_stack_pool_clear(&hub->stacks);
}

int weft_hub_open(weft_hub *hub)
{
    if (hub->is_open)
        return 0;
    int rc = hub->poller->open(hub);
    hub->is_open = rc == 0;
    return rc;
}

/* When `seconds` from now is, on the hub's clock; rounded up, so that nothing fires early. */
uint64_t weft_hub_deadline(weft_hub *hub, double seconds)
{
    uint64_t now_ns = hub->now(hub);
    if (!(seconds > 0))
        return now_ns;
    double delay_ns = ceil(seconds * 1e9);
    if (delay_ns >= (double)(WEFT_NEVER - now_ns))
        return WEFT_NEVER - 1;
    return now_ns + (uint64_t)delay_ns;
}

/* Fires what is due. Returns how long may be slept: 0 if somebody is ready, WEFT_NEVER if only the
 * outside can make somebody ready. */
uint64_t weft_hub_prepare(weft_hub *hub)
{
    weft_timer_fire_due(hub);
    if (!weft_list_is_empty(&hub->ready))
        return 0;
    uint64_t next_ns = weft_timer_next(hub);
    if (next_ns == WEFT_NEVER)
        return WEFT_NEVER;
    uint64_t now_ns = hub->now(hub);
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

/* Asks the kernel; sleeps if timeout_ns is not 0. Returns how many events it gave, or an error. */
int weft_hub_block(weft_hub *hub, uint64_t timeout_ns)
{
    if (timeout_ns == 0 && (hub->fd_waiter_count == 0 || !hub->is_open))
        return 0; /* nobody to be told: save the system call */
    int rc = weft_hub_open(hub);
    if (rc < 0)
        return rc;
    if (timeout_ns == 0)
        return hub->poller->wait(hub, 0);
    hub->is_blocked = true;
    weft_embed_block(hub);
    rc = hub->poller->wait(hub, timeout_ns);
    weft_embed_unblock(hub);
    hub->is_blocked = false;
    return rc;
}

void weft_hub_dispatch(weft_hub *hub, int count)
{
    for (int i = 0; i < count; i++)
        weft_fd_event(hub, &hub->events[i]);
}

/* Another thread made somebody ready while this hub sleeps. */
void weft_hub_notify(weft_hub *hub)
{
    if (hub->is_open)
        hub->poller->wake(hub);
}

/* Gives the kernel back what this thread's stacks hold and do not need: pages below the frames of
 * fibers that are away, which they touched when they were deeper, and all free stacks. */
void weft_hub_trim(weft_hub *hub)
{
    for (weft_link *link = hub->fibers.next; link != &hub->fibers; link = link->next) {
        weft_fiber *fiber = weft_container_of(link, weft_fiber, all);
        if (fiber != hub->current && fiber->stack != NULL)
            weft_stack_trim(fiber->stack, fiber->context.sp);
    }
    weft_stack_pool_trim(&hub->stacks);
}

/* Is nobody ready, and nothing under way that counts? Timers and watches may be started still, if
 * they are aside. */
bool weft_hub_is_idle(const weft_hub *hub)
{
    int64_t count = (int64_t)hub->timer_count + hub->fd_waiter_count + hub->expected;
    return weft_list_is_empty(&hub->ready) && count + hub->kept_count <= 0;
}

static void hub_ask(weft_hub *hub, uint64_t timeout_ns)
{
    int count = weft_hub_block(hub, timeout_ns);
    if (weft_likely(count >= 0))
        weft_hub_dispatch(hub, count);
    else if (count != -EDEADLK || !weft_embed_stalled(hub))
        weft_embed_interrupted(hub, count);
}

/* Nobody is ready, and somebody waits for just that: the kernel is asked first, and if it has
 * nothing to tell for the length of the cushion, this is the moment. */
static void hub_turn_idle(weft_hub *hub, uint64_t timeout_ns)
{
    uint64_t cushion_ns = weft_idle_cushion(hub), since_ns = hub->now(hub);
    hub_ask(hub, timeout_ns < cushion_ns ? timeout_ns : cushion_ns);
    uint64_t now_ns = hub->now(hub);
    if (weft_list_is_empty(&hub->ready) && now_ns - since_ns >= cushion_ns &&
        weft_timer_next(hub) > now_ns)
        weft_idle_fire(hub);
}

static void hub_turn(weft_hub *hub)
{
    hub->look_count = hub->switch_count + WEFT_HUB_BUDGET;
    hub->turn_count++;
    uint64_t timeout_ns = weft_hub_prepare(hub);
    if (weft_unlikely(hub->is_observed))
        timeout_ns = weft_embed_turn_begins(hub, timeout_ns);
    if (timeout_ns > 0 && weft_unlikely(weft_stack_pool_clean(&hub->stacks)))
        hub_ask(hub, 0); /* before it sleeps, and not at the cost of who might be ready by now */
    else if (weft_unlikely(!weft_list_is_empty(&hub->idle)) && timeout_ns > 0)
        hub_turn_idle(hub, timeout_ns);
    else if (weft_unlikely(weft_hub_is_idle(hub)) && weft_embed_stalled(hub))
        return;
    else
        hub_ask(hub, timeout_ns);
    if (weft_unlikely(hub->is_observed))
        weft_embed_turn_ends(hub);
}

/* Who runs next; asks the kernel if nobody is ready, or if it was not asked for long. Called by a
 * fiber that leaves, which may itself be the answer. A NEW fiber gets its stack, unless the current
 * one ends (`is_end`) and can hand over its own. */
weft_fiber *weft_hub_next(weft_hub *hub, bool is_end)
{
    for (;;) {
        if (weft_list_is_empty(&hub->ready) || hub->switch_count >= hub->look_count) {
            hub_turn(hub);
            continue;
        }
        hub->switch_count++;
        weft_fiber *fiber = weft_container_of(hub->ready.next, weft_fiber, ready);
        weft_list_remove(&fiber->ready);
        if (weft_likely(fiber->state != WEFT_FIBER_NEW || (is_end && weft_fiber_fits(fiber))))
            return fiber;
        int rc = weft_fiber_prepare(fiber);
        if (weft_likely(rc == 0))
            return fiber;
        weft_embed_stillborn(fiber, rc);
    }
}

/* The process forked, or the thread ends: only `survivor` goes on. The others' stacks stay as they
 * are (their frames may be looked at), but nobody will ever run them, and no list names them. */
void weft_hub_abandon(weft_hub *hub, weft_fiber *survivor)
{
    weft_link *link = hub->fibers.next;
    while (link != &hub->fibers) {
        weft_fiber *fiber = weft_container_of(link, weft_fiber, all);
        link = link->next;
        if (fiber != survivor)
            weft_fiber_lose(fiber);
    }
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    weft_fd_clear(hub);
    hub->fd_waiter_count = 0;
    hub->kept_count = 0;
    hub->expected = 0;
}
