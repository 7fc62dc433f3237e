/*
 * queue_type.c: SimpleQueue, Queue and LifoQueue: what Python sees of queues.
 *
 * The idea: the methods read their arguments, ask queue_direct.c (which passes hooked queues on),
 * and turn its answer into a value or one of the exceptions Empty, Full, ShutDown. A SimpleQueue
 * has no task_done(), join() and shutdown(); a Queue is a SimpleQueue that has.
 * Threads: any.
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/primitives/queue/queue.h"
#include "python/primitives/queue/queue_doc.h"

PyObject *fbl_queue_items_class;
static PyObject *empty_class, *full_class, *shutdown_class; /* see set_queue_classes */

/* ---- put, get, peek ---- */

/* The arguments of put(item, ...), and of get(...), which has no item. */
typedef struct {
    PyObject *item;    /* out: borrowed; NULL: it takes none */
    int block;         /* out: may it wait? */
    PyObject *timeout; /* out: borrowed */
} queue_options;

static int queue_options_read_given(queue_options *options, const fbl_call *call, PyObject *names,
                                    bool is_put)
{
    static const char *const put_known[] = {"put(item, block=True, timeout=None)", "item", "block",
                                            "timeout", NULL};
    static const char *const get_known[] = {"get(block=True, timeout=None)", "block", "timeout",
                                            NULL};
    PyObject *values[] = {NULL, Py_True, Py_None};
    if (arguments_read(call, names, is_put ? put_known : get_known, values + !is_put) < 0)
        return -1;
    if (is_put && values[0] == NULL) {
        PyErr_Format(PyExc_TypeError, "use %s", put_known[0]);
        return -1;
    }
    *options = (queue_options){values[0], PyObject_IsTrue(values[1]), values[2]};
    return options->block < 0 ? -1 : 0;
}

/* Most calls have none but the item: not to look for any saves 96 of the 1,429 instructions of a
 * put and a get (3.11). */
static inline int queue_options_read(queue_options *options, const fbl_call *call, PyObject *names,
                                     bool is_put)
{
    if (fbl_unlikely(call->count != is_put || names != NULL))
        return queue_options_read_given(options, call, names, is_put);
    *options = (queue_options){is_put ? call->args[0] : NULL, 1, Py_None};
    return 0;
}

/* Waiting for less than no time is the caller's mistake; the standard library says so, too. */
static bool queue_has_bad_timeout(const queue_options *options)
{
    if (fbl_likely(options->timeout == Py_None) || !options->block)
        return false;
    double seconds = PyFloat_AsDouble(options->timeout);
    bool is_number = PyErr_Occurred() == NULL;
    PyErr_Clear(); /* what is no number is refused where it is used */
    return is_number && seconds < 0;
}

static PyObject *queue_refuse_timeout(void)
{
    return errors_refuse(PyExc_ValueError, "'timeout' must be a non-negative number");
}

/* What is raised when the time is over: a Timeout that was given for it, or the class. */
static PyObject *queue_late(const queue_options *options, PyObject *late_class)
{
    PyObject *timeout = options->block ? timeout_given(options->timeout) : NULL;
    return timeout != NULL ? timeout : late_class;
}

static PyObject *queue_answer_wait(int rc, PyObject *late, PyObject *answer)
{
    if (rc == QUEUE_LATE) {
        spin_poll_wait(); /* only who has found nothing may be polling */
        if (fbl_likely(PyType_Check(late)))
            PyErr_SetNone(late);
        else
            (void)timeout_raise(late);
    } else if (rc == QUEUE_SHUT) {
        PyErr_SetNone(shutdown_class);
    }
    return rc == QUEUE_DONE ? answer : NULL;
}

static PyObject *queue_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    queue_options options;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (queue_options_read(&options, &call, names, true) < 0)
        return NULL;
    if (fbl_unlikely(queue_has_bad_timeout(&options)))
        return queue_refuse_timeout();
    int rc = queue_put_item_wait(self, options.item, options.block ? &call : NULL, options.timeout);
    return Py_XNewRef(queue_answer_wait(rc, queue_late(&options, full_class), Py_None));
}

