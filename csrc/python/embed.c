/*
 * embed.c: what the core asks of CPython: the fbl_embed functions.
 *
 * The idea: everything that Python code could notice about a switch happens here or in state.h.
 * Between leaving one fiber and arriving in the other only fbl_embed_swap runs; it moves fields.
 * Callers: the core (list at the end of core.h).
 */
#include "python/hub/hub.h"
#include "python/thread/thread.h"
#include "core/poller.h"

static inline void fbl_embed_swap(fbl_fiber *source, fbl_fiber *target)
{
    fbl_thread *thread = ((fbl_record *)target)->thread;
    PyThreadState *ts = thread->ts;
    if (fbl_unlikely(thread->tracer != NULL || ts->c_tracefunc != NULL) && thread->leaving == NULL)
        thread->leaving = Py_NewRef(((fbl_record *)source)->self); /* the event names it */
    if (fbl_likely(source->state != FBL_FIBER_DONE))
        state_save(&((fbl_record *)source)->state, ts);
    state_load(&((fbl_record *)target)->state, ts);
}

static void fbl_embed_lend(fbl_fiber *guest)
{
    fbl_thread *thread = ((fbl_record *)guest)->thread;
    /* SAFE: also without the GIL: what is written is this thread's own, which nobody else reads. */
    state_lend(&((fbl_record *)guest)->state, &thread->main->state, thread->ts);
}

static void fbl_embed_unlend(fbl_fiber *guest)
{
    state_unlend(&((fbl_record *)guest)->state, ((fbl_record *)guest)->thread->ts);
}

static fbl_hub *fbl_embed_hub(void)
{
    return fbl_this_thread == NULL ? NULL : &fbl_this_thread->hub;
}

static inline void fbl_embed_stay(fbl_fiber *fiber)
{
    fbl_record *self = (fbl_record *)fiber;
    if (fbl_unlikely(self->thread->is_watched) && self->thread->leaving == NULL)
        self->thread->leaving = Py_NewRef(self->self);
}

static void fbl_embed_fresh(fbl_fiber *fiber)
{
    fbl_record *record = (fbl_record *)fiber;
    state_fresh(&record->state, record->thread->ts, fiber->stack);
}

static void fbl_embed_hold(fbl_fiber *fiber) { Py_INCREF(((fbl_record *)fiber)->self); }

/* First and last code of a fiber that is written in C: live, and leave nothing behind. */
static fbl_fiber *fbl_embed_run(fbl_fiber *fiber)
{
    fbl_record *record = (fbl_record *)fiber;
    fbl_thread *thread = record->thread;
    fbl_record *next = record->body(record);
    state_drop(&record->state, thread->ts);
    assert(thread->leaving == NULL);
    fiber_leave_reference(thread, record->self);
    return &next->core;
}

static fbl_stack *fbl_embed_stack(void)
{
    const fbl_thread *thread = fbl_this_thread;
    return thread == NULL ? NULL : thread->hub.current->stack;
}

static void fbl_embed_mapped(fbl_hub *hub)
{
    overflow_arm();
    if (fbl_unlikely(hub->is_short))
        stack_size_note_short(fbl_container_of(hub, fbl_thread, hub));
}

/* No stack for a fiber that was to start: it ends with MemoryError instead. */
static void fbl_embed_stillborn(fbl_fiber *fiber, int err)
{
    fbl_record *record = (fbl_record *)fiber;
    errors_stack(err);
    if (PyObject_TypeCheck(record->self, &fbl_task_type)) {
        task_end_unstarted(record);
        return;
    }
    hub_report_error(record->thread, record->self);
    record_cancel_start(record);
}

static void fbl_embed_block(fbl_hub *hub)
{
    fbl_thread *thread = fbl_container_of(hub, fbl_thread, hub);
    if (fbl_unlikely(thread->is_watched))
        thread->slept_ns -= fbl_hub_now(hub);
    if (hub->wants_signals)
        signal_wake_begin(thread);
    contention_sleep(thread);
    thread->ts = PyEval_SaveThread();
}

static void fbl_embed_unblock(fbl_hub *hub)
{
    fbl_thread *thread = fbl_container_of(hub, fbl_thread, hub);
    uint64_t asked_ns = fbl_hub_now(hub);
    PyEval_RestoreThread(thread->ts);
    contention_wake(thread, asked_ns);
    watchdog_hub_wakes(hub);
    if (fbl_unlikely(thread->is_watched))
        thread->slept_ns += fbl_hub_now(hub);
    if (hub->wants_signals)
        signal_wake_end(thread);
}

static uint64_t fbl_embed_turn_begins(fbl_hub *hub, uint64_t timeout_ns)
{
    bool is_awake = hub_consult(fbl_container_of(hub, fbl_thread, hub), "turn_begins");
    return is_awake || !fbl_list_is_empty(&hub->ready) ? 0 : timeout_ns;
}

static void fbl_embed_turn_ends(fbl_hub *hub)
{
    (void)hub_consult(fbl_container_of(hub, fbl_thread, hub), "turn_ends");
}

/* Asks fibril.hub.Hub.stalled() for the exception that explains the dead end, or for how long it
 * may be none: a number of seconds, or None. */
static bool fbl_embed_stalled(fbl_hub *hub, uint64_t *timeout_ns)
{
    fbl_thread *thread = fbl_container_of(hub, fbl_thread, hub);
    if (record_is_dead(thread->main))
        fiber_end_forked_process(thread, thread_current(thread)->self);
    uint64_t order = hub->timer_order;
    bool was_idle = fbl_hub_is_idle(hub); /* not in a simulated world that nobody feeds */
    PyObject *object = hub_get(thread);
    PyObject *error = object == NULL ? NULL : PyObject_CallMethod(object, "stalled", NULL);
    Py_XDECREF(object);
    bool is_limited = error != NULL && PyFloat_CheckExact(error);
    if (is_limited) {
        uint64_t limit_ns = (uint64_t)(PyFloat_AS_DOUBLE(error) * 1e9);
        *timeout_ns = limit_ns < *timeout_ns ? limit_ns : *timeout_ns;
    }
    bool was_helped = was_idle && !fbl_hub_is_idle(hub); /* by a thread, while it was explained */
    if (error == Py_None || is_limited || (error != NULL && was_helped)) {
        Py_DECREF(error);
        return !fbl_list_is_empty(&hub->ready) || hub->timer_order != order;
    }
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    thread_throw_to_main(thread);
    return true;
}

static void fbl_embed_interrupted(fbl_hub *hub, int err)
{
    fbl_thread *thread = fbl_container_of(hub, fbl_thread, hub);
    if (err == -EINTR) {
        if (PyErr_CheckSignals() < 0)
            thread_throw_to_main(thread);
        return;
    }
    if (err == -EMFILE || err == -ENFILE || err == -ENOMEM)
        errors_os(err); /* there is none left for a poller: whoever waits here is told */
    else
        errors_refuse(fbl_error_internal, "the poller %s failed: %s. This is a bug in fibril.",
                      hub->poller->name, strerror(-err));
    thread_throw_to_main(thread);
}
