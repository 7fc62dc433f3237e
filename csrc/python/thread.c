/*
 * thread.c: a native thread that uses fibers: its hub and main fiber, made on first use, and its
 * end.
 *
 * The idea: the thread hangs a capsule into its own thread-state dict. CPython clears that dict
 * when the native thread ends, or else when the interpreter does; both end in thread_close.
 * Invariant: the struct outlives the native thread for as long as records point at it.
 */
#include "task.h"

__thread weft_thread *weft_this_thread;
weft_link weft_all_threads = {&weft_all_threads, &weft_all_threads};

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

/* Fibers that were made here and not started have nothing of the thread: another one may give them
 * a parent of its own, and start them. */
static void thread_release_unstarted(weft_thread *thread)
{
    weft_link *link = thread->hub.fibers.next;
    while (link != &thread->hub.fibers) {
        weft_record *record = (weft_record *)weft_container_of(link, weft_fiber, all);
        link = link->next;
        if (!record_is_started(record) && record->body == fiber_body && !record->core.is_held)
            weft_list_remove(&record->core.all);
    }
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
    thread_release_unstarted(thread);
    weft_hub_abandon(&thread->hub, NULL);
    weft_hub_close(&thread->hub);
    weft_list_remove(&thread->threads);
    signal_stack_close(thread);
    if (weft_this_thread == thread)
        weft_this_thread = NULL;
    Py_CLEAR(thread->callbacks);
    Py_CLEAR(thread->tracer);
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
        errors_finalizing();
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
    state_adopt(&record->state, thread->ts);
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
    signal_stack_open(thread);
    return thread;
}

bool weft_keeps_fibers_over_fork;

/* Would greenlet have it in the child? Who waits for the hub stays behind: what it waits for does.
 */
static bool record_is_kept_over_fork(const weft_record *record)
{
    bool is_plain = record->body == fiber_body || record == record->thread->main;
    return is_plain &&
           (record->core.state == WEFT_FIBER_SUSPENDED || record->core.state == WEFT_FIBER_NEW);
}

/* Takes the fibers that the child keeps out of the hub's list. */
static void thread_set_aside_kept(weft_thread *thread, weft_link *kept)
{
    weft_link *link = thread->hub.fibers.next;
    while (weft_keeps_fibers_over_fork && link != &thread->hub.fibers) {
        weft_fiber *fiber = weft_container_of(link, weft_fiber, all);
        link = link->next;
        if (!record_is_kept_over_fork((weft_record *)fiber))
            continue;
        weft_list_remove(&fiber->all);
        weft_list_append(kept, &fiber->all);
    }
}

/* The forking thread's hub begins anew, without those who stayed in the parent. */
static void thread_abandon_others(weft_thread *thread)
{
    weft_link kept;
    weft_list_init(&kept);
    thread_set_aside_kept(thread, &kept);
    weft_hub_abandon(&thread->hub, thread->hub.current);
    while (!weft_list_is_empty(&kept)) {
        weft_link *link = kept.next;
        weft_list_remove(link);
        weft_list_append(&thread->hub.fibers, link);
    }
}

/* In the child of a fork only the forking fiber goes on (POSIX), and what greenlet would keep if
 * the program knows fibers by that name. Other threads do not exist. */
static void thread_after_fork(void)
{
    weft_link *link = weft_all_threads.next;
    while (link != &weft_all_threads) {
        weft_thread *thread = weft_container_of(link, weft_thread, threads);
        link = link->next;
        bool is_own = thread == weft_this_thread;
        if (is_own)
            thread_abandon_others(thread);
        else
            weft_hub_abandon(&thread->hub, NULL);
        Py_CLEAR(thread->callbacks);
        if (!is_own || thread->hub_fiber != thread_current(thread))
            thread->hub_fiber = NULL; /* its object leaks with its frames, like any lost fiber's */
        if (!is_own) {
            thread->is_closed = true;
            weft_list_remove(&thread->threads);
        }
    }
}
