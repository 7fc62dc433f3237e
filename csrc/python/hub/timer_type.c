/*
 * timer_type.c: Timer: calls back in the hub when a time has come.
 *
 * The idea: a notice (notice.c) that the core's timer heap tells. `again` counts from when it was
 * due, not from now, so that a loop's delays do not add up.
 * Invariant: `core` is in the heap while it is active, so it is taken out before the object goes.
 * Threads: any. Do not add: repetition; who is called starts it again (fibril._hub.watcher).
 */
#include "python/hub/hub.h"

typedef struct {
    notice head;     /* first: what all that call back have */
    fbl_timer core; /* in the heap of the hub while active */
} timer_object;

#define TIMER_READY 256u /* what a timer's callback is told, libev's EV_TIMER */

static fbl_timer *timer_of(PyObject *self) { return &((timer_object *)self)->core; }

static void timer_fired(fbl_hub *hub, fbl_timer *core)
{
    (void)hub;
    notice_tell(&fbl_container_of(core, timer_object, core)->head, TIMER_READY);
}

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
