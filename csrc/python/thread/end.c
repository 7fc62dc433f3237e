/*
 * end.c: the end of a native thread that used fibers, and of the interpreter.
 *
 * The idea: the thread puts a dict of ours in the place of its thread state's. CPython drops that
 * when the native thread ends, or else when the interpreter does; both end in thread_close. A
 * thread that ends by itself first unwinds the fibers it leaves behind.
 *
 * A destructor that CPython runs after that (a context variable's value) may use fibers still. For
 * a state without a dict nobody drops another; and somebody else may hold the dict, who has listed
 * all objects. Then the C library tells of the thread's end.
 * Callers: the thread itself, with the GIL.
 */
#include "python/hub/hub.h"
#include "python/thread/thread.h"

#include <pthread.h>

static pthread_key_t thread_key; /* the thread's fbl_thread, for thread_end_late */
static __thread uint64_t thread_closed_state; /* the number of the state that ended here last */

/* The hub fiber has no Python frames while it is parked, so its stack may go with it. */
static void thread_drop_hub_fiber(fbl_thread *thread)
{
    fbl_record *record = thread->hub_fiber;
    thread->hub_fiber = NULL;
    if (record == NULL)
        return;
    if (record->core.state == FBL_FIBER_PARKED && thread->hub.current == &record->core)
        return; /* SAFE: leaked. A daemon thread was choosing the next fiber, on this stack, and
                   ran Python code there, when the interpreter ended. */
    if (record->core.state == FBL_FIBER_PARKED) {
        fbl_fiber_end_idle(&record->core);
        Py_CLEAR(record->state.context);
        Py_DECREF(record->self); /* parked, it was held */
    }
    Py_DECREF(record->self);
}

/* A task of this thread that has not begun: it has no frames, so it can be dropped. */
static fbl_record *thread_find_unbegun(fbl_thread *thread)
{
    for (fbl_link *link = thread->hub.fibers.next; link != &thread->hub.fibers; link = link->next) {
        fbl_fiber *fiber = fbl_container_of(link, fbl_fiber, all);
        if (fiber->state == FBL_FIBER_NEW && fiber->is_held)
            return (fbl_record *)fiber;
    }
    return NULL;
}

/* Nobody will run this thread's fibers any more: those who wait for them elsewhere are told. */
static void thread_disappoint(fbl_thread *thread)
{
    fbl_record *record;
    while ((record = thread_find_unbegun(thread)) != NULL) {
        Py_INCREF(record->self);
        record_cancel_start(record);
        task_tell_joiners(record->self);
        Py_DECREF(record->self);
    }
    for (fbl_link *link = thread->hub.fibers.next; link != &thread->hub.fibers; link = link->next)
        task_tell_joiners(((fbl_record *)fbl_container_of(link, fbl_fiber, all))->self);
}

/* Fibers that were made here and not started have nothing of the thread: another one may give them
 * a parent of its own, and start them. */
static void thread_release_unstarted(fbl_thread *thread)
{
    fbl_link *link = thread->hub.fibers.next;
    while (link != &thread->hub.fibers) {
        fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, all);
        link = link->next;
        if (!record_is_started(record) && record->body == fiber_body && !record->core.is_held)
            fbl_list_remove(&record->core.all);
    }
}

/* The native thread ends (its thread state is being cleared), or the interpreter does. */
static void thread_close(fbl_thread *thread)
{
    if (thread->hub.is_blocked) {
        /* The interpreter ends while a daemon thread sleeps in the poller. SAFE: leaked as a whole,
         * because that thread may wake and look at its hub once more before CPython stops it. */
        thread->is_closed = true;
        return;
    }
    thread->record_count++; /* keeps the struct until the end, whatever is dropped meanwhile */
    thread->is_closed = true;
    thread_disappoint(thread);
    thread_drop_hub_fiber(thread);
    bool is_main_current = thread->hub.current == thread->hub.main;
    thread_release_unstarted(thread);
    timeouts_release(thread);
    notices_release(thread);
    fbl_hub_abandon(&thread->hub, NULL);
    fbl_sim_remove(&thread->hub);
    fbl_hub_close(&thread->hub);
    watchdog_lock();
    fbl_list_remove(&thread->threads);
    watchdog_unlock();
    signal_stack_close(thread);
    if (fbl_this_thread == thread) {
        fbl_this_thread = NULL;
        thread_closed_state = thread->ts_number;
        (void)pthread_setspecific(thread_key, NULL);
        thread->is_keyed = false;
    }
    Py_CLEAR(thread->callbacks);
    thread->batch = NULL;
    Py_CLEAR(thread->tracer);
    Py_CLEAR(thread->interrupt);
    PyObject *main = thread->main->self;
    thread->main = NULL;
    thread->hub.main = thread->hub.current = NULL;
    if (is_main_current)
        Py_DECREF(main); /* "current" */
    Py_DECREF(main);
    if (--thread->record_count == 0)
        PyMem_RawFree(thread);
}

