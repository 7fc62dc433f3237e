/*
 * record.h: what fibril keeps for each native thread, and for each fiber beside the core's part.
 *
 * The idea: one pointer in thread-local storage leads to everything: the thread's hub, its
 * PyThreadState, and what is in transit during a switch. A fiber's record lies behind the Python
 * object (which must be 40 bytes, greenlet's layout, so that C extensions can subclass it).
 *
 * References, the whole table:
 *   thread.main, hub_fiber         owned by the thread until it ends
 *   the running fiber              one reference, "current", held by the thread
 *   parked, ready, or timed        that same reference, now held by hub or wait list (core.is_held)
 *   suspended by a named switch    none: who wants it back keeps it, as with greenlet
 *   record.parent                  owned by the child
 *   thread.value, thread.leaving   owned, between leaving one stack and arriving on the other
 *
 * Lock: the GIL. Another thread may wake this one's fibers while it sleeps in the poller.
 */
#ifndef FBL_RECORD_H
#define FBL_RECORD_H

#include "python/interpreter/state.h"

typedef struct fbl_thread fbl_thread;
typedef struct fbl_record fbl_record;

/* The Python object of a fiber: greenlet's 40 bytes. */
typedef struct {
    PyObject_HEAD PyObject *weakrefs;  /* weak references to it */
    PyObject *dict;      /* instance attributes, made on first use */
    fbl_record *record; /* everything else; NULL only between __new__ and failure */
} fbl_fiber_object;

/* Behind each fiber object. */
struct fbl_record {
    fbl_fiber core;         /* first: the core's pointer is the record's */
    fbl_state state;        /* its share of the thread state while it is not running */
    fbl_thread *thread;     /* whose it is; outlives the native thread while records remain */
    PyObject *self;          /* borrowed: the object that owns this record */
    PyObject *run; /* owned: what it will run, until it starts; NULL: ask the attribute */
    PyObject *args; /* owned: positional arguments for the start */
    PyObject *kwargs; /* owned: keyword arguments for the start, or NULL */
    PyObject *parent; /* owned: where it goes when it ends; NULL for a main fiber */
    uint64_t serial; /* unlike any other record's, ever; never 0 */
    struct stream_call *stream; /* the innermost method of a file object that it is in; or NULL */
    PyObject *thrown; /* owned: list of exceptions to raise when it runs next, or NULL */
    fbl_record *(*body)(fbl_record *record); /* its life on its stack; returns who is next */
    bool is_main; /* the fiber that its native thread itself is, or was */
    bool is_daemon; /* stands for a daemon thread: just stops when its thread or the process ends */
    bool is_dropped; /* another thread dropped the last reference to it, see death.c */
    bool was_thrown_exit; /* GreenletExit was thrown at it: for its end, or its thread's */
    bool keeps_thrown; /* it comes back from its wait without raising: see interrupt.c */
    bool is_amid; /* it handles a signal that came amid an import, a finalizer or a tracer */
    uint32_t handler_depth; /* calls of signal handlers that it is in, see handler.c */
};

/* Who polls, and for how long; see spin.h. */
typedef struct {
    uint32_t poll_count; /* polls of all fibers */
    fbl_fiber *fiber; /* who polled when they were looked at; only compared */
    uint64_t switch_count; /* the hub's, then */
    uint64_t since_ns; /* the clock, then */
} fbl_spin;

/* What the watchdog has seen of a thread; its own to change. */
typedef struct {
    uint64_t switch_count; /* the hub's */
    uint64_t since_ns; /* when it was seen first */
    bool is_told; /* that this one lasts too long */
    bool is_ignored; /* it said so itself: nobody is told until it gives way */
} fbl_watch;

