/*
 * embed.c: what the core asks of CPython: the six weft_embed functions, and the thread's own
 * record.
 *
 * The idea: everything that Python code could notice about a switch happens here or in state.h.
 * Between leaving one fiber and arriving in the other only weft_embed_swap runs; it moves fields.
 * Callers: the core (list at the end of core.h).
 */
#include "task.h"
#include "../poll.h"

__thread weft_thread *weft_this_thread;
size_t weft_stack_bytes = WEFT_PYTHON_STACK_BYTES;
weft_link weft_all_threads = {&weft_all_threads, &weft_all_threads};

static inline void weft_embed_swap(weft_fiber *source, weft_fiber *target)
{
    PyThreadState *ts = ((weft_record *)target)->thread->ts;
    if (weft_likely(source->state != WEFT_FIBER_DONE))
        state_save(&((weft_record *)source)->state, ts);
    state_load(&((weft_record *)target)->state, ts);
}

static void weft_embed_fresh(weft_fiber *fiber)
{
    weft_record *record = (weft_record *)fiber;
    state_fresh(&record->state, record->thread->ts, weft_stack_embed(fiber->stack),
                WEFT_STACK_EMBED_BYTES, fiber->stack->bytes - WEFT_STACK_GUARD_BYTES);
}

static void weft_embed_hold(weft_fiber *fiber) { Py_INCREF(((weft_record *)fiber)->self); }

/* First and last code of a fiber that is written in C: arrive, live, leave nothing behind. */
static weft_fiber *weft_embed_run(weft_fiber *fiber)
{
    weft_record *record = (weft_record *)fiber;
    weft_thread *thread = record->thread;
    if (thread->leaving != NULL)
        fiber_drop_left(thread);
    weft_record *next = record->body(record);
    state_drop(&record->state, thread->ts);
    assert(thread->leaving == NULL);
    if (record->state.context != NULL)
        thread->leaving = record->self; /* who runs next drops the context as well */
    else
        fiber_leave_reference(thread, record->self);
    return &next->core;
}

/* No stack for a fiber that was to start: it ends with MemoryError instead. */
static void weft_embed_stillborn(weft_fiber *fiber, int err)
{
    weft_record *record = (weft_record *)fiber;
    errors_stack(err);
    if (PyObject_TypeCheck(record->self, &weft_task_type)) {
        task_end_unstarted(record);
        return;
    }
    hub_report_error(record->thread, record->self);
    record_cancel_start(record);
}

static void weft_embed_block(weft_hub *hub)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    thread->ts = PyEval_SaveThread();
}

static void weft_embed_unblock(weft_hub *hub)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    PyEval_RestoreThread(thread->ts);
}

/* Raises the current exception in the main fiber, which is where a thread's troubles go. */
static void thread_throw_to_main(weft_thread *thread)
{
    PyObject *exception = PyErr_GetRaisedException();
    if (exception == NULL)
        return;
    if (fiber_throw_later(thread->main, exception) < 0)
        PyErr_WriteUnraisable(thread->main->self);
    Py_DECREF(exception);
}

/* Asks weft.hub.Hub.stalled() for the exception that explains the dead end. */
static bool weft_embed_stalled(weft_hub *hub)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    if (record_is_dead(thread->main))
        fiber_end_forked_process(thread, thread_current(thread)->self);
    PyObject *object = hub_get(thread);
    PyObject *error = object == NULL ? NULL : PyObject_CallMethod(object, "stalled", NULL);
    Py_XDECREF(object);
    if (error == Py_None) {
        Py_DECREF(error);
        return !weft_list_is_empty(&hub->ready) || hub->timers != NULL;
    }
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    thread_throw_to_main(thread);
    return true;
}

static void weft_embed_interrupted(weft_hub *hub, int err)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    if (err == -EINTR) {
        if (PyErr_CheckSignals() < 0)
            thread_throw_to_main(thread);
        return;
    }
    errors_refuse(weft_error_internal, "the poller %s failed: %s. This is a bug in weft.",
                  hub->poller->name, strerror(-err));
    thread_throw_to_main(thread);
}

/* ---- the thread's own record ---- */

#define THREAD_KEY "weft.thread"

/* The hub fiber has no Python frames while it is parked, so its stack may go with it. */
static void thread_drop_hub_fiber(weft_thread *thread)
{
    weft_record *record = thread->hub_fiber;
    thread->hub_fiber = NULL;
    if (record == NULL)
        return;
    if (record->core.state == WEFT_FIBER_PARKED) {
        weft_fiber_end_idle(&record->core);
        Py_CLEAR(record->state.context);
        Py_DECREF(record->self); /* parked, it was held */
    }
    Py_DECREF(record->self);
}

