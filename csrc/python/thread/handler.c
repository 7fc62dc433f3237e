/*
 * handler.c: a signal handler runs for the main thread, whichever of its fibers is interrupted.
 *
 * The idea: CPython calls handlers between two instructions of the main native thread, and that may
 * be any fiber's, or nobody's while the hub sleeps. A program's handlers are wrapped in objects of
 * the type below (fibril._hub.handlers does that), which choose where to run them:
 *   - in place, where main itself is interrupted, or a handler, or where main has switched to the
 *     interrupted fiber by hand: there it is as in any Python program;
 *   - else in a fiber of their own, at once. The interrupted one goes on when the handler has ended
 *     or waits. What the handler raises is raised in main, which then runs first.
 * So a handler may wait, and nothing that it raises ends a task.
 *
 * That fiber has main's context variables and identity. For locks it is somebody else: what main
 * or the interrupted fiber hold, they will release, as both go on.
 *
 * Threads: the process's main one. Do not add: who handles what; that is Python's half.
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/io/signal_wait.h"
#include "python/thread/thread.h"

typedef struct {
    PyObject_HEAD PyObject *function; /* owned: the program's handler */
} handler_object;

/* ---- where ---- */

static bool record_is_handler(const fbl_record *record) { return record->handler_depth > 0; }

/* Is the interrupted fiber the place for a handler? */
static bool handler_is_at_home(const fbl_thread *thread)
{
    const fbl_record *self = thread_current(thread), *main = thread->main;
    if (record_is_dead(main)) /* it stayed in the parent process */
        return true;
    if (self == main || record_is_handler(self))
        return fbl_fiber_is_running(&self->core);
    bool is_mains_turn_to_come =
        main->core.state == FBL_FIBER_PARKED || fbl_fiber_is_ready(&main->core);
    return !is_mains_turn_to_come;
}

static PyObject *handler_call_here(fbl_thread *thread, PyObject *function, PyObject *args)
{
    fbl_record *self = thread_current(thread);
    self->handler_depth++;
    PyObject *result = PyObject_CallObject(function, args);
    self->handler_depth--;
    signal_tell(thread);
    return result;
}

/* ---- in a fiber of its own ---- */

/* What a handler raised is main's; `is_amid`: the interrupted fiber goes on before main does, as it
 * is inside an import, a finalizer or a tracer. In the child of a fork there may be no main. */
static void handler_pass_on(fbl_thread *thread, bool is_amid)
{
    if (PyErr_ExceptionMatches(fbl_error_exit)) { /* it was killed */
        PyErr_Clear();
        return;
    }
    if (record_is_dead(thread->main)) {
        hub_report_error(thread, Py_None);
        return;
    }
    PyObject *exception = PyErr_GetRaisedException();
    interrupt_main(thread, exception, is_amid);
    Py_DECREF(exception);
}

static void handler_live(fbl_record *record)
{
    PyObject *result = NULL;
    if (record->thrown != NULL) /* it was killed before it began */
        fiber_raise_thrown(record);
    else if (!PyErr_Occurred())
        result = PyObject_CallObject(record->run, record->args);
    if (result == NULL)
        handler_pass_on(record->thread, record->is_amid);
    Py_XDECREF(result);
}

/* The fiber's one run. It ends as a task does, so that nothing comes between it and who is next. */
static fbl_record *handler_body(fbl_record *record)
{
    fbl_thread *thread = record->thread;
    Py_XDECREF(fiber_arrive_first(thread));
    handler_live(record);
    record_release_arguments(record);
    signal_tell(thread);
    record->core.state = FBL_FIBER_DONE; /* see task_body */
    return (fbl_record *)fbl_hub_next(&thread->hub, true);
}

static inline bool handler_stands_for_main(const fbl_thread *thread)
{
    const fbl_record *self = thread_current(thread);
    return fbl_unlikely(self->handler_depth > 0) && self->body == handler_body &&
           !record_is_dead(thread->main);
}

/* A fiber for it, with a stack. */
static PyObject *handler_make_fiber(fbl_thread *thread, PyObject *function, PyObject *args,
                                    bool is_amid)
{
    PyObject *fiber = PyObject_CallOneArg((PyObject *)&fbl_fiber_type, function);
    if (fiber == NULL)
        return NULL;
    fbl_record *record = record_of(fiber);
    record->body = handler_body;
    record->handler_depth = 1;
    record->is_amid = is_amid;
    Py_XSETREF(record->args, Py_NewRef(args));
    Py_XSETREF(record->state.context, Py_XNewRef(thread->main->state.context));
    int rc = fbl_fiber_prepare(&record->core);
    if (rc == 0)
        return fiber;
    Py_DECREF(fiber);
    return errors_stack(rc);
}

/* The arguments, where nobody was interrupted: CPython names the frame of who parked last. */
static PyObject *handler_arguments(const fbl_thread *thread, PyObject *args)
{
    if (record_is_running(thread_current(thread)) || PyTuple_GET_SIZE(args) != 2)
        return Py_NewRef(args);
    PyObject *frame = PyObject_GetAttrString(thread->main->self, "gr_frame");
    PyObject *mine = frame == NULL ? NULL : PyTuple_Pack(2, PyTuple_GET_ITEM(args, 0), frame);
    Py_XDECREF(frame);
    return mine;
}

