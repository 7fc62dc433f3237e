/*
 * hub_type.c: the hub as Python sees it: fibril.hub.Hub's native half.
 *
 * The idea: it is a fiber (hub_fiber.c) of another class, with no fields of its own. Its methods
 * read and set what the core's hub and the thread have, and never wait.
 * Threads: as each method says.
 * Do not add: what decides who runs (core hub.c), nor what is better said in Python (fibril.hub).
 */
#include "python/hub/hub.h"
#include "core/poller.h"

static fbl_thread *hub_thread(PyObject *self) { return record_of(self)->thread; }

/* The same for what an ended thread has no longer; NULL: it has ended, and that was raised. */
static fbl_thread *hub_open_thread(PyObject *self, const char *what)
{
    if (!hub_thread(self)->is_closed)
        return hub_thread(self);
    errors_refuse(fbl_error_fiber, "cannot %s: the hub's thread has ended.", what);
    return NULL;
}

static PyObject *hub_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *self = fiber_new_switch(type, args, kwargs);
    if (self == NULL)
        return NULL;
    record_of(self)->body = hub_body;
    Py_SETREF(record_of(self)->parent, Py_NewRef(hub_thread(self)->main->self));
    return self;
}

static int hub_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    if (PyTuple_GET_SIZE(args) == 0 && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0))
        return 0;
    PyErr_SetString(PyExc_TypeError, "Hub() takes no arguments: use fibril.get_hub()");
    return -1;
}

static PyObject *hub_type_call_soon(PyObject *self, PyObject *args)
{
    if (PyTuple_GET_SIZE(args) < 1 || !PyCallable_Check(PyTuple_GET_ITEM(args, 0)))
        return errors_refuse(PyExc_TypeError,
                             "cannot call soon: the first argument must be callable. Use "
                             "call_soon(fn, *args).");
    fbl_thread *thread = hub_open_thread(self, "call soon");
    PyObject *rest = thread == NULL ? NULL : PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    if (rest == NULL)
        return NULL;
    int rc = hub_call_soon(thread, PyTuple_GET_ITEM(args, 0), rest);
    Py_DECREF(rest);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *hub_expect(PyObject *self, PyObject *count)
{
    long change = PyLong_AsLong(count);
    if (change == -1 && PyErr_Occurred())
        return NULL;
    fbl_hub *hub = &hub_thread(self)->hub;
    if (change < -(long)hub->expected || change > INT32_MAX)
        return errors_refuse(PyExc_ValueError,
                             "cannot expect %ld more wake-ups: %u are expected now.", change,
                             hub->expected);
    __atomic_store_n(&hub->expected, (uint32_t)((long)hub->expected + change), __ATOMIC_RELAXED);
    if (fbl_unlikely(hub->is_blocked && change < 0))
        fbl_hub_notify(hub); /* it may be at a dead end now */
    Py_RETURN_NONE;
}

/* That much more is still to happen, as far as a dead end goes, but nothing promises it. */
static PyObject *hub_keep(PyObject *self, PyObject *count)
{
    long change = PyLong_AsLong(count);
    if (change == -1 && PyErr_Occurred())
        return NULL;
    hub_thread(self)->hub.kept_count += (int32_t)change;
    Py_RETURN_NONE;
}

/* From now on turn_begins() and turn_ends() are called around each look at the kernel, or not. */
static PyObject *hub_observe(PyObject *self, PyObject *value)
{
    int is_wanted = PyObject_IsTrue(value);
    if (is_wanted < 0)
        return NULL;
    hub_thread(self)->hub.is_observed = is_wanted;
    Py_RETURN_NONE;
}

static PyObject *hub_has_ready(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(!fbl_list_is_empty(&hub_thread(self)->hub.ready));
}

/* The poller's own descriptor, for a loop that polls it; None: it has none. */
static PyObject *hub_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_thread *thread = hub_open_thread(self, "open the poller");
    if (thread == NULL)
        return NULL;
    fbl_hub *hub = &thread->hub;
    int rc = fbl_hub_open(hub);
    if (rc < 0)
        return errors_os(rc);
    return hub->poller_fd < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(hub->poller_fd);
}

static int hub_append(PyObject *list, fbl_record *record, const char *verb, PyObject *subject)
{
    PyObject *entry =
        Py_BuildValue("(OzO)", record->self, verb, subject != NULL ? subject : Py_None);
    int rc = entry == NULL ? -1 : PyList_Append(list, entry);
    Py_XDECREF(entry);
    return rc;
}

static int hub_append_parked(PyObject *list, fbl_record *record)
{
    fbl_fiber *fiber = &record->core;
    bool is_waiting = fiber->state == FBL_FIBER_PARKED && fiber->verb != NULL;
    return hub_append(list, record, is_waiting ? fiber->verb : NULL,
                      is_waiting ? fiber->subject : NULL);
}

static PyObject *hub_parked(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_thread *thread = hub_thread(self);
    PyObject *list = PyList_New(0);
    for (fbl_link *link = thread->hub.fibers.next; list != NULL && link != &thread->hub.fibers;
         link = link->next) {
        fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, all);
        if (!record_is_away(record) || record == thread->hub_fiber)
            continue;
        if (hub_append_parked(list, record) < 0)
            Py_CLEAR(list);
        if (list == NULL)
            break;
    }
    return list;
}

