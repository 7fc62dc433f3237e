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
 * Threads: any. Not in the hub's own fiber, nor inside the hub: there nobody can give way.
 * Do not add: calls that compute. This is no time slice.
 */
#ifndef FBL_SPIN_H
#define FBL_SPIN_H

#include "python/hub/hub.h"

#define SPIN_POLLS 256u       /* a power of two */
#define SPIN_NS 5000000u      /* as long as CPython lets a thread keep the GIL */

/* -1: while others had their turn, an exception came for this fiber. */
static __attribute__((noinline)) int spin_look_wait(fbl_thread *thread)
{
    fbl_hub *hub = &thread->hub;
    fbl_spin *spin = &thread->spin;
    uint64_t now_ns = fbl_hub_now(hub);
    if (spin->fiber != hub->current || spin->switch_count != hub->switch_count) {
        *spin = (fbl_spin){spin->poll_count, hub->current, hub->switch_count, now_ns};
        return 0;
    }
    if (now_ns - spin->since_ns < SPIN_NS || hub->current->state != FBL_FIBER_RUNNING ||
        thread_current(thread) == thread->hub_fiber)
        return 0;
    hub->look_count = hub->switch_count; /* the kernel and the timers, too */
    PyObject *done = sleep_now_wait(thread);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Called before a primitive is looked at without waiting. -1: an exception. */
static inline int spin_poll_wait(void)
{
    fbl_thread *thread = fbl_this_thread;
    if (fbl_likely(thread == NULL || (++thread->spin.poll_count & (SPIN_POLLS - 1)) != 0))
        return 0;
    return spin_look_wait(thread);
}

#endif
