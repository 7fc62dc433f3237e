/*
 * queue_hooks.c: the methods that keep a queue's items, and who overrides them: PriorityQueue.
 *
 * The idea: the standard library's queue lets subclasses override _init, _qsize, _put and _get, and
 * keeps the items in its attribute `queue`. So does this one. A class that overrides any of them
 * makes its queues hooked (queue_hooked.c); for others they are not called, but may be. Without an
 * object of the subclass's own in `queue`, the items are in the ring, and reading the attribute
 * gives a view of it.
 * Threads: as for the queue; the methods expect that one fiber at a time is in them.
 */
#include "python/primitives/queue/queue.h"
#include "python/primitives/queue/queue_doc.h"

static const char *const hook_texts[] = {"_init", "_qsize", "_put", "_get", "_peek"};
static PyObject *hook_names[HOOK_COUNT]; /* owned: the same, interned */
static PyObject *heap_push, *heap_pop, *heap_make; /* owned: those of the module heapq */

static int hooks_import(void)
{
    for (int i = 0; i < HOOK_COUNT; i++) {
        hook_names[i] = PyUnicode_InternFromString(hook_texts[i]);
        if (hook_names[i] == NULL)
            return -1;
    }
    PyObject *module = PyImport_ImportModule("heapq");
    if (module == NULL)
        return -1;
    heap_push = PyObject_GetAttrString(module, "heappush");
    heap_pop = PyObject_GetAttrString(module, "heappop");
    heap_make = PyObject_GetAttrString(module, "heapify");
    Py_DECREF(module);
    return heap_push == NULL || heap_pop == NULL || heap_make == NULL ? -1 : 0;
}

/* ---- who is hooked ---- */