static PyObject *queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                  PyObject *names)
{
    static const char *const known[] = {"put_nowait(item)", "item", NULL};
    fbl_call call = {self, args, vector_length(count, names), NULL};
    PyObject *item = NULL;
    if (arguments_read(&call, names, known, &item) < 0)
        return NULL;
    if (item == NULL)
        return errors_refuse(PyExc_TypeError, "use %s", known[0]);
    return Py_XNewRef(
        queue_answer_wait(queue_put_item_wait(self, item, NULL, Py_None), full_class, Py_None));
}

static PyObject *queue_take_wait(fbl_call *call, PyObject *names, queue_taker *take)
{
    PyObject *item = NULL;
    queue_options options;
    if (queue_options_read(&options, call, names, false) < 0)
        return NULL;
    bool is_bad = queue_has_bad_timeout(&options); /* told only where it would wait */
    int rc = take(call->self, options.block && !is_bad ? call : NULL, options.timeout, &item);
    if (fbl_unlikely(is_bad && rc == QUEUE_LATE))
        return queue_refuse_timeout();
    return queue_answer_wait(rc, queue_late(&options, empty_class), item);
}

static PyObject *queue_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    return queue_take_wait(&call, names, queue_get_item_wait);
}

static PyObject *queue_peek(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    return queue_take_wait(&call, names, queue_peek_item_wait);
}

static PyObject *queue_get_nowait(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *item = NULL;
    int rc = queue_get_item_wait(self, NULL, Py_None, &item);
    return queue_answer_wait(rc, empty_class, item);
}

static PyObject *queue_peek_nowait(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *item = NULL;
    int rc = queue_peek_item_wait(self, NULL, Py_None, &item);
    return queue_answer_wait(rc, empty_class, item);
}

static PyObject *queue_next(PyObject *self)
{
    PyObject *item = NULL;
    fbl_call call = {self, NULL, 0, NULL};
    int rc = queue_get_item_wait(self, &call, Py_None, &item);
    item = queue_answer_wait(rc, empty_class, item);
    if (item == PyExc_StopIteration)
        Py_CLEAR(item); /* the end that a producer puts, by convention */
    return item;
}

/* ---- task_done, join, shutdown ---- */

static PyObject *queue_task_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (queue_of(self)->unfinished <= 0)
        return errors_refuse(PyExc_ValueError, "task_done() called too many times");
    queue_finish(queue_of(self), 1);
    Py_RETURN_NONE;
}

static PyObject *queue_join(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names)
{
    static const char *const known[] = {"join(timeout=None)", "timeout", NULL};
    PyObject *timeout = Py_None;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (arguments_read(&call, names, known, &timeout) < 0)
        return NULL;
    fbl_waiter waiter = {0};
    fbl_park park = {FBL_NEVER, "to join", self, &waiter, &queue_of(self)->joiners, NULL};
    fbl_thread *thread = NULL;
    if (queue_of(self)->unfinished != 0 &&
        (thread = call_prepare_wait(&call, timeout, &park)) == NULL)
        return NULL;
    if (queue_of(self)->unfinished == 0)
        Py_RETURN_TRUE;
    fbl_parked how = call_park_wait(thread, &call, &park);
    return how == PARK_RAISED ? NULL : PyBool_FromLong(how == PARK_FIRED);
}

static PyObject *queue_shutdown(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    static const char *const known[] = {"shutdown(immediate=False)", "immediate", NULL};
    PyObject *flag = Py_False;
    queue_object *queue = queue_of(self);
    fbl_call call = {self, args, vector_length(count, names), NULL};
    int immediate = arguments_read(&call, names, known, &flag) < 0 ? -1 : PyObject_IsTrue(flag);
    if (immediate < 0)
        return NULL;
    queue->is_shutdown = true; /* first: who waits at the gate may be in before we drain */
    waiters_close(&queue->getters);
    waiters_close(&queue->putters);
    if (immediate && queue->hooks != NULL && hooked_drain_wait(self) < 0)
        return NULL;
    if (immediate)
        queue_drain(queue);
    Py_RETURN_NONE;
}

