/*
 * spin.h: a fiber that only polls cannot keep the thread for ever.
 *
 * The idea: `while not queue.empty()`, `while not lock.acquire(False)` and `while not
 * event.is_set()` wait for somebody who never gets his turn. So calls that look at a primitive and
 * come back at once are counted. Every SPIN_POLLS of them the clock is looked at; where the same
 * fiber has had the thread for longer than SPIN_NS, with no switch in between, it gives way once:
 * to who is ready, and to the kernel and the timers. A loop that polls now and then notices
 * nothing; one that does nothing else costs 5 ms before its first turn goes to somebody else.
 *
 * Who only looks does not expect an exception: what is thrown at the fiber meanwhile (a timeout, a
 * kill) waits for its next wait. And no turn is given from where nobody would expect one: inside a
 * tracer's callback, an import, a finalizer, a signal handler (fibril._hub.fairness tells of two).
 *
 * Threads: any. Not in the hub's own fiber, nor inside the hub: there nobody can give way.
 * Do not add: calls that compute. This is no time slice.
 */
#ifndef FBL_SPIN_H
#define FBL_SPIN_H

#include "python/hub/hub.h"

#define SPIN_POLLS 256u       /* a power of two */
#define SPIN_NS 5000000u      /* as long as CPython lets a thread keep the GIL */

/* Is this a place where a turn may be given? */
static bool spin_is_welcome(const fbl_thread *thread)
{
    if (thread->ts->tracing > 0 || thread_current(thread)->handler_depth > 0 ||
        fbl_may_give_way == NULL)
        return false;
    PyObject *answer = PyObject_CallNoArgs(fbl_may_give_way);
    if (answer == NULL)
        PyErr_WriteUnraisable(fbl_may_give_way);
    bool is_welcome = answer == Py_True;
    Py_XDECREF(answer);
    return is_welcome;
}

static __attribute__((noinline)) void spin_look_wait(fbl_thread *thread)
{
    fbl_hub *hub = &thread->hub;
    fbl_spin *spin = &thread->spin;
    uint64_t now_ns = fbl_hub_now(hub);
    if (spin->fiber != hub->current || spin->switch_count != hub->switch_count) {
        *spin = (fbl_spin){spin->poll_count, hub->current, hub->switch_count, now_ns};
        return;
    }
    if (now_ns - spin->since_ns < SPIN_NS || !spin_is_welcome(thread))
        return;
    fbl_hub_look_soon(hub); /* the kernel and the timers, too */
    fiber_give_way_wait(thread);
}

/* Called before a primitive is looked at without waiting. Raises nothing. */
static inline void spin_poll_wait(void)
{
    fbl_thread *thread = fbl_this_thread;
    if (fbl_unlikely(thread != NULL && (++thread->spin.poll_count & (SPIN_POLLS - 1)) == 0))
        spin_look_wait(thread);
}

#endif
