/*
 * queue.h: a queue's fields, its ring of items, and what its parts have of each other.
 *
 * The idea: there are two ways to keep items. A plain queue keeps them in a ring of its own and
 * hands them over directly (queue_direct.c). A hooked one keeps them as its methods _put and _get
 * like, which may be anybody's Python code (queue_hooked.c): a PriorityQueue, or a subclass written
 * for the standard library's queue. What both have in common is in queue_type.c.
 *
 *   ring       owned items, `mask + 1` places (a power of two); `head & mask` is the oldest
 *   returned   the oldest items, up to this number, were handed to fibers that were killed before
 *              they ran, and given back: whatever is put is newer
 *   count_max  put() waits at that many; SIZE_MAX: never; 0: a channel, where no item ever lies
 */
#ifndef FBL_QUEUE_H
#define FBL_QUEUE_H

#include "python/primitives/gate.h"

typedef struct {
    fbl_waiter core; /* in getters or putters */
    PyObject *item;   /* owned: a putter's, until taken in; a getter's, once handed over */
    bool is_peek;     /* a getter that only looks */
} queue_waiter;

/* Of a hooked queue only. */
typedef struct {
    fbl_gate gate;         /* one permit: who has it may call the methods */
    PyObject *user;         /* borrowed: the fiber that has it, or NULL */
    PyObject *store;        /* owned: what the attribute `queue` was set to, or NULL: the ring */
    size_t items_promised;  /* items that are there for getters which were woken */
    size_t rooms_promised;  /* room that is there for putters which were woken */
} queue_hooks;

typedef struct {
    PyObject_HEAD PyObject **ring; /* see above */
    size_t mask;                   /* length of the ring less one */
    size_t head;                   /* number of the oldest item; numbers may wrap around */
    size_t returned;               /* number behind the last one given back; see above */
    size_t count;                  /* items in the ring */
    size_t count_max;              /* see above */
    fbl_link getters;             /* who waits for an item, in order */
    fbl_link putters;             /* who waits for room, in order, each with its item */
    fbl_link joiners;             /* who waits until all items are done */
    Py_ssize_t unfinished;         /* items put and not yet task_done() */
    queue_hooks *hooks;            /* NULL: a plain queue */
    PyObject *weakrefs;            /* weak references to it */
    bool is_lifo;                  /* the newest item comes first */
    bool is_shutdown;              /* shutdown() was called */
} queue_object;

/* How an attempt to put, get or peek ends; or -1, with an exception. */
enum { QUEUE_DONE = 0, QUEUE_LATE = 1, QUEUE_SHUT = 2 };
_Static_assert(QUEUE_DONE == (int)PARK_FIRED && QUEUE_LATE == (int)PARK_LATE &&
                   QUEUE_SHUT == (int)PARK_CLOSED,
               "what a wait says is what an operation that waited says");

static inline queue_object *queue_of(PyObject *self) { return (queue_object *)self; }

static inline queue_waiter *queue_first(fbl_link *list)
{
    return fbl_list_is_empty(list) ? NULL : fbl_container_of(list->next, queue_waiter, core.link);
}

/* The hub's own fiber cannot wait: it is told Full or Empty instead. */
static inline bool queue_may_wait(const fbl_thread *thread)
{
    return thread == NULL || thread_current(thread) != thread->hub_fiber;
}

/* ---- the ring ---- */

static inline size_t ring_returned_count(const queue_object *queue)
{
    ptrdiff_t count = (ptrdiff_t)(queue->returned - queue->head);
    return count > 0 ? (size_t)count : 0;
}

static inline int ring_grow(queue_object *queue)
{
    size_t length = queue->ring == NULL ? 8 : (queue->mask + 1) * 2;
    size_t returned_count = ring_returned_count(queue);
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
    queue->returned = returned_count;
    return 0;
}

static inline int ring_reserve(queue_object *queue)
{
    return queue->ring != NULL && queue->count <= queue->mask ? 0 : ring_grow(queue);
}

/* Both steal the item; room is reserved. */
static inline void ring_append(queue_object *queue, PyObject *item)
{
    queue->ring[(queue->head + queue->count++) & queue->mask] = item;
}

/* An item comes back: behind those that came back before it, as fibers run in the order in which
 * they were handed something. The shorter side of the ring makes room. */
static inline void ring_put_back(queue_object *queue, PyObject *item)
{
    size_t place = ring_returned_count(queue), last = queue->count++;
    PyObject **ring = queue->ring;
    if (place <= last - place) {
        queue->head--;
        for (size_t i = 0; i < place; i++)
            ring[(queue->head + i) & queue->mask] = ring[(queue->head + i + 1) & queue->mask];
    } else {
        for (size_t i = last; i > place; i--)
            ring[(queue->head + i) & queue->mask] = ring[(queue->head + i - 1) & queue->mask];
    }
    ring[(queue->head + place) & queue->mask] = item;
    queue->returned = queue->head + place + 1;
}

