/*
 * life.c: a fiber's record, its one run, and its end.
 *
 * The idea: the record is everything but the 40 bytes that Python sees. A fiber that ends goes to
 * its parent, with its result or its exception; GreenletExit becomes a result; a parent that has
 * ended passes it on to its own. These rules are greenlet's. (A task ends otherwise: task_life.c.)
 *
 * Records are recycled through a free list: creating a fiber is two cheap allocations.
 */
#include "thread.h"

#define FREE_RECORDS_MAX 256
static weft_record *free_records; /* chained through `thread`; the GIL is its lock */
static int free_record_count;

static weft_record *record_make(PyObject *self, weft_thread *thread)
{
    weft_record *record = free_records;
    if (record != NULL) {
        free_records = (weft_record *)record->thread;
        free_record_count--;
    } else {
        record = PyMem_Malloc(sizeof *record);
        if (record == NULL)
            return (weft_record *)PyErr_NoMemory();
    }
    memset(record, 0, sizeof *record);
    record->thread = thread;
    record->self = self;
    thread->record_count++;
    ((weft_fiber_object *)self)->record = record;
    return record;
}

static void record_free(weft_record *record)
{
    weft_thread *thread = record->thread;
    if (--thread->record_count == 0 && thread->is_closed)
        PyMem_RawFree(thread);
    if (free_record_count < FREE_RECORDS_MAX) {
        record->thread = (weft_thread *)free_records;
        free_records = record;
        free_record_count++;
    } else {
        PyMem_Free(record);
    }
}

/* What a fiber lets go of when it ends: an exception that travels is kept. */
static void record_release(weft_record *record)
{
    PyObject *travelling = PyErr_GetRaisedException();
    Py_CLEAR(record->run);
    Py_CLEAR(record->args);
    Py_CLEAR(record->kwargs);
    Py_CLEAR(record->thrown);
    PyErr_SetRaisedException(travelling);
}

/* GreenletExit that reaches the end of a fiber is its result. */
static PyObject *value_from_exit(PyObject *value)
{
    if (value != NULL || !PyErr_ExceptionMatches(weft_error_exit))
        return value;
    return PyErr_GetRaisedException();
}

/* A task's parent is the hub, whatever the task was told; NULL for a main fiber. */
static weft_record *record_parent(weft_record *record)
{
    if (record->parent != NULL)
        return record_of(record->parent);
    if (record == record->thread->main)
        return NULL;
    weft_record *hub = hub_fiber_get(record->thread);
    if (hub == NULL)
        PyErr_Clear(); /* no memory for a hub: the main fiber is always there */
    return hub != NULL ? hub : record->thread->main;
}

/* The nearest ancestor that can run, or NULL: the process forked and they stayed behind. */
static weft_record *record_living_ancestor(weft_record *record)
{
    while (record != NULL && record_is_dead(record))
        record = record_parent(record);
    return record;
}

/* A thread of the parent process that had forked would end here; its process ends with it.
 */
static void fiber_end_forked_process(weft_thread *thread, PyObject *context)
{
    if (PyErr_Occurred())
        hub_report_error(thread, context);
    PyObject *hub = hub_get(thread);
    PyObject *done = hub == NULL ? NULL : PyObject_CallMethod(hub, "end_process", NULL);
    Py_XDECREF(done);
    _exit(1); /* only if Hub.end_process failed */
}

/* What a fiber ended with, on its way to whoever gets it. */
typedef struct {
    PyObject *value; /* owned; NULL: an exception travels */
    PyObject *args;  /* owned: (value,), for an ancestor that starts with it, or NULL */
} fiber_legacy;

/* One that will start takes over the stack of who ends; if it wants another size, it gets its own
 * now, while there is still somebody who can be told that there is no memory. */
static int fiber_heir_set_stack(weft_record *heir)
{
    int rc = weft_fiber_fits(&heir->core) ? 0 : weft_fiber_prepare(&heir->core);
    if (rc < 0)
        errors_stack(rc);
    return rc < 0 ? -1 : 0;
}

