/*
 * rlock_type.c: RLock: a lock that the fiber which owns it may acquire again; and the one that
 * stands for threading.RLock, with the standard library's arguments, which is its base.
 *
 * The idea: one permit of a gate (gate.h), with an owner, which is a fiber, and a depth. The owner
 * counts up and down; who else wants it waits for the permit, and the last release hands it on.
 *
 * Invariant: `owner` and `depth` are set together, by the owner itself. So a permit that was handed
 * on has no owner until the fiber that got it runs.
 * Threads: any. Do not add: what a semaphore has for those who need no owner (links, watchers).
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/primitives/semaphore.h"

typedef struct {
    PyObject_HEAD fbl_gate gate; /* one permit */
    PyObject *owner; /* owned: the fiber that has it, or NULL */
    Py_ssize_t depth; /* how many times it has it */
    PyObject *weakrefs; /* weak references to it */
} rlock_object;

static PyObject *rlock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"hub", NULL};
    PyObject *unused = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:RLock", names, &unused))
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL)
        gate_init(&((rlock_object *)self)->gate, 1);
    return self;
}

/* 0: the current fiber has it once more; 1: not in time; -1: an exception. */
static int rlock_take_wait(fbl_call *call, int blocking, PyObject *timeout)
{
    rlock_object *self = (rlock_object *)call->self;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return -1;
    PyObject *current = thread_current(thread)->self;
    if (self->owner == current) {
        self->depth++;
        return 0;
    }
    spin_poll_wait();
    int rc = gate_acquire_wait(&self->gate, call, blocking, timeout);
    if (rc == 0) {
        assert(self->owner == NULL);
        self->owner = Py_NewRef(current);
        self->depth = 1;
    }
    return rc;
}

static PyObject *rlock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    PyObject *timeout = Py_None;
    int blocking = acquire_read(&call, names, ACQUIRE_USAGE, &timeout);
    int rc = blocking < 0 ? -1 : rlock_take_wait(&call, blocking, timeout);
    return rc < 0 ? NULL : PyBool_FromLong(rc == 0);
}

/* As the standard library has it: a timeout of -1 is for ever. */
static PyObject *rlock_thread_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                      PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    PyObject *timeout = NULL;
    int blocking = acquire_read(&call, names, "acquire(blocking=True, timeout=-1)", &timeout);
    if (blocking < 0 || lock_read_timeout(blocking, &timeout) < 0)
        return NULL;
    int rc = rlock_take_wait(&call, blocking, timeout);
    return rc < 0 ? NULL : PyBool_FromLong(rc == 0);
}

/* Gives it up wholly, whatever the depth. */
static void rlock_give(rlock_object *self)
{
    PyObject *owner = self->owner;
    self->owner = NULL;
    self->depth = 0;
    gate_release(&self->gate);
    Py_DECREF(owner);
}

static bool rlock_is_mine(rlock_object *self)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        PyErr_Clear(); /* no thread record: it cannot own anything */
    return thread != NULL && self->owner == thread_current(thread)->self;
}

static PyObject *rlock_release(PyObject *object, PyObject *unused)
{
    (void)unused;
    rlock_object *self = (rlock_object *)object;
    if (!rlock_is_mine(self)) {
        if (self->owner == NULL)
            return errors_refuse(PyExc_RuntimeError, "cannot release un-acquired lock");
        return errors_refuse(PyExc_RuntimeError,
                             "cannot release a lock that fiber %R owns: release it there.",
                             self->owner);
    }
    if (--self->depth == 0)
        rlock_give(self);
    Py_RETURN_NONE;
}

static PyObject *rlock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_call call = {self, NULL, 0, NULL};
    return rlock_take_wait(&call, 1, Py_None) < 0 ? NULL : Py_NewRef(Py_True);
}

static PyObject *rlock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return rlock_release(self, NULL);
}

static PyObject *rlock_owner(PyObject *self) { return ((rlock_object *)self)->owner; }

static PyObject *rlock_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    spin_poll_wait();
    return PyBool_FromLong(((rlock_object *)self)->owner != NULL);
}

/* What threading.Condition asks of its lock. */
static PyObject *rlock_is_owned(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(rlock_is_mine((rlock_object *)self));
}