/* The place of the item that comes next; there is one. */
static inline size_t ring_next(const queue_object *queue)
{
    size_t newest = queue->head + queue->count - 1;
    return (queue->is_lifo ? newest : queue->head) & queue->mask;
}

static inline PyObject *ring_pop(queue_object *queue)
{
    PyObject *item = queue->ring[ring_next(queue)];
    queue->count--;
    if (!queue->is_lifo)
        queue->head++;
    else if (fbl_unlikely(ring_returned_count(queue) > queue->count))
        queue->returned = queue->head + queue->count;
    return item;
}

/* Drops all items. Dropping runs arbitrary code. */
static inline void ring_clear(queue_object *queue)
{
    while (queue->count > 0) {
        PyObject *item = ring_pop(queue);
        Py_DECREF(item);
    }
}

/* ---- queue_direct.c: `call` may wait; NULL: do not ---- */
static int queue_put_item_wait(PyObject *self, PyObject *item, fbl_call *call, PyObject *timeout);
/* get() and peek() differ in what they do with the item. */
typedef int queue_taker(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item);
static queue_taker queue_get_item_wait, queue_peek_item_wait;
static int queue_admit(queue_object *queue);
static void queue_drain(queue_object *queue);
static void queue_finish(queue_object *queue, Py_ssize_t count);

/* ---- queue_hooked.c ---- */
static int hooked_put_wait(PyObject *self, PyObject *item, fbl_call *call, PyObject *timeout);
static int hooked_get_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item);
static int hooked_peek_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item);
static int hooked_drain_wait(PyObject *self);
static int hooked_settle_wait(PyObject *self);
static Py_ssize_t hooked_length(PyObject *self);
static int hooked_is_full(PyObject *self);

/* ---- queue_hooks.c: the methods themselves ---- */
extern PyTypeObject fbl_priority_queue_type;
static PyObject *queue_hook_init(PyObject *self, PyObject *args);
static PyObject *queue_hook_qsize(PyObject *self, PyObject *unused);
static PyObject *queue_hook_put(PyObject *self, PyObject *item);
static PyObject *queue_hook_get(PyObject *self, PyObject *unused);
static PyObject *queue_hook_peek(PyObject *self, PyObject *unused);
static int hooks_settle_type(PyObject *self);
static int hooks_init(PyObject *self, PyObject *maxsize, PyObject *items);
static PyObject *hooks_call(PyObject *self, int which, PyObject *argument);
static PyObject *queue_snapshot(PyObject *self, PyObject *unused);
static PyObject *queue_get_store(PyObject *self, void *unused);
static int queue_set_store(PyObject *self, PyObject *value, void *unused);
enum { HOOK_INIT, HOOK_QSIZE, HOOK_PUT, HOOK_GET, HOOK_PEEK, HOOK_COUNT };

/* ---- queue_type.c ---- */
extern PyTypeObject fbl_simple_queue_type, fbl_queue_type, fbl_lifo_queue_type;
extern PyObject *fbl_queue_items_class; /* fibril.queue's view of a ring */
static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
static int queue_traverse(PyObject *self, visitproc visit, void *arg);
static int queue_clear(PyObject *self);
static void queue_dealloc(PyObject *self);
static PyObject *queue_put(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *names);
static PyObject *queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                  PyObject *names);
static PyObject *queue_get(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *names);
static PyObject *queue_get_nowait(PyObject *self, PyObject *unused);
static PyObject *queue_next(PyObject *self);
static int queue_is_true(PyObject *self);

/* Each type lists them, inherited or not: CPython calls a method of the object's very own type some
 * 20 ns faster than one of its base. Their texts are in queue_doc.h. */
/* clang-format off */
#define QUEUE_HOT_METHODS                                                                          \
    {"put", (PyCFunction)(void (*)(void))queue_put, FAST_KEYWORDS, queue_put_doc},                 \
    {"put_nowait", (PyCFunction)(void (*)(void))queue_put_nowait, FAST_KEYWORDS,                   \
     queue_put_nowait_doc},                                                                        \
    {"get", (PyCFunction)(void (*)(void))queue_get, FAST_KEYWORDS, queue_get_doc},                 \
    {"get_nowait", queue_get_nowait, METH_NOARGS, queue_get_nowait_doc}
/* clang-format on */

#endif
