/*
 * signal_wait.c: waiting for signals: for one that is handled, and for some that are blocked.
 *
 * The idea: whoever has called a handler tells those who wait for that (signal_tell). The kernel
 * tells of a blocked signal who waits in it, or who polls a descriptor made for that. Such a one is
 * made for one wait, and only polled: what is pending is taken by sigtimedwait(), as ever.
 *   - A signal that was sent to one native thread is told to that thread's poller only.
 *
 * Threads: any; each waits for handlers of its own, which the main one has. Do not add: handlers;
 * which signals are blocked.
 */
#include "python/io/signal_wait.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIGNAL_COUNT 64 /* the kernel's; a set is that many bits */

/* ---- that are handled ---- */

/* A handler has been called. */
static void signal_tell(fbl_thread *thread)
{
    while (fbl_waiter_fire_first(&thread->handler_ends))
        continue;
}

/* What signal.pause() does. */
static PyObject *module_wait_signal(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_waiter waiter;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    fbl_park park = {.deadline_ns = FBL_NEVER,
                     .verb = "for a signal that is handled",
                     .waiter = &waiter,
                     .list = &thread->handler_ends};
    if (fiber_park_wait(thread, &park) == PARK_RAISED)
        return NULL;
    Py_RETURN_NONE;
}

/* A handler that is none of ours has been called. */
static PyObject *module_signal_handled(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (fbl_this_thread != NULL)
        signal_tell(fbl_this_thread);
    Py_RETURN_NONE;
}

/* ---- that are blocked ---- */

/* -1: an exception. */
static int signal_fd_add(uint64_t *set, PyObject *number)
{
    long signal = PyLong_AsLong(number);
    if (signal == -1 && PyErr_Occurred())
        return -1;
    if (signal >= 1 && signal <= SIGNAL_COUNT) {
        *set |= (uint64_t)1 << (signal - 1);
        return 0;
    }
    errors_refuse(PyExc_ValueError, "signal number %ld out of range [1; %d]", signal, SIGNAL_COUNT);
    return -1;
}

/* By its number: the C library's set has more bits than the kernel's. */
static PyObject *module_signal_fd(PyObject *module, PyObject *signals)
{
    (void)module;
    if (!PyTuple_Check(signals))
        return errors_refuse(PyExc_TypeError, "signal_fd() takes a tuple of numbers");
    uint64_t set = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(signals); i++)
        if (signal_fd_add(&set, PyTuple_GET_ITEM(signals, i)) < 0)
            return NULL;
    int fd = (int)syscall(SYS_signalfd4, -1, &set, sizeof set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? errors_os(-errno) : PyLong_FromLong(fd);
}