static PyObject *rlock_release_save(PyObject *object, PyObject *unused)
{
    (void)unused;
    rlock_object *self = (rlock_object *)object;
    if (!rlock_is_mine(self))
        return errors_refuse(PyExc_RuntimeError, "cannot release un-acquired lock");
    PyObject *depth = PyLong_FromSsize_t(self->depth);
    if (depth != NULL)
        rlock_give(self);
    return depth;
}

static PyObject *rlock_acquire_restore(PyObject *object, PyObject *saved)
{
    fbl_call call = {object, NULL, 0, NULL};
    Py_ssize_t depth = PyNumber_AsSsize_t(saved, PyExc_OverflowError);
    if ((depth == -1 && PyErr_Occurred()) || rlock_take_wait(&call, 1, Py_None) < 0)
        return NULL;
    ((rlock_object *)object)->depth = depth;
    Py_RETURN_NONE;
}

static PyObject *rlock_recursion_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    rlock_object *lock = (rlock_object *)self;
    return PyLong_FromSsize_t(rlock_is_mine(lock) ? lock->depth : 0);
}

/* In the child of a fork nobody is left who could give it back. */
static PyObject *rlock_reinit(PyObject *self, PyObject *unused)
{
    (void)unused;
    rlock_object *lock = (rlock_object *)self;
    lock->gate.count = 1;
    lock->depth = 0;
    Py_CLEAR(lock->owner);
    Py_RETURN_NONE;
}

/* The owner's, as get_ident() tells it to the owner; 0: nobody has it. */
static size_t rlock_owner_ident(const rlock_object *self)
{
    if (self->owner == NULL)
        return 0;
    const fbl_record *record = record_of(self->owner);
    const fbl_thread *thread = record->thread;
    bool is_native = record == thread->main && !thread->is_closed;
    return is_native ? (size_t)thread->ts->thread_id : (size_t)(uintptr_t)self->owner;
}

static PyObject *rlock_repr(PyObject *object)
{
    const rlock_object *self = (rlock_object *)object;
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__module__");
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__qualname__");
    PyObject *text = NULL;
    if (module != NULL && name != NULL)
        text = PyUnicode_FromFormat("<%s %U.%U object owner=%zu count=%zd at %p>",
                                    self->owner == NULL ? "unlocked" : "locked", module, name,
                                    rlock_owner_ident(self), self->depth, object);
    Py_XDECREF(module);
    Py_XDECREF(name);
    return text;
}

static int rlock_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((rlock_object *)self)->owner);
    return gate_visit(&((rlock_object *)self)->gate, visit, arg);
}

static int rlock_clear(PyObject *self)
{
    Py_CLEAR(((rlock_object *)self)->owner);
    return 0;
}