/* ---- unwinding what a thread leaves behind ---- */

/* Rounds, because who is unwound may start others. */
#define UNWIND_ROUNDS_MAX 8
#define UNWIND_TURNS_MAX 64

/* Since atexit: no thread of this process comes back to its fibers. */
static bool is_exiting;

/* A scheduler's own fiber (gevent's hub, eventlet's) goes on in its loop when GreenletExit is
 * thrown at it, and waits there for ever, for descriptors of a thread that has ended. Programs that
 * know greenlets may have one, and greenlet leaves alone whoever somebody else refers to (who is
 * referred to by nobody has been unwound already). At a thread's end its class tells, or that the
 * thread has never used our hub; at exit every fiber left by hand may be one. */
static bool record_may_schedule(const fbl_record *record)
{
    return fbl_knows_greenlets && record->body == fiber_body && !record->core.is_held &&
           (is_exiting || !Py_IS_TYPE(record->self, &fbl_fiber_type) ||
            record->thread->hub.switch_count == 0);
}

/* Begun and not ended, or a task that would still begin. The hub never ends, but a callback of it
 * may have switched away by hand; thrown at, the hub goes on and parks. */
static bool record_is_left_behind(const fbl_record *record)
{
    const fbl_thread *thread = record->thread;
    if (record->is_main || record->is_daemon || record_may_schedule(record))
        return false;
    if (record == thread->hub_fiber)
        return record->core.state == FBL_FIBER_SUSPENDED;
    return record_is_away(record) || (record->core.state == FBL_FIBER_NEW && record->core.is_held);
}