/* Of the fibers, those that wait for the clock or the kernel. */
static int hub_append_waiting(PyObject *list, fbl_record *record)
{
    fbl_fiber *fiber = &record->core;
    if (fiber->timer.is_started && fiber->state == FBL_FIBER_NEW)
        return hub_append(list, record, "to start", NULL);
    bool is_fd_wait = fiber->is_fd_wait && !fbl_fiber_is_ready(fiber);
    if (is_fd_wait) {
        PyObject *number = PyUnicode_FromFormat("fd %d", fiber->fd);
        int rc = number == NULL ? -1 : hub_append(list, record, fiber->verb, number);
        Py_XDECREF(number);
        return rc;
    }
    return fiber->timer.is_started ? hub_append_parked(list, record) : 0;
}

static PyObject *hub_waiting(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_thread *thread = hub_thread(self);
    PyObject *list = PyList_New(0);
    for (fbl_link *link = thread->hub.fibers.next; list != NULL && link != &thread->hub.fibers;
         link = link->next) {
        if (hub_append_waiting(list, (fbl_record *)fbl_container_of(link, fbl_fiber, all)) < 0)
            Py_CLEAR(list);
        if (list == NULL)
            break;
    }
    if (list != NULL && timeouts_append(thread, list) < 0)
        Py_CLEAR(list);
    return list;
}

static PyObject *hub_get_poller(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(hub_thread(self)->hub.poller->name);
}

static PyObject *hub_get_current(PyObject *self, void *unused)
{
    (void)unused;
    const fbl_thread *thread = hub_open_thread(self, "name the current fiber");
    return thread == NULL ? NULL : Py_NewRef(thread_current(thread)->self);
}

static PyObject *hub_get_main(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *parent = record_of(self)->parent; /* owned, also when its thread has ended */
    if (hub_thread(self)->is_closed && parent != NULL && record_of(parent)->is_main)
        return Py_NewRef(parent);
    const fbl_thread *thread = hub_open_thread(self, "name the main fiber");
    return thread == NULL ? NULL : Py_NewRef(thread->main->self);
}

static PyObject *hub_statistics(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_hub *hub = &hub_thread(self)->hub;
    size_t live_count = 0, free_count = 0, dirty_count = 0;
    for (fbl_stack_pool *pool = &hub->stacks; pool != NULL; pool = pool->next) {
        live_count += pool->live_count;
        free_count += pool->free_count;
        dirty_count += pool->dirty_count;
    }
    return Py_BuildValue(
        "{s:n,s:n,s:n,s:n,s:I,s:I,s:I,s:i,s:K,s:K}", "stacks_live", (Py_ssize_t)live_count,
        "stacks_free", (Py_ssize_t)free_count, "stacks_dirty", (Py_ssize_t)dirty_count,
        "stack_bytes", (Py_ssize_t)hub->stack_bytes, "fd_waiters", hub->fd_waiter_count, "timers",
        hub->timer_count, "expected", hub->expected, "kept", hub->kept_count, "switches",
        (unsigned long long)hub->switch_count, "turns", (unsigned long long)hub->turn_count);
}

static PyObject *hub_trim(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_thread *thread = hub_thread(self);
    if (thread != fbl_this_thread)
        return errors_refuse(
            fbl_error_fiber,
            "cannot trim the stacks of another native thread: it may be running on "
            "them. Call trim() there.");
    fbl_hub_trim(&thread->hub);
    Py_RETURN_NONE;
}

static PyObject *hub_handle_error(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *context, *type, *value, *traceback;
    if (!PyArg_ParseTuple(args, "OOOO:handle_error", &context, &type, &value, &traceback))
        return NULL;
    PyErr_SetObject(type, value);
    PyErr_WriteUnraisable(context);
    Py_RETURN_NONE;
}

static PyObject *hub_belongs_to(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    Py_RETURN_NONE;
}

static PyObject *hub_stalled(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyObject_CallFunction(fbl_error_loop_exit, "s", "This operation would block forever");
}

