/*
 * lock_type.c: LockType: the lock that stands for threading.Lock.
 *
 * The idea: a semaphore of one permit that refuses one given back while it is free, and has the
 * standard library's names, arguments (a timeout of -1 is for ever) and errors.
 * Threads: any. Do not add: an owner. Whoever likes may give it back, as in the standard library.
 */
#include "python/hub/spin.h"
#include "python/primitives/semaphore.h"

#define LOCK_SECONDS_MAX 9223372036.0 /* the standard library's TIMEOUT_MAX */

/* As the standard library has it, -1 is for ever; for the semaphore that is None. */
static int lock_read_timeout(int blocking, PyObject **timeout)
{
    double seconds = *timeout == NULL ? -1 : PyFloat_AsDouble(*timeout);
    if (seconds == -1) {
        *timeout = Py_None;
        return PyErr_Occurred() ? -1 : 0;
    }
    if (!blocking)
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
    else if (seconds < 0)
        PyErr_SetString(PyExc_ValueError, "timeout value must be a non-negative number");
    else if (seconds > LOCK_SECONDS_MAX)
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
    else
        return 0;
    return -1;
}

static PyObject *lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    if (fbl_likely(count == 0 && names == NULL))
        return semaphore_called_acquire_wait(self, NULL, 0, NULL);
    fbl_call call = {self, args, vector_length(count, names), NULL};
    PyObject *timeout = NULL;
    int blocking = acquire_read(&call, names, "acquire(blocking=True, timeout=-1)", &timeout);
    if (blocking < 0 || lock_read_timeout(blocking, &timeout) < 0)
        return NULL;
    if (!blocking)
        spin_poll_wait();
    return semaphore_acquire_wait(&call, blocking, timeout);
}

static PyObject *lock_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (fbl_unlikely(semaphore_gate(self)->count > 0))
        return errors_refuse(PyExc_RuntimeError, "release unlocked lock");
    return semaphore_give(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return lock_release(self, NULL);
}

static int lock_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {NULL};
    return PyArg_ParseTupleAndKeywords(args, kwargs, ":LockType", names) ? 0 : -1;
}

/* In the child of a fork nobody is left who could give it back. */
static PyObject *lock_reinit(PyObject *self, PyObject *unused)
{
    (void)unused;
    semaphore_gate(self)->count = 1;
    Py_RETURN_NONE;
}

static PyObject *lock_repr(PyObject *self)
{
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__module__");
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__qualname__");
    PyObject *text = NULL;
    if (module != NULL && name != NULL)
        text = PyUnicode_FromFormat("<%s %U.%U object at %p>",
                                    semaphore_gate(self)->count > 0 ? "unlocked" : "locked", module,
                                    name, self);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return text;
}

PyDoc_STRVAR(lock_acquire_doc,
             "acquire($self, /, blocking=True, timeout=-1)\n--\n\n"
             "Take the lock; False if it is taken and may not be waited for, or not any longer.\n\n"
             "timeout: seconds to wait at most, -1 for ever.\n\n"
             "Switches: if it must wait. Threads: any. Raises ValueError for a timeout below 0, or "
             "without\nblocking, OverflowError for one above TIMEOUT_MAX.");
PyDoc_STRVAR(lock_release_doc, "release($self, /)\n--\n\n"
                               "Give the lock back. Need not be who took it.\n\n"
                               "Switches: never. Threads: any. Raises RuntimeError if nobody has "
                               "it.");
PyDoc_STRVAR(lock_locked_doc, "locked($self, /)\n--\n\n"
                              "Whether somebody has it.\n\nSwitches: never. Threads: any.");

static PyMethodDef lock_methods[] = {
    ACQUIRE_METHOD("acquire", lock_acquire, lock_acquire_doc),
    ACQUIRE_METHOD("acquire_lock", lock_acquire,
                   "acquire_lock($self, /, blocking=True, timeout=-1)\n--\n\nAs acquire()."),
    {"release", lock_release, METH_NOARGS, lock_release_doc},
    {"release_lock", lock_release, METH_NOARGS, "release_lock($self, /)\n--\n\nAs release()."},
    {"locked", semaphore_locked, METH_NOARGS, lock_locked_doc},
    {"locked_lock", semaphore_locked, METH_NOARGS, "locked_lock($self, /)\n--\n\nAs locked()."},
    {"__enter__", semaphore_enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\nAs acquire(); returns True."},
    {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL,
     "__exit__($self, /, *unused)\n--\n\nAs release()."},
    {"_at_fork_reinit", lock_reinit, METH_NOARGS,
     "_at_fork_reinit($self, /)\n--\n\nFor threading, in a child: it is free."},
    {0},
};

PyDoc_STRVAR(lock_doc,
             "LockType()\n--\n\n"
             "A lock as `threading.Lock` gives it: `acquire` parks the fiber, not the thread.\n\n"
             "Switches: never. Threads: any.\n\n"
             ">>> from fibril.thread import LockType\n"
             ">>> lock = LockType()\n"
             ">>> with lock:\n"
             "...     lock.acquire(timeout=0.01)\n"
             "False\n");

PyTypeObject fbl_lock_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.thread.LockType",
    .tp_doc = lock_doc,
    .tp_base = &fbl_semaphore_type,
    .tp_basicsize = sizeof(semaphore_object),
    .tp_flags = Py_TPFLAGS_DEFAULT, /* no base for others: threading.Lock is none */
    .tp_init = lock_init,
    .tp_repr = lock_repr,
    .tp_methods = lock_methods,
};