/* A new list of them, in the order they were made; NULL without memory. */
static PyObject *thread_list_left_behind(fbl_thread *thread)
{
    PyObject *list = PyList_New(0);
    for (fbl_link *link = thread->hub.fibers.next; list != NULL && link != &thread->hub.fibers;
         link = link->next) {
        fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, all);
        if (record_is_left_behind(record) && PyList_Append(list, record->self) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static void record_end_unbegun(fbl_record *record, const char *why)
{
    if (!PyObject_TypeCheck(record->self, &fbl_task_type)) {
        record_cancel_start(record);
        return;
    }
    PyObject *exit = errors_exit(why);
    if (exit != NULL)
        PyErr_SetRaisedException(exit);
    task_end_unstarted(record);
}

/* Throws at everybody at whom nobody has thrown yet. False: there is none. */
static bool thread_unwind_round_switch(fbl_thread *thread, const char *why)
{
    bool is_anybody = false;
    PyObject *list = thread_list_left_behind(thread);
    if (list == NULL) {
        PyErr_WriteUnraisable(thread->main->self);
        return false;
    }
    Py_ssize_t count = PyList_GET_SIZE(list);
    for (Py_ssize_t i = 0; i < count; i++) {
        fbl_record *record = record_of(PyList_GET_ITEM(list, i));
        if (!record_is_left_behind(record) || record->was_thrown_exit)
            continue;
        is_anybody = true;
        if (record->core.state == FBL_FIBER_NEW)
            record_end_unbegun(record, why);
        else
            fiber_end_switch(record, why);
    }
    Py_DECREF(list);
    return is_anybody;
}

/* Who is still there is let go, with a line that says so. */
static void thread_tell_refusals(fbl_thread *thread)
{
    PyObject *list = thread_list_left_behind(thread);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++)
        if (record_is_left_behind(record_of(PyList_GET_ITEM(list, i))))
            fiber_tell_refusal(PyList_GET_ITEM(list, i));
    if (list == NULL)
        PyErr_WriteUnraisable(thread->main->self);
    Py_XDECREF(list);
}

/* A daemon that a signal interrupted would go on with what it computes as soon as main waits. */
static void thread_stop_daemons(fbl_thread *thread)
{
    for (fbl_link *link = thread->hub.fibers.next; link != &thread->hub.fibers; link = link->next) {
        fbl_fiber *fiber = fbl_container_of(link, fbl_fiber, all);
        if (((fbl_record *)fiber)->is_daemon && fiber->state == FBL_FIBER_SUSPENDED)
            fbl_ready_remove(fiber); /* SAFE: still held, so never freed */
    }
}

/* No fiber of this thread will go on: each is thrown GreenletExit once, and may run its finally
 * blocks. In those it may wait for the others, but not for time or the outside. The caller is the
 * main fiber. */
static void thread_unwind_switch(fbl_thread *thread, const char *why)
{
    assert(thread->hub.current == thread->hub.main);
    thread->is_ending = true;
    thread_stop_daemons(thread);
    for (fbl_link *link = thread->hub.fibers.next; link != &thread->hub.fibers; link = link->next)
        ((fbl_record *)fbl_container_of(link, fbl_fiber, all))->was_thrown_exit = false;
    for (int round = 0; round < UNWIND_ROUNDS_MAX && thread_unwind_round_switch(thread, why);
         round++) {
        for (int turn = 0; turn < UNWIND_TURNS_MAX; turn++) {
            if (fbl_list_is_empty(&thread->hub.ready))
                break;
            PyObject *done = sleep_now_wait(thread);
            if (done == NULL)
                PyErr_WriteUnraisable(thread->main->self);
            Py_XDECREF(done);
        }
    }
    if (!is_exiting) /* then a loop that goes on whatever is thrown at it is nobody's fault */
        thread_tell_refusals(thread);
}

/* ---- when a thread ends ---- */

static bool thread_may_run(const fbl_thread *thread)
{
    const fbl_fiber *main = thread->hub.main;
    return thread == fbl_this_thread && !fbl_is_finalizing() && thread->hub.current == main &&
           main->state == FBL_FIBER_RUNNING;
}

/* What we put in the place of the thread state's dict: CPython drops it first of all when it clears
 * the state, in the dying thread, while that can still run Python code. A mere item of the dict
 * would be told when the other items are gone: up to 3.12 thread-locals are such items. */
typedef struct {
    PyDictObject dict; /* first: it is a dict */
    fbl_thread *thread; /* who ends with it; NULL afterwards */
    fbl_locals locals; /* kept alive until then */
    PyObject *former; /* owned: the dict it replaced, empty: somebody may hold a borrowed pointer */
} thread_dict;

static PyObject *thread_local; /* a threading.local: setting it makes a thread's fbl_locals */

static void thread_dict_unwind_switch(thread_dict *self, fbl_thread *thread)
{
    PyThreadState *ts = thread->ts;
    fbl_locals none = {NULL, NULL};
    /* SAFE: the state is being cleared and has no dict; what runs now finds this one in its place,
     * with all thread-locals, and afterwards it is cleared in the usual way. */
    assert(ts->dict == NULL);
    ts->dict = Py_NewRef((PyObject *)self);
    fbl_locals_give(&self->locals, ts);
    thread_unwind_switch(thread, "its thread ends");
    /* Now the thread-locals go: what only they refer to may be a fiber, still to be unwound. */
    fbl_locals_give(&none, ts);
    PyDict_Clear((PyObject *)self);
    Py_CLEAR(ts->dict);
}

static void thread_dict_finalize(PyObject *self)
{
    fbl_thread *thread = ((thread_dict *)self)->thread;
    ((thread_dict *)self)->thread = NULL;
    if (thread == NULL)
        return;
    if (thread != fbl_this_thread && thread->is_keyed && !fbl_is_finalizing()) {
        thread->dict = NULL; /* somebody has held it until now: thread_end_late closes the thread */
        return;
    }
    PyObject *pending = PyErr_GetRaisedException();
    if (thread_may_run(thread))
        thread_dict_unwind_switch((thread_dict *)self, thread);
    thread_close(thread);
    PyErr_SetRaisedException(pending);
}

static void thread_dict_dealloc(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    Py_CLEAR(((thread_dict *)self)->former);
    Py_CLEAR(((thread_dict *)self)->locals.key);
    Py_CLEAR(((thread_dict *)self)->locals.sentinel);
    PyDict_Type.tp_dealloc(self);
}

static PyTypeObject thread_dict_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.ThreadDict",
    .tp_base = &PyDict_Type,
    .tp_basicsize = sizeof(thread_dict),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = thread_dict_dealloc,
    .tp_finalize = thread_dict_finalize,
};

