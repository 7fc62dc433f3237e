/*
 * context.c: the attribute gr_context: the context variables that a fiber runs with.
 *
 * The idea: a fiber's context is in the thread state while it is current and in its record
 * otherwise, before its start and after its end too. So there is one place for each state, and
 * reading it never makes a context: NULL is the empty one, and None in Python.
 * Invariant: only the thread on which a fiber is current may touch its context: any other would
 * read and write a thread state that is in use. Everybody else's record is anybody's, under the
 * GIL.
 * Do not add: copying. A task copies its spawner's when it is spawned (task_life.c).
 */
#include "python/fiber/record.h"

/* Is it what its thread runs now? Its own record then holds no context. */
static bool record_is_current(const fbl_record *record)
{
    return !record_is_dead(record) && record->thread->hub.current == &record->core;
}

/* 1: in the thread state; 0: in the record; -1: in another thread's state, with an exception. */
static int context_place(const fbl_record *record, const char *action)
{
    if (!record_is_current(record))
        return 0;
    if (record->thread == fbl_this_thread)
        return 1;
    PyErr_Format(PyExc_ValueError,
                 "cannot %s context of a %s that is running in a different thread", action,
                 fiber_noun());
    return -1;
}

static PyObject *fiber_get_context(PyObject *self, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    int place = context_place(record, "get");
    if (place < 0)
        return NULL;
    PyObject *context = place == 1 ? PyThreadState_Get()->context : record->state.context;
    return Py_NewRef(context != NULL ? context : Py_None);
}

static int fiber_set_context(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can't delete context attribute");
        return -1;
    }
    if (value != Py_None && !PyContext_CheckExact(value)) {
        PyErr_Format(PyExc_TypeError, "%s context must be a contextvars.Context or None, not %s",
                     fiber_noun(), Py_TYPE(value)->tp_name);
        return -1;
    }
    int place = context_place(record, "set");
    if (place < 0)
        return -1;
    PyObject *context = value == Py_None ? NULL : Py_NewRef(value);
    PyObject *former;
    if (place == 1) {
        former = state_exchange_context(PyThreadState_Get(), context);
    } else {
        former = record->state.context;
        record->state.context = context;
    }
    Py_XDECREF(former); /* last: runs any code */
    return 0;
}
