/*
 * hub.c: one hub per thread: who runs next, and when the kernel is asked.
 *
 * The idea: the loop is cut at its only blocking call. prepare fires what is due and says how long
 * may be slept; block sleeps (and is the only place that lets go of the embedder's lock); dispatch
 * wakes whom the kernel named. fbl_hub_next, called by the fiber that parks, loops over the three
 * until somebody is ready; a host loop, or a test, may drive the same three by itself.
 *
 * Fairness: after FBL_HUB_BUDGET switches, or FBL_HUB_LATE_NS, the kernel and the timers are looked
 * at, whatever the ready queue holds, so ready work cannot starve I/O. The clock is not free: where
 * those who are ready are quick it is glanced at each FBL_HUB_STEP switches, and where they have
 * just been found slow (`is_laden`) at each. Who is woken by such a look may overtake: ready.c.
 *
 * Invariant: only the hub's own thread runs these functions, except fbl_hub_notify.
 * Do not add: knowledge of tasks, exceptions or callbacks; they are the embedder's.
 */
#include "core/core.h"
#include "core/poller.h"
#include "core/switch/switch.h"

#include <errno.h>

void fbl_hub_init(fbl_hub *hub, fbl_fiber *main, size_t stack_bytes, size_t stack_bytes_least)
{
    hub->timers = NULL;
    hub->timer_order = 0;
    hub->switch_count = 0;
    hub->look_count = FBL_HUB_BUDGET;
    hub->glance_count = FBL_HUB_STEP;
    hub->expected = 0;
    hub->timer_count = hub->fd_waiter_count = 0;
    hub->kept_count = 0;
    hub->is_observed = false;
    hub->turn_count = 0;
    hub->float_modes = fbl_float_modes();
    hub->private_count = 0;
    fbl_cxx_watch(hub);
    hub->is_choosing = hub->is_blocked = hub->is_open = false;
    hub->is_looking = hub->is_laden = hub->was_ahead = false;
    hub->now = fbl_hub_now;
    hub->clock_offset_ns = 0;
    hub->looked_ns = fbl_hub_glance(hub);
    hub->chosen_ns = hub->ahead_until_ns = 0;
    hub->poller = &fbl_poller_epoll;
    hub->poller_fd = hub->wake_fd = hub->signal_fds[0] = hub->signal_fds[1] = -1;
    hub->wants_signals = false;
    hub->poller_data = NULL;
    hub->eagerness = 0;
    hub->fds = NULL;
    hub->fds_length = 0;
    fbl_list_init(&hub->ready);
    fbl_list_init(&hub->ahead);
    fbl_list_init(&hub->idle);
    fbl_list_init(&hub->fibers);
    hub->stack_bytes = stack_bytes;
    hub->stack_bytes_least = stack_bytes_least;
    hub->is_short = false;
    fbl_stack_pool_init(&hub->stacks, stack_bytes);
    fbl_fiber_init(main, hub);
    main->state = FBL_FIBER_RUNNING;
    hub->main = hub->current = main;
    hub->is_lent = false;
}

/* The thread ends, and its hub is in the real world. Fibers that still have stacks are the
 * embedder's to unwind or to leak. */
void fbl_hub_close(fbl_hub *hub)
{
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    fbl_timer_clear(hub);
    fbl_fd_clear(hub);
    fbl_stack_pool_clear(&hub->stacks);
}

/* Fires what is due. Returns how long may be slept: 0 if somebody is ready, FBL_NEVER if only the
 * outside can make somebody ready. */
