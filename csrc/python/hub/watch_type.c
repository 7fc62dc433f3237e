/*
 * watch_type.c: what fibril._hub.loop builds on: a timer and a watch on a descriptor that call back
 * in the hub, and need no fiber while they wait.
 *
 * The idea: when the core says that it is time, or that the descriptor is ready, the object lists
 * itself as told (thread.told) and wakes the hub fiber, which calls the callbacks of all who are
 * listed. That allocates nothing, so it cannot fail, and taking an object out of the list is all
 * that is needed to take a call back.
 *
 * Invariants: the list owns a reference to each object that is in it. One that is started is not
 * kept alive by that: dropping it stops it (fibril._hub.loop keeps the active ones).
 * Threads: any; the callback runs in the hub given at the start.
 */
#include "python/hub/hub.h"

typedef struct {
    PyObject_HEAD PyObject *hub; /* owned: whose turn it is told in */
    PyObject *callback; /* owned: called with what it is told; NULL once cleared */
    fbl_link told;     /* in thread.told from being told to the call */
    uint64_t round;     /* thread.told_round when it was listed: later ones wait for the next */
    unsigned ready;     /* what the callback will be told */
} notice;

typedef struct {
    notice head;     /* first: what both have */
    fbl_timer core; /* in the heap of the hub while active */
} timer_object;

typedef struct {
    notice head;     /* first: what both have */
    fbl_fd_watch core; /* in the descriptor's list while active */
} watch_object;

#define TIMER_READY 256u /* what a timer's callback is told, libev's EV_TIMER */

static notice *notice_of(PyObject *self) { return (notice *)self; }
static fbl_timer *timer_of(PyObject *self) { return &((timer_object *)self)->core; }
static fbl_fd_watch *watch_of(PyObject *self) { return &((watch_object *)self)->core; }
static fbl_thread *notice_thread(PyObject *self) { return record_of(notice_of(self)->hub)->thread; }
static fbl_hub *notice_hub(PyObject *self) { return &notice_thread(self)->hub; }

/* ---- telling ---- */

/* The hub will call it. In the child of a fork there may be no hub fiber yet: whoever makes one
 * there calls something. */
static void notice_tell(notice *self, unsigned ready)
{
    fbl_thread *thread = notice_thread((PyObject *)self);
    self->ready |= ready;
    if (fbl_list_has(&self->told))
        return;
    Py_INCREF(self);
    self->round = thread->told_round;
    fbl_list_append(&thread->told, &self->told);
    if (thread->hub_fiber != NULL)
        hub_wake(thread->hub_fiber);
}

/* Takes back a call that was not made yet. */
static void notice_forget(notice *self)
{
    self->ready = 0;
    if (!fbl_list_has(&self->told))
        return;
    fbl_list_remove(&self->told);
    Py_DECREF(self);
}

/* In the hub: calls the first of the list. */
static void notice_call(fbl_thread *thread, notice *self)
{
    unsigned ready = self->ready;
    self->ready = 0;
    fbl_list_remove(&self->told);
    PyObject *callback = Py_XNewRef(self->callback);
    PyObject *done =
        callback == NULL ? Py_NewRef(Py_None) : PyObject_CallFunction(callback, "I", ready);
    if (done == NULL)
        hub_report_error(thread, callback);
    Py_XDECREF(done);
    Py_XDECREF(callback);
    Py_DECREF(self);
}

/* In the hub: calls all that are told now; who is told meanwhile is called the next time. */
static void notices_call(fbl_thread *thread)
{
    uint64_t round = thread->told_round++;
    while (!fbl_list_is_empty(&thread->told)) {
        notice *first = fbl_container_of(thread->told.next, notice, told);
        if (first->round > round)
            return;
        notice_call(thread, first);
    }
}

/* The thread ends: nobody will be called any more. */
static void notices_release(fbl_thread *thread)
{
    while (!fbl_list_is_empty(&thread->told))
        notice_forget(fbl_container_of(thread->told.next, notice, told));
}

static void timer_fired(fbl_hub *hub, fbl_timer *core)
{
    (void)hub;
    notice_tell(&fbl_container_of(core, timer_object, core)->head, TIMER_READY);
}

static void watch_fired(fbl_hub *hub, fbl_fd_watch *core, unsigned ready)
{
    (void)hub;
    notice_tell(&fbl_container_of(core, watch_object, core)->head, ready);
}

/* ---- what both have ---- */

