/*
 * timeout_type.c: the hot half of fibril.Timeout: an exception with a timer, that comes to a fiber.
 *
 * The idea: the fiber need not be parked on anything special. When the time comes the exception is
 * left for it and it is woken from whatever it waits for; if it does not wait, it gets it at its
 * next wait. The timer is a field of the exception itself, so a block that is done in time costs
 * one object, one look at the clock, and a place in the heap of timers. What is rarely asked for
 * (texts, start_new) is Python's, in fibril/timeout.py.
 *
 * Invariants: a started timeout keeps itself alive, as the hub knows it (is_holding); fire and
 * cancel end that. What it throws is itself, so `thrown` is NULL then: no cycle.
 * Threads: any; it strikes the fiber that called start().
 */
#include "python/hub/hub.h"

typedef struct {
    PyBaseExceptionObject base; /* CPython's part of every exception */
    fbl_timer core;            /* in the heap of the fiber's hub while pending */
    PyObject *fiber;     /* owned from start to cancel: whom it strikes */
    PyObject *thrown;    /* owned from start to cancel: what it throws; NULL: itself */
    PyObject *seconds;   /* owned: how long, or None; NULL: None */
    PyObject *exception; /* owned: what to throw instead, or None, False, a text; NULL: None */
    bool is_holding;     /* the reference to itself is held, by the hub's timer */
} timeout_object;

static timeout_object *timeout_of(PyObject *self) { return (timeout_object *)self; }

static PyTypeObject *exception_type(void) { return (PyTypeObject *)PyExc_BaseException; }

static PyObject *timeout_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    return exception_type()->tp_new(type, fbl_empty_tuple, NULL);
}

static int timeout_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seconds", "exception", "ref", "priority", NULL};
    PyObject *seconds = NULL, *exception = NULL, *ref = NULL, *priority = NULL;
    if (fbl_likely(kwargs == NULL && PyTuple_GET_SIZE(args) == 1))
        seconds = PyTuple_GET_ITEM(args, 0);
    else if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOOO:Timeout", names, &seconds,
                                          &exception, &ref, &priority))
        return -1;
    int is_counted = ref == NULL ? 1 : PyObject_IsTrue(ref);
    if (is_counted < 0)
        return -1;
    if (!timeout_of(self)->core.is_started)
        timeout_of(self)->core.is_aside = !is_counted;
    Py_XSETREF(timeout_of(self)->seconds, Py_XNewRef(seconds));
    Py_XSETREF(timeout_of(self)->exception, Py_XNewRef(exception));
    return 0;
}

/* ---- what it throws ---- */

static bool timeout_throws_itself(const timeout_object *timeout)
{
    PyObject *exception = timeout->exception;
    return exception == NULL || exception == Py_None || exception == Py_False ||
           PyUnicode_Check(exception);
}

/* 0: *thrown is a new reference, or NULL for the timeout itself; -1: an exception. */
static int timeout_find_thrown(const timeout_object *timeout, PyObject **thrown)
{
    *thrown = NULL;
    if (fbl_likely(timeout_throws_itself(timeout)))
        return 0;
    PyObject *exception = timeout->exception;
    *thrown = PyType_Check(exception) ? PyObject_CallNoArgs(exception) : Py_NewRef(exception);
    if (*thrown == NULL)
        return -1;
    if (PyExceptionInstance_Check(*thrown))
        return 0;
    errors_refuse(PyExc_TypeError, "cannot time out with %R: give an exception class or instance",
                  *thrown);
    Py_CLEAR(*thrown);
    return -1;
}

/* ---- start, fire, cancel ---- */

/* Called in the middle of fbl_hub_next. Dropping the hold on itself may run Python code, which may
 * do anything there but switch (fiber_may_leave sees to that), so it comes last. */
static void timeout_fire(fbl_hub *hub, fbl_timer *core)
{
    (void)hub;
    timeout_object *self = fbl_container_of(core, timeout_object, core);
    PyObject *thrown = self->thrown != NULL ? self->thrown : (PyObject *)self;
    int rc = fiber_throw_later(record_of(self->fiber), thrown);
    self->is_holding = false;
    if (rc < 0)
        PyErr_WriteUnraisable(NULL);
    Py_DECREF(self);
}

