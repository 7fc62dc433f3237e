/*
 * passage.c: how a fiber is left and another one entered, as far as Python can notice.
 *
 * The idea: a switch by hand hands over one value (thread.value) or the current exception, and
 * names who runs next; a park hands over nothing and lets the hub choose. Both end in fiber_arrive,
 * which is the first code after every switch.
 *
 * Invariants:
 *   - only a RUNNING current fiber may leave (not one inside fbl_hub_next: a signal handler or
 *     a destructor running there must not switch);
 *   - no reference is dropped between choosing the target and arriving there, because dropping runs
 *     arbitrary code; what the left fiber's last reference would run, the arriving one runs.
 * Callers: every blocking call of this folder, and fiber_switch.c.
 */
#include "python/fiber/record.h"
#include "core/switch/enter.h"

/* Gives up the reference that being current was. Usually there are others, and that is all; the
 * last one is dropped by who arrives, because that runs arbitrary code.
 * SAFE: nobody can drop the others before the switch: we hold the GIL, and run nothing more. */
static inline void fiber_leave_reference(fbl_thread *thread, PyObject *self)
{
    if (fbl_likely(Py_REFCNT(self) > 1))
        Py_DECREF(self);
    else
        thread->leaving = self;
}

/* Tells the tracer which fiber was left, and drops the reference to it, which may be the last: that
 * runs arbitrary code. An exception that travels survives it, unless the tracer raises another. */
static void fiber_settle_left(fbl_thread *thread)
{
    PyObject *left = thread->leaving;
    thread->leaving = NULL;
    if (thread->tracer != NULL)
        trace_arrival(thread, left);
    PyObject *travelling = PyErr_GetRaisedException();
    if (thread->ts->c_tracefunc != NULL)
        trace_show_call(thread->ts);
    Py_DECREF(left);
    PyErr_SetRaisedException(travelling);
}

/* First code of a fiber that starts. Returns what travelled: NULL, or an owned reference. */
static PyObject *fiber_arrive_first(fbl_thread *thread)
{
    PyObject *value = thread->value;
    thread->value = NULL;
    if (fbl_unlikely(thread->leaving != NULL))
        fiber_settle_left(thread);
    return value;
}

/* Raises one of the exceptions that others left for the fiber. Returns -1. */
static int thrown_raise(fbl_record *self, Py_ssize_t place)
{
    PyObject *exception = Py_NewRef(PyList_GET_ITEM(self->thrown, place));
    if (PyList_GET_SIZE(self->thrown) == 1)
        Py_CLEAR(self->thrown);
    else if (PyList_SetSlice(self->thrown, place, place + 1, NULL) < 0)
        PyErr_Clear(); /* shrinking a list allocates nothing */
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
    return -1;
}

/* Raises the first of them; there is one. Returns -1. */
static int fiber_raise_thrown(fbl_record *self) { return thrown_raise(self, 0); }

/* The rare half of fiber_arrive. What was thrown is taken before the left fiber is dropped:
 * dropping runs arbitrary code, whose own waits must not meet what was meant for this one. */
static __attribute__((noinline)) int fiber_arrive_laden(fbl_thread *thread, PyObject **value)
{
    fbl_record *self = thread_current(thread);
    if (fbl_unlikely(self->keeps_thrown))
        interrupt_ask(thread);
    else if (self->thrown != NULL)
        fiber_raise_thrown(self);
    if (thread->leaving != NULL)
        fiber_settle_left(thread);
    PyObject *exception = PyErr_GetRaisedException();
    if (exception == NULL)
        return 0;
    Py_CLEAR(*value);
    PyErr_SetRaisedException(exception);
    return -1;
}

/* First code after every switch. *value is what travelled; -1: an exception did, or was waiting. */
static inline int fiber_arrive(fbl_thread *thread, PyObject **value)
{
    *value = thread->value;
    thread->value = NULL;
    if (fbl_likely(thread->leaving == NULL && thread_current(thread)->thrown == NULL))
        return 0;
    return fiber_arrive_laden(thread, value);
}