/* ---- state ---- */

/* How many items, for who may be polling. -1: an exception. */
static Py_ssize_t queue_length_wait(PyObject *self)
{
    spin_poll_wait();
    if (fbl_unlikely(queue_of(self)->hooks != NULL))
        return hooked_length(self);
    return (Py_ssize_t)queue_of(self)->count;
}

static int queue_is_true(PyObject *self)
{
    (void)self;
    return 1; /* a queue is an object, not its items */
}

static PyObject *queue_qsize(PyObject *self, PyObject *unused)
{
    (void)unused;
    Py_ssize_t length = queue_length_wait(self);
    return length < 0 ? NULL : PyLong_FromSsize_t(length);
}

static PyObject *queue_is_empty(PyObject *self, PyObject *unused)
{
    (void)unused;
    Py_ssize_t length = queue_length_wait(self);
    return length < 0 ? NULL : PyBool_FromLong(length == 0);
}

static PyObject *queue_is_full(PyObject *self, PyObject *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    spin_poll_wait();
    int is_full = queue->hooks != NULL ? hooked_is_full(self) : queue->count >= queue->count_max;
    return is_full < 0 ? NULL : PyBool_FromLong(is_full);
}

static PyObject *queue_get_maxsize(PyObject *self, void *unused)
{
    (void)unused;
    if (queue_of(self)->count_max == SIZE_MAX)
        Py_RETURN_NONE;
    return PyLong_FromSize_t(queue_of(self)->count_max);
}

/* None, 0 and less: any number. -1: an exception. */
static int count_max_read(PyObject *maxsize, size_t *count_max)
{
    Py_ssize_t limit = maxsize == Py_None ? 0 : PyNumber_AsSsize_t(maxsize, PyExc_OverflowError);
    *count_max = limit > 0 ? (size_t)limit : SIZE_MAX;
    return limit == -1 && PyErr_Occurred() ? -1 : 0;
}

static int queue_set_maxsize(PyObject *self, PyObject *maxsize, void *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    if (count_max_read(maxsize != NULL ? maxsize : Py_None, &queue->count_max) < 0)
        return -1;
    return queue->hooks != NULL ? hooked_settle_wait(self) : queue_admit(queue);
}

static PyObject *queue_get_unfinished(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(queue_of(self)->unfinished);
}

static int queue_set_unfinished(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_ssize_t count = value == NULL ? -1 : PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (count < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a queue's unfinished_tasks must be a number >= 0");
    if (count < 0)
        return -1;
    queue_of(self)->unfinished = count;
    queue_finish(queue_of(self), 0);
    return 0;
}

static PyObject *queue_get_is_shutdown(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(queue_of(self)->is_shutdown);
}

static PyObject *queue_empty_ring(PyObject *self, PyObject *unused)
{
    (void)unused;
    ring_clear(queue_of(self));
    return queue_admit(queue_of(self)) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *queue_repr(PyObject *self)
{
    queue_object *queue = queue_of(self);
    Py_ssize_t length = queue_length_wait(self);
    const char *shut = queue->is_shutdown ? ", shut down" : "";
    if (length < 0)
        return NULL;
    if (queue->count_max == SIZE_MAX)
        return PyUnicode_FromFormat("<%s at %p, %zd items%s>", Py_TYPE(self)->tp_name, self, length,
                                    shut);
    return PyUnicode_FromFormat("<%s at %p, %zd of %zu items%s>", Py_TYPE(self)->tp_name, self,
                                length, queue->count_max, shut);
}

/* ---- life ---- */

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    queue_object *queue = queue_of(self);
    queue->count_max = SIZE_MAX;
    queue->is_lifo = PyType_IsSubtype(type, &fbl_lifo_queue_type);
    fbl_list_init(&queue->getters);
    fbl_list_init(&queue->putters);
    fbl_list_init(&queue->joiners);
    if (hooks_settle_type(self) < 0)
        Py_CLEAR(self);
    return self;
}

/* The items at the start, kept as the class likes. They count as unfinished. */
static int queue_begin(PyObject *self, PyObject *maxsize, PyObject *items)
{
    queue_object *queue = queue_of(self);
    if (count_max_read(maxsize, &queue->count_max) < 0)
        return -1;
    if (items != NULL && items != Py_None) {
        items = PySequence_List(items);
        if (items == NULL)
            return -1;
    }
    PyObject *limit = queue->count_max == SIZE_MAX ? Py_None : maxsize;
    bool is_filled = items != NULL && items != Py_None && PyList_GET_SIZE(items) > 0;
    ring_clear(queue);
    int rc = 0;
    if (queue->hooks != NULL || is_filled)
        rc = hooks_init(self, limit, is_filled ? items : NULL);
    queue->unfinished = is_filled ? PyList_GET_SIZE(items) : 0;
    if (items != Py_None)
        Py_XDECREF(items);
    return rc;
}

static int simple_queue_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", "items", NULL};
    PyObject *maxsize = Py_None, *items = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:SimpleQueue", names, &maxsize, &items))
        return -1;
    return queue_begin(self, maxsize, items);
}

