/*
 * queue_type.c: Queue: first in, first out, bounded or not.
 *
 * The idea: an item never lies in the queue while somebody waits for one. put() gives it to the
 * first waiting getter directly; a get() that makes room takes the item of the first waiting putter
 * in. So fibers are served in order, nobody overtakes, and each wake-up is needed.
 *
 * A getter that was handed an item and is then killed, before it ran, puts it back where it was: at
 * the front. A putter whose item was taken in has put it, killed or not.
 *
 * Items: a ring of pointers that grows; `head` is the oldest. Length is a power of two.
 * Threads: any.
 */
#include "exports.h"

typedef struct {
    weft_waiter core; /* in getters or putters */
    PyObject *item;   /* owned: a putter's, until taken in; a getter's, once handed over */
} queue_waiter;

typedef struct {
    PyObject_HEAD PyObject **ring;       /* owned items, `mask + 1` places */
    size_t mask;           /* length of the ring less one */
    size_t head;           /* place of the oldest item */
    size_t count;          /* items in the ring */
    size_t count_max;      /* put() waits at that many; SIZE_MAX: never */
    weft_link getters;     /* who waits for an item, in order */
    weft_link putters;     /* who waits for room, in order, each with its item */
    weft_link joiners;     /* who waits until all items are done */
    Py_ssize_t unfinished; /* items put and not yet task_done() */
    PyObject *weakrefs;    /* weak references to it */
} queue_object;

static PyObject *queue_empty_class, *queue_full_class; /* the standard library's */

static queue_object *queue_of(PyObject *self) { return (queue_object *)self; }

/* ---- the ring ---- */

static int ring_grow(queue_object *queue)
{
    size_t length = queue->ring == NULL ? 8 : (queue->mask + 1) * 2;
    PyObject **ring = PyMem_New(PyObject *, length);
    if (ring == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) & queue->mask];
    PyMem_Free(queue->ring);
    queue->ring = ring;
    queue->mask = length - 1;
    queue->head = 0;
    return 0;
}

static int ring_reserve(queue_object *queue)
{
    return queue->ring != NULL && queue->count <= queue->mask ? 0 : ring_grow(queue);
}

/* Both steal the item; room is reserved. */
static void ring_append(queue_object *queue, PyObject *item)
{
    queue->ring[(queue->head + queue->count++) & queue->mask] = item;
}

static void ring_prepend(queue_object *queue, PyObject *item)
{
    queue->head = (queue->head - 1) & queue->mask;
    queue->ring[queue->head] = item;
    queue->count++;
}

static PyObject *ring_pop(queue_object *queue)
{
    PyObject *item = queue->ring[queue->head];
    queue->head = (queue->head + 1) & queue->mask;
    queue->count--;
    return item;
}

/* ---- handing over ---- */

static queue_waiter *queue_first(weft_link *list)
{
    return weft_list_is_empty(list) ? NULL : weft_container_of(list->next, queue_waiter, core.link);
}

/* Steals the item: to the first getter, or to the end of the ring (room is reserved). */
static void queue_deliver(queue_object *queue, PyObject *item)
{
    queue_waiter *getter = queue_first(&queue->getters);
    if (getter == NULL) {
        ring_append(queue, item);
        return;
    }
    getter->item = item;
    weft_waiter_fire(&getter->core);
}

/* There is room for one more: take in what the first putter brought. */
static void queue_admit(queue_object *queue)
{
    queue_waiter *putter = queue_first(&queue->putters);
    if (putter == NULL || queue->count >= queue->count_max)
        return;
    ring_append(queue, putter->item); /* a place was just freed */
    putter->item = NULL;
    weft_waiter_fire(&putter->core);
}

/* A getter was handed an item and cannot keep it. */
static void queue_give_back(queue_object *queue, PyObject *item)
{
    queue_waiter *getter = queue_first(&queue->getters);
    if (getter != NULL) {
        getter->item = item;
        weft_waiter_fire(&getter->core);
    } else if (ring_reserve(queue) == 0) {
        ring_prepend(queue, item);
    } else {
        Py_DECREF(item); /* no memory: the exception says so */
    }
}

