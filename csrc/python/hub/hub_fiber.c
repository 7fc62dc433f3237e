/*
 * hub_fiber.c: the fiber that runs callbacks: a thread's hub, as far as it is a fiber.
 *
 * The idea: scheduling needs no fiber (core hub.c), but Python callbacks (raw links, call_soon)
 * need a place to run where nobody is half parked. The hub fiber is that place: it is parked like
 * any other and made ready when there is something to call. It has no stack before the first
 * callback.
 *
 * Its life: call everything in thread.callbacks and thread.told, park, again. It never ends; what
 * reaches it from a fiber that ended with the hub as parent is reported or dropped.
 * Threads: any, with the GIL; what is called runs on the hub's own.
 * Do not add: anything that must happen between two fibers. That is core.
 */
#include "python/hub/hub.h"

#include <unistd.h>

PyObject *fbl_hub_class = (PyObject *)&fbl_hub_type; /* what get_hub() makes; see set_hub_class */

/* ---- what it asks of Python's half ---- */

/* Gives the current exception to Hub.handle_error(context, type, value, traceback). */
static void hub_report_error(fbl_thread *thread, PyObject *context)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *traceback = PyException_GetTraceback(exception);
    PyObject *hub = hub_get(thread);
    if (hub == NULL) /* no memory for one, or the thread is ending */
        PyErr_SetRaisedException(Py_NewRef(exception));
    PyObject *done =
        hub == NULL ? NULL
                    : PyObject_CallMethod(hub, "handle_error", "OOOO", context, Py_TYPE(exception),
                                          exception, traceback != NULL ? traceback : Py_None);
    if (done == NULL)
        PyErr_WriteUnraisable(context);
    Py_XDECREF(done);
    Py_XDECREF(hub);
    Py_XDECREF(traceback);
    Py_DECREF(exception);
}

/* Asks the hub's Python half; its errors are reported. What travels meanwhile is kept apart. */
static bool hub_consult(fbl_thread *thread, const char *method)
{
    PyObject *travelling = PyErr_GetRaisedException();
    PyObject *hub = hub_get(thread);
    PyObject *answer = hub == NULL ? NULL : PyObject_CallMethod(hub, method, NULL);
    int is_true = answer == NULL ? -1 : PyObject_IsTrue(answer);
    if (is_true < 0)
        hub_report_error(thread, hub != NULL ? hub : Py_None);
    Py_XDECREF(answer);
    Py_XDECREF(hub);
    PyErr_SetRaisedException(travelling);
    return is_true > 0;
}

/* ---- its life ---- */

static void hub_run_callbacks(fbl_thread *thread)
{
    PyObject *callbacks = thread->callbacks;
    thread->callbacks = NULL;
    thread->batch = callbacks;
    for (Py_ssize_t i = 0; callbacks != NULL && i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *entry = PyList_GET_ITEM(callbacks, i);
        thread->batch_next = i + 1;
        if (entry == Py_None)
            continue; /* taken back */
        PyObject *fn = PyTuple_GET_ITEM(entry, 0);
        PyObject *done = PyObject_Call(fn, PyTuple_GET_ITEM(entry, 1), NULL);
        if (done == NULL)
            hub_report_error(thread, fn);
        Py_XDECREF(done);
    }
    thread->batch = NULL;
    Py_XDECREF(callbacks);
}

static fbl_record *hub_body(fbl_record *record)
{
    fbl_thread *thread = record->thread;
    for (;;) {
        PyObject *value;
        if (fiber_arrive(thread, &value) < 0 || PyErr_Occurred())
            hub_report_error(thread, record->self);
        Py_XDECREF(value);
        while (record->thrown != NULL) { /* by the next arrival there might be no end of them */
            fiber_raise_thrown(record);
            hub_report_error(thread, record->self);
        }
        hub_run_callbacks(thread);
        notices_call(thread);
        if (thread->callbacks == NULL && fbl_list_is_empty(&thread->told))
            (void)fbl_park_wait(&thread->hub, FBL_NEVER);
        else
            fbl_yield_wait(&thread->hub); /* a callback added more: others first */
    }
    return record; /* never: the hub fiber does not end */
}

/* The hub was made for another native thread than the one that makes it: that one ended a task of
 * the other's, say, and has links to call. -1: an exception. */
static int hub_move(fbl_record *record, fbl_thread *thread)
{
    record_adopt(thread, record);
    Py_SETREF(record->parent, Py_NewRef(thread->main->self));
    bool is_main = thread->ts->native_thread_id == (unsigned long)getpid();
    PyObject *done = PyObject_CallMethod(record->self, "belongs_to", "kO", thread->ts->thread_id,
                                         is_main ? Py_True : Py_False);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Whose hub does the work of a hub whose thread has ended: the caller's. NULL: an exception. */
static fbl_thread *hub_heir(void)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL || !thread->is_closed)
        return thread;
    errors_refuse(fbl_error_fiber, "cannot use a hub here: this thread is ending.");
    return NULL;
}