static int queue_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", "items", "unfinished_tasks", NULL};
    PyObject *maxsize = Py_None, *items = NULL, *unfinished = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOO:Queue", names, &maxsize, &items,
                                     &unfinished) ||
        queue_begin(self, maxsize, items) < 0)
        return -1;
    return unfinished == Py_None ? 0 : queue_set_unfinished(self, unfinished, NULL);
}

/* As another of its class with the same items; see copy(). */
static PyObject *simple_queue_copy(PyObject *self, PyObject *unused)
{
    PyObject *maxsize = queue_get_maxsize(self, NULL);
    PyObject *items = maxsize == NULL ? NULL : queue_snapshot(self, unused);
    PyObject *copy = items == NULL ? NULL
                                   : PyObject_CallFunctionObjArgs((PyObject *)Py_TYPE(self),
                                                                  maxsize, items, NULL);
    Py_XDECREF(items);
    Py_XDECREF(maxsize);
    return copy;
}

static PyObject *queue_copy(PyObject *self, PyObject *unused)
{
    PyObject *copy = simple_queue_copy(self, unused);
    if (copy != NULL && PyObject_TypeCheck(copy, &fbl_queue_type))
        queue_of(copy)->unfinished = queue_of(self)->unfinished;
    return copy;
}

static int queue_traverse(PyObject *self, visitproc visit, void *arg)
{
    queue_object *queue = queue_of(self);
    for (size_t i = 0; i < queue->count; i++)
        Py_VISIT(queue->ring[(queue->head + i) & queue->mask]);
    if (queue->hooks != NULL) {
        Py_VISIT(queue->hooks->store);
        int gate_rc = gate_visit(&queue->hooks->gate, visit, arg);
        if (gate_rc != 0)
            return gate_rc;
    }
    int rc = waiters_visit(&queue->getters, visit, arg);
    if (rc == 0)
        rc = waiters_visit(&queue->putters, visit, arg);
    return rc != 0 ? rc : waiters_visit(&queue->joiners, visit, arg);
}

static int queue_clear(PyObject *self)
{
    ring_clear(queue_of(self));
    if (queue_of(self)->hooks != NULL)
        Py_CLEAR(queue_of(self)->hooks->store);
    return 0;
}

