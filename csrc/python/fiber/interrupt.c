/*
 * interrupt.c: an exception that a thread's main fiber must meet soon, also where it does not wait.
 *
 * The idea: what is thrown at a parked fiber wakes it, and what is thrown at one that could go on
 * takes away what it was woken with. That is right for timeouts and kills. What a signal handler
 * raises is different. Had main been a thread of its own, it would have gone on when it was woken,
 * and would have been interrupted where it is by now. So a main that is ready comes back from its
 * wait as if nothing had happened, and meets the exception where it waits next; or, if it does not
 * soon, before one of its next instructions, where CPython calls us.
 *
 * Threads: the process's main one; pending calls run nowhere else.
 * Do not add: other fibers. Their code between two waits counts on being left alone.
 */
#include "python/fiber/record.h"

#define INTERRUPT_NS 5000000u /* for so long main may go on without a wait */

/* Called before an instruction of whoever runs. Once main has waited it has met the exception, or
 * will when it is back. A queue that is full (32 calls) leaves it to main's next wait. */
static int interrupt_meet(void *unused)
{
    (void)unused;
    fbl_thread *thread = fbl_this_thread;
    if (thread == NULL || thread->interrupt == NULL || !record_is_running(thread->main))
        return 0;
    bool is_pending = thrown_find(thread->main, thread->interrupt) >= 0;
    if (is_pending && fbl_hub_now(&thread->hub) < thread->interrupt_ns) {
        (void)Py_AddPendingCall(interrupt_meet, NULL);
        return 0;
    }
    PyObject *exception = thread->interrupt;
    thread->interrupt = NULL;
    if (is_pending) {
        fiber_take_back(thread->main, exception);
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    }
    Py_DECREF(exception);
    return is_pending ? -1 : 0;
}

/* What was thrown at the running main is raised as soon as its call has returned, if a handler has
 * raised it: as CPython does after a call that a signal has cut short. */
static void interrupt_soon(fbl_thread *thread, PyObject *exception)
{
    if (thread_current(thread) != thread->main)
        return;
    Py_XSETREF(thread->interrupt, Py_NewRef(exception));
    thread->interrupt_ns = 0;
    (void)Py_AddPendingCall(interrupt_meet, NULL);
}

/* The current fiber is back from where it did not raise. */
static __attribute__((noinline)) void interrupt_ask(fbl_thread *thread)
{
    if (thread_current(thread) != thread->main)
        return;
    thread->main->keeps_thrown = false;
    thread->interrupt_ns = fbl_hub_now(&thread->hub) + INTERRUPT_NS;
    (void)Py_AddPendingCall(interrupt_meet, NULL);
}

/* Throws at main, which is not running. It is the next to run, or comes after whoever is that. */
static void interrupt_main(fbl_thread *thread, PyObject *exception, bool is_second)
{
    fbl_record *main = thread->main;
    fbl_link *ready = &thread->hub.ready;
    bool goes_on = fbl_fiber_is_ready(&main->core) && main->thrown == NULL;
    if (fiber_throw_later(main, exception) < 0) {
        PyErr_WriteUnraisable(main->self);
        return;
    }
    bool is_first = ready->next == &main->core.ready;
    main->keeps_thrown = goes_on;
    PyObject *former = thread->interrupt;
    thread->interrupt = Py_NewRef(exception);
    fbl_ready_advance(&main->core, is_second && !is_first ? ready->next : ready);
    Py_XDECREF(former); /* last: runs any code, which may let main run */
}
