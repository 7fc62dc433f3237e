/*
 * life.c: a fiber's record, its one run, and its end.
 *
 * The idea: the record is everything but the 40 bytes that Python sees. A fiber that ends goes to
 * its parent, with its result or its exception; GreenletExit becomes a result; a parent that has
 * ended passes it on to its own. These rules are greenlet's. (A task ends otherwise: task_life.c.)
 *
 * Records are recycled through a free list: creating a fiber is two cheap allocations.
 */
#include "python/fiber/record.h"

/* GreenletExit that reaches the end of a fiber is its result. */
static PyObject *value_from_exit(PyObject *value)
{
    if (value != NULL || !PyErr_ExceptionMatches(fbl_error_exit))
        return value;
    return PyErr_GetRaisedException();
}

/* A task's parent is the hub, whatever the task was told; NULL for a main fiber, and where the
 * thread has ended. */
static fbl_record *record_parent(fbl_record *record)
{
    if (record->parent != NULL)
        return record_of(record->parent);
    if (record->is_main || record->thread->is_closed)
        return NULL;
    fbl_record *hub = hub_fiber_get(record->thread);
    if (hub == NULL)
        PyErr_Clear(); /* no memory for a hub: the main fiber is always there */
    return hub != NULL ? hub : record->thread->main;
}

/* The nearest ancestor that can run, or NULL: the process forked and they stayed behind. */
static fbl_record *record_living_ancestor(fbl_record *record)
{
    while (record != NULL && record_is_dead(record))
        record = record_parent(record);
    return record;
}

/* A thread of the parent process that had forked would end here; its process ends with it.
 */
static void fiber_end_forked_process(fbl_thread *thread, PyObject *context)
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
    PyObject *run;   /* owned: what that ancestor will call, or NULL */
    PyObject *heir;  /* owned: the ancestor that `run` was found for, or NULL */
    int refused;     /* ancestors that could not have it: they are passed over */
} fiber_legacy;

/* One that will start takes over the stack of who ends; if it wants another size, it gets its own
 * now, while there is still somebody who can be told that there is no memory. */
static int fiber_heir_set_stack(fbl_record *heir)
{
    int rc = fbl_fiber_fits(&heir->core) ? 0 : fbl_fiber_prepare(&heir->core);
    if (rc < 0)
        errors_stack(rc);
    return rc < 0 ? -1 : 0;
}

/* Drops what was made for another ancestor; an exception that travels is kept. */
static void legacy_forget_run(fiber_legacy *legacy)
{
    PyObject *travelling = PyErr_GetRaisedException();
    Py_CLEAR(legacy->run);
    Py_CLEAR(legacy->heir);
    PyErr_SetRaisedException(travelling);
}

/* Finds what an unstarted ancestor will call, with the exception that travels put aside. */
static int legacy_find_run(fiber_legacy *legacy, fbl_record *heir)
{
    legacy_forget_run(legacy);
    PyObject *travelling = PyErr_GetRaisedException();
    legacy->run = fiber_find_run(heir);
    if (legacy->run == NULL) {
        Py_XDECREF(travelling); /* the new one takes its place */
        return -1;
    }
    legacy->heir = Py_NewRef(heir->self);
    PyErr_SetRaisedException(travelling);
    return 0;
}

/* The ancestor cannot have it: the current exception takes the value's place, and travels on. */
static void legacy_pass_over(fiber_legacy *legacy)
{
    PyObject *exception = PyErr_GetRaisedException();
    legacy->refused++;
    Py_CLEAR(legacy->value);
    Py_CLEAR(legacy->args);
    PyErr_SetRaisedException(exception);
}

/* Making an ancestor ready that is not a plain fiber to be started. As below. */
static int fiber_heir_settle_other(fbl_record *heir, fiber_legacy *legacy)
{
    if (legacy->run != NULL) {
        legacy_forget_run(legacy);
        return 1;
    }
    if (record_is_started(heir))
        return 0;
    if (legacy->value == NULL || legacy->value == Py_None)
        return fiber_heir_set_stack(heir);
    Py_SETREF(legacy->value, Py_NewRef(Py_None)); /* a task has arguments of its own */
    return 1;
}

/* An ancestor that never ran starts with the result, as greenlet has it. Making ready for that can
 * run any code. 0: ready, and no code ran; 1: choose again; -1: it cannot have it. */
