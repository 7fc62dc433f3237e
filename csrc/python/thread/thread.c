/*
 * thread.c: a native thread that uses fibers: its hub and main fiber, made on first use.
 *
 * The idea: nothing asks for fibers until something needs one; then the thread gets a hub, a main
 * fiber, which is the thread itself, and whatever tells of its end (end.c).
 * Invariant: the struct outlives the native thread for as long as records point at it.
 */
#include "python/thread/thread.h"

/* Who runs now; a new reference. */
static PyObject *fiber_current_switch(void)
{
    if (fbl_unlikely(fbl_is_finalizing()))
        return errors_finalizing();
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    dropped_unwind_switch(thread);
    return Py_NewRef(thread_current(thread)->self);
}

/* Raises the current exception in the main fiber, which is where a thread's troubles go. */
static void thread_throw_to_main(fbl_thread *thread)
{
    PyObject *exception = PyErr_GetRaisedException();
    if (exception == NULL)
        return;
    if (fiber_throw_later(thread->main, exception) < 0)
        PyErr_WriteUnraisable(thread->main->self);
    Py_DECREF(exception);
}

static fbl_thread *thread_make(void)
{
    if (fbl_is_finalizing()) {
        errors_finalizing();
        return NULL;
    }
    fbl_thread *thread = PyMem_RawCalloc(1, sizeof *thread);
    fbl_fiber_object *main = PyObject_GC_New(fbl_fiber_object, &fbl_fiber_type);
    if (thread == NULL || main == NULL) {
        PyMem_RawFree(thread);
        Py_XDECREF(main);
        PyErr_NoMemory();
        return NULL;
    }
    main->weakrefs = main->dict = NULL;
    main->record = NULL;
    thread->ts = PyThreadState_Get();
    fbl_list_init(&thread->threads);
    fbl_list_init(&thread->told);
    fbl_list_init(&thread->handler_ends);
    fbl_record *record = record_make((PyObject *)main, thread);
    if (record == NULL) {
        PyMem_RawFree(thread);
        Py_DECREF(main);
        return NULL;
    }
    fbl_hub_init(&thread->hub, &record->core, fbl_stack_bytes, FBL_PYTHON_STACK_BYTES_MIN);
    thread->main = record;
    record->is_main = true;
    state_adopt(&record->state, thread->ts);
    PyObject_GC_Track(main);
    if (thread_watch_end(thread) < 0) {
        thread->is_closed = true;
        record->core.state = FBL_FIBER_LOST;
        Py_DECREF(main);
        return NULL;
    }
    Py_INCREF(main); /* "current"; the other reference is thread->main's */
    watchdog_lock();
    fbl_list_append(&fbl_all_threads, &thread->threads);
    watchdog_unlock();
    fbl_this_thread = thread;
    signal_stack_open(thread);
    overflow_arm();
    signal_wake_learn(thread);
    return thread;
}
