/*
 * bounded_type.c: BoundedSemaphore: a semaphore that knows how many permits there are.
 *
 * The idea: a Semaphore takes whatever is given back. This one refuses a permit that nobody can
 * have: one more than it was made with.
 * Threads: any. Do not add: a lock's ways (lock_type.c): its errors are other ones.
 */
#include "python/primitives/semaphore.h"

typedef struct {
    semaphore_object core;
    Py_ssize_t permits; /* how many it was made with */
} bounded_object;

static PyObject *bounded_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *self = semaphore_new(type, args, kwargs);
    if (self != NULL)
        ((bounded_object *)self)->permits = semaphore_gate(self)->count;
    return self;
}

static int bounded_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (semaphore_init(self, args, kwargs) < 0)
        return -1;
    ((bounded_object *)self)->permits = semaphore_gate(self)->count;
    return 0;
}

/* Raises what its class says. */
static PyObject *bounded_refuse(PyObject *self)
{
    PyObject *error = PyObject_GetAttrString(self, "_OVER_RELEASE_ERROR");
    if (error == NULL)
        return NULL;
    PyErr_SetString(error, "Semaphore released too many times");
    Py_DECREF(error);
    return NULL;
}

static PyObject *bounded_release(PyObject *self, PyObject *unused)
{
    if (fbl_unlikely(semaphore_gate(self)->count >= ((bounded_object *)self)->permits))
        return bounded_refuse(self);
    return semaphore_release(self, unused);
}

static PyObject *bounded_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (fbl_unlikely(!type_is_native(Py_TYPE(self))))
        return semaphore_exit(self, args, count);
    return semaphore_left(bounded_release(self, NULL));
}

static PyObject *bounded_get_error(PyObject *self, void *unused)
{
    (void)self;
    (void)unused;
    return Py_NewRef(PyExc_ValueError);
}

PyDoc_STRVAR(bounded_acquire_doc, "acquire($self, /, blocking=True, timeout=None)\n--\n\n"
                                  "As Semaphore.acquire().\n\n"
                                  "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(bounded_release_doc, "release($self, /)\n--\n\n"
                                  "Give a permit back; return how many are free.\n\n"
                                  "Switches: never. Threads: any. Raises ValueError if none is "
                                  "out.");

static PyMethodDef bounded_methods[] = {
    ACQUIRE_METHOD("acquire", semaphore_called_acquire_wait, bounded_acquire_doc),
    {"release", bounded_release, METH_NOARGS, bounded_release_doc},
    {"__enter__", semaphore_enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\nAs acquire(); returns True."},
    {"__exit__", (PyCFunction)(void (*)(void))bounded_exit, METH_FASTCALL,
     "__exit__($self, /, *unused)\n--\n\nAs release()."},
    {0},
};

static PyGetSetDef bounded_getset[] = {
    {"_OVER_RELEASE_ERROR", bounded_get_error, NULL, "What release() raises for one too many.",
     NULL},
    {0},
};

PyDoc_STRVAR(bounded_doc,
             "BoundedSemaphore(value=1, hub=None)\n--\n\n"
             "A Semaphore that refuses to get more permits back than it was made with.\n\n"
             "Switches: never. Threads: any.\n\n"
             ">>> from fibril.lock import BoundedSemaphore\n"
             ">>> with BoundedSemaphore(1) as has_permit:\n"
             "...     has_permit\n"
             "True\n");

PyTypeObject fbl_bounded_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.lock.BoundedSemaphore",
    .tp_doc = bounded_doc,
    .tp_base = &fbl_semaphore_type,
    .tp_basicsize = sizeof(bounded_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = bounded_new,
    .tp_init = bounded_init,
    .tp_methods = bounded_methods,
    .tp_getset = bounded_getset,
};