/* The hub fiber of a thread, made when first needed. A borrowed record. */
static fbl_record *hub_fiber_get(fbl_thread *thread)
{
    if (fbl_likely(thread->hub_fiber != NULL))
        return thread->hub_fiber;
    if (thread->is_closed)
        return (thread = hub_heir()) == NULL ? NULL : hub_fiber_get(thread);
    PyObject *class = Py_NewRef(fbl_hub_class); /* it may be set to another one meanwhile */
    PyObject *self = PyObject_CallNoArgs(class);
    Py_DECREF(class);
    if (self == NULL)
        return NULL;
    fbl_record *record = record_of(self);
    bool is_moved = record->thread == thread || hub_move(record, thread) == 0;
    if (!is_moved || thread->hub_fiber != NULL) { /* what ran meanwhile may have made one */
        Py_DECREF(self);
        return is_moved ? thread->hub_fiber : NULL;
    }
    thread->hub_fiber = record;
    return record;
}

/* A new reference, or NULL with an exception. */
static PyObject *hub_get(fbl_thread *thread)
{
    fbl_record *record = hub_fiber_get(thread);
    return record == NULL ? NULL : Py_NewRef(record->self);
}

/* ---- what makes it run ---- */

static void hub_wake(fbl_record *record)
{
    if (record->core.state == FBL_FIBER_PARKED)
        fbl_wake_fiber(&record->core, FBL_WAKE_FIRED);
    else if (!fbl_fiber_is_running(&record->core))
        fbl_ready_fiber(&record->core);
}

/* fn(*args) in the hub of `thread`, soon, or in the caller's if that has ended; any native thread
 * may ask. */
static int hub_call_soon(fbl_thread *thread, PyObject *fn, PyObject *args)
{
    fbl_record *record = hub_fiber_get(thread);
    if (record == NULL)
        return -1;
    thread = record->thread;
    PyObject *entry = PyTuple_Pack(2, fn, args);
    if (entry == NULL)
        return -1;
    int rc = place_fill(&thread->callbacks, thread->callbacks == NULL ? PyList_New(0) : NULL);
    if (rc == 0)
        rc = PyList_Append(thread->callbacks, entry);
    Py_DECREF(entry);
    if (rc == 0)
        hub_wake(record);
    return rc;
}

/* Is it a call with that one argument? */
static bool call_is_of(PyObject *entry, const PyObject *self)
{
    if (entry == Py_None)
        return false;
    PyObject *args = PyTuple_GET_ITEM(entry, 1);
    return PyTuple_GET_SIZE(args) == 1 && PyTuple_GET_ITEM(args, 0) == self;
}

/* None in the place of the first fn(self) from `place` on. 1: there was one; 0: none; -1: an
 * exception. Equality may run any code, so each step holds what it looks at. */
static int calls_take_back(PyObject *calls, Py_ssize_t place, PyObject *fn, const PyObject *self)
{
    int rc = 0;
    Py_INCREF(calls);
    for (Py_ssize_t i = place; rc == 0 && i < PyList_GET_SIZE(calls); i++) {
        PyObject *entry = PyList_GET_ITEM(calls, i);
        if (!call_is_of(entry, self))
            continue;
        Py_INCREF(entry);
        rc = PyObject_RichCompareBool(PyTuple_GET_ITEM(entry, 0), fn, Py_EQ);
        if (rc > 0 && PyList_GET_ITEM(calls, i) == entry)
            (void)PyList_SetItem(calls, i, Py_NewRef(Py_None));
        Py_DECREF(entry);
    }
    Py_DECREF(calls);
    return rc;
}

/* fn(self), which this thread's hub was to call, and has not begun to, is not wanted any more. 1:
 * there was one; 0: none; -1: an exception. */
static int hub_take_back(PyObject *fn, const PyObject *self)
{
    const fbl_thread *thread = fbl_this_thread;
    int rc = 0;
    if (thread != NULL && thread->batch != NULL)
        rc = calls_take_back(thread->batch, thread->batch_next, fn, self);
    if (rc == 0 && thread != NULL && thread->callbacks != NULL)
        rc = calls_take_back(thread->callbacks, 0, fn, self);
    return rc;
}

/* ---- which object it is ---- */

/* None where the thread has none yet. */
static PyObject *module_get_hub_if_exists(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const fbl_thread *thread = fbl_this_thread;
    bool is_there = thread != NULL && thread->hub_fiber != NULL;
    return Py_NewRef(is_there ? thread->hub_fiber->self : Py_None);
}

/* Makes an object that the program has made this thread's hub. There is no way back: fibers,
 * watchers and callbacks of the thread know the one that it has. */
static PyObject *module_set_hub(PyObject *module, PyObject *hub)
{
    (void)module;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    if (!PyObject_TypeCheck(hub, &fbl_hub_type))
        return errors_refuse(PyExc_TypeError, "cannot take %R for a hub: it is none", hub);
    fbl_record *record = record_of(hub);
    if (thread->hub_fiber == record)
        Py_RETURN_NONE;
    if (thread->hub_fiber != NULL) {
        return errors_refuse(PyExc_RuntimeError,
                             "cannot change this thread's hub: it has one already. Set it before "
                             "anything asks for it, or name a class for all threads by "
                             "set_default_hub_class().");
    }
    if (record->thread != thread || record_is_started(record))
        return errors_refuse(PyExc_RuntimeError, "cannot set %R: it is another thread's hub", hub);
    Py_INCREF(hub);
    thread->hub_fiber = record;
    Py_RETURN_NONE;
}
