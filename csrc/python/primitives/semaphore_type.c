/*
 * semaphore_type.c: Semaphore.
 *
 * The idea: a gate (gate.h), permits that are handed on in order, and links that are told when one
 * is free. Uncontended, an acquire is a comparison and a decrement: no switch, no allocation.
 * Threads: any. Do not add: who may give back, and how many; those types derive from this one.
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/primitives/semaphore.h"

/* Waits for a free permit without taking it. */
static fbl_parked gate_watch_wait(fbl_gate *gate, fbl_call *call, PyObject *timeout)
{
    fbl_waiter waiter = {0};
    fbl_park park = {FBL_NEVER, "to see free", call->self, &waiter, &gate->watchers, NULL};
    fbl_thread *thread = NULL;
    if (gate->count <= 0 && (thread = call_prepare_wait(call, timeout, &park)) == NULL)
        return PARK_RAISED;
    gate->was_waited_for = true;
    return gate->count > 0 ? PARK_FIRED : call_park_wait(thread, call, &park);
}

/* acquire(blocking=True, timeout=...): 1: may wait; 0: may not; -1: an exception. What the timeout
 * is without one is the caller's to know. */
static int acquire_read(const fbl_call *call, PyObject *names, const char *usage,
                        PyObject **timeout)
{
    if (fbl_likely(call->count == 0))
        return 1;
    const char *const known[] = {usage, "blocking", "timeout", NULL};
    PyObject *values[] = {Py_True, *timeout};
    if (arguments_read(call, names, known, values) < 0)
        return -1;
    *timeout = values[1];
    return PyObject_IsTrue(values[0]);
}

static PyObject *semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL)
        gate_init(semaphore_gate(self), 1);
    return self;
}

static int semaphore_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", "hub", NULL};
    Py_ssize_t value = 1;
    PyObject *unused = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nO:Semaphore", names, &value, &unused))
        return -1;
    if (value < 0) {
        PyErr_Format(PyExc_ValueError, "semaphore initial value must be >= 0, not %zd", value);
        return -1;
    }
    semaphore_gate(self)->count = value;
    return 0;
}

static uint64_t semaphore_holder(PyObject *self) { return ((semaphore_object *)self)->holder; }

/* A permit is the current fiber's. */
static inline PyObject *semaphore_taken(PyObject *self)
{
    fbl_thread *thread = fbl_this_thread;
    ((semaphore_object *)self)->holder = thread != NULL ? thread_current(thread)->serial : 0;
    Py_RETURN_TRUE;
}

static PyObject **semaphore_links(PyObject *self) { return &((semaphore_object *)self)->links; }

static int semaphore_tell(PyObject *self)
{
    return semaphore_gate(self)->count > 0 ? link_tell_all(semaphore_links(self), self) : 0;
}

static int semaphore_give(PyObject *self)
{
    fbl_gate *gate = semaphore_gate(self);
    if (gate->count < 0 || !fbl_list_is_empty(&gate->acquirers)) {
        gate_release(gate); /* owed, or handed on: nobody else may have it */
        return 0;
    }
    gate->count++;
    int rc = semaphore_tell(self); /* links are called before those go on who only watch */
    gate_tell_watchers(gate);
    return rc;
}

/* Waiting for a permit ended with an exception: if one had been handed over, it is free now. */
static void semaphore_tell_struck(PyObject *self)
{
    PyObject *travelling = PyErr_GetRaisedException();
    if (semaphore_tell(self) < 0)
        PyErr_WriteUnraisable(self);
    PyErr_SetRaisedException(travelling);
}

/* The rest of acquire(), once the arguments are read. */
static PyObject *semaphore_acquire_wait(fbl_call *call, int blocking, PyObject *timeout)
{
    fbl_parked how = gate_acquire_wait(semaphore_gate(call->self), call, blocking, timeout);
    if (fbl_likely(how == PARK_FIRED))
        return semaphore_taken(call->self);
    if (how != PARK_RAISED)
        Py_RETURN_FALSE;
    semaphore_tell_struck(call->self);
    return NULL;
}

static PyObject *semaphore_called_acquire_wait(PyObject *self, PyObject *const *args,
                                               Py_ssize_t count, PyObject *names)
{
    spin_poll_wait();
    if (fbl_likely(count == 0 && names == NULL && gate_try(semaphore_gate(self))))
        return semaphore_taken(self);
    fbl_call call = {self, args, vector_length(count, names), NULL};
    PyObject *timeout = Py_None;
    int blocking = acquire_read(&call, names, ACQUIRE_USAGE, &timeout);
    return blocking < 0 ? NULL : semaphore_acquire_wait(&call, blocking, timeout);
}

static bool semaphore_has_permit(PyObject *self) { return semaphore_gate(self)->count > 0; }

static PyObject *semaphore_rawlink(PyObject *self, PyObject *callback)
{
    semaphore_gate(self)->was_waited_for = true;
    return link_add(semaphore_links(self), self, callback, semaphore_has_permit);
}

static PyObject *semaphore_unlink(PyObject *self, PyObject *callback)
{
    return link_remove(semaphore_links(self), self, callback);
}

static PyObject *semaphore_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (fbl_unlikely(semaphore_give(self) < 0))
        return NULL;
    return PyLong_FromSsize_t(semaphore_gate(self)->count);
}

static PyObject *semaphore_wait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    static const char *const known[] = {"wait(timeout=None)", "timeout", NULL};
    PyObject *timeout = Py_None;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (arguments_read(&call, names, known, &timeout) < 0)
        return NULL;
    fbl_gate *gate = semaphore_gate(self);
    if (gate_watch_wait(gate, &call, timeout) == PARK_RAISED)
        return NULL;
    return PyLong_FromSsize_t(gate->count);
}