static void rlock_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (((rlock_object *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    rlock_clear(self);
    Py_TYPE(self)->tp_free(self);
}

PyDoc_STRVAR(
    rlock_release_doc,
    "release($self, /)\n--\n\n"
    "Undo one acquire; the last hands the lock to the first who waits.\n\n"
    "Switches: never. Threads: any. Raises RuntimeError if the current fiber does not own it.");

/* Each of the two types lists them, inherited or not, for speed: see QUEUE_HOT_METHODS. */
#define RLOCK_METHODS                                                                              \
    {"release", rlock_release, METH_NOARGS, rlock_release_doc},                                    \
        {"locked", rlock_locked, METH_NOARGS,                                                      \
         "locked($self, /)\n--\n\nWhether somebody owns it.\n\nSwitches: never. Threads: any."},   \
        {"__enter__", rlock_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nAs acquire()."},       \
        {"__exit__", (PyCFunction)(void (*)(void))rlock_exit, METH_FASTCALL,                       \
         "__exit__($self, /, *unused)\n--\n\nAs release()."}

static PyMethodDef rlock_methods[] = {
    ACQUIRE_METHOD("acquire", rlock_acquire, fbl_acquire_doc),
    RLOCK_METHODS,
    {0},
};

static PyMethodDef rlock_thread_methods[] = {
    ACQUIRE_METHOD("acquire", rlock_thread_acquire,
                   "acquire($self, /, blocking=True, timeout=-1)\n--\n\nTake the lock; False if "
                   "another has it and may not be waited for, or not any longer.\n\n"
                   "timeout: seconds to wait at most, -1 for ever.\n\n"
                   "Switches: if it must wait. Threads: any. Raises ValueError, OverflowError."),
    RLOCK_METHODS,
    {"_is_owned", rlock_is_owned, METH_NOARGS,
     "_is_owned($self, /)\n--\n\nFor threading.Condition."},
    {"_release_save", rlock_release_save, METH_NOARGS,
     "_release_save($self, /)\n--\n\nFor threading.Condition."},
    {"_acquire_restore", rlock_acquire_restore, METH_O,
     "_acquire_restore($self, saved, /)\n--\n\nFor threading.Condition."},
    {"_recursion_count", rlock_recursion_count, METH_NOARGS,
     "_recursion_count($self, /)\n--\n\nHow many times the current fiber has it."},
    {"_at_fork_reinit", rlock_reinit, METH_NOARGS,
     "_at_fork_reinit($self, /)\n--\n\nFor threading, in a child: it is free."},
    {0},
};

static int rlock_thread_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    (void)args;
    (void)kwargs;
    return 0;
}

/* No signature, and any arguments, as the native one; where that refuses them, only those of a
 * subclass that reads them itself. */
static PyObject *rlock_thread_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    bool has_any = PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0);
    if (has_any && RLOCK_TAKES_NOTHING && type->tp_init == rlock_thread_init)
        return errors_refuse(PyExc_TypeError, "RLock() takes no arguments");
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL)
        gate_init(&((rlock_object *)self)->gate, 1);
    return self;
}

PyDoc_STRVAR(rlock_thread_doc,
             "A lock as `threading.RLock` gives it: its owner, a fiber, may take it again.\n\n"
             "Switches: never. Threads: any.\n\n"
             ">>> from fibril.thread import RLock\n"
             ">>> lock = RLock()\n"
             ">>> with lock:\n"
             "...     lock.acquire()\n"
             "True\n");

PyTypeObject fbl_thread_rlock_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.thread.RLock",
    .tp_doc = rlock_thread_doc,
    .tp_basicsize = sizeof(rlock_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = rlock_thread_new,
    .tp_init = rlock_thread_init,
    .tp_dealloc = rlock_dealloc,
    .tp_traverse = rlock_traverse,
    .tp_clear = rlock_clear,
    .tp_repr = rlock_repr,
    .tp_methods = rlock_thread_methods,
    .tp_weaklistoffset = offsetof(rlock_object, weakrefs),
};

/* What others have in two parts is one here: the lock within is the lock. */
static PyObject *rlock_get_block(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *rlock_get_hub(PyObject *self, void *unused)
{
    bool was_waited_for = ((rlock_object *)self)->gate.was_waited_for;
    return was_waited_for ? link_get_hub(self, unused) : Py_NewRef(Py_None);
}

static PyGetSetDef rlock_getset[] = {
    {"_block", rlock_get_block, NULL, "The lock itself: for who looks into gevent's.", NULL},
    {"hub", rlock_get_hub, NULL, FBL_HUB_DOC, NULL},
    {0},
};

PyDoc_STRVAR(rlock_doc, "RLock(hub=None)\n--\n\n"
                        "A lock that the fiber which owns it may acquire again.\n\n"
                        "hub: ignored, for gevent's signature. Switches: never. Threads: any.\n\n"
                        ">>> from fibril.lock import RLock\n"
                        ">>> lock = RLock()\n"
                        ">>> with lock:\n"
                        "...     with lock:\n"
                        "...         lock.locked()\n"
                        "True\n");

PyTypeObject fbl_rlock_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.lock.RLock",
    .tp_doc = rlock_doc,
    .tp_base = &fbl_thread_rlock_type,
    .tp_basicsize = sizeof(rlock_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = rlock_new,
    .tp_dealloc = rlock_dealloc,
    .tp_traverse = rlock_traverse,
    .tp_clear = rlock_clear,
    .tp_methods = rlock_methods,
    .tp_getset = rlock_getset,
    .tp_weaklistoffset = offsetof(rlock_object, weakrefs),
};
