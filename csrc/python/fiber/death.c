/*
 * death.c: how fiber objects are collected, unwound and freed.
 *
 * Collectable: a parked fiber's frames are visited, and its finalizer throws GreenletExit into it,
 * so its finally blocks run. What cannot be unwound any more (its thread is gone) is leaked, never
 * freed: a traceback may still look at its frames.
 */
#include "python/fiber/record.h"

static int fiber_traverse(PyObject *self, visitproc visit, void *arg)
{
    fbl_record *record = record_of(self);
    Py_VISIT(((fbl_fiber_object *)self)->dict);
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
    Py_VISIT(record->state.context); /* before the start, after the end; NULL while it runs */
    return 0;
}

/* Enters a fiber that is to die, with the current exception or one that was left for it. Its end
 * leads back here, whoever its parent is; one that survives has its parent again, unless it waits:
 * by the time that it ends, its parent may be waiting for something else, so it goes to the hub. */
static void fiber_unwind_switch(fbl_thread *thread, fbl_record *record)
{
    PyObject *self = Py_NewRef(record->self);
    PyObject *parent = record->parent;
    record->parent = Py_NewRef(thread_current(thread)->self);
    PyObject *result = fiber_throw_and_return_switch(thread, record);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(self);
    Py_XDECREF(result);
    if (record->core.is_held) { /* it waits, or is to go on after a wait */
        Py_CLEAR(record->parent);
        Py_XDECREF(parent);
    } else {
        Py_XSETREF(record->parent, parent);
    }
    Py_DECREF(self);
}

/* May the thread unwind it here and now? Not a task, which ends in its own way, and not while the
 * hub is choosing who runs next. */
static bool fiber_may_unwind(const fbl_thread *thread, const fbl_record *record)
{
    return thread == record->thread && record->core.state == FBL_FIBER_SUSPENDED &&
           record->body == fiber_body && thread_current(thread)->core.state == FBL_FIBER_RUNNING;
}

/* The next fiber that another thread has left to this one's hub, with an exception to die of. */
static fbl_record *thread_find_dropped(fbl_thread *thread)
{
    for (fbl_link *link = thread->hub.ready.next; link != &thread->hub.ready; link = link->next) {
        fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, ready);
        if (record->is_dropped && record->thrown != NULL && fiber_may_unwind(thread, record))
            return record;
    }
    return NULL;
}

/* Fibers whose last reference another thread dropped are unwound when their hub runs. Threads that
 * only switch by hand have no use for a hub, so these are unwound as well when such a thread asks
 * for its current fiber or makes a new one: so does greenlet. */
static __attribute__((noinline)) void dropped_unwind_all_switch(fbl_thread *thread)
{
    fbl_record *record;
    PyObject *travelling = PyErr_GetRaisedException();
    thread->dropped_count = 0;
    stack_size_tell_short(thread);
    while ((record = thread_find_dropped(thread)) != NULL) {
        record->is_dropped = false;
        fiber_unwind_switch(thread, record);
    }
    PyErr_SetRaisedException(travelling);
}

static inline void dropped_unwind_switch(fbl_thread *thread)
{
    if (fbl_unlikely(thread->dropped_count > 0))
        dropped_unwind_all_switch(thread);
}

/* Leaves that to the owner's hub. When it ends it goes to the hub: its parent may be waiting for
 * something else by then. */
static void fiber_unwind_later(fbl_record *record, PyObject *exit)
{
    PyObject *parent = NULL;
    if (record->body == fiber_body) {
        parent = record->parent;
        record->parent = NULL;
        record->is_dropped = true;
    }
    if (fiber_throw_later(record, exit) < 0)
        PyErr_WriteUnraisable(record->self);
    else
        record->thread->dropped_count++;
    Py_XDECREF(parent);
}

/* Throws GreenletExit into a fiber that is away, so that its finally blocks run. A fiber of another
 * thread, a task, or one met where nobody may switch, is left to its hub. */
static void fiber_end_switch(fbl_record *record, const char *why)
{
    fbl_thread *thread = fbl_this_thread;
    record->was_thrown_exit = true;
    PyObject *exit = errors_exit(why);
    if (exit == NULL) {
        PyErr_WriteUnraisable(record->self);
    } else if (fiber_may_unwind(thread, record)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exit), exit);
        fiber_unwind_switch(thread, record);
    } else {
        fiber_unwind_later(record, exit);
    }
    Py_XDECREF(exit);
}

/* Is it away, and can it still run? */
static bool record_is_unwindable(const fbl_record *record)
{
    return record != NULL && record_is_away(record) && !record->thread->is_closed &&
           !record->is_main && !fbl_is_finalizing();
}

/* While its thread ends it is thrown at once. */
static bool record_was_told(const fbl_record *record)
{
    return record->was_thrown_exit && record->thread->is_ending;
}

static void fiber_finalize_switch(PyObject *self)
{
    fbl_record *record = record_of(self);
    if (!record_is_unwindable(record) || record_was_told(record))
        return;
    PyObject *pending = PyErr_GetRaisedException();
    fiber_end_switch(record, "all references have vanished");
    PyErr_SetRaisedException(pending);
}

/* What CPython puts into tp_finalize of each class that has a __del__. */
static destructor python_finalize;