struct fbl_thread {
    fbl_hub hub; /* ready queue, timers, poller */
    PyThreadState *ts; /* this native thread's, as long as it lives */
    uint64_t ts_number; /* that state's number */
    PyObject *dict; /* borrowed: that state's dict, which tells of its end; see end.c */
    fbl_record *main; /* the fiber that the thread itself is */
    fbl_record *hub_fiber; /* runs the callbacks; NULL until somebody asks for it */
    PyObject *callbacks; /* list of (fn, args) that the hub fiber will call, or NULL */
    PyObject *batch; /* borrowed: such a list that it is calling now, or NULL */
    Py_ssize_t batch_next; /* the first of those that it has not called yet */
    fbl_link told; /* timers and watches that the hub fiber will call, see notice.c */
    uint64_t told_round; /* how often it has called those */
    PyObject *value; /* travels with a switch by hand: what a fiber's own switch returns, or what
                        one that starts will call; NULL: an exception travels */
    PyObject *tracer; /* owned: settrace()'s callback, or NULL */
    bool is_contention_eased; /* its hub sleeps, and is one of contention_sleeping */
    uint8_t
        contended_sleeps; /* for how many sleeps more somebody is expected to compute beside it */
    bool is_watched; /* the tracer is fibril.testing's: told of every park, and sleep counts */
    uint64_t slept_ns; /* for how long the thread slept in the poller while it was watched */
    PyObject *leaving; /* reference of the fiber that was left, to be dropped on arrival */
    PyObject *interrupt; /* owned: what main shall meet soon, see interrupt.c; or NULL */
    uint64_t interrupt_ns; /* on the real clock: when it is raised at the latest */
    fbl_link handler_ends; /* waiters for the end of a signal handler, any: see signal_tell */
    bool has_wakeup_fd; /* signals write into our hub's pipe now, see signal_wake.c */
    struct signal_stack *signal_stack; /* ours, if the thread had none; or NULL */
    size_t dropped_count; /* fibers of this thread whose last reference another one has dropped
                             since somebody here last looked */
    size_t record_count; /* records that point here; the struct is freed after the last */
    fbl_spin spin; /* see spin.h */
    fbl_watch watch; /* see watchdog.c */
    uint64_t vain_at, told_at; /* at which switches of the hub, plus 1: see dead_end.c */
    bool is_ending; /* what it leaves behind is being unwound, or has been */
    bool is_closed; /* the native thread has ended, or its hub was forked away */
    bool is_keyed; /* the native thread looks at it when it ends, see thread_end_late */
    bool is_late; /* made while its thread state was cleared already */
    fbl_link threads; /* in the list of all threads of the process */
};

extern __thread fbl_thread *fbl_this_thread;
extern size_t fbl_thread_stack_bytes; /* of a native thread's stack, and so usually of a fiber's */
extern size_t fbl_stack_bytes; /* of the stacks of fibers that ask for no other size */

/* Keeps what was made for a place that was empty (stolen; NULL: not made). Making it may have run
 * code that filled the place: 3.11 collects in allocations. Then that stays. -1: it is still empty,
 * and the exception is the maker's. */
static inline int place_fill(PyObject **place, PyObject *made)
{
    if (*place == NULL)
        *place = made;
    else
        Py_XDECREF(made);
    return *place == NULL ? -1 : 0;
}

/* A type of ours: nobody has overridden its methods, so they need not be looked up. */
static inline bool type_is_native(const PyTypeObject *type)
{
    return !(type->tp_flags & Py_TPFLAGS_HEAPTYPE);
}

/* ---- what a fiber asks of the storeys above, and nothing else does ---- */
static fbl_thread *thread_make(void); /* thread.c; NULL with an exception */
static void watchdog_start(void); /* watchdog.c: somebody runs who may take long */
extern bool fbl_watchdog_is_wanted; /* and nobody watches yet */
static PyObject *hub_get(fbl_thread *thread); /* hub_fiber.c; a new reference */
static fbl_record *hub_fiber_get(fbl_thread *thread); /* hub_fiber.c; borrowed */
static void hub_report_error(fbl_thread *thread, PyObject *context); /* hub_fiber.c */