/* What is thrown at the hub is the main fiber's: the hub itself never ends. */
static PyObject *hub_throw(PyObject *self, PyObject *args)
{
    PyObject *type = fbl_error_exit, *value = NULL, *traceback = NULL;
    const fbl_thread *thread = hub_open_thread(self, "throw at the main fiber");
    if (thread == NULL || !PyArg_UnpackTuple(args, "throw", 0, 3, &type, &value, &traceback) ||
        throw_set_exception(type, value, traceback) < 0)
        return NULL;
    fbl_record *main = thread->main;
    if (record_is_running(main))
        return NULL; /* it is running: here it is */
    PyObject *exception = PyErr_GetRaisedException();
    int rc = fiber_throw_later(main, exception);
    Py_DECREF(exception);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyGetSetDef hub_getset[] = {
    {"current", hub_get_current, NULL, "The fiber that runs on the hub's thread now.", NULL},
    {"poller", hub_get_poller, NULL,
     "How the kernel is asked: \"epoll\"; \"sim\" in a simulated world, where it is not.", NULL},
    {"main", hub_get_main, NULL, "The fiber that the hub's thread itself is.", NULL},
    {0},
};

static PyMethodDef hub_methods[] = {
    {"call_soon", hub_type_call_soon, METH_VARARGS,
     "call_soon($self, fn, /, *args)\n--\n\nCall fn(*args) in the hub when it next runs. fn must "
     "not block.\n\nSwitches: never. Threads: any."},
    {"call_soon_threadsafe", hub_type_call_soon, METH_VARARGS,
     "call_soon_threadsafe($self, fn, /, *args)\n--\n\nThe same as call_soon: that may be called "
     "from any native thread.\n\nSwitches: never. Threads: any."},
    {"throw", hub_throw, METH_VARARGS,
     "throw($self, typ=GreenletExit, val=None, tb=None, /)\n--\n\nRaise an exception in the main "
     "fiber of the hub's thread.\n\nSwitches: never. Threads: any."},
    {"expect", hub_expect, METH_O,
     "expect($self, count, /)\n--\n\nPromise that many more wake-ups from outside (negative: take "
     "back), so that waiting\nfor them is no dead end.\n\nSwitches: never. Threads: any. Raises "
     "ValueError if fewer than none would be left."},
    {"parked", hub_parked, METH_NOARGS,
     "parked($self, /)\n--\n\nA list of (fiber, verb, subject) for each fiber that is away: what "
     "it "
     "waits for, and on what.\n\nSwitches: never. Threads: owner."},
    {"waiting", hub_waiting, METH_NOARGS,
     "waiting($self, /)\n--\n\nAs parked(), but only for those who wait for time or for a "
     "descriptor: parked until a deadline,\nto be started later, or to be struck by a Timeout.\n\n"
     "Switches: never. Threads: owner."},
    {"statistics", hub_statistics, METH_NOARGS,
     "statistics($self, /)\n--\n\nA dict of counts: stacks_live, stacks_free, stacks_dirty (whose "
     "memory is given back as soon as\nthere is nothing else to do), stack_bytes, "
     "fd_waiters, timers, expected, kept,\nswitches, turns (looks "
     "at the kernel).\n\nSwitches: never. Threads: any."},
    {"keep", hub_keep, METH_O,
     "keep($self, count, /)\n--\n\nThat many more things (negative: fewer) keep waiting from "
     "being a dead end, though nothing\npromises them.\n\nSwitches: never. Threads: owner."},
    {"observe", hub_observe, METH_O,
     "observe($self, is_wanted, /)\n--\n\nCall turn_begins() and turn_ends() at each look at the "
     "kernel, or do not.\n\nSwitches: never. Threads: owner."},
    {"fileno", hub_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nThe poller's own descriptor, or None if it has none.\n\n"
     "Switches: never. Threads: any. Raises OSError."},
    {"has_ready", hub_has_ready, METH_NOARGS,
     "has_ready($self, /)\n--\n\nWill another fiber run before the kernel is asked?\n\n"
     "Switches: never. Threads: owner."},
    {"trim", hub_trim, METH_NOARGS,
     "trim($self, /)\n--\n\nGive the system back the memory that this thread's stacks hold and do "
     "not use: what fibers that\nare away touched when they were deeper, and the stacks that are "
     "kept for new fibers.\n\nAbout a microsecond for each fiber. For a lull, after imports or a "
     "burst of work.\n\nSwitches: never. Threads: owner. Raises FiberError elsewhere."},
    {"handle_error", hub_handle_error, METH_VARARGS,
     "handle_error($self, context, type, value, traceback, /)\n--\n\nAn exception that nobody will "
     "catch. fibril.hub.Hub overrides it.\n\nSwitches: never. Threads: owner."},
    {"belongs_to", hub_belongs_to, METH_VARARGS,
     "belongs_to($self, thread_ident, is_main, /)\n--\n\nThe hub was made for another native "
     "thread "
     "than the one that makes it. fibril.hub.Hub overrides it.\n\nSwitches: never. Threads: any."},
    {"is_dead_end", (PyCFunction)(void (*)(void))hub_is_dead_end, METH_FASTCALL, fbl_dead_end_doc},
    {"stalled", hub_stalled, METH_NOARGS,
     "stalled($self, /)\n--\n\nNothing can ever become ready: the exception for the main fiber, or "
     "None to wait all the same.\n\nSwitches: never. Threads: owner."},
    {0},
};

PyTypeObject fbl_hub_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.Hub",
    .tp_doc = "Hub()\n--\n\nOne per native thread; get it with fibril.get_hub().\n\n"
              "Switches: never. Threads: owner.",
    .tp_base = &fbl_fiber_type,
    .tp_basicsize = sizeof(fbl_fiber_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = hub_new,
    .tp_init = hub_init,
    .tp_dealloc = fiber_dealloc,
    .tp_finalize = fiber_finalize_switch,
    .tp_traverse = fiber_traverse,
    .tp_clear = fiber_clear,
    .tp_methods = hub_methods,
    .tp_getset = hub_getset,
};