/* An ancestor that never ran starts with the result, as greenlet has it; a task has arguments of
 * its own. Making ready for that can run any code.
 * 0: ready, and no code ran; 1: choose again; -1: it cannot start. */
static int fiber_heir_settle(weft_record *heir, fiber_legacy *legacy)
{
    if (record_is_started(heir))
        return 0;
    if (heir->body != fiber_body) {
        if (legacy->value == NULL || legacy->value == Py_None)
            return fiber_heir_set_stack(heir);
        Py_SETREF(legacy->value, Py_NewRef(Py_None)); /* nobody will ask for it */
        return 1;
    }
    if (heir->run == NULL)
        return fiber_resolve_run(heir) < 0 ? -1 : 1;
    if (heir->args != NULL) {
        Py_CLEAR(heir->args); /* of a start that did not come about */
        return 1;
    }
    if (legacy->value == NULL || legacy->args != NULL)
        return fiber_heir_set_stack(heir);
    legacy->args = PyTuple_Pack(1, legacy->value);
    return legacy->args == NULL ? -1 : 1;
}

/* It cannot start: it ends with the current exception, which then travels on. */
static void fiber_heir_fail(weft_record *heir, fiber_legacy *legacy)
{
    PyObject *exception = PyErr_GetRaisedException();
    Py_CLEAR(legacy->value);
    Py_CLEAR(legacy->args);
    if (heir->core.state == WEFT_FIBER_NEW)
        record_cancel_start(heir);
    PyErr_SetRaisedException(exception);
}

/* Who gets it: the nearest ancestor that can run. NULL: they all stayed behind when the process
 * forked. */
static weft_record *fiber_heir(weft_record *record, fiber_legacy *legacy)
{
    for (;;) {
        weft_record *heir = record_living_ancestor(record_parent(record));
        if (heir == NULL)
            return NULL;
        PyObject *held = Py_NewRef(heir->self);
        int rc = fiber_heir_settle(heir, legacy);
        if (rc < 0)
            fiber_heir_fail(heir, legacy);
        Py_DECREF(held); /* SAFE: if rc is 0 no code ran, so the chain of parents still holds it */
        if (rc == 0)
            return heir;
    }
}

/* The fiber has returned `value` (or raised: NULL). Says who runs next, and with what. Nothing
 * after the choice runs any code: what is dropped has other references. */
static weft_record *fiber_end(weft_record *record, PyObject *value)
{
    weft_thread *thread = record->thread;
    record_release(record);
    fiber_legacy legacy = {.value = value_from_exit(value)};
    weft_record *next = fiber_heir(record, &legacy);
    if (next == NULL || next->thread != thread)
        fiber_end_forked_process(thread, record->self);
    if (!record_is_started(next)) {
        if (next->body == fiber_body) {
            next->args = legacy.args;
            legacy.args = NULL;
        }
        Py_CLEAR(legacy.value);
    }
    Py_XDECREF(legacy.args);
    record_claim(next);
    thread->value = legacy.value;
    return next;
}

static PyObject *fiber_call_run(weft_record *record)
{
    if (record->thrown != NULL) {
        fiber_raise_thrown(record);
        return NULL;
    }
    if (PyErr_Occurred())
        return NULL; /* an exception was handed to a fiber that never ran: it dies of it */
    if (record->run == NULL)
        return errors_refuse(PyExc_AttributeError, "run");
    return PyObject_Call(record->run, record->args != NULL ? record->args : weft_empty_tuple,
                         record->kwargs);
}

static weft_record *fiber_body(weft_record *record)
{
    return fiber_end(record, fiber_call_run(record));
}

/* A fiber that never ran will never run. */
static void record_cancel_start(weft_record *record)
{
    weft_fiber *fiber = &record->core;
    assert(fiber->state == WEFT_FIBER_NEW);
    bool was_held = fiber->is_held;
    weft_fiber_cancel(fiber);
    record_release(record);
    if (was_held)
        Py_DECREF(record->self);
}
