/*
 * queue_hooked.c: put, get and peek of a queue whose items are kept by methods: _put, _get, _qsize.
 *
 * The idea: those methods may be anybody's code. They may raise, wait, or be interrupted by another
 * native thread. So one fiber at a time calls them (a gate), and nothing is handed over: who waits
 * is promised an item, or room, and fetches it by itself when it runs. Newcomers count what is
 * promised as gone, so nobody overtakes. Who is killed with a promise passes it on, which needs no
 * method. An exception of _get or _put is raised where the item was wanted, or came from.
 *
 *   settle   after each change: promise what there is to who waits, oldest first
 *
 * Threads: any.
 * Do not add: speed. The fast queue is in queue_direct.c.
 */
#include "python/primitives/queue/queue.h"

/* One call of put, get or peek. */
typedef struct {
    PyObject *self;       /* the queue */
    fbl_call *call;      /* may wait; NULL: may not */
    fbl_call *at_gate;   /* the same, but everybody may have to wait to be let in */
    int hook;             /* HOOK_PUT, HOOK_GET or HOOK_PEEK */
    PyObject *item;       /* borrowed: to put; owned: what was got */
    uint64_t deadline_ns; /* when it gives up */
    fbl_link *list;      /* where it waits: getters or putters */
    size_t *promised;     /* what those are promised */
    PyObject *timeout;    /* a Timeout that was given for it: borrowed; or NULL */
} hooked_wish;

/* ---- one at a time ---- */

static int hooked_enter_wait(fbl_call *call, fbl_thread *thread)
{
    queue_hooks *hooks = queue_of(call->self)->hooks;
    PyObject *current = thread_current(thread)->self;
    if (hooks->gate.count == 0 && hooks->user == current) {
        errors_refuse(PyExc_RuntimeError,
                      "cannot use this %s here: the fiber is inside one of its methods (_put, "
                      "_get, a comparison of items), which must not use the queue.",
                      Py_TYPE(call->self)->tp_name);
        return -1;
    }
    if (gate_acquire_wait(&hooks->gate, call, true, Py_None) != PARK_FIRED)
        return -1;
    hooks->user = current;
    return 0;
}

static void hooked_leave(PyObject *self)
{
    queue_of(self)->hooks->user = NULL;
    gate_release(&queue_of(self)->hooks->gate);
}

/* ---- promises ---- */