/* A task of this thread that has not begun: it has no frames, so it can be dropped. */
static weft_record *thread_find_unbegun(weft_thread *thread)
{
    for (weft_link *link = thread->hub.fibers.next; link != &thread->hub.fibers;
         link = link->next) {
        weft_fiber *fiber = weft_container_of(link, weft_fiber, all);
        if (fiber->state == WEFT_FIBER_NEW && fiber->is_held)
            return (weft_record *)fiber;
    }
    return NULL;
}

/* Nobody will run this thread's fibers any more: those who wait for them elsewhere are told. */
static void thread_disappoint(weft_thread *thread)
{
    weft_record *record;
    while ((record = thread_find_unbegun(thread)) != NULL) {
        Py_INCREF(record->self);
        record_cancel_start(record);
        task_tell_joiners(record->self);
        Py_DECREF(record->self);
    }
    for (weft_link *link = thread->hub.fibers.next; link != &thread->hub.fibers; link = link->next)
        task_tell_joiners(((weft_record *)weft_container_of(link, weft_fiber, all))->self);
}

/* The native thread ends (its thread state is being cleared), or the interpreter does. */
static void thread_close(weft_thread *thread)
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
    weft_hub_abandon(&thread->hub, NULL);
    weft_hub_close(&thread->hub);
    weft_list_remove(&thread->threads);
    if (weft_this_thread == thread)
        weft_this_thread = NULL;
    Py_CLEAR(thread->callbacks);
    PyObject *main = thread->main->self;
    if (is_main_current)
        Py_DECREF(main); /* "current" */
    Py_DECREF(main);
    if (--thread->record_count == 0)
        PyMem_RawFree(thread);
}

static void thread_capsule_destroyed(PyObject *capsule)
{
    weft_thread *thread = PyCapsule_GetPointer(capsule, THREAD_KEY);
    if (thread == NULL)
        PyErr_Clear(); /* never: the capsule was made below */
    else
        thread_close(thread);
}

/* CPython clears this dict while the dying thread can still run, which is when we want to know. */
static int thread_watch_end(weft_thread *thread)
{
    PyObject *dict = PyThreadState_GetDict();
    if (dict == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *capsule = PyCapsule_New(thread, THREAD_KEY, thread_capsule_destroyed);
    if (capsule == NULL)
        return -1;
    int rc = PyDict_SetItemString(dict, THREAD_KEY, capsule);
    if (rc < 0)
        PyCapsule_SetDestructor(capsule, NULL);
    Py_DECREF(capsule);
    return rc;
}

static weft_thread *thread_make(void)
{
    if (weft_is_finalizing()) {
        PyErr_SetString(PyExc_RuntimeError, "cannot use fibers: the interpreter is shutting down");
        return NULL;
    }
    weft_thread *thread = PyMem_RawCalloc(1, sizeof *thread);
    weft_fiber_object *main = PyObject_GC_New(weft_fiber_object, &weft_fiber_type);
    if (thread == NULL || main == NULL) {
        PyMem_RawFree(thread);
        Py_XDECREF(main);
        PyErr_NoMemory();
        return NULL;
    }
    main->weakrefs = main->dict = NULL;
    main->record = NULL;
    thread->ts = PyThreadState_Get();
    weft_list_init(&thread->threads);
    weft_record *record = record_make((PyObject *)main, thread);
    if (record == NULL) {
        PyMem_RawFree(thread);
        Py_DECREF(main);
        return NULL;
    }
    weft_hub_init(&thread->hub, &record->core, weft_stack_bytes);
    thread->main = record;
    PyObject_GC_Track(main);
    if (thread_watch_end(thread) < 0) {
        thread->is_closed = true;
        record->core.state = WEFT_FIBER_LOST;
        Py_DECREF(main);
        return NULL;
    }
    Py_INCREF(main); /* "current"; the other reference is thread->main's */
    weft_list_append(&weft_all_threads, &thread->threads);
    weft_this_thread = thread;
    return thread;
}

/* In the child of a fork only the forking fiber goes on (POSIX). Other threads do not exist. */
static void thread_after_fork(void)
{
    weft_link *link = weft_all_threads.next;
    while (link != &weft_all_threads) {
        weft_thread *thread = weft_container_of(link, weft_thread, threads);
        link = link->next;
        bool is_own = thread == weft_this_thread;
        weft_hub_abandon(&thread->hub, is_own ? thread->hub.current : NULL);
        Py_CLEAR(thread->callbacks);
        if (!is_own || thread->hub_fiber != thread_current(thread))
            thread->hub_fiber = NULL; /* its object leaks with its frames, like any lost fiber's */
        if (!is_own) {
            thread->is_closed = true;
            weft_list_remove(&thread->threads);
        }
    }
}
