/*
 * embed.c: what the core asks of CPython: the weft_embed functions.
 *
 * The idea: everything that Python code could notice about a switch happens here or in state.h.
 * Between leaving one fiber and arriving in the other only weft_embed_swap runs; it moves fields.
 * Callers: the core (list at the end of core.h).
 */
#include "task.h"
#include "../poll.h"

static inline void weft_embed_swap(weft_fiber *source, weft_fiber *target)
{
    weft_thread *thread = ((weft_record *)target)->thread;
    PyThreadState *ts = thread->ts;
    if (weft_unlikely(thread->tracer != NULL) && thread->leaving == NULL)
        thread->leaving = Py_NewRef(((weft_record *)source)->self); /* the event names it */
    if (weft_likely(source->state != WEFT_FIBER_DONE))
        state_save(&((weft_record *)source)->state, ts);
    state_load(&((weft_record *)target)->state, ts);
}

static inline void weft_embed_stay(weft_fiber *fiber)
{
    weft_record *self = (weft_record *)fiber;
    if (weft_unlikely(self->thread->is_watched) && self->thread->leaving == NULL)
        self->thread->leaving = Py_NewRef(self->self);
}

static void weft_embed_fresh(weft_fiber *fiber)
{
    weft_record *record = (weft_record *)fiber;
    state_fresh(&record->state, record->thread->ts, fiber->stack);
}

static void weft_embed_hold(weft_fiber *fiber) { Py_INCREF(((weft_record *)fiber)->self); }

/* First and last code of a fiber that is written in C: live, and leave nothing behind. */
static weft_fiber *weft_embed_run(weft_fiber *fiber)
{
    weft_record *record = (weft_record *)fiber;
    weft_thread *thread = record->thread;
    weft_record *next = record->body(record);
    state_drop(&record->state, thread->ts);
    assert(thread->leaving == NULL);
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
    if (weft_unlikely(thread->is_watched))
        thread->slept_ns -= weft_hub_now(hub);
    if (hub->wants_signals)
        signal_wake_begin(thread);
    thread->ts = PyEval_SaveThread();
}

static void weft_embed_unblock(weft_hub *hub)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    PyEval_RestoreThread(thread->ts);
    watchdog_hub_wakes(hub);
    if (weft_unlikely(thread->is_watched))
        thread->slept_ns += weft_hub_now(hub);
    if (hub->wants_signals)
        signal_wake_end(thread);
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

static uint64_t weft_embed_turn_begins(weft_hub *hub, uint64_t timeout_ns)
{
    bool is_awake = hub_consult(weft_container_of(hub, weft_thread, hub), "turn_begins");
    return is_awake || !weft_list_is_empty(&hub->ready) ? 0 : timeout_ns;
}

static void weft_embed_turn_ends(weft_hub *hub)
{
    (void)hub_consult(weft_container_of(hub, weft_thread, hub), "turn_ends");
}

/* Asks weft.hub.Hub.stalled() for the exception that explains the dead end. */
static bool weft_embed_stalled(weft_hub *hub)
{
    weft_thread *thread = weft_container_of(hub, weft_thread, hub);
    if (record_is_dead(thread->main))
        fiber_end_forked_process(thread, thread_current(thread)->self);
    uint64_t order = hub->timer_order;
    PyObject *object = hub_get(thread);
    PyObject *error = object == NULL ? NULL : PyObject_CallMethod(object, "stalled", NULL);
    Py_XDECREF(object);
    if (error == Py_None) {
        Py_DECREF(error);
        return !weft_list_is_empty(&hub->ready) || hub->timer_order != order;
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
