/*
 * timer_type.c: a timer that throws an exception into a fiber; weft.Timeout is made of it.
 *
 * The idea: the fiber need not be parked on anything special. When the time comes the exception is
 * left for it and it is woken from whatever it waits for; if it does not wait, it gets it at its
 * next wait. A started timer keeps itself alive, as the hub knows it; cancel and fire end that.
 */
#include "exports.h"

typedef struct {
    PyObject_HEAD weft_timer core;     /* in the heap of the fiber's hub while pending */
    PyObject *fiber;     /* owned from start to cancel: whom it strikes */
    PyObject *exception; /* owned from start to cancel: instance to throw */
} timer_object;

/* Called in the middle of weft_hub_next. Dropping the timer's hold on itself may run Python code,
 * which may do anything there but switch (fiber_may_leave sees to that). */
static void timer_fire(weft_hub *hub, weft_timer *core)
{
    (void)hub;
    timer_object *self = weft_container_of(core, timer_object, core);
    if (fiber_throw_later(record_of(self->fiber), self->exception) < 0)
        PyErr_WriteUnraisable(NULL);
    Py_DECREF(self);
}

static PyObject *timer_start(PyObject *object, PyObject *args)
{
    timer_object *self = (timer_object *)object;
    PyObject *seconds, *fiber, *exception;
    if (!PyArg_ParseTuple(args, "OO!O:start", &seconds, &weft_fiber_type, &fiber, &exception))
        return NULL;
    if (self->core.is_started)
        return errors_refuse(PyExc_RuntimeError, "cannot start a timer that is pending already");
    weft_thread *thread = record_of(fiber)->thread;
    uint64_t deadline_ns;
    if (seconds_to_deadline(thread, seconds, &deadline_ns) < 0)
        return NULL;
    if (deadline_ns == WEFT_NEVER)
        Py_RETURN_NONE;
    Py_XSETREF(self->fiber, Py_NewRef(fiber));
    Py_XSETREF(self->exception, Py_NewRef(exception));
    Py_INCREF(self);
    self->core.fire = timer_fire;
    weft_timer_start(&thread->hub, &self->core, deadline_ns);
    if (thread->hub.is_blocked)
        weft_hub_notify(&thread->hub);
    Py_RETURN_NONE;
}

/* Forgets it: also when its time has come, but the fiber has not run since to be struck. */
static PyObject *timer_cancel(PyObject *object, PyObject *unused)
{
    (void)unused;
    timer_object *self = (timer_object *)object;
    if (self->fiber == NULL)
        Py_RETURN_NONE;
    if (self->core.is_started) {
        weft_timer_cancel(&record_of(self->fiber)->thread->hub, &self->core);
        Py_DECREF(self); /* its hold on itself; the caller has another */
    } else {
        fiber_take_back(record_of(self->fiber), self->exception);
    }
    Py_CLEAR(self->fiber);
    Py_CLEAR(self->exception);
    Py_RETURN_NONE;
}

static PyObject *timer_get_pending(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((timer_object *)object)->core.is_started);
}

static int timer_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((timer_object *)object)->fiber);
    Py_VISIT(((timer_object *)object)->exception);
    return 0;
}

static int timer_clear(PyObject *object)
{
    if (((timer_object *)object)->core.is_started)
        return 0; /* the hub will need them */
    Py_CLEAR(((timer_object *)object)->fiber);
    Py_CLEAR(((timer_object *)object)->exception);
    return 0;
}

static void timer_dealloc(PyObject *object)
{
    assert(!((timer_object *)object)->core.is_started); /* it would hold itself */
    PyObject_GC_UnTrack(object);
    timer_clear(object);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef timer_methods[] = {
    {"start", timer_start, METH_VARARGS,
     "start($self, seconds, fiber, exception, /)\n--\n\nThrow `exception` into `fiber` after that "
     "many seconds; None: never.\n\nSwitches: never. Threads: any. Raises RuntimeError if "
     "pending."},
    {"cancel", timer_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nForget it. May be started again.\n\nSwitches: never. Threads: any."},
    {0},
};

static PyGetSetDef timer_getset[] = {
    {"pending", timer_get_pending, NULL, "Started, and neither fired nor cancelled.", NULL},
    {0},
};

PyTypeObject weft_timer_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weft._core.Timer",
    .tp_doc = "Timer()\n--\n\nThrows an exception into a fiber when its time has come.\n\n"
              "Switches: never. Threads: any.",
    .tp_basicsize = sizeof(timer_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = timer_traverse,
    .tp_clear = timer_clear,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = timer_dealloc,
    .tp_methods = timer_methods,
    .tp_getset = timer_getset,
};