/* Made whole at once: there is none without a hub. */
static PyObject *notice_new(PyTypeObject *type, PyObject *hub, PyObject *callback)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    fbl_list_init(&notice_of(self)->told);
    notice_of(self)->hub = Py_NewRef(hub);
    notice_of(self)->callback = Py_NewRef(callback);
    return self;
}

static PyObject *notice_get_pending(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(fbl_list_has(&notice_of(self)->told));
}

static int notice_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(notice_of(self)->hub);
    Py_VISIT(notice_of(self)->callback);
    return 0;
}

/* The hub stays until the end: it leads to what a started one must be taken out of. */
static int notice_clear(PyObject *self)
{
    Py_CLEAR(notice_of(self)->callback);
    return 0;
}

static void notice_free(PyObject *self)
{
    notice_clear(self);
    Py_CLEAR(notice_of(self)->hub);
    Py_TYPE(self)->tp_free(self);
}

/* What `ref` is set to, 0 or 1; -1: an exception. */
static int notice_ref(PyObject *value)
{
    if (value != NULL)
        return PyObject_IsTrue(value);
    errors_refuse(PyExc_AttributeError, "cannot delete ref: set it to True or False");
    return -1;
}

/* May it be started? The thread may have ended. */
static int notice_may_start(PyObject *self)
{
    if (!notice_thread(self)->is_closed)
        return 0;
    errors_refuse(fbl_error_fiber, "cannot start %R: the thread of its hub has ended.", self);
    return -1;
}

/* Another thread's hub may sleep, for longer than is right now. */
static PyObject *notice_started(PyObject *self)
{
    if (notice_hub(self)->is_blocked)
        fbl_hub_notify(notice_hub(self));
    Py_RETURN_NONE;
}

/* ---- Timer ---- */

static PyObject *timer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *hub, *callback;
    if (!PyArg_ParseTuple(args, "O!O:Timer", &fbl_hub_type, &hub, &callback))
        return NULL;
    PyObject *self = notice_new(type, hub, callback);
    if (self != NULL)
        timer_of(self)->fire = timer_fired;
    return self;
}

static int timer_seconds(PyObject *self, PyObject *argument, double *seconds)
{
    *seconds = PyFloat_AsDouble(argument);
    return (*seconds == -1.0 && PyErr_Occurred()) ? -1 : notice_may_start(self);
}

static PyObject *timer_start(PyObject *self, PyObject *argument)
{
    double seconds;
    if (timer_seconds(self, argument, &seconds) < 0)
        return NULL;
    fbl_hub *hub = notice_hub(self);
    fbl_timer_cancel(hub, timer_of(self));
    notice_forget(notice_of(self));
    fbl_timer_start(hub, timer_of(self), fbl_hub_deadline(hub, seconds));
    return notice_started(self);
}

/* Counted from when it was last due, so that delays do not add up; but never in the past. */
static PyObject *timer_again(PyObject *self, PyObject *argument)
{
    double seconds;
    if (timer_seconds(self, argument, &seconds) < 0)
        return NULL;
    fbl_hub *hub = notice_hub(self);
    uint64_t now_ns = hub->now(hub), delay_ns = fbl_hub_deadline(hub, seconds) - now_ns;
    uint64_t last_ns = timer_of(self)->deadline_ns;
    uint64_t due_ns = delay_ns < FBL_NEVER - 1 - last_ns ? last_ns + delay_ns : FBL_NEVER - 1;
    fbl_timer_cancel(hub, timer_of(self));
    fbl_timer_start(hub, timer_of(self), due_ns > now_ns ? due_ns : now_ns);
    return notice_started(self);
}

static PyObject *timer_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_timer_cancel(notice_hub(self), timer_of(self));
    notice_forget(notice_of(self));
    Py_RETURN_NONE;
}

static PyObject *timer_get_active(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(timer_of(self)->is_started);
}

static PyObject *timer_get_ref(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!timer_of(self)->is_aside);
}

static int timer_set_ref(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    int is_counted = notice_ref(value);
    if (is_counted >= 0)
        fbl_timer_set_aside(notice_hub(self), timer_of(self), !is_counted);
    return is_counted < 0 ? -1 : 0;
}

static void timer_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    fbl_timer_cancel(notice_hub(self), timer_of(self));
    notice_free(self);
}

static PyMethodDef timer_methods[] = {
    {"start", timer_start, METH_O,
     "start($self, seconds, /)\n--\n\nCall back after that long; anew, if it was started.\n\n"
     "Switches: never. Threads: any."},
    {"again", timer_again, METH_O,
     "again($self, seconds, /)\n--\n\nCall back that long after it was last due.\n\n"
     "Switches: never. Threads: any."},
    {"cancel", timer_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nDo not call back, not even if the time has come.\n\n"
     "Switches: never. Threads: any."},
    {0},
};