static inline fbl_thread *thread_get(void)
{
    fbl_thread *thread = fbl_this_thread;
    return fbl_likely(thread != NULL) ? thread : thread_make();
}

static inline fbl_record *thread_current(const fbl_thread *thread)
{
    return (fbl_record *)thread->hub.current;
}

/* Is it the fiber whose own code runs now? The current one is not, where the hub runs code on
 * behalf of who parked last: handlers of signals, the report of a dead end. */
static inline bool record_is_running(const fbl_record *record)
{
    const fbl_thread *thread = fbl_this_thread;
    return thread != NULL && thread_current(thread) == record &&
           fbl_fiber_is_running(&record->core);
}

static inline fbl_record *record_of(PyObject *fiber) { return ((fbl_fiber_object *)fiber)->record; }

static inline bool record_is_started(const fbl_record *record)
{
    return record->core.state != FBL_FIBER_NEW;
}

static inline bool record_is_dead(const fbl_record *record)
{
    return record->core.state == FBL_FIBER_DONE || record->core.state == FBL_FIBER_LOST;
}

static inline bool record_is_away(const fbl_record *record)
{
    return record->core.state == FBL_FIBER_SUSPENDED || record->core.state == FBL_FIBER_PARKED;
}

/* What functions look like: METH_VARARGS; METH_FASTCALL | METH_KEYWORDS; and METH_VARARGS |
 * METH_KEYWORDS. */
typedef PyObject *fbl_tuple_function(PyObject *, PyObject *);
typedef PyObject *fbl_fast_function(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
typedef PyObject *fbl_keyword_function(PyObject *, PyObject *, PyObject *);

/* ---- errors.c: exceptions and messages ---- */
extern bool fbl_knows_greenlets; /* the program has imported greenlet: see where it is used */

/* What messages of greenlet's call a fiber: programs that know it look for its words. */
static inline const char *fiber_noun(void) { return fbl_knows_greenlets ? "greenlet" : "fiber"; }

extern PyObject *fbl_error_fiber, *fbl_error_exit, *fbl_error_loop_exit, *fbl_error_blocking;
extern PyObject *fbl_error_invalid_switch, *fbl_error_internal;
static int errors_import(void);
static PyObject *errors_refuse(PyObject *type, const char *format, ...);
static PyObject *errors_os(int rc);
static PyObject *errors_stack(int rc);
static PyObject *errors_finalizing(void);
static PyObject *errors_exit(const char *why);

/* ---- arguments.c: what calls are given ---- */
static int arguments_read(const fbl_call *call, PyObject *names, const char *const *known,
                          PyObject **values);
static PyObject *argument_read(PyObject *const *args, Py_ssize_t count, PyObject *names,
                               const char *word);
/* NAME_called, for a table of methods: NAME(self, argument), which may be given by its name, as
 * gevent's functions take it. */
#define ONE_ARGUMENT(NAME, word)                                                                   \
    static PyObject *NAME##_called(PyObject *self, PyObject *const *args, Py_ssize_t count,        \
                                   PyObject *names)                                                \
    {                                                                                              \
        PyObject *argument = argument_read(args, count, names, word);                              \
        return argument == NULL ? NULL : NAME(self, argument);                                     \
    }
#define FAST_ONE(NAME) (PyCFunction)(void (*)(void)) NAME##_called, FAST_KEYWORDS
static int seconds_to_deadline(fbl_thread *thread, PyObject *seconds, uint64_t *deadline_ns);
static PyObject *timeout_raise(PyObject *seconds);
extern PyObject *fbl_timeout_class; /* fibril.timeout.Timeout; see set_timeout_class */
extern PyObject *fbl_empty_tuple; /* what switch() without arguments hands over */
static PyObject *tuple_from_vector(PyObject *const *args, Py_ssize_t count);
static PyObject *dict_from_vector(PyObject *const *values, PyObject *names);
static PyObject *value_from_arguments(PyObject *args, PyObject *kwargs);
static int seconds_read(PyObject *seconds, double *value);