static int hooks_make(queue_object *queue)
{
    if (queue->hooks != NULL)
        return 0;
    queue_hooks *hooks = PyMem_Calloc(1, sizeof *hooks);
    if (hooks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    gate_init(&hooks->gate, 1);
    queue->hooks = hooks;
    return 0;
}

/* 1: another method than ours; 0: ours; -1: an exception. */
static int hook_is_overridden(PyTypeObject *type, PyObject *name)
{
    PyObject *ours = PyObject_GetAttr((PyObject *)&fbl_simple_queue_type, name);
    PyObject *theirs = ours == NULL ? NULL : PyObject_GetAttr((PyObject *)type, name);
    int rc = theirs == NULL ? -1 : theirs != ours;
    Py_XDECREF(ours);
    Py_XDECREF(theirs);
    return rc;
}

/* Called for a new object: is its class one with methods of its own? */
static int hooks_settle_type(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (type == &fbl_queue_type || !PyType_IsSubtype(type, &fbl_simple_queue_type))
        return 0;
    int rc = 0;
    for (int i = 0; i < HOOK_COUNT && rc == 0; i++)
        rc = hook_is_overridden(type, hook_names[i]);
    return rc > 0 ? hooks_make(queue_of(self)) : rc;
}

/* Calls _init(maxsize), or _init(maxsize, items) if there are items: subclasses know the first. */
static int hooks_init(PyObject *self, PyObject *maxsize, PyObject *items)
{
    PyObject *arguments[] = {self, maxsize, items};
    size_t count = items == NULL ? 2 : 3;
    PyObject *done = PyObject_VectorcallMethod(hook_names[HOOK_INIT], arguments, count, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* ---- the methods that nobody has overridden ---- */

/* What `queue` was set to; borrowed. NULL: the ring. */
static PyObject *queue_store(PyObject *self)
{
    queue_hooks *hooks = queue_of(self)->hooks;
    return hooks == NULL ? NULL : hooks->store;
}

static int ring_fill(queue_object *queue, PyObject *items)
{
    PyObject *iterator = PyObject_GetIter(items);
    PyObject *item = NULL;
    while (iterator != NULL && (item = PyIter_Next(iterator)) != NULL) {
        if (ring_reserve(queue) < 0) {
            Py_DECREF(item);
            break;
        }
        ring_append(queue, item);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *queue_hook_init(PyObject *self, PyObject *args)
{
    PyObject *maxsize, *items = NULL;
    if (!PyArg_UnpackTuple(args, "_init", 1, 2, &maxsize, &items))
        return NULL;
    if (items != NULL && ring_fill(queue_of(self), items) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *queue_hook_qsize(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *store = queue_store(self);
    if (store == NULL)
        return PyLong_FromSize_t(queue_of(self)->count);
    Py_ssize_t size = PyObject_Size(store);
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *queue_hook_put(PyObject *self, PyObject *item)
{
    PyObject *store = queue_store(self);
    if (store != NULL)
        return PyObject_CallMethod(store, "append", "O", item);
    if (ring_reserve(queue_of(self)) < 0)
        return NULL;
    ring_append(queue_of(self), Py_NewRef(item));
    Py_RETURN_NONE;
}

static PyObject *queue_hook_get(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *store = queue_store(self);
    if (store != NULL)
        return PyObject_CallMethod(store, queue_of(self)->is_lifo ? "pop" : "popleft", NULL);
    if (queue_of(self)->count == 0)
        return errors_refuse(PyExc_IndexError, "cannot get from an empty queue by _get()");
    return ring_pop(queue_of(self));
}

static PyObject *queue_hook_peek(PyObject *self, PyObject *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    PyObject *store = queue_store(self);
    if (store != NULL)
        return PySequence_GetItem(store, queue->is_lifo ? -1 : 0);
    if (queue->count == 0)
        return errors_refuse(PyExc_IndexError, "cannot peek into an empty queue by _peek()");
    return Py_NewRef(queue->ring[ring_next(queue)]);
}

/* ---- the attribute `queue` ---- */

/* The items, the one that was put first first: a new list. */
static PyObject *queue_snapshot(PyObject *self, PyObject *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    if (queue_store(self) != NULL)
        return PySequence_List(queue_store(self));
    PyObject *list = PyList_New((Py_ssize_t)queue->count);
    for (size_t i = 0; list != NULL && i < queue->count; i++)
        PyList_SET_ITEM(list, (Py_ssize_t)i,
                        Py_NewRef(queue->ring[(queue->head + i) & queue->mask]));
    return list;
}

static PyObject *queue_get_store(PyObject *self, void *unused)
{
    (void)unused;
    if (queue_store(self) != NULL)
        return Py_NewRef(queue_store(self));
    return PyObject_CallOneArg(fbl_queue_items_class, self);
}

static int queue_set_store(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete a queue's items: set another object");
        return -1;
    }
    if (!fbl_list_is_empty(&queue->getters) || !fbl_list_is_empty(&queue->putters)) {
        PyErr_Format(PyExc_RuntimeError,
                     "cannot replace the items of %R: somebody waits for the old ones. Set the "
                     "attribute `queue` before the queue is used, in _init().",
                     self);
        return -1;
    }
    if (hooks_make(queue) < 0)
        return -1;
    Py_XSETREF(queue->hooks->store, Py_NewRef(value));
    ring_clear(queue); /* last: what is dropped may use the queue, and must find the new items */
    return 0;
}

/* ---- PriorityQueue ---- */

static PyObject *priority_init(PyObject *self, PyObject *args)
{
    PyObject *maxsize, *items = fbl_empty_tuple;
    if (!PyArg_UnpackTuple(args, "_init", 1, 2, &maxsize, &items))
        return NULL;
    PyObject *heap = PySequence_List(items);
    PyObject *done = heap == NULL ? NULL : PyObject_CallOneArg(heap_make, heap);
    if (done != NULL && queue_set_store(self, heap, NULL) < 0)
        Py_CLEAR(done);
    Py_XDECREF(heap);
    return done;
}

static PyObject *priority_put(PyObject *self, PyObject *item)
{
    PyObject *store = queue_store(self);
    if (store == NULL)
        return errors_refuse(PyExc_RuntimeError, "cannot put into %R: its _init() was not called",
                             self);
    return PyObject_CallFunctionObjArgs(heap_push, store, item, NULL);
}

static PyObject *priority_get(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *store = queue_store(self);
    if (store == NULL)
        return errors_refuse(PyExc_IndexError, "cannot get from an empty queue by _get()");
    return PyObject_CallOneArg(heap_pop, store);
}

/* ---- calling them ---- */

/* Those of our own types, without looking them up: a PriorityQueue's put and get took 105 ns with
 * that, and take 73 (3.11). */
static PyObject *hooks_call_native(PyObject *self, int which, PyObject *argument)
{
    bool is_priority = Py_TYPE(self) == &fbl_priority_queue_type;
    if (which == HOOK_QSIZE)
        return queue_hook_qsize(self, NULL);
    if (which == HOOK_PUT)
        return is_priority ? priority_put(self, argument) : queue_hook_put(self, argument);
    if (which == HOOK_GET)
        return is_priority ? priority_get(self, NULL) : queue_hook_get(self, NULL);
    assert(which == HOOK_PEEK);
    return queue_hook_peek(self, NULL);
}

/* A new reference, or NULL with an exception. */
static PyObject *hooks_call(PyObject *self, int which, PyObject *argument)
{
    if (type_is_native(Py_TYPE(self)))
        return hooks_call_native(self, which, argument);
    PyObject *arguments[] = {self, argument};
    size_t count = argument == NULL ? 1 : 2;
    return PyObject_VectorcallMethod(hook_names[which], arguments, count, NULL);
}

/* ---- the type ---- */

static PyMethodDef priority_methods[] = {
    QUEUE_HOT_METHODS,
    {"_init", priority_init, METH_VARARGS, "_init(maxsize, items=()): for subclasses."},
    {"_put", priority_put, METH_O, "Keep an item; for subclasses."},
    {"_get", priority_get, METH_NOARGS, "Give up the least item; for subclasses."},
    {0},
};

PyDoc_STRVAR(priority_doc, "PriorityQueue(maxsize=None, items=(), unfinished_tasks=None)\n--\n\n"
                           "A Queue whose least item comes first.\n\n"
                           "Items must compare with each other; often they are pairs of a number "
                           "and something.\n\n"
                           "Switches: never. Threads: any.\n\n"
                           ">>> from fibril.queue import PriorityQueue\n"
                           ">>> queue = PriorityQueue(items=[(2, 'later'), (1, 'now')])\n"
                           ">>> queue.get()\n"
                           "(1, 'now')\n");

PyTypeObject fbl_priority_queue_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.queue.PriorityQueue",
    .tp_doc = priority_doc,
    .tp_base = &fbl_queue_type,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_methods = priority_methods,
};