/* ---- put, get ---- */

/* The hub's own fiber cannot wait: it is told Full or Empty instead. */
static bool queue_may_wait(weft_thread *thread)
{
    return thread_current(thread) != thread->hub_fiber;
}

static int queue_put_wait(weft_call *call, PyObject *item, PyObject *timeout)
{
    PyObject *self = call->self;
    weft_thread *thread = thread_get();
    uint64_t deadline_ns;
    if (thread == NULL || seconds_to_deadline(thread, timeout, &deadline_ns) < 0)
        return -1;
    if (!queue_may_wait(thread))
        return 1;
    queue_waiter waiter = {.item = Py_NewRef(item)};
    weft_park park = {deadline_ns, "to put into", self, &waiter.core, &queue_of(self)->putters};
    weft_record *record = call_begin(thread, call);
    int rc = fiber_park_wait(thread, &park);
    call_end(record, call);
    Py_XDECREF(waiter.item);
    if (waiter.core.is_fired)
        queue_of(self)->unfinished++;
    return rc;
}

/* `call` may wait; NULL: do not. 0: put; 1: no room in time; -1: an exception. */
static int queue_put_item(PyObject *self, PyObject *item, weft_call *call, PyObject *timeout)
{
    queue_object *queue = queue_of(self);
    if (weft_unlikely(queue->count >= queue->count_max)) /* then nobody waits to get */
        return call != NULL ? queue_put_wait(call, item, timeout) : 1;
    if (ring_reserve(queue) < 0)
        return -1;
    queue->unfinished++;
    queue_deliver(queue, Py_NewRef(item));
    return 0;
}

static int queue_get_wait(weft_call *call, PyObject *timeout, PyObject **item)
{
    PyObject *self = call->self;
    weft_thread *thread = thread_get();
    uint64_t deadline_ns;
    if (thread == NULL || seconds_to_deadline(thread, timeout, &deadline_ns) < 0)
        return -1;
    if (!queue_may_wait(thread))
        return 1;
    queue_waiter waiter = {.item = NULL};
    weft_park park = {deadline_ns, "to get from", self, &waiter.core, &queue_of(self)->getters};
    weft_record *record = call_begin(thread, call);
    int rc = fiber_park_wait(thread, &park);
    call_end(record, call);
    if (weft_unlikely(rc != 0 && waiter.item != NULL)) {
        queue_give_back(queue_of(self), waiter.item);
        return rc;
    }
    *item = waiter.item;
    return rc;
}

/* `call` may wait; NULL: do not. 0: *item is a new reference; 1: none in time; -1: an exception. */
static int queue_get_item(PyObject *self, weft_call *call, PyObject *timeout, PyObject **item)
{
    queue_object *queue = queue_of(self);
    if (weft_likely(queue->count > 0)) {
        *item = ring_pop(queue);
        queue_admit(queue);
        return 0;
    }
    queue_waiter *putter =
        queue_first(&queue->putters); /* only where no item fits: maxsize shrunk */
    if (putter != NULL) {
        *item = putter->item;
        putter->item = NULL;
        weft_waiter_fire(&putter->core);
        return 0;
    }
    return call != NULL ? queue_get_wait(call, timeout, item) : 1;
}

/* The arguments of get(block=True, timeout=None), and of put(item, ...) after its item. */
typedef struct {
    Py_ssize_t lead;   /* in: how many arguments come before */
    int block;         /* out: may it wait? */
    PyObject *timeout; /* out: borrowed */
} queue_options;