/* tp_finalize of a subclass with __del__, which would otherwise be called instead of ours. Who was
 * given a new reference by __del__ is wanted again. */
static void fiber_finalize_after_del(PyObject *self)
{
    /* SAFE: the caller holds one, and each answer is harmless: who is wanted and unwound all the
     * same has merely ended; who is not, and is dropped again, is unwound by fiber_save_switch. */
    Py_ssize_t count = Py_REFCNT(self);
    python_finalize(self);
    /* SAFE: as above. */
    bool is_wanted = Py_REFCNT(self) > count;
    if (!is_wanted)
        fiber_finalize_switch(self);
}

static void fiber_type_adopt_del(PyTypeObject *type)
{
    if (type->tp_finalize == python_finalize)
        type->tp_finalize = fiber_finalize_after_del; /* SAFE: nothing caches this slot */
}

static int death_import(void)
{
    PyObject *probe =
        PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "probe", "__del__", Py_None);
    if (probe == NULL)
        return -1;
    python_finalize = ((PyTypeObject *)probe)->tp_finalize;
    Py_DECREF(probe);
    return 0;
}

/* Says, as greenlet does, that GreenletExit was thrown at a fiber once, and it goes on. */
static void fiber_tell_refusal(PyObject *self)
{
    PyObject *travelling = PyErr_GetRaisedException();
    PyObject *file = Py_XNewRef(PySys_GetObject("stderr"));
    if (file != NULL && file != Py_None &&
        (PyFile_WriteString("GreenletExit did not kill ", file) < 0 ||
         PyFile_WriteObject(self, file, 0) < 0 || PyFile_WriteString("\n", file) < 0))
        PyErr_WriteUnraisable(self);
    Py_XDECREF(file);
    PyErr_SetRaisedException(travelling);
}

/* Garbage that is still away has refused to be unwound, or has a __del__ that took the finalizer's
 * place. What its frames need may be cleared already, so it must never run again. */
static void fiber_give_up(PyObject *self, fbl_record *record)
{
    bool was_held = record->core.is_held;
    fbl_fiber_lose(&record->core);
    if (was_held)
        Py_DECREF(self); /* the collector has a reference of its own */
}

/* Only what the object owns. A fiber that still has frames keeps what they may need. */
static int fiber_clear(PyObject *self)
{
    fbl_record *record = record_of(self);
    if (record != NULL && record_is_away(record)) {
        fiber_give_up(self, record);
        return 0;
    }
    Py_CLEAR(((fbl_fiber_object *)self)->dict);
    if (record == NULL || record->core.stack != NULL || record->core.state == FBL_FIBER_RUNNING)
        return 0;
    record_release(record);
    Py_CLEAR(record->state.context);
    if (record_is_dead(record))
        Py_CLEAR(record->parent);
    return 0;
}

/* A fiber that could not be unwound will never run again. Its memory goes as well where its thread
 * has ended and nobody can look at its frames; what those refer to is lost. */
static bool fiber_keeps_frames(fbl_record *record)
{
    if (record == NULL || record->core.stack == NULL)
        return false;
    fbl_fiber_lose(&record->core);
    if (!record->thread->is_closed || fbl_is_finalizing() || !state_abandon(&record->state))
        return true;
    /* SAFE: no frame object, no generator and no list of the hub's leads to this stack. */
    fbl_stack_abandon(record->core.stack);
    record->core.stack = NULL;
    return false;
}

/* The end of every fiber object, untracked already. One that could not be unwound is lost first, so
 * that no code that runs below can find it. */
static void fiber_free(PyObject *self)
{
    fbl_record *record = record_of(self);
    bool has_frames = fiber_keeps_frames(record);
    if (((fbl_fiber_object *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(((fbl_fiber_object *)self)->dict);
    if (record != NULL && !has_frames) {
        record_release(record);
        Py_CLEAR(record->parent);
        Py_CLEAR(record->state.context);
        fbl_fiber_drop(&record->core);
        record_free(record);
    }
    Py_TYPE(self)->tp_free(self);
}

/* The last reference is gone. True: the fiber must be unwound first, and lives on until it is. One
 * that is thrown at and goes on, though nobody refers to it, is let go. */
static bool fiber_save_switch(PyObject *self)
{
    fbl_record *record = record_of(self);
    bool is_away = record != NULL && record_is_away(record);
    if (fbl_likely(!is_away && Py_TYPE(self)->tp_finalize == fiber_finalize_switch))
        return false; /* it would do nothing */
    bool was_told = is_away && record_was_told(record);
    if (is_away && !was_told)
        record->was_thrown_exit = false;
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return true;
    if (!record_is_unwindable(record) || was_told)
        return false;
    /* A subclass with __del__ has taken the finalizer's place. SAFE: the reference lent here is
     * taken back below, unless unwinding has made others; then the object goes on as a whole, and
     * its type gets back the reference that the caller, subtype_dealloc, is going to drop. */
    Py_SET_REFCNT(self, 1);
    if (!record->was_thrown_exit)
        fiber_finalize_switch(self);
    if (record_is_unwindable(record) && Py_REFCNT(self) == 1)
        fiber_tell_refusal(self);
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
    if (fiber_save_switch(self))
        return;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, fiber_dealloc) /* a chain of parents may be as long as memory */
        fiber_free(self);
    Py_TRASHCAN_END
}
