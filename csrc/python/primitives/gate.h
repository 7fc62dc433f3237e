/*
 * gate.h: permits that are handed on in order: what Semaphore, RLock and hooked queues are made of.
 *
 * The idea: a count of free permits, and fibers that wait for one in order. A release hands its
 * permit straight to the first who waits, without raising the count, so nobody can overtake and
 * nobody waits in vain. A fiber that was handed a permit and is then killed, before it ran, hands
 * it on. Uncontended, taking one is a comparison and a decrement.
 * Threads: any; a waiter of another thread is woken through its own hub.
 */
#ifndef FBL_GATE_H
#define FBL_GATE_H

#include "python/fiber/record.h"

typedef struct {
    Py_ssize_t count;    /* free permits; below 0: so many that come back are not free again */
    fbl_link acquirers; /* waiters that want a permit, in order */
    fbl_link watchers;  /* waiters that only want to know when one is free */
    bool was_waited_for; /* has anybody waited, or linked? For the attribute `hub` alone */
} fbl_gate;

static inline void gate_init(fbl_gate *gate, Py_ssize_t count)
{
    gate->count = count;
    fbl_list_init(&gate->acquirers);
    fbl_list_init(&gate->watchers);
}

static inline void gate_tell_watchers(fbl_gate *gate)
{
    while (fbl_waiter_fire_first(&gate->watchers))
        ;
}

static inline void gate_release(fbl_gate *gate)
{
    if (fbl_unlikely(gate->count < 0)) {
        gate->count++;
        return;
    }
    gate_tell_watchers(gate);
    if (!fbl_waiter_fire_first(&gate->acquirers))
        gate->count++;
}

static inline bool gate_try(fbl_gate *gate)
{
    if (fbl_unlikely(gate->count <= 0))
        return false;
    gate->count--;
    return true;
}

/* PARK_FIRED: it has a permit. For one that it may not wait for it is late at once. */
static inline fbl_parked gate_acquire_wait(fbl_gate *gate, fbl_call *call, int blocking,
                                           PyObject *timeout)
{
    fbl_waiter waiter = {0};
    fbl_park park = {FBL_NEVER, "to acquire", call->self, &waiter, &gate->acquirers, NULL};
    fbl_thread *thread = NULL;
    if (!blocking || gate->count > 0)
        return gate_try(gate) ? PARK_FIRED : PARK_LATE;
    if ((thread = call_prepare_wait(call, timeout, &park)) == NULL)
        return PARK_RAISED;
    gate->was_waited_for = true;
    if (gate_try(gate))
        return PARK_FIRED;
    fbl_parked how = call_park_wait(thread, call, &park);
    if (fbl_unlikely(how != PARK_FIRED && waiter.is_fired))
        gate_release(gate); /* handed over and killed at once: on to the next */
    return how;
}

static inline int gate_visit(const fbl_gate *gate, visitproc visit, void *arg)
{
    int rc = waiters_visit(&gate->acquirers, visit, arg);
    return rc != 0 ? rc : waiters_visit(&gate->watchers, visit, arg);
}

#endif