/* May the current fiber leave? Code that runs in the middle of choosing the next fiber (signal
 * handlers, the report of a dead end) may not, nor may a call on the thread's own stack: whoever
 * ran next could be the main fiber, whose frames would grow over that call's. */
static int fiber_may_leave(fbl_thread *thread)
{
    fbl_record *self = thread_current(thread);
    if (fbl_likely(self->core.state == FBL_FIBER_RUNNING))
        return 0;
    if (thread->hub.is_lent) {
        errors_refuse(fbl_error_blocking,
                      "cannot wait or switch here: fiber %R is inside fibril.on_main_stack(), and "
                      "nobody else may use that stack before it returns. Wait before that call or "
                      "after it.",
                      self->self);
        return -1;
    }
    errors_refuse(fbl_error_blocking,
                  "cannot switch away here: this code runs inside the hub, on behalf of fiber %R, "
                  "which %s. Do it in a task: fibril.spawn(...).",
                  self->self, record_is_dead(self) ? "has ended" : "is parked");
    return -1;
}

static int fiber_may_block(fbl_thread *thread)
{
    if (fbl_likely(thread_current(thread) != thread->hub_fiber))
        return fiber_may_leave(thread);
    errors_refuse(fbl_error_blocking,
                  "cannot block in a callback of the hub: nothing else could run meanwhile. Do the "
                  "blocking work in a task: fibril.spawn(...).");
    return -1;
}

/* Takes a fiber that will be entered by hand out of the hub's hands, and sees to the reference that
 * being current is. Most were left by hand as well, and the hub knows nothing of them. */
static void record_claim(fbl_record *target)
{
    fbl_fiber *fiber = &target->core;
    if (fbl_likely(!fiber->is_held)) {
        assert(fiber->state != FBL_FIBER_PARKED && !fbl_fiber_is_ready(fiber));
        Py_INCREF(target->self);
        return;
    }
    if (fiber->state == FBL_FIBER_PARKED) {
        fbl_wake_fiber(fiber, FBL_WAKE_SWITCHED);
        fiber->wake = FBL_WAKE_SWITCHED;
    }
    fbl_ready_remove(fiber);
    fbl_timer_cancel(fiber->hub, &fiber->timer);
}

/* Leaves the current fiber, in state SUSPENDED already, for a claimed target. */
static inline PyObject *fiber_pass_switch(fbl_thread *thread, fbl_record *target, PyObject *value)
{
    thread->value = value;
    fiber_leave_reference(thread, thread_current(thread)->self);
    fbl_fiber_enter_switch(&target->core);
    /* SAFE: `thread` is this native thread's, and a fiber never leaves its thread. */
    return fiber_arrive(thread, &value) < 0 ? NULL : value;
}

/* Enters a suspended fiber with the current exception, and comes back when that fiber ends,
 * switches back, or parks: the current one stays ready, so nothing the other does can strand it.
 * What is thrown at the current one meanwhile waits for its next wait: the caller drops a
 * reference, and could only swallow it. */
static PyObject *fiber_throw_and_return_switch(fbl_thread *thread, fbl_record *target)
{
    fbl_record *self = thread_current(thread);
    assert(self->core.state == FBL_FIBER_RUNNING && target->core.state == FBL_FIBER_SUSPENDED);
    record_claim(target);
    self->core.state = FBL_FIBER_SUSPENDED;
    fbl_ready_fiber(&self->core);
    thread->value = NULL;
    fiber_leave_reference(thread, self->self);
    fbl_fiber_enter_switch(&target->core);
    PyObject *value = fiber_arrive_first(thread);
    if (fbl_unlikely(thread->interrupt != NULL))
        interrupt_ask(thread);
    return value;
}