/* Without memory for a fiber it runs in place, where it cannot wait. */
static PyObject *handler_call_at_need(fbl_thread *thread, PyObject *function, PyObject *args)
{
    PyErr_Clear();
    PyObject *result = handler_call_here(thread, function, args);
    if (result != NULL)
        return result;
    handler_pass_on(thread, true);
    Py_RETURN_NONE;
}

static PyObject *handler_call_aside_switch(fbl_thread *thread, PyObject *function, PyObject *args)
{
    fbl_record *self = thread_current(thread);
    bool is_free = self->core.state == FBL_FIBER_RUNNING; /* not inside the hub, nor a guest */
    bool is_amid = is_free && !spin_is_welcome(thread);
    PyObject *mine = handler_arguments(thread, args);
    PyObject *fiber = mine == NULL ? NULL : handler_make_fiber(thread, function, mine, is_amid);
    Py_XDECREF(mine);
    if (fiber == NULL)
        return handler_call_at_need(thread, function, args);
    PyObject *result = Py_NewRef(Py_None);
    if (is_free)
        Py_SETREF(result, fiber_pass_aside_switch(thread, record_of(fiber)));
    else
        fiber_ready_first(thread, record_of(fiber));
    Py_DECREF(fiber);
    return result;
}

static PyObject *handler_call_switch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *function = ((handler_object *)self)->function;
    fbl_thread *thread = fbl_this_thread;
    if (function == NULL)
        return errors_refuse(PyExc_ReferenceError, "the collector is destroying this handler");
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return errors_refuse(PyExc_TypeError, "a signal handler takes a number and a frame");
    Py_INCREF(function); /* the handler may put another one in its place */
    PyObject *result;
    if (thread == NULL)
        result = PyObject_CallObject(function, args);
    else if (handler_is_at_home(thread))
        result = handler_call_here(thread, function, args);
    else
        result = handler_call_aside_switch(thread, function, args);
    Py_DECREF(function);
    return result;
}

/* ---- at the program's end ---- */

static bool thread_has_handlers(const fbl_thread *thread)
{
    const fbl_link *head = &thread->hub.fibers;
    for (const fbl_link *link = head->next; link != head; link = link->next) {
        const fbl_record *record = (fbl_record *)fbl_container_of(link, const fbl_fiber, all);
        if (record_is_handler(record) && !record->is_main)
            return true;
    }
    return false;
}

/* Handlers that still wait come to their end first, as if they had interrupted main. */
static void handlers_end_wait(fbl_thread *thread)
{
    fbl_waiter waiter;
    while (thread_has_handlers(thread)) {
        fbl_park park = {.deadline_ns = FBL_NEVER,
                         .verb = "for signal handlers to end, before the program does",
                         .waiter = &waiter,
                         .list = &thread->handler_ends};
        if (fiber_park_wait(thread, &park) != PARK_RAISED)
            continue;
        PyErr_WriteUnraisable(thread->main->self);
        return;
    }
}

/* ---- Python's view ---- */

static PyObject *module_is_in_handler(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const fbl_thread *thread = fbl_this_thread;
    return PyBool_FromLong(thread != NULL && record_is_handler(thread_current(thread)));
}

/* call() in the main thread, before one of its next instructions. */
static int handler_call_in_main(void *function)
{
    PyObject *done = PyObject_CallNoArgs(function);
    if (done == NULL)
        PyErr_WriteUnraisable(function);
    Py_XDECREF(done);
    Py_DECREF((PyObject *)function);
    return 0;
}

static PyObject *module_call_in_main(PyObject *module, PyObject *function)
{
    (void)module;
    if (Py_AddPendingCall(handler_call_in_main, Py_NewRef(function)) == 0)
        Py_RETURN_NONE;
    Py_DECREF(function);
    return errors_refuse(PyExc_RuntimeError, "the main thread has too many calls to make already");
}

static PyObject *handler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *function;
    if (kwargs != NULL || !PyArg_ParseTuple(args, "O:SignalHandler", &function))
        return NULL;
    handler_object *self = (handler_object *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->function = Py_NewRef(function);
    return (PyObject *)self;
}

static int handler_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((handler_object *)self)->function);
    return 0;
}

static int handler_clear(PyObject *self)
{
    Py_CLEAR(((handler_object *)self)->function);
    return 0;
}

static void handler_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    (void)handler_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *handler_get_function(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *function = ((handler_object *)self)->function;
    return Py_NewRef(function != NULL ? function : Py_None);
}

static PyGetSetDef handler_getset[] = {
    {"function", handler_get_function, NULL, "The program's handler.", NULL},
    {0},
};

PyTypeObject fbl_handler_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril._core.SignalHandler",
    .tp_doc = "SignalHandler(function, /)\n--\n\nWhat CPython calls at a signal in place of the "
              "program's handler.\n\nSwitches: as that does. Threads: the main one.",
    .tp_basicsize = sizeof(handler_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = handler_new,
    .tp_dealloc = handler_dealloc,
    .tp_traverse = handler_traverse,
    .tp_clear = handler_clear,
    .tp_call = handler_call_switch,
    .tp_getset = handler_getset,
};
