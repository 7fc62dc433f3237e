/*
 * watch_type.c: Watch: calls back in the hub when a descriptor is ready.
 *
 * The idea: a notice (notice.c) that the descriptor's entry tells (core/fd.c). The kernel tells of
 * an edge; gevent's libraries expect a level, so who is called asks to be told again of what is
 * still true (`want`).
 * Invariant: `core` is in the entry's list while it is active, so it is taken out before the object
 * goes.
 * Threads: any. Do not add: waiting. That needs a fiber (io/fd_wait.c).
 */
#include "python/hub/hub.h"

typedef struct {
    notice head;     /* first: what all that call back have */
    fbl_fd_watch core; /* in the descriptor's list while active */
} watch_object;

static fbl_fd_watch *watch_of(PyObject *self) { return &((watch_object *)self)->core; }

static void watch_fired(fbl_hub *hub, fbl_fd_watch *core, unsigned ready)
{
    (void)hub;
    notice_tell(&fbl_container_of(core, watch_object, core)->head, ready);
}

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
