/*
 * queue_direct.c: put, get and peek of a queue that keeps its items in its own ring.
 *
 * The idea: an item never lies in the queue while somebody waits for one. put() gives it to the
 * first waiting getter directly; a get() that makes room takes the item of the first waiting putter
 * in. So fibers are served in order, nobody overtakes, and each wake-up is needed. No step runs
 * Python code, so each is whole.
 *
 * A getter that was handed an item and is then killed, before it ran, puts it back where it was:
 * before what was put since. A putter whose item was taken in has put it, killed or not: it counts
 * as unfinished from that moment.
 * Threads: any.
 */
#include "python/primitives/queue/queue.h"

/* ---- handing over ---- */

/* Steals the item: to those who look, and then to the first getter. False: nobody took it. */
static bool queue_hand(queue_object *queue, PyObject *item)
{
    queue_waiter *getter;
    while ((getter = queue_first(&queue->getters)) != NULL) {
        getter->item = item;
        fbl_waiter_fire(&getter->core);
        if (!getter->is_peek)
            return true;
        Py_INCREF(item);
    }
    return false;
}

/* Takes in what waiting putters brought, as far as there is room. */
static int queue_admit(queue_object *queue)
{
    queue_waiter *putter;
    while ((putter = queue_first(&queue->putters)) != NULL && queue->count < queue->count_max) {
        if (ring_reserve(queue) < 0)
            return -1;
        ring_append(queue, putter->item);
        putter->item = NULL;
        queue->unfinished++; /* now: whoever gets it may call task_done() before the putter runs */
        fbl_waiter_fire(&putter->core);
    }
    return 0;
}

/* What the first putter brought, of a queue that has no room for it: maxsize shrunk, or a channel.
 */
static PyObject *queue_take_from_putter(queue_object *queue)
{
    queue_waiter *putter = queue_first(&queue->putters);
    if (putter == NULL)
        return NULL;
    PyObject *item = putter->item;
    putter->item = NULL;
    queue->unfinished++;
    fbl_waiter_fire(&putter->core);
    return item;
}

/* A getter was handed an item and cannot keep it. */
static void queue_give_back(queue_object *queue, PyObject *item)
{
    if (queue_hand(queue, item))
        return;
    if (ring_reserve(queue) < 0)
        Py_DECREF(item); /* no memory: the exception says so */
    else
        ring_put_back(queue, item);
}

/* ---- put ---- */

static int queue_put_wait(fbl_call *call, PyObject *item, PyObject *timeout)
{
    PyObject *self = call->self;
    if (!queue_may_wait(fbl_this_thread))
        return QUEUE_LATE;
    queue_waiter waiter = {0};
    fbl_park park = {FBL_NEVER, "to put into", self, &waiter.core, &queue_of(self)->putters, NULL};
    fbl_thread *thread = call_prepare_wait(call, timeout, &park);
    int rc = thread == NULL ? -1 : queue_put_item_wait(self, item, NULL, NULL);
    if (rc != QUEUE_LATE)
        return rc;
    waiter.item = Py_NewRef(item);
    rc = call_park_wait(thread, call, &park);
    Py_XDECREF(waiter.item);
    return rc;
}

static int queue_put_item_wait(PyObject *self, PyObject *item, fbl_call *call, PyObject *timeout)
{
    queue_object *queue = queue_of(self);
    if (fbl_unlikely(queue->hooks != NULL))
        return hooked_put_wait(self, item, call, timeout);
    if (fbl_unlikely(queue->is_shutdown))
        return QUEUE_SHUT;
    if (fbl_unlikely(queue->count >= queue->count_max) && fbl_list_is_empty(&queue->getters))
        return call != NULL ? queue_put_wait(call, item, timeout) : QUEUE_LATE;
    if (ring_reserve(queue) < 0)
        return -1;
    queue->unfinished++;
    if (!queue_hand(queue, Py_NewRef(item)))
        ring_append(queue, item);
    return QUEUE_DONE;
}

/* ---- get, peek ---- */

static int queue_get_wait(fbl_call *call, PyObject *timeout, bool is_peek, PyObject **item)
{
    PyObject *self = call->self;
    if (!queue_may_wait(fbl_this_thread))
        return QUEUE_LATE;
    queue_waiter waiter = {.is_peek = is_peek};
    const char *verb = is_peek ? "to peek into" : "to get from";
    fbl_park park = {FBL_NEVER, verb, self, &waiter.core, &queue_of(self)->getters, NULL};
    fbl_thread *thread = call_prepare_wait(call, timeout, &park);
    queue_taker *take = is_peek ? queue_peek_item_wait : queue_get_item_wait;
    int rc = thread == NULL ? -1 : take(self, NULL, NULL, item);
    if (rc != QUEUE_LATE)
        return rc;
    rc = call_park_wait(thread, call, &park);
    if (fbl_likely(rc == 0)) {
        *item = waiter.item;
        return QUEUE_DONE;
    }
    if (waiter.item != NULL && !is_peek)
        queue_give_back(queue_of(self), waiter.item);
    else
        Py_XDECREF(waiter.item);
    return rc;
}

static int queue_get_item_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item)
{
    queue_object *queue = queue_of(self);
    if (fbl_unlikely(queue->hooks != NULL))
        return hooked_get_wait(self, call, timeout, item);
    if (fbl_likely(queue->count > 0)) {
        *item = ring_pop(queue);
        return queue_admit(queue); /* never -1: a place was just freed */
    }
    *item = queue_take_from_putter(queue);
    if (*item != NULL)
        return QUEUE_DONE;
    if (queue->is_shutdown)
        return QUEUE_SHUT;
    return call != NULL ? queue_get_wait(call, timeout, false, item) : QUEUE_LATE;
}

static int queue_peek_item_wait(PyObject *self, fbl_call *call, PyObject *timeout, PyObject **item)
{
    queue_object *queue = queue_of(self);
    if (queue->hooks != NULL)
        return hooked_peek_wait(self, call, timeout, item);
    queue_waiter *putter = queue_first(&queue->putters);
    if (queue->count > 0)
        *item = Py_NewRef(queue->ring[ring_next(queue)]);
    else if (putter != NULL)
        *item = Py_NewRef(putter->item);
    else if (queue->is_shutdown)
        return QUEUE_SHUT;
    else
        return call != NULL ? queue_get_wait(call, timeout, true, item) : QUEUE_LATE;
    return QUEUE_DONE;
}

/* ---- unfinished items ---- */

/* So many of the items are done with. */
static void queue_finish(queue_object *queue, Py_ssize_t count)
{
    queue->unfinished = count < queue->unfinished ? queue->unfinished - count : 0;
    while (queue->unfinished == 0 && fbl_waiter_fire_first(&queue->joiners))
        ;
}

/* Drops all items, each of which counts as done. Dropping runs arbitrary code. */
static void queue_drain(queue_object *queue)
{
    while (queue->count > 0) {
        PyObject *item = ring_pop(queue);
        queue_finish(queue, 1);
        Py_DECREF(item);
    }
}