static int queue_options_read(queue_options *options, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    Py_ssize_t lead = options->lead;
    PyObject *flag = count > lead ? args[lead] : NULL;
    options->timeout = count > lead + 1 ? args[lead + 1] : Py_None;
    bool is_bad = count < lead || count > lead + 2;
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "timeout") == 0 && count < lead + 2)
            options->timeout = args[count + i];
        else if (PyUnicode_CompareWithASCIIString(name, "block") == 0 && flag == NULL)
            flag = args[count + i];
        else
            is_bad = true;
    }
    if (is_bad) {
        PyErr_SetString(PyExc_TypeError, lead == 0 ? "use get(block=True, timeout=None)"
                                                   : "use put(item, block=True, timeout=None)");
        return -1;
    }
    options->block = flag == NULL ? 1 : PyObject_IsTrue(flag);
    return options->block < 0 ? -1 : 0;
}

static PyObject *queue_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    queue_options options = {.lead = 1};
    if (queue_options_read(&options, args, count, names) < 0)
        return NULL;
    weft_call call = {self, args, vector_length(count, names), NULL};
    int rc = queue_put_item(self, args[0], options.block ? &call : NULL, options.timeout);
    if (rc == 1)
        PyErr_SetNone(queue_full_class);
    return rc == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *queue_put_nowait(PyObject *self, PyObject *item)
{
    int rc = queue_put_item(self, item, NULL, Py_None);
    if (rc == 1)
        PyErr_SetNone(queue_full_class);
    return rc == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *queue_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *item = NULL;
    queue_options options = {.lead = 0};
    if (queue_options_read(&options, args, count, names) < 0)
        return NULL;
    weft_call call = {self, args, vector_length(count, names), NULL};
    int rc = queue_get_item(self, options.block ? &call : NULL, options.timeout, &item);
    if (rc == 1)
        PyErr_SetNone(queue_empty_class);
    return rc == 0 ? item : NULL;
}

static PyObject *queue_get_nowait(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *item = NULL;
    int rc = queue_get_item(self, NULL, Py_None, &item);
    if (rc == 1)
        PyErr_SetNone(queue_empty_class);
    return rc == 0 ? item : NULL;
}

/* ---- task_done, join ---- */

static PyObject *queue_task_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    if (queue->unfinished <= 0)
        return errors_refuse(PyExc_ValueError, "task_done() called too many times");
    if (--queue->unfinished == 0) {
        while (weft_waiter_fire_first(&queue->joiners))
            ;
    }
    Py_RETURN_NONE;
}

static PyObject *queue_join(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names)
{
    static const char *const known[] = {"join(timeout=None)", "timeout", NULL};
    PyObject *timeout = Py_None;
    weft_call call = {self, args, vector_length(count, names), NULL};
    if (arguments_read(&call, names, known, &timeout) < 0)
        return NULL;
    if (queue_of(self)->unfinished == 0)
        Py_RETURN_TRUE;
    weft_thread *thread = thread_get();
    uint64_t deadline_ns;
    if (thread == NULL || seconds_to_deadline(thread, timeout, &deadline_ns) < 0)
        return NULL;
    weft_waiter waiter = {0};
    weft_park park = {deadline_ns, "to join", self, &waiter, &queue_of(self)->joiners};
    weft_record *record = call_begin(thread, &call);
    int rc = fiber_park_wait(thread, &park);
    call_end(record, &call);
    return rc < 0 ? NULL : PyBool_FromLong(rc == 0);
}

/* ---- state ---- */

static Py_ssize_t queue_length(PyObject *self) { return (Py_ssize_t)queue_of(self)->count; }

static int queue_is_true(PyObject *self)
{
    (void)self;
    return 1; /* a queue is an object, not its items */
}

static PyObject *queue_qsize(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(queue_of(self)->count);
}

static PyObject *queue_is_empty(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(queue_of(self)->count == 0);
}

static PyObject *queue_is_full(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(queue_of(self)->count >= queue_of(self)->count_max);
}

static PyObject *queue_get_maxsize(PyObject *self, void *unused)
{
    (void)unused;
    if (queue_of(self)->count_max == SIZE_MAX)
        Py_RETURN_NONE;
    return PyLong_FromSize_t(queue_of(self)->count_max);
}