/* Makes a fiber ready that nobody would wake, before all others. */
static void fiber_ready_first(fbl_thread *thread, fbl_record *record)
{
    fbl_ready_fiber(&record->core);
    fbl_ready_advance(&record->core, &thread->hub.ready);
}

/* Starts a fiber, which has a stack, in the middle of what the current one does. That is the next
 * to run, unless the other one puts somebody before it. What is thrown at it meanwhile waits for
 * its next wait; but it is ended where it is, by a throw by hand or for good. NULL: it is. */
static PyObject *fiber_pass_aside_switch(fbl_thread *thread, fbl_record *target)
{
    fbl_record *self = thread_current(thread);
    assert(self->core.state == FBL_FIBER_RUNNING && target->core.state == FBL_FIBER_NEW);
    record_claim(target);
    self->core.state = FBL_FIBER_SUSPENDED;
    fiber_ready_first(thread, self);
    thread->value = NULL;
    fiber_leave_reference(thread, self->self);
    fbl_fiber_enter_switch(&target->core);
    Py_XDECREF(fiber_arrive_first(thread));
    Py_ssize_t exit = self->was_thrown_exit ? thrown_find_exit(self) : -1;
    if (exit >= 0)
        thrown_raise(self, exit);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* A callback of the hub switches by hand. The hub goes on as soon as that fiber parks, before all
 * others: there are more callbacks. What it was not handed then is None. */
static PyObject *fiber_pass_from_hub_switch(fbl_thread *thread, fbl_record *target, PyObject *value)
{
    fiber_ready_first(thread, thread->hub_fiber);
    value = fiber_pass_switch(thread, target, value);
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(Py_None);
}

/* Is this the usual switch, between two fibers that were both left and entered by hand? */
static inline bool fiber_is_plain_switch(const fbl_thread *thread, const fbl_record *target)
{
    return target->thread == thread && !target->core.is_held &&
           target->core.state == FBL_FIBER_SUSPENDED &&
           thread->hub.current->state == FBL_FIBER_RUNNING &&
           thread_current(thread) != thread->hub_fiber;
}

/* What fiber_switch does, for the usual switch. `value` is stolen and not NULL. */
static inline PyObject *fiber_plain_switch(fbl_thread *thread, fbl_record *target, PyObject *value)
{
    Py_INCREF(target->self);
    thread->hub.current->state = FBL_FIBER_SUSPENDED;
    return fiber_pass_switch(thread, target, value);
}

/* Nothing happens, but a tracer is told, as by greenlet. */
static PyObject *fiber_switch_to_self(fbl_thread *thread, PyObject *value)
{
    const char *event = value == NULL ? "throw" : "switch";
    if (thread->tracer == NULL || trace_call(thread, thread_current(thread)->self, event) == 0)
        return value;
    Py_XDECREF(value);
    return NULL;
}

/* Switches by hand. `value` is stolen; NULL: the current exception travels. `target` is alive and
 * of this thread. Returns what travels back, or NULL with an exception. */
static PyObject *fiber_switch(fbl_thread *thread, fbl_record *target, PyObject *value)
{
    fbl_record *self = thread_current(thread);
    if (target == self)
        return fiber_switch_to_self(thread, value);
    if (fbl_unlikely(fiber_may_leave(thread) < 0)) {
        Py_XDECREF(value);
        return NULL;
    }
    int rc = record_is_started(target) ? 0 : fbl_fiber_prepare(&target->core);
    if (fbl_unlikely(rc < 0)) {
        Py_XDECREF(value);
        return errors_stack(rc);
    }
    record_claim(target);
    self->core.state = FBL_FIBER_SUSPENDED;
    if (fbl_unlikely(self == thread->hub_fiber))
        return fiber_pass_from_hub_switch(thread, target, value);
    return fiber_pass_switch(thread, target, value);
}

/* Somebody switched by hand to a fiber that waits for something else. */
static fbl_parked fiber_refuse_value(PyObject *value)
{
    if (value != NULL) {
        errors_refuse(fbl_error_invalid_switch,
                      "Invalid switch: this fiber was waiting and got a switch(%R) by hand "
                      "instead. Use an Event, an AsyncResult or a Queue to hand something to a "
                      "waiting fiber.",
                      value);
        Py_DECREF(value);
    }
    return PARK_RAISED;
}

static fbl_parked fiber_unparked(fbl_thread *thread, fbl_wake why)
{
    thread_current(thread)->core.verb = NULL;
    PyObject *value;
    if (fiber_arrive(thread, &value) < 0)
        return PARK_RAISED;
    if (fbl_likely(why == FBL_WAKE_FIRED))
        return PARK_FIRED;
    if (why == FBL_WAKE_SWITCHED)
        return fiber_refuse_value(value);
    if (why == FBL_WAKE_TIMEOUT || why == FBL_WAKE_CLOSED)
        return why == FBL_WAKE_TIMEOUT ? PARK_LATE : PARK_CLOSED;
    errors_refuse(
        fbl_error_internal,
        "a fiber was woken to meet an exception that was not there. This is a bug in fibril.");
    return PARK_RAISED;
}

/* Parks the current fiber. Whether it may wait is asked before the waiter is listed: inside the hub
 * the current fiber is parked already, and its own waiters must stay as they are. */
static fbl_parked fiber_park_wait(fbl_thread *thread, const fbl_park *park)
{
    fbl_record *self = thread_current(thread);
    if (fiber_may_block(thread) < 0)
        return PARK_RAISED;
    if (fbl_unlikely(self->thrown != NULL)) {
        fiber_raise_thrown(self);
        return PARK_RAISED;
    }
    if (park->waiter != NULL)
        fbl_waiter_add(park->waiter, &thread->hub, park->list);
    self->core.verb = park->verb;
    self->core.subject = park->subject; /* SAFE: alive while parked, see fbl_park */
    return fiber_unparked(thread, fbl_park_wait(&thread->hub, park->deadline_ns));
}

/* Lets everybody run who is ready, and goes on as if nothing had happened: what is thrown at the
 * fiber meanwhile stays for its next wait. Where it may not leave, it does not. */
static void fiber_give_way_wait(fbl_thread *thread)
{
    fbl_record *self = thread_current(thread);
    if (self->core.state != FBL_FIBER_RUNNING || self == thread->hub_fiber)
        return;
    self->core.verb = NULL;
    fbl_wake why = fbl_yield_wait(&thread->hub);
    PyObject *value = thread->value;
    thread->value = NULL;
    if (thread->leaving != NULL)
        fiber_settle_left(thread);
    if (fbl_unlikely(thread->interrupt != NULL))
        interrupt_ask(thread);
    if (fbl_likely(why != FBL_WAKE_SWITCHED))
        return;
    if (value != NULL) /* else an exception travels */
        (void)fiber_refuse_value(value);
    PyObject *exception = PyErr_GetRaisedException();
    if (exception != NULL && fiber_throw_later(self, exception) < 0)
        PyErr_WriteUnraisable(self->self);
    Py_XDECREF(exception);
}

/* Until when to wait, of so many seconds or None, and in which thread; NULL: an exception. Called
 * before the last look at what is waited for: this may run any code, and that must not be missed.
 */
static fbl_thread *call_prepare_wait(fbl_call *call, PyObject *timeout, fbl_park *park)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    fbl_record *self = call_begin(thread, call);
    int rc = seconds_to_deadline(thread, timeout, &park->deadline_ns);
    call_end(self, call);
    park->timeout = timeout_given(timeout);
    return rc < 0 ? NULL : thread;
}

