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
    Py_ssize_t count;    /* free permits */
    fbl_link acquirers; /* waiters that want a permit, in order */
    fbl_link watchers;  /* waiters that only want to know when one is free */
} fbl_gate;

static inline void gate_init(fbl_gate *gate, Py_ssize_t count)
{
    gate->count = count;
    fbl_list_init(&gate->acquirers);
    fbl_list_init(&gate->watchers);
}

static inline void gate_release(fbl_gate *gate)
{
    while (fbl_waiter_fire_first(&gate->watchers))
        ;
    if (!fbl_waiter_fire_first(&gate->acquirers))
        gate->count++;
}

/* 0: has a permit; 1: the deadline; -1: an exception. */
static inline int gate_acquire_wait(fbl_gate *gate, fbl_thread *thread, PyObject *owner,
                                    PyObject *timeout)
{
    uint64_t deadline_ns;
    if (seconds_to_deadline(thread, timeout, &deadline_ns) < 0)
        return -1;
    fbl_waiter waiter = {0};
    fbl_park park = {deadline_ns, "to acquire", owner, &waiter, &gate->acquirers};
    int rc = fiber_park_wait(thread, &park);
    if (fbl_unlikely(rc != 0 && waiter.is_fired))
        gate_release(gate); /* handed over and killed at once: on to the next */
    return rc;
}

static inline int gate_visit(const fbl_gate *gate, visitproc visit, void *arg)
{
    int rc = waiters_visit(&gate->acquirers, visit, arg);
    return rc != 0 ? rc : waiters_visit(&gate->watchers, visit, arg);
}

#endif