static void queue_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (queue_of(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    queue_clear(self);
    PyMem_Free(queue_of(self)->ring);
    PyMem_Free(queue_of(self)->hooks);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *module_set_queue_classes(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *empty, *full, *shutdown, *items;
    if (!PyArg_ParseTuple(args, "OOOO:set_queue_classes", &empty, &full, &shutdown, &items))
        return NULL;
    Py_XSETREF(empty_class, Py_NewRef(empty));
    Py_XSETREF(full_class, Py_NewRef(full));
    Py_XSETREF(shutdown_class, Py_NewRef(shutdown));
    Py_XSETREF(fbl_queue_items_class, Py_NewRef(items));
    Py_RETURN_NONE;
}

/* ---- the types ---- */

static PyMethodDef simple_queue_methods[] = {
    QUEUE_HOT_METHODS,
    {"peek", (PyCFunction)(void (*)(void))queue_peek, FAST_KEYWORDS, queue_peek_doc},
    {"peek_nowait", queue_peek_nowait, METH_NOARGS, queue_peek_nowait_doc},
    {"qsize", queue_qsize, METH_NOARGS, queue_qsize_doc},
    {"empty", queue_is_empty, METH_NOARGS, queue_empty_doc},
    {"full", queue_is_full, METH_NOARGS, queue_full_doc},
    {"copy", simple_queue_copy, METH_NOARGS, queue_copy_doc},
    {"_init", queue_hook_init, METH_VARARGS, "_init(maxsize, items=()): for subclasses."},
    {"_qsize", queue_hook_qsize, METH_NOARGS, "How many items; for subclasses."},
    {"_put", queue_hook_put, METH_O, "Keep an item; for subclasses."},
    {"_get", queue_hook_get, METH_NOARGS, "Give up an item; for subclasses."},
    {"_peek", queue_hook_peek, METH_NOARGS, "What _get would give; for subclasses."},
    {"_snapshot", queue_snapshot, METH_NOARGS, "A list of the items; for the view of them."},
    {"_empty_ring", queue_empty_ring, METH_NOARGS, "Drop the items; for the view of them."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Queue[int], for type checkers."},
    {0},
};

static PyMethodDef queue_methods[] = {
    QUEUE_HOT_METHODS,
    {"task_done", queue_task_done, METH_NOARGS, queue_task_done_doc},
    {"join", (PyCFunction)(void (*)(void))queue_join, FAST_KEYWORDS, queue_join_doc},
    {"shutdown", (PyCFunction)(void (*)(void))queue_shutdown, FAST_KEYWORDS, queue_shutdown_doc},
    {"copy", queue_copy, METH_NOARGS, queue_copy_doc},
    {0},
};

static PyMethodDef lifo_queue_methods[] = {QUEUE_HOT_METHODS, {0}};

static PyGetSetDef simple_queue_getset[] = {
    {"hub", link_get_hub, NULL, "The hub of the thread that asks: any may use it.", NULL},
    {"maxsize", queue_get_maxsize, queue_set_maxsize, "How many items fit; None: any number.",
     NULL},
    {"queue", queue_get_store, queue_set_store, "The items; a view of them unless set.", NULL},
    {0},
};

static PyGetSetDef queue_getset[] = {
    {"unfinished_tasks", queue_get_unfinished, queue_set_unfinished, "Items put and not yet done.",
     NULL},
    {"is_shutdown", queue_get_is_shutdown, NULL, "Whether shutdown() was called.", NULL},
    {0},
};

static PySequenceMethods queue_sequence = {.sq_length = queue_length_wait};
static PyNumberMethods queue_number = {.nb_bool = queue_is_true};

PyTypeObject fbl_simple_queue_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.queue.SimpleQueue",
    .tp_doc = simple_queue_doc,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = queue_new,
    .tp_init = simple_queue_init,
    .tp_dealloc = queue_dealloc,
    .tp_traverse = queue_traverse,
    .tp_clear = queue_clear,
    .tp_repr = queue_repr,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = queue_next,
    .tp_as_sequence = &queue_sequence,
    .tp_as_number = &queue_number,
    .tp_methods = simple_queue_methods,
    .tp_getset = simple_queue_getset,
    .tp_weaklistoffset = offsetof(queue_object, weakrefs),
};

PyTypeObject fbl_queue_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.queue.Queue",
    .tp_doc = queue_doc,
    .tp_base = &fbl_simple_queue_type,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_init = queue_init,
    .tp_methods = queue_methods,
    .tp_getset = queue_getset,
};

PyTypeObject fbl_lifo_queue_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.queue.LifoQueue",
    .tp_doc = lifo_queue_doc,
    .tp_base = &fbl_queue_type,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_methods = lifo_queue_methods,
};