/* A wait that was prepared, in a method that was called by vector. */
static fbl_parked call_park_wait(fbl_thread *thread, fbl_call *call, const fbl_park *park)
{
    fbl_record *self = call_begin(thread, call);
    fbl_parked how = fiber_park_wait(thread, park);
    if (fbl_unlikely(park->timeout != NULL))
        how = timeout_end(park->timeout, how);
    call_end(self, call);
    return how;
}

/* An empty list, made without a collection: that would run destructors, here inside the hub, where
 * they cannot wait (3.11 collects in allocations). */
static PyObject *list_make_quietly(void)
{
    int was_enabled = PyGC_Disable();
    PyObject *list = PyList_New(0);
    if (was_enabled)
        PyGC_Enable();
    return list;
}

/* Leaves an exception for a fiber, to be raised when it next runs, and sees that it does. Runs no
 * code. */
static int fiber_throw_later(fbl_record *record, PyObject *exception)
{
    if (record_is_dead(record))
        return 0;
    if (record->thrown == NULL)
        record->thrown = list_make_quietly();
    if (record->thrown == NULL)
        return -1;
    if (PyList_Append(record->thrown, exception) < 0) {
        if (PyList_GET_SIZE(record->thrown) == 0)
            Py_CLEAR(record->thrown); /* a list of none would be a promise of one */
        return -1;
    }
    if (record->core.state == FBL_FIBER_PARKED)
        fbl_wake_fiber(&record->core, FBL_WAKE_THROWN);
    else if (!fbl_fiber_is_running(&record->core))
        fbl_ready_fiber(&record->core);
    return 0;
}