static inline Py_ssize_t vector_length(Py_ssize_t count, PyObject *names)
{
    return names == NULL ? count : count + PyTuple_GET_SIZE(names);
}

/* ---- record.c: made, recycled, freed ---- */
extern fbl_link fbl_all_threads; /* every thread of the process that uses fibril */
static fbl_record *record_make(PyObject *self, fbl_thread *thread);
static void record_free(fbl_record *record);
static void record_release(fbl_record *record);
static void record_release_arguments(fbl_record *record);

/* ---- passage.c: how fibers are left and entered ---- */

/* How a wait ended. */
typedef enum {
    PARK_RAISED = -1, /* with an exception for the caller */
    PARK_FIRED = 0, /* its waiter fired */
    PARK_LATE = 1, /* the deadline came first */
    PARK_CLOSED = 2, /* what it waited on was closed */
} fbl_parked;

/* What a blocking call waits for. */
typedef struct {
    uint64_t deadline_ns; /* on the hub's clock, or FBL_NEVER; out where a timeout is prepared */
    const char *verb; /* for reports: "to get from" */
    PyObject *subject; /* for reports: borrowed, alive while parked; or NULL */
    fbl_waiter *waiter; /* on the caller's stack; or NULL: only the deadline */
    fbl_link *list; /* where the waiter is listed */
    PyObject *timeout; /* a Timeout that was given for the wait: borrowed; or NULL */
} fbl_park;

/* What a call was given to wait for, if it is a Timeout: who gave a number gets NULL. */
static inline PyObject *timeout_given(PyObject *seconds)
{
    return seconds != NULL && fbl_unlikely(PyExceptionInstance_Check(seconds)) ? seconds : NULL;
}

/* Around what may wait, in a method called by vector: tells the collector how (see eval_stack.h).
 * SAFE: `call` lives on the stack of the current fiber, and is taken back before it goes. */
static inline fbl_record *call_begin(fbl_thread *thread, fbl_call *call)
{
    fbl_record *self = thread_current(thread);
    call->outer = state_called(&self->state, call);
    return self;
}

static inline void call_end(fbl_record *self, const fbl_call *call)
{
    (void)state_called(&self->state, call->outer);
}

static int fiber_arrive(fbl_thread *thread, PyObject **value);
static int fiber_raise_thrown(fbl_record *self);
static PyObject *fiber_arrive_first(fbl_thread *thread);
static inline void fiber_leave_reference(fbl_thread *thread, PyObject *self);
static int fiber_may_block(fbl_thread *thread);
static void fiber_give_way_wait(fbl_thread *thread);
static void fiber_ready_first(fbl_thread *thread, fbl_record *record);
static PyObject *fiber_pass_aside_switch(fbl_thread *thread, fbl_record *target);
static void record_claim(fbl_record *target);
static inline bool fiber_is_plain_switch(const fbl_thread *thread, const fbl_record *target);
static inline PyObject *fiber_plain_switch(fbl_thread *thread, fbl_record *target, PyObject *value);
static PyObject *fiber_switch(fbl_thread *thread, fbl_record *target, PyObject *value);
static PyObject *fiber_throw_and_return_switch(fbl_thread *thread, fbl_record *target);
static fbl_parked timeout_end(PyObject *timeout, fbl_parked how);
static fbl_parked fiber_park_wait(fbl_thread *thread, const fbl_park *park);
static fbl_thread *call_prepare_wait(fbl_call *call, PyObject *timeout, fbl_park *park);
static fbl_parked call_park_wait(fbl_thread *thread, fbl_call *call, const fbl_park *park);
static fbl_parked fiber_unparked(fbl_thread *thread, fbl_wake why);
static int fiber_throw_later(fbl_record *record, PyObject *exception);
static Py_ssize_t thrown_find(const fbl_record *record, const PyObject *exception);
static Py_ssize_t thrown_find_exit(const fbl_record *record);
static void fiber_take_back(fbl_record *record, PyObject *exception);
static int waiters_visit(const fbl_link *list, visitproc visit, void *arg);
static Py_ssize_t waiters_count(const fbl_link *list);
static void waiters_close(fbl_link *list);