static int fiber_heir_settle(fbl_thread *thread, fbl_record *heir, fiber_legacy *legacy)
{
    if (record_reach(thread, heir) < 0)
        return -1;
    if (record_is_started(heir) || heir->body != fiber_body)
        return fiber_heir_settle_other(heir, legacy);
    if (legacy->heir != heir->self) {
        bool is_plain = legacy->run == NULL && record_has_plain_run(heir);
        if (legacy_find_run(legacy, heir) < 0)
            return -1;
        if (!is_plain)
            return 1;
    }
    if (heir->args != NULL) {
        Py_CLEAR(heir->args); /* of a start that did not come about */
        return 1;
    }
    if (legacy->value == NULL || legacy->args != NULL)
        return fiber_heir_set_stack(heir);
    legacy->args = PyTuple_Pack(1, legacy->value);
    return legacy->args == NULL ? -1 : 1;
}

/* The nearest ancestor that can run and has not refused. When all of them have, the thread's main
 * fiber, unless that stayed behind when the process forked: then NULL. */
static fbl_record *fiber_candidate(fbl_record *record, const fiber_legacy *legacy)
{
    fbl_record *heir = record_living_ancestor(record_parent(record));
    for (int i = 0; i < legacy->refused && heir != NULL; i++)
        heir = record_living_ancestor(record_parent(heir));
    fbl_record *main = record->thread->main;
    return heir != NULL || record_is_dead(main) ? heir : main;
}

/* Who gets it, ready to be entered; NULL as above. */
static fbl_record *fiber_heir(fbl_record *record, fiber_legacy *legacy)
{
    for (;;) {
        fbl_record *heir = fiber_candidate(record, legacy);
        if (heir == NULL)
            return NULL;
        PyObject *held = Py_NewRef(heir->self);
        int rc = fiber_heir_settle(record->thread, heir, legacy);
        if (rc < 0)
            legacy_pass_over(legacy);
        Py_DECREF(held); /* SAFE: if rc is 0 no code ran, so the chain of parents still holds it */
        if (rc == 0)
            return heir;
    }
}

/* The fiber has returned `value` (or raised: NULL). Says who runs next, and with what. Nothing
 * after the choice runs any code: what is dropped has other references. */
static fbl_record *fiber_end(fbl_record *record, PyObject *value)
{
    fbl_thread *thread = record->thread;
    record_release(record);
    fiber_legacy legacy = {.value = value_from_exit(value)};
    fbl_record *next = fiber_heir(record, &legacy);
    if (next == NULL)
        fiber_end_forked_process(thread, record->self);
    if (legacy.run != NULL) { /* it starts: what it calls travels, and the value is in `args` */
        Py_XSETREF(legacy.value, legacy.run);
        next->args = legacy.args;
        legacy.args = NULL;
    }
    Py_XDECREF(legacy.args);
    Py_XDECREF(legacy.heir);
    record_claim(next);
    thread->value = legacy.value;
    return next;
}

static PyObject *fiber_call_run(fbl_record *record)
{
    if (PyErr_Occurred())
        return NULL; /* an exception was handed to a fiber that never ran: it dies of it */
    if (record->thrown != NULL) {
        fiber_raise_thrown(record);
        return NULL;
    }
    if (record->run == NULL)
        return errors_refuse(PyExc_AttributeError, "run");
    return PyObject_Call(record->run, record->args != NULL ? record->args : fbl_empty_tuple,
                         record->kwargs);
}

/* What it will call has travelled with the first switch. The attribute's former value is dropped
 * here, in the fiber that has started: that may run any code, and even switch. */
static fbl_record *fiber_body(fbl_record *record)
{
    fbl_thread *thread = record->thread;
    PyObject *former = NULL;
    if (thread->value != NULL) {
        former = record->run;
        record->run = thread->value;
        thread->value = NULL;
    }
    if (former != NULL) {
        PyObject *travelling = PyErr_GetRaisedException();
        Py_DECREF(former);
        PyErr_SetRaisedException(travelling);
    }
    Py_XDECREF(fiber_arrive_first(thread)); /* NULL: taken above */
    return fiber_end(record, fiber_call_run(record));
}

/* A fiber that never ran will never run. */
static void record_cancel_start(fbl_record *record)
{
    fbl_fiber *fiber = &record->core;
    assert(fiber->state == FBL_FIBER_NEW);
    bool was_held = fiber->is_held;
    fbl_fiber_cancel(fiber);
    record_release(record);
    if (was_held)
        Py_DECREF(record->self);
}