static PyObject *queue_get_unfinished(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(queue_of(self)->unfinished);
}

static PyObject *queue_next(PyObject *self)
{
    PyObject *item = NULL;
    weft_call call = {self, NULL, 0, NULL};
    if (queue_get_item(self, &call, Py_None, &item) != 0)
        return NULL;
    if (item == PyExc_StopIteration)
        Py_CLEAR(item); /* the end that a producer puts, by convention */
    return item;
}

static PyObject *queue_repr(PyObject *self)
{
    queue_object *queue = queue_of(self);
    if (queue->count_max == SIZE_MAX)
        return PyUnicode_FromFormat("<%s at %p, %zu items>", Py_TYPE(self)->tp_name, self,
                                    queue->count);
    return PyUnicode_FromFormat("<%s at %p, %zu of %zu items>", Py_TYPE(self)->tp_name, self,
                                queue->count, queue->count_max);
}

/* ---- life ---- */

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    queue_of(self)->count_max = SIZE_MAX;
    weft_list_init(&queue_of(self)->getters);
    weft_list_init(&queue_of(self)->putters);
    weft_list_init(&queue_of(self)->joiners);
    return self;
}

static int queue_fill(PyObject *self, PyObject *items)
{
    PyObject *iterator = PyObject_GetIter(items);
    PyObject *item = NULL;
    while (iterator != NULL && (item = PyIter_Next(iterator)) != NULL) {
        int rc = ring_reserve(queue_of(self));
        if (rc == 0) {
            ring_append(queue_of(self), item);
            queue_of(self)->unfinished++;
        } else {
            Py_DECREF(item);
            break;
        }
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static int queue_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", "items", "unfinished_tasks", NULL};
    PyObject *maxsize = Py_None, *items = NULL, *unfinished = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOO:Queue", names, &maxsize, &items,
                                     &unfinished))
        return -1;
    Py_ssize_t limit = 0;
    if (maxsize != Py_None)
        limit = PyNumber_AsSsize_t(maxsize, PyExc_OverflowError);
    if (limit == -1 && PyErr_Occurred())
        return -1;
    queue_of(self)->count_max = limit > 0 ? (size_t)limit : SIZE_MAX;
    if (items != NULL && items != Py_None && queue_fill(self, items) < 0)
        return -1;
    if (unfinished != Py_None)
        queue_of(self)->unfinished = PyNumber_AsSsize_t(unfinished, PyExc_OverflowError);
    return queue_of(self)->unfinished == -1 && PyErr_Occurred() ? -1 : 0;
}

static int queue_traverse(PyObject *self, visitproc visit, void *arg)
{
    queue_object *queue = queue_of(self);
    for (size_t i = 0; i < queue->count; i++)
        Py_VISIT(queue->ring[(queue->head + i) & queue->mask]);
    int rc = waiters_visit(&queue->getters, visit, arg);
    if (rc == 0)
        rc = waiters_visit(&queue->putters, visit, arg);
    return rc != 0 ? rc : waiters_visit(&queue->joiners, visit, arg);
}

static int queue_clear(PyObject *self)
{
    while (queue_of(self)->count > 0) {
        PyObject *item = ring_pop(queue_of(self));
        Py_DECREF(item);
    }
    return 0;
}

