/*
 * clock.c: the clock of a thread's hub, and the simulated world, as fibril.testing and whoever
 * counts time see them.
 *
 * The idea: everything that waits takes its deadlines from the hub's clock, so exchanging that and
 * the poller (poll/sim.c) puts a whole thread into a world where time costs nothing. Clocks of the
 * standard library are not touched.
 * Callers: fibril.testing, fibril.deadline; on the hub's own thread.
 * Do not add: policy about who may enter such a world, and what becomes of whom: fibril/testing.py.
 */
#include "python/hub/hub.h"

static PyObject *module_now(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : PyFloat_FromDouble((double)thread->hub.now(&thread->hub) / 1e9);
}

static PyObject *module_now_ns(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : PyLong_FromUnsignedLongLong(thread->hub.now(&thread->hub));
}

static PyObject *module_deadline_ns(PyObject *module, PyObject *seconds)
{
    (void)module;
    uint64_t deadline_ns;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    if (!timeout_take_over(seconds, &deadline_ns) &&
        seconds_to_deadline(thread, seconds, &deadline_ns) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(deadline_ns);
}

static PyObject *module_sim_install(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    int rc = fbl_sim_install(&thread->hub);
    return rc < 0 ? errors_os(rc) : Py_NewRef(Py_None);
}

static PyObject *module_sim_remove(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    fbl_sim_remove(&thread->hub);
    Py_RETURN_NONE;
}

static PyObject *module_sim_feed(PyObject *module, PyObject *args)
{
    (void)module;
    int fd, ready;
    fbl_thread *thread = thread_get();
    if (thread == NULL || !PyArg_ParseTuple(args, "ii:sim_feed", &fd, &ready))
        return NULL;
    int rc = fbl_sim_feed(&thread->hub, fd, (unsigned)ready);
    return rc < 0 ? errors_os(rc) : Py_NewRef(Py_None);
}
