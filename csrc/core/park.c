/*
 * park.c: leaving until woken: all of the core that parks.
 *
 * The idea: there is one way out. Whatever a fiber waits for, it has first put waiters into lists,
 * or itself among the ready, and then it leaves as PARKED, for whom fbl_hub_next names; that may be
 * itself. It comes back when somebody has woken it (waiter.c), and `wake` says why.
 *
 * Invariants: who comes back is in no list any more, and its timer is not started; the waker, or
 * whoever switched to it by hand, has seen to that. Its floating-point modes are its own again.
 * Callers: the fiber that waits, while it is RUNNING; on its hub's own thread.
 *
 * Do not add: what wakes. It must not switch, and what is here does.
 */
#include "core/switch/enter.h"

#include <errno.h>

/* Gives the thread to others until the fiber is ready again. */
static void fiber_leave_wait(fbl_hub *hub)
{
    fbl_fiber *self = hub->current;
    self->state = FBL_FIBER_PARKED;
    self->is_held = true;
    fbl_fiber *next = fbl_hub_next(hub, false);
    if (next != self) {
        uint64_t float_modes = fbl_float_modes();
        if (next->state == FBL_FIBER_NEW)
            fbl_float_restore(hub->float_modes);
        fbl_fiber_enter_switch(next);
        fbl_float_restore(float_modes);
        return;
    }
    self->state = FBL_FIBER_RUNNING;
    self->is_held = false;
    fbl_embed_stay(self);
}

/* Parks the current fiber until one of its waiters fires, or the deadline. */
fbl_wake fbl_park_wait(fbl_hub *hub, uint64_t deadline_ns)
{
    fbl_fiber *self = hub->current;
    assert(self->state == FBL_FIBER_RUNNING);
    if (deadline_ns != FBL_NEVER)
        fbl_timer_start(hub, &self->timer, deadline_ns);
    self->wake = FBL_WAKE_NONE;
    fiber_leave_wait(hub);
    assert(self->wake != FBL_WAKE_NONE && self->waiters == NULL);
    return self->wake;
}

/* Lets everybody run who is ready now, then goes on. */
fbl_wake fbl_yield_wait(fbl_hub *hub)
{
    fbl_fiber *self = hub->current;
    self->wake = FBL_WAKE_FIRED;
    assert(!fbl_fiber_is_ready(self)); /* those behind it would be lost */
    fbl_list_append(&hub->ready, &self->ready); /* who gives way overtakes nobody */
    fiber_leave_wait(hub);
    return self->wake;
}

/* ---- descriptors ---- */

static fbl_wake fd_park_wait(fbl_hub *hub, fbl_fd *entry, unsigned direction, uint64_t deadline_ns)
{
    fbl_waiter reader, writer;
    fbl_fiber *self = hub->current;
    if (direction & FBL_READ)
        fbl_waiter_add(&reader, hub, &entry->readers);
    if (direction & FBL_WRITE)
        fbl_waiter_add(&writer, hub, &entry->writers);
    self->is_fd_wait = true;
    hub->fd_waiter_count++;
    fbl_wake why = fbl_park_wait(hub, deadline_ns);
    hub->fd_waiter_count--;
    self->is_fd_wait = false;
    return why;
}

/* Has the poller report it. False: there is nothing to wait for, and *why says the rest: what
 * cannot be polled (a regular file, -EPERM) is always ready; a failure is NONE, and in *err. */
static bool fd_may_wait(fbl_hub *hub, fbl_fd *entry, fbl_wake *why, int *err)
{
    int rc = fbl_fd_register(hub, entry);
    *why = rc == -EPERM ? FBL_WAKE_FIRED : FBL_WAKE_NONE;
    if (rc < 0 && rc != -EPERM)
        *err = rc;
    return rc == 0;
}

/* Parks until the descriptor of ours may be tried again, in one of the directions. The caller has
 * just found it empty and cleared its `ready` bits. A failure to register is told through `err`,
 * with FBL_WAKE_NONE. */
fbl_wake fbl_fd_wait(fbl_hub *hub, fbl_fd *entry, unsigned direction, uint64_t deadline_ns,
                     int *err)
{
    assert(direction != 0 && (direction & ~(unsigned)(FBL_READ | FBL_WRITE)) == 0);
    if (entry->ready & direction)
        return FBL_WAKE_FIRED;
    fbl_wake why;
    if (!entry->is_registered && !fd_may_wait(hub, entry, &why, err))
        return why;
    return fd_park_wait(hub, entry, direction, deadline_ns);
}

/* The same for a descriptor that somebody else owns: nothing remembered is believed. */
fbl_wake fbl_fd_foreign_wait(fbl_hub *hub, fbl_fd *entry, unsigned direction, uint64_t deadline_ns,
                             int *err)
{
    fbl_wake why;
    if (!fd_may_wait(hub, entry, &why, err))
        return why;
    return fd_park_wait(hub, entry, direction, deadline_ns);
}

/* ---- the idle moment ---- */

/* Parks until the hub has nothing else to do. The caller has set cushion and priority. */
fbl_wake fbl_idle_wait(fbl_hub *hub, fbl_idle *idle)
{
    fbl_waiter_add(&idle->waiter, hub, fbl_idle_place(hub, idle));
    return fbl_park_wait(hub, FBL_NEVER);
}