static void queue_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    if (queue_of(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    queue_clear(self);
    PyMem_Free(queue_of(self)->ring);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *module_set_queue_classes(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *empty, *full;
    if (!PyArg_ParseTuple(args, "OO:set_queue_classes", &empty, &full))
        return NULL;
    Py_XSETREF(queue_empty_class, Py_NewRef(empty));
    Py_XSETREF(queue_full_class, Py_NewRef(full));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    queue_put_doc,
    "put($self, item, /, block=True, timeout=None)\n--\n\n"
    "Add an item at the end; wait for room if the queue is full.\n\n"
    "block: False raises Full instead of waiting. timeout: seconds to wait at most; then Full.\n\n"
    "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(queue_get_doc, "get($self, /, block=True, timeout=None)\n--\n\n"
                            "Take the oldest item; wait for one if there is none.\n\n"
                            "block: False raises Empty instead of waiting. timeout: seconds to "
                            "wait at most; then Empty.\n\n"
                            "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(queue_task_done_doc,
             "task_done($self, /)\n--\n\nAn item that was got is done with; see join().\n\n"
             "Switches: never. Threads: any. Raises ValueError if called more often than put().");
PyDoc_STRVAR(
    queue_join_doc,
    "join($self, /, timeout=None)\n--\n\n"
    "Wait until each item that was put is done: True, or False after `timeout` seconds.\n\n"
    "Switches: if it must wait. Threads: any.");

static PyMethodDef queue_methods[] = {
    {"put", (PyCFunction)(void (*)(void))queue_put, FAST_KEYWORDS, queue_put_doc},
    {"put_nowait", queue_put_nowait, METH_O,
     "put_nowait($self, item, /)\n--\n\nput(item, block=False).\n\nSwitches: never. Threads: any."},
    {"get", (PyCFunction)(void (*)(void))queue_get, FAST_KEYWORDS, queue_get_doc},
    {"get_nowait", queue_get_nowait, METH_NOARGS,
     "get_nowait($self, /)\n--\n\nget(block=False).\n\nSwitches: never. Threads: any."},
    {"qsize", queue_qsize, METH_NOARGS,
     "qsize($self, /)\n--\n\nHow many items it has.\n\nSwitches: never. Threads: any."},
    {"empty", queue_is_empty, METH_NOARGS,
     "empty($self, /)\n--\n\nWhether it has none.\n\nSwitches: never. Threads: any."},
    {"full", queue_is_full, METH_NOARGS,
     "full($self, /)\n--\n\nWhether put() would wait.\n\nSwitches: never. Threads: any."},
    {"task_done", queue_task_done, METH_NOARGS, queue_task_done_doc},
    {"join", (PyCFunction)(void (*)(void))queue_join, FAST_KEYWORDS, queue_join_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Queue[int], for type checkers."},
    {0},
};

static PyGetSetDef queue_getset[] = {
    {"maxsize", queue_get_maxsize, NULL, "How many items fit; None: any number.", NULL},
    {"unfinished_tasks", queue_get_unfinished, NULL, "Items put and not yet done.", NULL},
    {0},
};

static PySequenceMethods queue_sequence = {.sq_length = queue_length};
static PyNumberMethods queue_number = {.nb_bool = queue_is_true};

PyDoc_STRVAR(queue_doc, "Queue(maxsize=None, items=(), unfinished_tasks=None)\n--\n\n"
                        "Hands items from fibers to fibers, first in first out.\n\n"
                        "maxsize: put() waits at that many items; None or 0: never. items: what is "
                        "in it at the start.\n"
                        "Iterating takes items until one is the class StopIteration.\n\n"
                        "Switches: never. Threads: any.\n\n"
                        ">>> import weft\n"
                        ">>> from weft.queue import Queue\n"
                        ">>> queue = Queue(3)\n"
                        ">>> task = weft.spawn(queue.get)\n"
                        ">>> queue.put('hello')\n"
                        ">>> task.get()\n"
                        "'hello'\n");

PyTypeObject weft_queue_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weft.queue.Queue",
    .tp_doc = queue_doc,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = queue_new,
    .tp_init = queue_init,
    .tp_dealloc = queue_dealloc,
    .tp_traverse = queue_traverse,
    .tp_clear = queue_clear,
    .tp_repr = queue_repr,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = queue_next,
    .tp_as_sequence = &queue_sequence,
    .tp_as_number = &queue_number,
    .tp_methods = queue_methods,
    .tp_getset = queue_getset,
    .tp_weaklistoffset = offsetof(queue_object, weakrefs),
};
