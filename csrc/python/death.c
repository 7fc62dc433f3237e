/*
 * death.c: how fiber objects are collected, unwound and freed.
 *
 * Collectable: a parked fiber's frames are visited, and its finalizer throws GreenletExit into it,
 * so its finally blocks run. What cannot be unwound any more (its thread is gone) is leaked, never
 * freed: a traceback may still look at its frames.
 */
#include "thread.h"

static int fiber_traverse(PyObject *self, visitproc visit, void *arg)
{
    weft_record *record = record_of(self);
    Py_VISIT(((weft_fiber_object *)self)->dict);
    if (record == NULL)
        return 0;
    Py_VISIT(record->run);
    Py_VISIT(record->args);
    Py_VISIT(record->kwargs);
    Py_VISIT(record->parent);
    Py_VISIT(record->thrown);
    /* A running fiber's share is in the thread state, a main fiber's frames are the thread's. */
    if (record_is_away(record) && record->core.stack != NULL &&
        record->thread->hub.current != &record->core)
        return state_visit(&record->state, visit, arg);
    return 0;
}

/* Nobody can switch to it any more: unwind it, with GreenletExit, so that its finally blocks run. A
 * fiber of another thread, a task, or one met where nobody may switch, is left to its hub. */
static void fiber_unwind(PyObject *self, weft_record *record)
{
    weft_thread *thread = weft_this_thread;
    PyObject *exit = PyObject_CallFunction(
        weft_error_exit, "s", "Killing the greenlet because all references have vanished.");
    if (exit == NULL) {
        PyErr_WriteUnraisable(self);
        return;
    }
    bool is_here = thread == record->thread &&
                   thread_current(thread)->core.state == WEFT_FIBER_RUNNING &&
                   record->core.state == WEFT_FIBER_SUSPENDED && record->body == fiber_body;
    if (!is_here) {
        if (fiber_throw_later(record, exit) < 0)
            PyErr_WriteUnraisable(self);
        Py_DECREF(exit);
        return;
    }
    Py_XSETREF(record->parent, Py_NewRef(thread_current(thread)->self));
    PyErr_SetObject((PyObject *)Py_TYPE(exit), exit);
    Py_DECREF(exit);
    PyObject *result = fiber_throw_and_return_switch(thread, record);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(self);
    Py_XDECREF(result);
}

/* Is it away, and can it still run? */
static bool record_is_unwindable(const weft_record *record)
{
    return record != NULL && record_is_away(record) && !record->thread->is_closed &&
           record != record->thread->main && !weft_is_finalizing();
}

static void fiber_finalize(PyObject *self)
{
    weft_record *record = record_of(self);
    if (!record_is_unwindable(record))
        return;
    PyObject *pending = PyErr_GetRaisedException();
    fiber_unwind(self, record);
    PyErr_SetRaisedException(pending);
}

/* Garbage that is still away has refused to be unwound, or has a __del__ that took the finalizer's
 * place. What its frames need may be cleared already, so it must never run again. */
static void fiber_give_up(PyObject *self, weft_record *record)
{
    bool was_held = record->core.is_held;
    weft_fiber_lose(&record->core);
    if (was_held)
        Py_DECREF(self); /* the collector has a reference of its own */
}

/* Only what the object owns. A fiber that still has frames keeps what they may need. */
static int fiber_clear(PyObject *self)
{
    weft_record *record = record_of(self);
    if (record != NULL && record_is_away(record)) {
        fiber_give_up(self, record);
        return 0;
    }
    Py_CLEAR(((weft_fiber_object *)self)->dict);
    if (record == NULL || record->core.stack != NULL || record->core.state == WEFT_FIBER_RUNNING)
        return 0;
    record_release(record);
    if (record_is_dead(record))
        Py_CLEAR(record->parent);
    return 0;
}

/* The end of every fiber object, untracked already. One that could not be unwound is lost first, so
 * that no code that runs below can find it. */
static void fiber_free(PyObject *self)
{
    weft_record *record = record_of(self);
    bool has_frames = record != NULL && record->core.stack != NULL;
    if (has_frames)
        weft_fiber_lose(&record->core);
    if (((weft_fiber_object *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(((weft_fiber_object *)self)->dict);
    if (record != NULL && !has_frames) {
        record_release(record);
        Py_CLEAR(record->parent);
        Py_CLEAR(record->state.context); /* copied for a start that never came */
        weft_fiber_drop(&record->core);
        record_free(record);
    }
    Py_TYPE(self)->tp_free(self);
}

/* The last reference is gone. True: the fiber must be unwound first, and lives on until it is. */
static bool fiber_is_saved(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return true;
    if (!record_is_unwindable(record_of(self)))
        return false;
    /* A subclass with __del__ has taken the finalizer's place. SAFE: the reference lent here is
     * taken back below, unless unwinding has made others; then the object goes on as a whole, and
     * its type
     * gets back the reference that the caller, subtype_dealloc, is going to drop. */
    Py_SET_REFCNT(self, 1);
    fiber_finalize(self);
    Py_SET_REFCNT(self, Py_REFCNT(self) - 1);
    if (Py_REFCNT(self) == 0)
        return false;
    if (PyType_HasFeature(Py_TYPE(self), Py_TPFLAGS_HEAPTYPE))
        Py_INCREF(Py_TYPE(self));
    if (!PyObject_GC_IsTracked(self))
        PyObject_GC_Track(self);
    return true;
}

static void fiber_dealloc(PyObject *self)
{
    if (fiber_is_saved(self))
        return;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, fiber_dealloc) /* a chain of parents may be as long as memory */
        fiber_free(self);
    Py_TRASHCAN_END
}
