/*
 * event_type.c: Event: a flag that fibers wait for.
 *
 * The idea: set() wakes everybody who waits then, in order; who was woken has seen it set, even if
 * it is cleared again before he runs. So a set() is never missed by somebody who was waiting.
 * Threads: any.
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"

typedef struct {
    PyObject_HEAD fbl_link waiters;  /* who waits for it to be set, in order */
    PyObject *weakrefs; /* weak references to it */
    PyObject *links;    /* owned: list of callbacks for set(), or NULL; see link.c */
    bool is_set;        /* the flag */
    bool was_waited_for; /* has anybody waited, or linked? For the attribute `hub` alone */
} event_object;

static event_object *event_of(PyObject *self) { return (event_object *)self; }

static PyObject *event_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL)
        fbl_list_init(&event_of(self)->waiters);
    return self;
}

static PyObject *event_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    event_of(self)->is_set = true;
    int rc = link_tell_all(&event_of(self)->links, self); /* they are called before waiters go on */
    while (fbl_waiter_fire_first(&event_of(self)->waiters))
        ;
    return fbl_unlikely(rc < 0) ? NULL : Py_NewRef(Py_None);
}

static PyObject *event_clear_flag(PyObject *self, PyObject *unused)
{
    (void)unused;
    event_of(self)->is_set = false;
    Py_RETURN_NONE;
}

static PyObject *event_is_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    spin_poll_wait();
    return PyBool_FromLong(event_of(self)->is_set);
}

static bool event_is_ready(PyObject *self) { return event_of(self)->is_set; }

static PyObject *event_rawlink(PyObject *self, PyObject *callback)
{
    event_of(self)->was_waited_for = true;
    return link_add(&event_of(self)->links, self, callback, event_is_ready);
}

static PyObject *event_unlink(PyObject *self, PyObject *callback)
{
    return link_remove(&event_of(self)->links, self, callback);
}

static PyObject *event_wait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names)
{
    static const char *const known[] = {"wait(timeout=None)", "timeout", NULL};
    PyObject *timeout = Py_None;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (arguments_read(&call, names, known, &timeout) < 0)
        return NULL;
    fbl_waiter waiter = {0};
    fbl_park park = {FBL_NEVER, "for", self, &waiter, &event_of(self)->waiters, NULL};
    fbl_thread *thread = NULL;
    if (!event_of(self)->is_set && (thread = call_prepare_wait(&call, timeout, &park)) == NULL)
        return NULL;
    if (event_of(self)->is_set)
        Py_RETURN_TRUE;
    event_of(self)->was_waited_for = true;
    fbl_parked how = call_park_wait(thread, &call, &park);
    return how == PARK_RAISED ? NULL : PyBool_FromLong(how == PARK_FIRED);
}

static int event_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(event_of(self)->links);
    return waiters_visit(&event_of(self)->waiters, visit, arg);
}

static int event_gc_clear(PyObject *self)
{
    Py_CLEAR(event_of(self)->links);
    return 0;
}

static void event_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (event_of(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(event_of(self)->links);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *event_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s object at %p (%s)>", Py_TYPE(self)->tp_name, self,
                                event_of(self)->is_set ? "set" : "clear");
}

PyDoc_STRVAR(event_set_doc,
             "set($self, /)\n--\n\nSet the flag and wake everybody who waits for it.\n\n"
             "Switches: never. Threads: any.");
PyDoc_STRVAR(event_clear_doc,
             "clear($self, /)\n--\n\nClear the flag.\n\nSwitches: never. Threads: any.");
PyDoc_STRVAR(event_is_set_doc,
             "is_set($self, /)\n--\n\nWhether the flag is set.\n\nSwitches: never. Threads: any.");
PyDoc_STRVAR(event_wait_doc,
             "wait($self, /, timeout=None)\n--\n\n"
             "Wait until the flag is set: True, or False after `timeout` seconds.\n\n"
             "Switches: if it must wait. Threads: any.");

static PyObject *event_linkcount(PyObject *self, PyObject *unused)
{
    (void)unused;
    return link_count(event_of(self)->links, waiters_count(&event_of(self)->waiters));
}

ONE_ARGUMENT(event_rawlink, "callback")
ONE_ARGUMENT(event_unlink, "callback")

/* The standard library's Event has a lock to make anew; here who waited stayed in the parent. */
static PyObject *event_reinit(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE;
}

static PyMethodDef event_methods[] = {
    {"set", event_set, METH_NOARGS, event_set_doc},
    {"clear", event_clear_flag, METH_NOARGS, event_clear_doc},
    {"is_set", event_is_set, METH_NOARGS, event_is_set_doc},
    {"isSet", event_is_set, METH_NOARGS, event_is_set_doc},
    {"ready", event_is_set, METH_NOARGS, event_is_set_doc},
    {"wait", (PyCFunction)(void (*)(void))event_wait, FAST_KEYWORDS, event_wait_doc},
    {"rawlink", FAST_ONE(event_rawlink), fbl_link_add_doc},
    {"unlink", FAST_ONE(event_unlink), fbl_link_remove_doc},
    {"linkcount", event_linkcount, METH_NOARGS, fbl_link_count_doc},
    {"_at_fork_reinit", event_reinit, METH_NOARGS,
     "_at_fork_reinit($self, /)\n--\n\nFor threading, in a child."},
    {0},
};

static PyObject *event_get_hub(PyObject *self, void *unused)
{
    return event_of(self)->was_waited_for ? link_get_hub(self, unused) : Py_NewRef(Py_None);
}

static PyGetSetDef event_getset[] = {
    {"hub", event_get_hub, NULL, FBL_HUB_DOC, NULL},
    {0},
};

PyDoc_STRVAR(event_doc, "Event()\n--\n\n"
                        "A flag that fibers wait for.\n\n"
                        "Switches: never. Threads: any.\n\n"
                        ">>> import fibril\n"
                        ">>> from fibril.event import Event\n"
                        ">>> event = Event()\n"
                        ">>> task = fibril.spawn(event.wait)\n"
                        ">>> event.set()\n"
                        ">>> task.get()\n"
                        "True\n");

PyTypeObject fbl_event_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.event.Event",
    .tp_doc = event_doc,
    .tp_basicsize = sizeof(event_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = event_new,
    .tp_dealloc = event_dealloc,
    .tp_traverse = event_traverse,
    .tp_clear = event_gc_clear,
    .tp_repr = event_repr,
    .tp_methods = event_methods,
    .tp_getset = event_getset,
    .tp_weaklistoffset = offsetof(event_object, weakrefs),
};
