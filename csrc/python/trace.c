/*
 * trace.c: greenlet's settrace(): a callback that is told of every switch of a native thread.
 *
 * The idea: while a tracer is installed, whoever leaves leaves a reference behind
 * (weft_embed_swap), which sends whoever arrives through its rare path (fiber_arrive_laden), and
 * that calls the tracer: on the side of the target, before its switch returns. So the usual switch
 * has one predictable branch for it. Parks, starts and ends pass the same two places, so a tracer
 * sees them too.
 * Callers: passage.c, on the thread that switches; settrace() concerns only its caller's thread.
 * Do not add: what sys.settrace does. That belongs to the thread, and frames carry their part.
 */
#include "exports.h"

/* A tracer that raises is removed, and its exception takes the place of what travelled. */
static void trace_fail(weft_thread *thread, PyObject *travelling)
{
    PyObject *exception = PyErr_GetRaisedException();
    Py_CLEAR(thread->tracer);
    Py_XDECREF(travelling);
    PyErr_SetRaisedException(exception);
}

/* Tells the tracer, which the thread has, that `origin` was left for the current fiber: with
 * "throw" if an exception travels, which is kept, or else with "switch". May switch, as the
 * tracer's code does. 0, or -1 with the tracer's exception. */
static int trace_call(weft_thread *thread, PyObject *origin)
{
    PyObject *travelling = PyErr_GetRaisedException();
    PyObject *tracer = Py_NewRef(thread->tracer);
    PyObject *args = Py_BuildValue("s(OO)", travelling != NULL ? "throw" : "switch", origin,
                                   thread_current(thread)->self);
    PyObject *result = NULL;
    if (args != NULL) {
        PyThreadState *ts = PyThreadState_Get();
        PyThreadState_EnterTracing(ts); /* sys.settrace's functions do not see the tracer's lines */
        result = PyObject_CallObject(tracer, args);
        PyThreadState_LeaveTracing(ts);
    }
    Py_XDECREF(args);
    Py_DECREF(tracer);
    if (result == NULL) {
        trace_fail(thread, travelling);
        return -1;
    }
    Py_DECREF(result);
    PyErr_SetRaisedException(travelling);
    return 0;
}

static PyObject *module_settrace(PyObject *module, PyObject *callback)
{
    (void)module;
    weft_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    PyObject *former = thread->tracer;
    thread->tracer = callback == Py_None ? NULL : Py_NewRef(callback);
    return former != NULL ? former : Py_NewRef(Py_None);
}

static PyObject *module_gettrace(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    weft_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    return Py_NewRef(thread->tracer != NULL ? thread->tracer : Py_None);
}