/* What runs the program's code comes first: it may even have started this very timeout. */
static int timeout_start_now(PyObject *object)
{
    timeout_object *self = timeout_of(object);
    bool is_endless = self->seconds == NULL || self->seconds == Py_None;
    fbl_thread *thread = thread_get();
    PyObject *thrown = NULL;
    uint64_t deadline_ns;
    if (thread == NULL || (!is_endless && timeout_find_thrown(self, &thrown) < 0))
        return -1;
    int rc = seconds_to_deadline(thread, self->seconds, &deadline_ns);
    if (rc == 0 && self->core.is_started) {
        errors_refuse(PyExc_AssertionError, /* gevent's */
                      "cannot start %R: it is already started", object);
        rc = -1;
    }
    if (rc < 0 || deadline_ns == FBL_NEVER) {
        Py_XDECREF(thrown);
        return rc;
    }
    self->core.fire = timeout_fire;
    fbl_timer_start(&thread->hub, &self->core, deadline_ns);
    if (!self->is_holding)
        Py_INCREF(self);
    self->is_holding = true;
    PyObject *former_fiber = self->fiber, *former_thrown = self->thrown;
    self->fiber = Py_NewRef(thread_current(thread)->self);
    self->thrown = thrown;
    Py_XDECREF(former_fiber); /* last: this may run the program's code as well */
    Py_XDECREF(former_thrown);
    return 0;
}

/* Forgets it: also when its time has come, but the fiber has not run since to be struck. */
static void timeout_cancel_now(PyObject *object)
{
    timeout_object *self = timeout_of(object);
    if (self->fiber == NULL)
        return;
    if (self->core.is_started)
        fbl_timer_cancel(&record_of(self->fiber)->thread->hub, &self->core);
    else
        fiber_take_back(record_of(self->fiber), self->thrown != NULL ? self->thrown : object);
    if (self->is_holding)
        Py_DECREF(self); /* its hold on itself; the caller has another */
    self->is_holding = false;
    Py_CLEAR(self->fiber);
    Py_CLEAR(self->thrown);
}

/* When it would strike, if it is pending, and then it does not any more: whoever was given it as
 * the time to wait sees to that. */
static bool timeout_take_over(PyObject *object, uint64_t *deadline_ns)
{
    if (!PyObject_TypeCheck(object, &fbl_timeout_type) || !timeout_of(object)->core.is_started)
        return false;
    *deadline_ns = timeout_of(object)->core.deadline_ns;
    timeout_cancel_now(object);
    return true;
}

/* The thread ends: nobody will be struck any more. What a dropped one starts meanwhile is left to
 * the hub, which forgets its timers. */
static void timeouts_release(fbl_thread *thread)
{
    fbl_hub *hub = &thread->hub;
    uint64_t order_end = hub->timer_order;
    while (hub->timers != NULL) {
        fbl_timer *core = fbl_container_of(hub->timers, fbl_timer, node);
        if (core->order >= order_end)
            return;
        fbl_timer_cancel(hub, core);
        if (core->fire != timeout_fire)
            continue; /* a fiber's own */
        timeout_object *self = fbl_container_of(core, timeout_object, core);
        self->is_holding = false;
        Py_DECREF(self);
    }
}