static Py_ssize_t hooked_size(PyObject *self)
{
    PyObject *size = hooks_call(self, HOOK_QSIZE, NULL);
    Py_ssize_t count = size == NULL ? -1 : PyNumber_AsSsize_t(size, PyExc_OverflowError);
    Py_XDECREF(size);
    if (count < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a queue's _qsize() must not be negative");
    return count < 0 ? -1 : count;
}

/* How many items there are for newcomers. -1: an exception. */
static Py_ssize_t hooked_length(PyObject *self)
{
    Py_ssize_t size = hooked_size(self);
    size_t promised = queue_of(self)->hooks->items_promised;
    if (size < 0)
        return -1;
    return (size_t)size > promised ? size - (Py_ssize_t)promised : 0;
}

static bool hooked_has_room(const queue_object *queue, Py_ssize_t size)
{
    return (size_t)size + queue->hooks->rooms_promised < queue->count_max;
}

static bool hooked_has_item(const queue_object *queue, Py_ssize_t size)
{
    return (size_t)size > queue->hooks->items_promised;
}

static int hooked_is_full(PyObject *self)
{
    Py_ssize_t size = hooked_size(self);
    return size < 0 ? -1 : !hooked_has_room(queue_of(self), size);
}

/* Inside the gate: something may have changed. What was done is done, so a _qsize that fails here
 * is reported and not raised. A pending exception stays. */
static void hooked_settle(PyObject *self)
{
    queue_object *queue = queue_of(self);
    if (fbl_list_is_empty(&queue->getters) && fbl_list_is_empty(&queue->putters))
        return;
    PyObject *pending = PyErr_GetRaisedException();
    Py_ssize_t size = hooked_size(self);
    if (size < 0)
        hub_report_error(fbl_this_thread, self);
    while (size > 0 && hooked_has_item(queue, size) && fbl_waiter_fire_first(&queue->getters))
        queue->hooks->items_promised++;
    while (size >= 0 && hooked_has_room(queue, size) && fbl_waiter_fire_first(&queue->putters))
        queue->hooks->rooms_promised++;
    PyErr_SetRaisedException(pending);
}

/* From outside the gate: maxsize was changed. */
static int hooked_settle_wait(PyObject *self)
{
    fbl_call call = {self, NULL, 0, NULL};
    fbl_thread *thread = thread_get();
    if (thread == NULL || hooked_enter_wait(&call, thread) < 0)
        return -1;
    hooked_settle(self);
    hooked_leave(self);
    return 0;
}

/* Leaves the gate and waits for a promise. QUEUE_DONE: it came, and we are inside again.
 * SAFE: between leaving the gate and parking nothing runs: a release only makes somebody ready. */
static int hooked_promise_wait(const hooked_wish *wish, fbl_thread *thread)
{
    hooked_leave(wish->self);
    fbl_waiter waiter = {0};
    const char *verb = wish->hook == HOOK_PUT ? "to put into" : "to get from";
    fbl_park park = {wish->deadline_ns, verb, wish->self, &waiter, wish->list, wish->timeout};
    int rc = call_park_wait(thread, wish->call, &park);
    if (rc == 0)
        rc = hooked_enter_wait(wish->call, thread);
    if (rc == 0)
        (*wish->promised)--;
    else if (waiter.is_fired && !fbl_waiter_fire_first(wish->list)) /* passes it on, or: */
        (*wish->promised)--; /* nobody waits any more, so it is there for newcomers */
    return rc;
}

/* ---- put, get, peek ---- */

static int hooked_act(hooked_wish *wish)
{
    bool is_put = wish->hook == HOOK_PUT;
    PyObject *done = hooks_call(wish->self, wish->hook, is_put ? wish->item : NULL);
    if (is_put && done != NULL)
        queue_of(wish->self)->unfinished++;
    hooked_settle(wish->self);
    if (is_put)
        Py_XDECREF(done);
    else
        wish->item = done;
    return done == NULL ? -1 : QUEUE_DONE;
}

/* Inside the gate. QUEUE_LATE: it would have to wait. */
static int hooked_try(hooked_wish *wish)
{
    queue_object *queue = queue_of(wish->self);
    bool is_put = wish->hook == HOOK_PUT;
    if (is_put && queue->is_shutdown)
        return QUEUE_SHUT;
    Py_ssize_t size = hooked_size(wish->self);
    if (size < 0)
        return -1;
    if (is_put ? hooked_has_room(queue, size) : hooked_has_item(queue, size))
        return hooked_act(wish);
    return queue->is_shutdown ? QUEUE_SHUT : QUEUE_LATE;
}

static int hooked_do_wait(hooked_wish *wish, fbl_thread *thread)
{
    if (hooked_enter_wait(wish->at_gate, thread) < 0)
        return -1;
    for (;;) {
        int rc = hooked_try(wish);
        if (rc != QUEUE_LATE || wish->call == NULL || !queue_may_wait(thread)) {
            hooked_leave(wish->self);
            return rc;
        }
        rc = hooked_promise_wait(wish, thread);
        if (rc != QUEUE_DONE)
            return rc;
    }
}

static int hooked_call_wait(hooked_wish *wish, PyObject *timeout)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL || seconds_to_deadline(thread, timeout, &wish->deadline_ns) < 0)
        return -1;
    wish->timeout = timeout_given(timeout);
    fbl_call none = {wish->self, NULL, 0, NULL};
    wish->at_gate = wish->call != NULL ? wish->call : &none;
    return hooked_do_wait(wish, thread);
}

static int hooked_put_wait(PyObject *self, PyObject *item, fbl_call *call, PyObject *timeout)
{
    queue_object *queue = queue_of(self);
    hooked_wish wish = {
        self, call, NULL, HOOK_PUT, item, 0, &queue->putters, &queue->hooks->rooms_promised, NULL};
    return hooked_call_wait(&wish, timeout);
}

static int hooked_take_wait(PyObject *self, int hook, fbl_call *call, PyObject *timeout,
                            PyObject **item)
{
    queue_object *queue = queue_of(self);
    hooked_wish wish = {
        self, call, NULL, hook, NULL, 0, &queue->getters, &queue->hooks->items_promised, NULL};
    int rc = hooked_call_wait(&wish, timeout);
    *item = wish.item;
    return rc;
}

static int hooked_get_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item)
{
    return hooked_take_wait(self, HOOK_GET, call, timeout, item);
}

static int hooked_peek_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item)
{
    return hooked_take_wait(self, HOOK_PEEK, call, timeout, item);
}

/* Drops all items, each of which counts as done. The queue is shut down: none come after. */
static int hooked_drain_wait(PyObject *self)
{
    fbl_call call = {self, NULL, 0, NULL};
    fbl_thread *thread = thread_get();
    if (thread == NULL || hooked_enter_wait(&call, thread) < 0)
        return -1;
    Py_ssize_t size;
    while ((size = hooked_size(self)) > 0) {
        PyObject *item = hooks_call(self, HOOK_GET, NULL);
        if (item == NULL) {
            size = -1;
            break;
        }
        queue_finish(queue_of(self), 1);
        Py_DECREF(item);
    }
    hooked_leave(self);
    return size < 0 ? -1 : 0;
}
