/*
 * fd_wait.c: waiting for file descriptors from Python, and telling every hub that one is closed.
 *
 * Two ways to wait, as in park.c: for a descriptor of ours (`owned`: its close calls fd_forget, and
 * the caller has just found it empty), and for anybody's. Threads: each waits in its own hub;
 * fd_forget reaches all of them (the GIL is the lock).
 */
#include "python/io/fd_wait.h"

#include <poll.h>

/* For reports, by direction. */
static const char *const FD_VERBS[] = {
    [FBL_READ] = "to read from",
    [FBL_WRITE] = "to write to",
    [FBL_READ | FBL_WRITE] = "to read from or write to",
};

/* 0: ready; 1: the deadline; 2: *err is to be told, -EBADF if the descriptor was forgotten
 * meanwhile; -1: an exception that was thrown at the fiber, or it may not wait. */
static int fd_try_wait(const fd_wish *wish, uint64_t deadline_ns, int *err)
{
    fbl_thread *thread = wish->thread;
    fbl_fd *entry;
    *err = fbl_fd_get(&thread->hub, wish->fd, &entry);
    if (*err < 0)
        return 2;
    fbl_record *self = thread_current(thread);
    if (fiber_may_block(thread) < 0)
        return -1;
    if (fbl_unlikely(self->thrown != NULL))
        return fiber_raise_thrown(self);
    self->core.verb = FD_VERBS[wish->direction];
    self->core.subject = NULL;
    self->core.fd = wish->fd;
    fbl_wake why;
    if (wish->is_owned)
        why = fbl_fd_wait(&thread->hub, entry, wish->direction, deadline_ns, err);
    else
        why = fbl_fd_foreign_wait(&thread->hub, entry, wish->direction, deadline_ns, err);
    if (fbl_unlikely(*err != 0)) {
        self->core.verb = NULL;
        return 2;
    }
    int rc = fiber_unparked(thread, why);
    *err = -EBADF;
    return rc;
}

/* 0: ready; 1: the deadline; -1: an exception. */
static int fd_wait(const fd_wish *wish, uint64_t deadline_ns)
{
    int err;
    int rc = fd_try_wait(wish, deadline_ns, &err);
    if (fbl_likely(rc < 2))
        return rc;
    errors_os(err);
    return -1;
}

/* What the kernel says now; an end or an error is to be found by trying, so it counts as ready. A
 * signal that comes just then says nothing: who took it for ready would keep the thread. */
static bool fd_is_ready(int fd, unsigned direction)
{
    struct pollfd entry = {.fd = fd, .events = direction == FBL_READ ? POLLIN : POLLOUT};
    int count;
    do
        count = poll(&entry, 1, 0);
    while (count < 0 && errno == EINTR);
    return count != 0;
}

/* Who has written a part, and is told how much, meets the exception at his next wait; what a signal
 * handler raised, as soon as the call is over. */
static void fd_put_off(fbl_thread *thread, bool is_signalled)
{
    PyObject *exception = PyErr_GetRaisedException();
    is_signalled = is_signalled || exception == thread->interrupt;
    if (fiber_throw_later(thread_current(thread), exception) < 0)
        PyErr_WriteUnraisable(NULL);
    else if (is_signalled)
        interrupt_soon(thread, exception);
    Py_DECREF(exception);
}

static PyObject *fd_call_wait(PyObject *args, PyObject *kwargs, unsigned direction)
{
    static char *names[] = {"fd", "timeout", "owned", NULL};
    int fd, is_owned = 0;
    PyObject *timeout = Py_None;
    fbl_thread *thread = thread_get();
    uint64_t deadline_ns;
    if (thread == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "i|Op", names, &fd, &timeout, &is_owned) ||
        seconds_to_deadline(thread, timeout, &deadline_ns) < 0)
        return NULL;
    fbl_fd *entry;
    if (is_owned && fbl_fd_get(&thread->hub, fd, &entry) == 0)
        entry->ready &= (uint8_t)~direction; /* as the caller has just found */
    int rc = fd_wait(&(fd_wish){thread, fd, direction, is_owned}, deadline_ns);
    return rc < 0 ? NULL : PyBool_FromLong(rc == 0);
}

static PyObject *module_wait_read(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    return fd_call_wait(args, kwargs, FBL_READ);
}

static PyObject *module_wait_write(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    return fd_call_wait(args, kwargs, FBL_WRITE);
}

static PyObject *module_wait_readwrite(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    return fd_call_wait(args, kwargs, FBL_READ | FBL_WRITE);
}

static PyObject *module_may_wait(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    bool may_wait = thread != NULL && fiber_may_block(thread) == 0;
    PyErr_Clear();
    return PyBool_FromLong(may_wait);
}

/* It is about to be closed, or new: in every thread, nobody is to wait for what it was; who does
 * gets EBADF. */
static void fd_forget(int fd)
{
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        fbl_fd_forget(&fbl_container_of(link, fbl_thread, threads)->hub, fd);
}

static PyObject *module_fd_forget(PyObject *module, PyObject *number)
{
    (void)module;
    int fd = PyObject_AsFileDescriptor(number);
    if (fd < 0) {
        if (PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear(); /* -1: a closed socket has nothing to forget */
            Py_RETURN_NONE;
        }
        return NULL;
    }
    fd_forget(fd);
    Py_RETURN_NONE;
}