static void thread_end_late(void *thread);

static int thread_import(void)
{
    contention_import();
    PyObject *module = PyImport_ImportModule("_thread");
    if (module != NULL)
        thread_local = PyObject_CallMethod(module, "_local", NULL);
    Py_XDECREF(module);
    if (pthread_key_create(&thread_key, thread_end_late) != 0)
        return PyErr_NoMemory() == NULL ? -1 : 0;
    return thread_local == NULL ? -1 : PyType_Ready(&thread_dict_type);
}

static int thread_watch_end(fbl_thread *thread)
{
    if (PyObject_SetAttrString(thread_local, "is_used", Py_True) < 0)
        return -1;
    PyObject *former = PyThreadState_GetDict();
    PyObject *self = PyObject_CallNoArgs((PyObject *)&thread_dict_type);
    if (former == NULL || self == NULL || PyDict_Update(self, former) < 0) {
        Py_XDECREF(self);
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return -1;
    }
    PyDict_Clear(former);
    /* SAFE: the reference that the thread state had to the former dict is ours now. */
    ((thread_dict *)self)->former = former;
    ((thread_dict *)self)->thread = thread;
    fbl_locals_take(&((thread_dict *)self)->locals, thread->ts);
    thread->ts->dict = self;
    thread->ts_number = PyThreadState_GetID(thread->ts);
    thread->dict = self;
    thread->is_late = thread->ts_number == thread_closed_state;
    thread->is_keyed = pthread_setspecific(thread_key, thread) == 0; /* false: no memory */
    return 0;
}

/* ---- when CPython did not tell ---- */

/* By number: the memory of a deleted one is used again. */
static bool thread_has_state(const fbl_thread *thread)
{
    PyThreadState *ts = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (ts != NULL && PyThreadState_GetID(ts) != thread->ts_number)
        ts = PyThreadState_Next(ts);
    return ts != NULL;
}

/* Its state is gone. SAFE: whose reference its dict has, if it has one, is known: a state that was
 * cleared before it got the dict has not dropped its own, which is ours to drop; any other state
 * has, and somebody else (who listed all objects, say) holds the dict. */
static void thread_close_late(fbl_thread *thread, PyThreadState *ts)
{
    PyObject *dict = thread->dict;
    bool is_ours = dict != NULL && thread->is_late;
    if (dict != NULL)
        ((thread_dict *)dict)->thread = NULL;
    thread->ts = ts;
    thread_close(thread);
    if (is_ours)
        Py_DECREF(dict);
}

/* The C library ends a native thread that has an fbl_thread still. Usually CPython has deleted its
 * state, and a destructor that this ran used fibers, or somebody held the dict. Fibers that are
 * left cannot be unwound: their frames in C know that state. */
static void thread_end_late(void *argument)
{
    fbl_thread *thread = argument;
    if (thread != fbl_this_thread || fbl_is_finalizing() || !Py_IsInitialized())
        return; /* SAFE: leaked, as whatever a thread has when it dies with the interpreter */
    PyThreadState *ts = PyThreadState_New(PyInterpreterState_Main());
    if (ts == NULL)
        return; /* SAFE: as above */
    PyEval_RestoreThread(ts);
    if (!thread_has_state(thread)) /* else nobody has deleted it, and the interpreter will */
        thread_close_late(thread, ts);
    PyThreadState_Clear(ts);
    PyThreadState_DeleteCurrent();
}

/* At exit: what the calling thread would leave behind. */
static void thread_unwind_at_exit_switch(void)
{
    fbl_thread *thread = fbl_this_thread;
    if (thread != NULL && thread_may_run(thread))
        handlers_end_wait(thread);
    is_exiting = true;
    if (thread != NULL && thread_may_run(thread))
        thread_unwind_switch(thread, "the interpreter exits");
}
