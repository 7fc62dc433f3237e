/*
 * trace.c: greenlet's settrace(): a callback that is told of every switch of a native thread.
 *
 * The idea: while a tracer is installed, whoever leaves leaves a reference behind
 * (fbl_embed_swap), which sends whoever arrives through its rare path (fiber_arrive_laden), and
 * that calls the tracer: on the side of the target, before its switch returns. So the usual switch
 * has one predictable branch for it. Parks, starts and ends pass the same two places, so a tracer
 * sees them too.
 * A park after which the same fiber goes on is no switch. Only fibril.testing's callback is told of
 * it (is_watched), by the same detour.
 *
 * What sys.settrace does belongs to the thread, and frames carry their part. But coverage's tracer,
 * which is C, keeps a list of open calls for each fiber, and asks who runs only at calls and
 * returns: of a wait that makes neither it saw the lines after it as some other fiber's. So it is
 * shown a call, of a function of Python's, by the same detour.
 * Callers: passage.c, on the thread that switches; settrace() concerns only its caller's thread.
 * Do not add: events for debuggers, which are Python: a step would stop in that call.
 */
#include "python/fiber/record.h"

PyObject *fbl_traced_arrival;

/* A fiber came back while somebody traces. No exception travels. */
static void trace_show_call(PyThreadState *ts)
{
    PyObject *tracer = ts->c_traceobj; /* borrowed: only looked at */
    if (tracer == NULL || PyFunction_Check(tracer) || PyMethod_Check(tracer) ||
        fbl_traced_arrival == NULL)
        return;
    PyObject *done = PyObject_CallNoArgs(fbl_traced_arrival);
    if (done == NULL)
        PyErr_WriteUnraisable(fbl_traced_arrival);
    Py_XDECREF(done);
}

/* A tracer that raises is removed, and its exception takes the place of what travelled. */
static void trace_fail(fbl_thread *thread, PyObject *travelling)
{
    PyObject *exception = PyErr_GetRaisedException();
    Py_CLEAR(thread->tracer);
    thread->is_watched = false;
    Py_XDECREF(travelling);
    PyErr_SetRaisedException(exception);
}

/* Tells the tracer, which the thread has, that `origin` was left for the current fiber, with a name
 * for how. An exception that travels is kept. May switch, as the tracer's code does. 0, or -1 with
 * the tracer's exception. */
static int trace_call(fbl_thread *thread, PyObject *origin, const char *event)
{
    PyObject *travelling = PyErr_GetRaisedException();
    PyObject *tracer = Py_NewRef(thread->tracer);
    PyObject *args = Py_BuildValue("s(OO)", event, origin, thread_current(thread)->self);
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

/* A fiber was left and another one, which runs now, was entered; or it parked, and goes on. */
static void trace_arrival(fbl_thread *thread, PyObject *origin)
{
    if (origin == thread_current(thread)->self)
        trace_call(thread, origin, "stay");
    else
        trace_call(thread, origin, PyErr_Occurred() ? "throw" : "switch");
}

static PyObject *trace_set(PyObject *callback, bool is_watch)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    thread->is_watched = is_watch;
    PyObject *former = thread->tracer;
    thread->tracer = callback == Py_None ? NULL : Py_NewRef(callback);
    return former != NULL ? former : Py_NewRef(Py_None);
}

static PyObject *module_settrace(PyObject *module, PyObject *callback)
{
    (void)module;
    return trace_set(callback, false);
}

static PyObject *module_gettrace(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    return Py_NewRef(thread->tracer != NULL ? thread->tracer : Py_None);
}

/* ---- what fibril.testing must know besides ---- */

static PyObject *module_watch(PyObject *module, PyObject *callback)
{
    (void)module;
    return trace_set(callback, true);
}

static PyObject *module_slept_ns(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : PyLong_FromUnsignedLongLong(thread->slept_ns);
}

static PyObject *module_was_left_by_hand(PyObject *module, PyObject *fiber)
{
    (void)module;
    if (!PyObject_TypeCheck(fiber, &fbl_fiber_type))
        return errors_refuse(PyExc_TypeError, "only a fiber can be left, not %R", fiber);
    return PyBool_FromLong(record_of(fiber)->core.state == FBL_FIBER_SUSPENDED);
}
