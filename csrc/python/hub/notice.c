/*
 * notice.c: what calls back in the hub and needs no fiber while it waits: what timers and watches
 * on descriptors have in common (timer_type.c, watch_type.c). fibril._hub.loop is built on them.
 *
 * The idea: when the core says that it is time, or that the descriptor is ready, the object lists
 * itself as told (thread.told) and wakes the hub fiber, which calls the callbacks of all who are
 * listed. That allocates nothing, so it cannot fail, and taking an object out of the list is all
 * that is needed to take a call back.
 *
 * Invariants: the list owns a reference to each object that is in it. One that is started is not
 * kept alive by that: dropping it stops it (fibril._hub.loop keeps the active ones).
 * Threads: any; the callback runs in the hub given at the start.
 * Do not add: when it is told. That is each type's own.
 */
#include "python/hub/hub.h"

static fbl_thread *notice_thread(PyObject *self) { return record_of(notice_of(self)->hub)->thread; }

static fbl_hub *notice_hub(PyObject *self) { return &notice_thread(self)->hub; }

/* ---- telling ---- */

/* The hub will call it. In the child of a fork there may be no hub fiber yet: whoever makes one
 * there calls something. */
static void notice_tell(notice *self, unsigned ready)
{
    fbl_thread *thread = notice_thread((PyObject *)self);
    self->ready |= ready;
    if (fbl_list_has(&self->told))
        return;
    Py_INCREF(self);
    self->round = thread->told_round;
    fbl_list_append(&thread->told, &self->told);
    if (thread->hub_fiber != NULL)
        hub_wake(thread->hub_fiber);
}

/* Takes back a call that was not made yet. */
static void notice_forget(notice *self)
{
    self->ready = 0;
    if (!fbl_list_has(&self->told))
        return;
    fbl_list_remove(&self->told);
    Py_DECREF(self);
}

/* In the hub: calls the first of the list. */
static void notice_call(fbl_thread *thread, notice *self)
{
    unsigned ready = self->ready;
    self->ready = 0;
    fbl_list_remove(&self->told);
    PyObject *callback = Py_XNewRef(self->callback);
    PyObject *done =
        callback == NULL ? Py_NewRef(Py_None) : PyObject_CallFunction(callback, "I", ready);
    if (done == NULL)
        hub_report_error(thread, callback);
    Py_XDECREF(done);
    Py_XDECREF(callback);
    Py_DECREF(self);
}

/* In the hub: calls all that are told now; who is told meanwhile is called the next time. */
static void notices_call(fbl_thread *thread)
{
    uint64_t round = thread->told_round++;
    while (!fbl_list_is_empty(&thread->told)) {
        notice *first = fbl_container_of(thread->told.next, notice, told);
        if (first->round > round)
            return;
        notice_call(thread, first);
    }
}

/* The thread ends: nobody will be called any more. */
static void notices_release(fbl_thread *thread)
{
    while (!fbl_list_is_empty(&thread->told))
        notice_forget(fbl_container_of(thread->told.next, notice, told));
}

/* ---- what timers and watches share ---- */

/* Made whole at once: there is none without a hub. */
static PyObject *notice_new(PyTypeObject *type, PyObject *hub, PyObject *callback)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    fbl_list_init(&notice_of(self)->told);
    notice_of(self)->hub = Py_NewRef(hub);
    notice_of(self)->callback = Py_NewRef(callback);
    return self;
}

static PyObject *notice_get_pending(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(fbl_list_has(&notice_of(self)->told));
}

static int notice_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(notice_of(self)->hub);
    Py_VISIT(notice_of(self)->callback);
    return 0;
}

/* The hub stays until the end: it leads to what a started one must be taken out of. */
static int notice_clear(PyObject *self)
{
    Py_CLEAR(notice_of(self)->callback);
    return 0;
}

static void notice_free(PyObject *self)
{
    notice_clear(self);
    Py_CLEAR(notice_of(self)->hub);
    Py_TYPE(self)->tp_free(self);
}

/* What `ref` is set to, 0 or 1; -1: an exception. */
static int notice_ref(PyObject *value)
{
    if (value != NULL)
        return PyObject_IsTrue(value);
    errors_refuse(PyExc_AttributeError, "cannot delete ref: set it to True or False");
    return -1;
}

/* May it be started? The thread may have ended. */
static int notice_may_start(PyObject *self)
{
    if (!notice_thread(self)->is_closed)
        return 0;
    errors_refuse(fbl_error_fiber, "cannot start %R: the thread of its hub has ended.", self);
    return -1;
}

/* Another thread's hub may sleep, for longer than is right now. */
static PyObject *notice_started(PyObject *self)
{
    if (notice_hub(self)->is_blocked)
        fbl_hub_notify(notice_hub(self));
    Py_RETURN_NONE;
}