/* Which of the exceptions that were left for a fiber it is; -1: none. */
static Py_ssize_t thrown_find(const fbl_record *record, const PyObject *exception)
{
    Py_ssize_t count = record->thrown == NULL ? 0 : PyList_GET_SIZE(record->thrown);
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyList_GET_ITEM(record->thrown, i) == exception)
            return i;
    return -1;
}

/* The same for GreenletExit. */
static Py_ssize_t thrown_find_exit(const fbl_record *record)
{
    Py_ssize_t count = record->thrown == NULL ? 0 : PyList_GET_SIZE(record->thrown);
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyErr_GivenExceptionMatches(PyList_GET_ITEM(record->thrown, i), fbl_error_exit))
            return i;
    return -1;
}

/* The running fiber was left an exception that it has not met, and need not meet any more. Only the
 * running one may: a fiber that was woken to meet it has nothing else to go on with. */
static void fiber_take_back(fbl_record *record, PyObject *exception)
{
    fbl_thread *thread = fbl_this_thread;
    if (thread == NULL || thread_current(thread) != record || record->thrown == NULL)
        return;
    Py_ssize_t place = thrown_find(record, exception);
    if (place >= 0 && PyList_SetSlice(record->thrown, place, place + 1, NULL) < 0)
        PyErr_Clear(); /* shrinking a list allocates nothing */
    if (PyList_GET_SIZE(record->thrown) == 0)
        Py_CLEAR(record->thrown);
}

/* ---- wait lists ---- */

/* For tp_traverse of whatever has a wait list: the fibers whose reference the list owns. */
static int waiters_visit(const fbl_link *list, visitproc visit, void *arg)
{
    for (const fbl_link *link = list->next; link != NULL && link != list; link = link->next) {
        const fbl_waiter *waiter = fbl_container_of(link, const fbl_waiter, link);
        if (fbl_waiter_is_owner(waiter))
            Py_VISIT(((fbl_record *)waiter->fiber)->self);
    }
    return 0;
}

static Py_ssize_t waiters_count(const fbl_link *list)
{
    Py_ssize_t count = 0;
    for (const fbl_link *link = list->next; link != list; link = link->next)
        count++;
    return count;
}

/* What those in the list wait for will not come: all are told that it is closed. */
static void waiters_close(fbl_link *list)
{
    while (!fbl_list_is_empty(list))
        fbl_wake_fiber(fbl_container_of(list->next, fbl_waiter, link)->fiber, FBL_WAKE_CLOSED);
}