uint64_t fbl_hub_prepare(fbl_hub *hub)
{
    fbl_timer_fire_due(hub);
    if (!fbl_list_is_empty(&hub->ready))
        return 0;
    uint64_t next_ns = fbl_timer_next(hub);
    if (next_ns == FBL_NEVER)
        return FBL_NEVER;
    uint64_t now_ns = hub->now(hub);
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

/* Asks the kernel; sleeps if timeout_ns is not 0. Returns how many events it gave, or an error. */
int fbl_hub_block(fbl_hub *hub, uint64_t timeout_ns)
{
    if (timeout_ns == 0 && (hub->fd_waiter_count == 0 || !hub->is_open))
        return 0; /* nobody to be told: save the system call */
    int rc = fbl_hub_open(hub);
    if (rc < 0)
        return rc;
    if (timeout_ns == 0)
        return hub->poller->wait(hub, 0);
    hub->is_blocked = true;
    fbl_embed_block(hub);
    rc = hub->poller->wait(hub, timeout_ns);
    fbl_embed_unblock(hub);
    hub->is_blocked = false;
    return rc;
}

void fbl_hub_dispatch(fbl_hub *hub, int count)
{
    for (int i = 0; i < count; i++)
        fbl_fd_event(hub, &hub->events[i]);
}

/* Gives the kernel back what this thread's stacks hold and do not need: pages below the frames of
 * fibers that are away, which they touched when they were deeper, and all free stacks. */
void fbl_hub_trim(fbl_hub *hub)
{
    for (fbl_link *link = hub->fibers.next; link != &hub->fibers; link = link->next) {
        fbl_fiber *fiber = fbl_container_of(link, fbl_fiber, all);
        if (fiber != hub->current && fiber->stack != NULL)
            fbl_stack_trim(fiber->stack, fiber->context.sp);
    }
    fbl_stack_pool_trim(&hub->stacks);
}

/* Is nobody ready, and nothing under way that counts? Timers and watches may be started still, if
 * they are aside. */
bool fbl_hub_is_idle(const fbl_hub *hub)
{
    int64_t count = (int64_t)hub->timer_count + hub->fd_waiter_count + hub->expected;
    return fbl_list_is_empty(&hub->ready) && count + hub->kept_count <= 0;
}

static void hub_ask(fbl_hub *hub, uint64_t timeout_ns)
{
    int count = fbl_hub_block(hub, timeout_ns);
    if (fbl_likely(count >= 0))
        fbl_hub_dispatch(hub, count);
    else if (count != -EDEADLK || !fbl_embed_stalled(hub, &timeout_ns))
        fbl_embed_interrupted(hub, count);
}

/* Nobody is ready, and somebody waits for just that: the kernel is asked first, and if it has
 * nothing to tell for the length of the cushion, this is the moment. */
static void hub_turn_idle(fbl_hub *hub, uint64_t timeout_ns)
{
    uint64_t cushion_ns = fbl_idle_cushion(hub), since_ns = hub->now(hub);
    hub_ask(hub, timeout_ns < cushion_ns ? timeout_ns : cushion_ns);
    uint64_t now_ns = hub->now(hub);
    if (fbl_list_is_empty(&hub->ready) && now_ns - since_ns >= cushion_ns &&
        fbl_timer_next(hub) > now_ns)
        fbl_idle_fire(hub);
}

static void hub_turn(fbl_hub *hub)
{
    hub->turn_count++;
    uint64_t timeout_ns = fbl_hub_prepare(hub);
    if (fbl_unlikely(hub->is_observed))
        timeout_ns = fbl_embed_turn_begins(hub, timeout_ns);
    if (timeout_ns > 0 && fbl_unlikely(fbl_stack_pool_clean(&hub->stacks)))
        hub_ask(hub, 0); /* before it sleeps, and not at the cost of who might be ready by now */
    else if (fbl_unlikely(!fbl_list_is_empty(&hub->idle)) && timeout_ns > 0)
        hub_turn_idle(hub, timeout_ns);
    else if (fbl_unlikely(fbl_hub_is_idle(hub)) && fbl_embed_stalled(hub, &timeout_ns))
        return;
    else
        hub_ask(hub, timeout_ns);
    if (fbl_unlikely(hub->is_observed))
        fbl_embed_turn_ends(hub);
}

static void hub_plan_glance(fbl_hub *hub)
{
    hub->glance_count = hub->switch_count + (hub->is_laden ? 1 : FBL_HUB_STEP);
}

/* Is it time to ask the kernel, though somebody is ready? */
static bool hub_is_late(fbl_hub *hub)
{
    if (hub->switch_count >= hub->look_count) {
        hub->is_laden = false;
        return true;
    }
    bool is_late = (int64_t)(fbl_hub_glance(hub) - hub->looked_ns) >= FBL_HUB_LATE_NS;
    hub->is_laden |= is_late;
    hub_plan_glance(hub);
    return is_late;
}

/* Nobody is ready, or the clock is to be glanced at. */
static __attribute__((noinline)) void hub_look(fbl_hub *hub)
{
    bool is_somebody_ready = !fbl_list_is_empty(&hub->ready);
    if (is_somebody_ready && !hub_is_late(hub))
        return;
    hub->is_laden &= is_somebody_ready;
    hub->is_looking = is_somebody_ready;
    hub->look_count =
        hub->switch_count + FBL_HUB_BUDGET; /* whom the turn calls may want it sooner */
    hub_plan_glance(hub);
    hub_turn(hub);
    hub->is_looking = false;
    hub->looked_ns = fbl_hub_glance(hub);
}

/* Has the kernel be asked at the next choice. */
void fbl_hub_look_soon(fbl_hub *hub) { hub->look_count = hub->glance_count = hub->switch_count; }

/* Who runs next; asks the kernel if nobody is ready, or if it was not asked for long. Called by a
 * fiber that leaves, which may itself be the answer. A NEW fiber gets its stack, unless the current
 * one ends (`is_end`) and can hand over its own. */
static fbl_fiber *hub_choose(fbl_hub *hub, bool is_end)
{
    for (;;) {
        if (fbl_list_is_empty(&hub->ready) || hub->switch_count >= hub->glance_count) {
            hub_look(hub);
            continue;
        }
        hub->switch_count++;
        fbl_fiber *fiber = fbl_ready_take(hub);
        assert(fiber->state != FBL_FIBER_PARKED || fiber->wake != FBL_WAKE_NONE);
        if (fbl_likely(fiber->state != FBL_FIBER_NEW || (is_end && fbl_fiber_fits(fiber))))
            return fiber;
        int rc = fbl_fiber_prepare(fiber);
        if (fbl_likely(rc == 0))
            return fiber;
        fbl_embed_stillborn(fiber, rc);
    }
}

/* The same, for the fiber that leaves. It must not be RUNNING any more: the hub runs strangers'
 * code (handlers of signals, destructors, reports), and whoever is RUNNING may switch away. */
fbl_fiber *fbl_hub_next(fbl_hub *hub, bool is_end)
{
    assert(hub->current->state == (is_end ? FBL_FIBER_DONE : FBL_FIBER_PARKED));
    assert(!hub->is_choosing);
    fbl_assert_only(hub->is_choosing = true);
    fbl_fiber *next = hub_choose(hub, is_end);
    fbl_assert_only(hub->is_choosing = false);
    return next;
}

/* The process forked, and the hub's fibers go on in the child, with a poller of its own: the
 * kernel's is the parent's, too. What other threads were about to do is not expected any more. */
int fbl_hub_renew(fbl_hub *hub)
{
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    hub->expected = 0;
    int rc = fbl_hub_open(hub);
    if (rc == 0)
        fbl_fd_renew(hub);
    return rc;
}

/* The process forked, or the thread ends: only `survivor` goes on. The others' stacks stay as they
 * are (their frames may be looked at), but nobody will ever run them, and no list names them. */
void fbl_hub_abandon(fbl_hub *hub, fbl_fiber *survivor)
{
    fbl_link *link = hub->fibers.next;
    while (link != &hub->fibers) {
        fbl_fiber *fiber = fbl_container_of(link, fbl_fiber, all);
        link = link->next;
        if (fiber != survivor)
            fbl_fiber_lose(fiber);
    }
    if (hub->is_open)
        hub->poller->close(hub);
    hub->is_open = false;
    fbl_fd_clear(hub);
    hub->fd_waiter_count = 0;
    hub->kept_count = 0;
    hub->expected = 0;
}