/* ---- interrupt.c: what a signal handler raises is main's ---- */
static void interrupt_ask(fbl_thread *thread);
static void interrupt_soon(fbl_thread *thread, PyObject *exception);
static void interrupt_main(fbl_thread *thread, PyObject *exception, bool is_second);

/* ---- life.c: records, and a fiber's one run ---- */
static void record_cancel_start(fbl_record *record);
static fbl_record *record_parent(fbl_record *record);
static fbl_record *record_living_ancestor(fbl_record *record);
static PyObject *value_from_exit(PyObject *value);
static fbl_record *fiber_body(fbl_record *record);
static void fiber_end_forked_process(fbl_thread *thread, PyObject *context);

/* ---- death.c: collected, unwound, freed ---- */
static int death_import(void);
static void fiber_end_switch(fbl_record *record, const char *why);
static void fiber_tell_refusal(PyObject *self);
static void fiber_type_adopt_del(PyTypeObject *type);
static int fiber_traverse(PyObject *self, visitproc visit, void *arg);
static int fiber_clear(PyObject *self);
static void fiber_finalize_switch(PyObject *self);
static inline void dropped_unwind_switch(fbl_thread *thread);

/* Called before an instance is made: a __del__ must not take our finalizer's place. */
static inline void fiber_type_settle(PyTypeObject *type)
{
    if (fbl_unlikely(type->tp_finalize != fiber_finalize_switch))
        fiber_type_adopt_del(type);
}
static void fiber_free(PyObject *self);
static bool fiber_save_switch(PyObject *self);
static void fiber_dealloc(PyObject *self);

/* ---- context.c: the attribute gr_context ---- */
static PyObject *fiber_get_context(PyObject *self, void *unused);
static int fiber_set_context(PyObject *self, PyObject *value, void *unused);

/* ---- stack_size.c ---- */
static void stack_size_learn(void);
static void stack_size_note_short(fbl_thread *thread);
static void stack_size_tell_short(fbl_thread *thread);
static PyObject *fiber_get_stack_size(PyObject *self, void *unused);
static int fiber_set_stack_size(PyObject *self, PyObject *value, void *unused);
static PyObject *module_stack_size(PyObject *module, PyObject *args);

/* ---- trace.c: settrace() ---- */
static int trace_call(fbl_thread *thread, PyObject *origin, const char *event);
static void trace_arrival(fbl_thread *thread, PyObject *origin);
static void trace_show_call(PyThreadState *ts);
extern PyObject *fbl_traced_arrival; /* a function; see set_traced_arrival */

/* ---- fiber_switch.c: switch() and throw() ---- */
static bool record_has_plain_run(const fbl_record *record);
static PyObject *fiber_find_run(fbl_record *record);
static int record_reach(fbl_thread *thread, fbl_record *record);
static void record_adopt(fbl_thread *thread, fbl_record *record);
static fbl_thread *record_home(const fbl_record *record);
static PyObject *fiber_arguments_switch(fbl_thread *thread, fbl_record *named, PyObject *args,
                                        PyObject *kwargs);
static int throw_set_exception(PyObject *type, PyObject *value, PyObject *traceback);
static PyObject *fiber_type_switch(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *names);
static PyObject *fiber_type_throw_switch(PyObject *self, PyObject *args);
static PyObject *fiber_type_throw_vector(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* ---- fiber_type.c: the type; tasks and the hub derive from it ---- */
extern PyTypeObject fbl_fiber_type;
extern const char fbl_throw_doc[];
static PyObject *fiber_new_switch(PyTypeObject *type, PyObject *args, PyObject *kwargs);
static PyObject *fiber_get_parent(PyObject *self, void *unused);
static int fiber_set_parent(PyObject *self, PyObject *value, void *unused);

#endif