static PyGetSetDef timer_getset[] = {
    {"active", timer_get_active, NULL, "Started, and its time has not come.", NULL},
    {"pending", notice_get_pending, NULL, "Its time has come, and the hub has not called.", NULL},
    {"ref", timer_get_ref, timer_set_ref, "While active, something is still to happen.", NULL},
    {0},
};

PyTypeObject fbl_timer_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.Timer",
    .tp_doc = "Timer(hub, callback, /)\n--\n\nCalls callback(256) in the hub when its time has "
              "come.\n\nSwitches: never. Threads: any.",
    .tp_basicsize = sizeof(timer_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = notice_traverse,
    .tp_clear = notice_clear,
    .tp_new = timer_new,
    .tp_dealloc = timer_dealloc,
    .tp_methods = timer_methods,
    .tp_getset = timer_getset,
};

/* ---- Watch ---- */

static PyObject *watch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    int fd;
    unsigned wanted;
    PyObject *hub, *callback;
    if (!PyArg_ParseTuple(args, "O!iIO:Watch", &fbl_hub_type, &hub, &fd, &wanted, &callback))
        return NULL;
    PyObject *self = notice_new(type, hub, callback);
    if (self == NULL)
        return NULL;
    fbl_list_init(&watch_of(self)->link);
    watch_of(self)->fd = fd;
    watch_of(self)->wanted = wanted;
    watch_of(self)->fire = watch_fired;
    return self;
}

static PyObject *watch_start(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (notice_may_start(self) < 0)
        return NULL;
    if (fbl_fd_watch_is_started(watch_of(self)))
        Py_RETURN_NONE;
    int rc = fbl_fd_watch_start(notice_hub(self), watch_of(self));
    return rc < 0 ? errors_os(rc) : notice_started(self);
}

static PyObject *watch_want(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_fd_watch *core = watch_of(self);
    if (fbl_fd_watch_is_started(core) && fbl_fd_watch_want(notice_hub(self), core) < 0)
        notice_tell(notice_of(self), core->wanted);
    Py_RETURN_NONE;
}

static PyObject *watch_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_fd_watch_stop(notice_hub(self), watch_of(self));
    notice_forget(notice_of(self));
    Py_RETURN_NONE;
}

static PyObject *watch_get_active(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(fbl_fd_watch_is_started(watch_of(self)));
}

static PyObject *watch_get_ref(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!watch_of(self)->is_aside);
}

static int watch_set_ref(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    int is_counted = notice_ref(value);
    if (is_counted >= 0)
        fbl_fd_watch_set_aside(notice_hub(self), watch_of(self), !is_counted);
    return is_counted < 0 ? -1 : 0;
}

static void watch_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    fbl_fd_watch_stop(notice_hub(self), watch_of(self));
    notice_free(self);
}

static PyMethodDef watch_methods[] = {
    {"start", watch_start, METH_NOARGS,
     "start($self, /)\n--\n\nCall back when the descriptor is ready, now if it is.\n\n"
     "Switches: never. Threads: any. Raises OSError for what is no open descriptor."},
    {"want", watch_want, METH_NOARGS,
     "want($self, /)\n--\n\nCall back again if it is still ready. One that was closed meanwhile is "
     "watched no longer,\nand called back for once.\n\nSwitches: never. Threads: any."},
    {"cancel", watch_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nWatch no longer, and do not call back.\n\n"
     "Switches: never. Threads: any."},
    {0},
};

static PyGetSetDef watch_getset[] = {
    {"active", watch_get_active, NULL, "Started, and not cancelled.", NULL},
    {"pending", notice_get_pending, NULL, "It was ready, and the hub has not called.", NULL},
    {"ref", watch_get_ref, watch_set_ref, "While active, something is still to happen.", NULL},
    {0},
};

PyTypeObject fbl_watch_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.Watch",
    .tp_doc = "Watch(hub, fd, events, callback, /)\n--\n\nCalls callback(ready) in the hub when "
              "the descriptor becomes ready for events: 1 to\nread, 2 to write, 3 for both."
              "\n\nSwitches: never. Threads: any.",
    .tp_basicsize = sizeof(watch_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = notice_traverse,
    .tp_clear = notice_clear,
    .tp_new = watch_new,
    .tp_dealloc = watch_dealloc,
    .tp_methods = watch_methods,
    .tp_getset = watch_getset,
};