/* Adds an entry for each pending one of the thread's: see hub_waiting. */
static int timeouts_append(const fbl_thread *thread, PyObject *list)
{
    fbl_timer *core = NULL;
    while ((core = fbl_timer_after(&thread->hub, core)) != NULL) {
        if (core->fire != timeout_fire)
            continue; /* a fiber's own */
        timeout_object *self = fbl_container_of(core, timeout_object, core);
        PyObject *entry = Py_BuildValue("(OsO)", self->fiber, "to be struck by", (PyObject *)self);
        int rc = entry == NULL ? -1 : PyList_Append(list, entry);
        Py_XDECREF(entry);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static PyObject *timeout_start(PyObject *self, PyObject *unused)
{
    (void)unused;
    return timeout_start_now(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *timeout_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    timeout_cancel_now(self);
    Py_RETURN_NONE;
}

static PyObject *timeout_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (!timeout_of(self)->core.is_started && timeout_start_now(self) < 0)
        return NULL;
    return Py_NewRef(self);
}

/* True, which ends the exception, for a silent one that struck. */
static PyObject *timeout_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    timeout_cancel_now(self);
    bool is_mine = count > 1 && args[1] == self;
    return Py_NewRef(is_mine && timeout_of(self)->exception == Py_False ? Py_True : Py_None);
}

/* ---- attributes ---- */

static PyObject *timeout_get_pending(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(timeout_of(self)->core.is_started);
}

static PyObject *timeout_get_seconds(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *seconds = timeout_of(self)->seconds;
    return Py_NewRef(seconds != NULL ? seconds : Py_None);
}

static int timeout_set_seconds(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(timeout_of(self)->seconds, Py_XNewRef(value));
    return 0;
}

static PyObject *timeout_get_exception(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *exception = timeout_of(self)->exception;
    return Py_NewRef(exception != NULL ? exception : Py_None);
}

static int timeout_set_exception(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(timeout_of(self)->exception, Py_XNewRef(value));
    return 0;
}

/* ---- life ---- */

static int timeout_traverse(PyObject *self, visitproc visit, void *arg)
{
    timeout_object *timeout = timeout_of(self);
    Py_VISIT(timeout->fiber);
    Py_VISIT(timeout->thrown);
    Py_VISIT(timeout->seconds);
    Py_VISIT(timeout->exception);
    return exception_type()->tp_traverse(self, visit, arg);
}

static int timeout_clear(PyObject *self)
{
    timeout_object *timeout = timeout_of(self);
    if (!timeout->core.is_started) { /* else the hub will need them */
        Py_CLEAR(timeout->fiber);
        Py_CLEAR(timeout->thrown);
    }
    Py_CLEAR(timeout->seconds);
    Py_CLEAR(timeout->exception);
    return exception_type()->tp_clear(self);
}

static void timeout_dealloc(PyObject *self)
{
    assert(!timeout_of(self)->core.is_started); /* it would hold itself */
    PyObject_GC_UnTrack(self);
    timeout_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef timeout_methods[] = {
    {"start", timeout_start, METH_NOARGS,
     "start($self, /)\n--\n\nBegin to count, for the current fiber.\n\n"
     "Switches: never. Threads: any. Raises RuntimeError if it is counting already."},
    {"cancel", timeout_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nDo not strike. It may be started again.\n\n"
     "Switches: never. Threads: any."},
    {"close", timeout_cancel, METH_NOARGS,
     "close($self, /)\n--\n\nThe same as cancel().\n\nSwitches: never. Threads: any."},
    {"__enter__", timeout_enter, METH_NOARGS, "Starts it, unless it is; returns it."},
    {"__exit__", (PyCFunction)(void (*)(void))timeout_exit, METH_FASTCALL,
     "As cancel(); ends the exception if it is this one, and silent."},
    {0},
};

static PyGetSetDef timeout_getset[] = {
    {"pending", timeout_get_pending, NULL, "Started, and neither struck nor cancelled.", NULL},
    {"seconds", timeout_get_seconds, timeout_set_seconds, "How long from start(); None: never.",
     NULL},
    {"exception", timeout_get_exception, timeout_set_exception,
     "What is raised instead; None: itself; False: itself, silently.", NULL},
    {0},
};

PyTypeObject fbl_timeout_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.Timeout",
    .tp_doc = "Timeout(seconds=None, exception=None, ref=True, priority=-1)\n--\n\n"
              "The native half of fibril.Timeout.\n\nSwitches: never. Threads: any.",
    .tp_basicsize = sizeof(timeout_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = timeout_traverse,
    .tp_clear = timeout_clear,
    .tp_new = timeout_new,
    .tp_init = timeout_init,
    .tp_dealloc = timeout_dealloc,
    .tp_methods = timeout_methods,
    .tp_getset = timeout_getset,
};

/* Its base is not a constant, so it is set before the type is made ready. */
static PyTypeObject *timeout_type_prepare(void)
{
    fbl_timeout_type.tp_base = exception_type();
    return &fbl_timeout_type;
}