static PyObject *semaphore_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    spin_poll_wait();
    return PyBool_FromLong(semaphore_gate(self)->count <= 0);
}

static PyObject *semaphore_ready(PyObject *self, PyObject *unused)
{
    (void)unused;
    spin_poll_wait();
    return PyBool_FromLong(semaphore_gate(self)->count > 0);
}

/* In a Python class acquire() and release() may be its own: a with block is them, as in gevent. */
static PyObject *semaphore_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (fbl_likely(type_is_native(Py_TYPE(self))))
        return semaphore_called_acquire_wait(self, NULL, 0, NULL);
    return PyObject_CallMethod(self, "acquire", NULL);
}

static PyObject *semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    if (fbl_unlikely(!type_is_native(Py_TYPE(self))))
        return semaphore_left(PyObject_CallMethod(self, "release", NULL));
    return semaphore_give(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *semaphore_get_counter(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(semaphore_gate(self)->count);
}

static int semaphore_set_counter(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "a semaphore's counter must be a number");
        return -1;
    }
    Py_ssize_t count = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (count == -1 && PyErr_Occurred())
        return -1;
    semaphore_gate(self)->count = count;
    return 0;
}

static int semaphore_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(*semaphore_links(self));
    return gate_visit(semaphore_gate(self), visit, arg);
}

static int semaphore_clear(PyObject *self)
{
    Py_CLEAR(*semaphore_links(self));
    return 0;
}

static void semaphore_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (((semaphore_object *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    semaphore_clear(self);
    Py_TYPE(self)->tp_free(self);
}

const char fbl_acquire_doc[] =
    "acquire($self, /, blocking=True, timeout=None)\n--\n\n"
    "Take a permit: True; False if there is none and blocking is False, or none came in time.\n\n"
    "timeout: seconds to wait at most, None for ever. Served in order.\n\n"
    "Switches: if it must wait. Threads: any.";
PyDoc_STRVAR(semaphore_release_doc,
             "release($self, /)\n--\n\n"
             "Give a permit back, to the first who waits; return how many are free.\n\n"
             "Switches: never. Threads: any.");
PyDoc_STRVAR(
    semaphore_wait_doc,
    "wait($self, /, timeout=None)\n--\n\n"
    "Wait until a permit is free, without taking it; return how many are (perhaps 0 again).\n\n"
    "timeout: seconds to wait at most. Switches: if it must wait. Threads: any.");

static PyObject *semaphore_linkcount(PyObject *self, PyObject *unused)
{
    (void)unused;
    const fbl_gate *gate = semaphore_gate(self);
    Py_ssize_t waiting_count = waiters_count(&gate->acquirers) + waiters_count(&gate->watchers);
    return link_count(*semaphore_links(self), waiting_count);
}

ONE_ARGUMENT(semaphore_rawlink, "callback")
ONE_ARGUMENT(semaphore_unlink, "callback")

static PyMethodDef semaphore_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semaphore_called_acquire_wait, FAST_KEYWORDS,
     fbl_acquire_doc},
    {"release", semaphore_release, METH_NOARGS, semaphore_release_doc},
    {"wait", (PyCFunction)(void (*)(void))semaphore_wait, FAST_KEYWORDS, semaphore_wait_doc},
    {"locked", semaphore_locked, METH_NOARGS,
     "locked($self, /)\n--\n\nWhether no permit is free.\n\nSwitches: never. Threads: any."},
    {"ready", semaphore_ready, METH_NOARGS,
     "ready($self, /)\n--\n\nWhether a permit is free.\n\nSwitches: never. Threads: any."},
    {"rawlink", FAST_ONE(semaphore_rawlink), fbl_link_add_doc},
    {"unlink", FAST_ONE(semaphore_unlink), fbl_link_remove_doc},
    {"linkcount", semaphore_linkcount, METH_NOARGS, fbl_link_count_doc},
    {"__enter__", semaphore_enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\nAs acquire(); returns True."},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL,
     "__exit__($self, /, *unused)\n--\n\nAs release()."},
    {0},
};

static PyObject *semaphore_get_hub(PyObject *self, void *unused)
{
    return semaphore_gate(self)->was_waited_for ? link_get_hub(self, unused) : Py_NewRef(Py_None);
}

static PyGetSetDef semaphore_getset[] = {
    {"hub", semaphore_get_hub, NULL, FBL_HUB_DOC, NULL},
    {"counter", semaphore_get_counter, semaphore_set_counter,
     "How many permits are free; below 0 if more are out than there may be.", NULL},
    {0},
};

PyDoc_STRVAR(semaphore_doc,
             "Semaphore(value=1, hub=None)\n--\n\n"
             "A number of permits; acquire takes one and waits if there is none.\n\n"
             "value: permits at the start. hub: ignored, for gevent's signature.\n\n"
             "Switches: never. Threads: any. Raises ValueError for a negative value.\n\n"
             ">>> from fibril.lock import Semaphore\n"
             ">>> permits = Semaphore(2)\n"
             ">>> permits.acquire(), permits.acquire(), permits.acquire(blocking=False)\n"
             "(True, True, False)\n");

PyTypeObject fbl_semaphore_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.lock.Semaphore",
    .tp_doc = semaphore_doc,
    .tp_basicsize = sizeof(semaphore_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = semaphore_new,
    .tp_init = semaphore_init,
    .tp_dealloc = semaphore_dealloc,
    .tp_traverse = semaphore_traverse,
    .tp_clear = semaphore_clear,
    .tp_methods = semaphore_methods,
    .tp_getset = semaphore_getset,
    .tp_weaklistoffset = offsetof(semaphore_object, weakrefs),
};
