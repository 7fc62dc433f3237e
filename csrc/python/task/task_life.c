/*
 * task_life.c: the life of fibril.Task, a fiber that the hub schedules: made, started, run,
 * settled.
 *
 * The idea: a task's life ends in task_settle, whichever way it came there (returned, raised,
 * killed before it started): it stores the outcome once, wakes who joins, hands the links to the
 * hub, and only then lets the next fiber run. A task does not go to its parent: it goes to whoever
 * is ready.
 *
 *   outcome   PENDING -> VALUE (returned; or GreenletExit, which counts as a value)
 *                     -> ERROR (raised)
 *
 * Spawning is one object, one record and one tuple; the context variables are copied only if the
 * spawning fiber has any.
 */
#include "python/hub/hub.h"
#include "python/task/task.h"

/* ---- the end ---- */

/* A killer goes on at once, before who is ready already; several in the order in which they came.
 * But what is linked runs first, in the hub's turn. */
static void task_wake_joiners(task_object *task, bool had_links)
{
    fbl_hub *hub = fbl_this_thread == NULL ? NULL : &fbl_this_thread->hub;
    fbl_link *place = hub == NULL ? NULL : &hub->ready;
    while (!fbl_list_is_empty(&task->joiners)) {
        task_joiner *joiner = fbl_container_of(task->joiners.next, task_joiner, waiter.link);
        fbl_fiber *fiber = joiner->waiter.fiber;
        fbl_waiter_fire(&joiner->waiter);
        if (!joiner->is_killer || had_links || fiber->hub != hub)
            continue;
        fbl_ready_advance(fiber, place);
        place = &fiber->ready;
    }
}

/* The task's thread is ending without it: who waits for it in other threads must not wait for
 * ever. Any fiber may be passed. */
static void task_tell_joiners(PyObject *fiber)
{
    if (!PyObject_TypeCheck(fiber, &fbl_task_type))
        return;
    waiters_close(&task_of(fiber)->joiners);
}

static bool link_is_wanted(long kind, uint8_t outcome)
{
    return !(kind == LINK_VALUE && outcome != TASK_VALUE) &&
           !(kind == LINK_EXCEPTION && outcome != TASK_ERROR);
}

static int task_schedule_link(fbl_thread *thread, PyObject *self, PyObject *entry)
{
    PyObject *callback = PyTuple_GET_ITEM(entry, 0);
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(entry, 1));
    if (!link_is_wanted(kind, task_of(self)->outcome))
        return 0;
    if (kind == LINK_EXCEPTION)
        task_note_seen(task_of(self));
    PyObject *args = PyTuple_Pack(1, self);
    if (args == NULL)
        return -1;
    int rc =
        kind == LINK_RAW ? hub_call_soon(thread, callback, args) : task_spawn_link(callback, args);
    Py_DECREF(args);
    return rc;
}

static int task_run_links(fbl_thread *thread, PyObject *self)
{
    PyObject *links = task_of(self)->links;
    task_of(self)->links = NULL;
    if (links == NULL)
        return 0;
    int rc = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(links) && rc == 0; i++)
        rc = task_schedule_link(thread, self, PyList_GET_ITEM(links, i));
    Py_DECREF(links);
    return rc;
}

/* Stores how it ended: `value` is stolen; NULL: it raised the current exception. */
static void task_settle(PyObject *self, PyObject *value)
{
    task_object *task = task_of(self);
    fbl_thread *thread = record_of(self)->thread;
    assert(task->outcome == TASK_PENDING);
    value = value_from_exit(value);
    if (value != NULL) {
        task->value = value;
        task->outcome = TASK_VALUE;
    } else {
        task->exception = PyErr_GetRaisedException();
        task->traceback = PyException_GetTraceback(task->exception);
        task->outcome = TASK_ERROR;
        PyErr_SetRaisedException(Py_NewRef(task->exception));
        hub_report_error(thread, self);
    }
    Py_CLEAR(task->fn);
    record_release_arguments(record_of(self)); /* an overridden run() may be what settles */
    /* Links first: what was linked has been called when join() returns. */
    bool had_links = task->links != NULL;
    if (task_run_links(thread, self) < 0)
        hub_report_error(thread, self);
    task_wake_joiners(task, had_links);
}

/* It will not start: it ends with the current exception. */
static void task_end_unstarted(fbl_record *record)
{
    PyObject *self = record->self;
    PyObject *exception = PyErr_GetRaisedException();
    Py_INCREF(self);
    record_cancel_start(record);
    PyErr_SetRaisedException(exception);
    task_settle(self, NULL);
    Py_DECREF(self);
}

/* ---- the life ---- */

static PyObject *task_call(fbl_record *record)
{
    PyObject *self = record->self;
    if (fbl_unlikely(record->thrown != NULL)) {
        fiber_raise_thrown(record);
        return NULL;
    }
    if (fbl_unlikely(PyErr_Occurred() != NULL))
        return NULL; /* entered by hand, with an exception: it dies of it */
    if (fbl_unlikely(task_of(self)->fn == NULL))
        task_of(self)->fn = PyObject_GetAttrString(self, "_run");
    if (fbl_unlikely(task_of(self)->fn == NULL))
        return NULL;
    return PyObject_Call(task_of(self)->fn, record->args, record->kwargs);
}

/* What is called is kept in the record, not on the C stack: a collector looks there. */
static PyObject *task_call_run(fbl_record *record)
{
    PyObject *run = PyObject_GetAttrString(record->self, "run");
    Py_XSETREF(record->run, run);
    return run == NULL ? NULL : PyObject_CallNoArgs(run);
}

/* A subclass may override run(); its default calls the function and settles. */
static void task_live(fbl_record *record)
{
    if (fbl_likely(Py_TYPE(record->self) == &fbl_task_type) || PyErr_Occurred()) {
        task_settle(record->self, task_call(record));
        return;
    }
    PyObject *done = task_call_run(record);
    PyObject *travelling = PyErr_GetRaisedException();
    Py_CLEAR(record->run);
    PyErr_SetRaisedException(travelling);
    if (task_of(record->self)->outcome == TASK_PENDING) {
        task_settle(record->self, done); /* run() was overridden and did not call ours */
        return;
    }
    if (done == NULL)
        hub_report_error(record->thread, record->self);
    Py_XDECREF(done);
}

static fbl_record *task_body(fbl_record *record)
{
    fbl_thread *thread = record->thread;
    Py_XDECREF(fiber_arrive_first(thread)); /* what an ended child left: nobody will ask for it */
    task_live(record);
    /* Before the hub runs on this stack: what it runs there must find a fiber that cannot be left,
     * and to which nobody can throw any more. */
    record->core.state = FBL_FIBER_DONE;
    return (fbl_record *)fbl_hub_next(&thread->hub, true);
}

static PyObject *task_run(PyObject *self, PyObject *unused)
{
    (void)unused;
    fbl_thread *thread = fbl_this_thread;
    if (thread == NULL || thread_current(thread) != record_of(self) ||
        task_of(self)->outcome != TASK_PENDING)
        return errors_refuse(fbl_error_fiber,
                             "cannot run %R by hand: run() is called once, in the task. Use "
                             "start(), and get() for what it returns.",
                             self);
    task_settle(self, task_call(record_of(self)));
    Py_RETURN_NONE;
}

/* ---- creation and start ---- */

static PyObject *task_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    if (fbl_unlikely(thread->dropped_count > 0)) /* those are left to the hub, which tasks have */
        stack_size_tell_short(thread);
    fiber_type_settle(type);
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    fbl_list_init(&task_of(self)->joiners);
    fbl_record *record = record_make(self, thread);
    if (record == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    fbl_fiber_init(&record->core, &thread->hub);
    record->body = task_body;
    record->args = Py_NewRef(fbl_empty_tuple);
    return self;
}

/* Is it an `async def`, or a method that is one? */
static bool function_is_async(PyObject *fn)
{
    if (PyMethod_Check(fn))
        fn = PyMethod_GET_FUNCTION(fn);
    return PyFunction_Check(fn) &&
           ((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags & CO_COROUTINE;
}

static int task_check_callable(PyObject *fn)
{
    if (fbl_unlikely(function_is_async(fn))) {
        PyErr_Format(PyExc_TypeError,
                     "cannot run %R in a task: it is an async function, and calling it would only "
                     "make a coroutine. Spawn a plain one, or give it to asyncio.run().",
                     fn);
        return -1;
    }
    if (PyCallable_Check(fn))
        return 0;
    PyErr_Format(PyExc_TypeError,
                 "cannot run %R in a task: it is not callable. Pass a function, and its arguments "
                 "after it: spawn(fn, *args).",
                 fn);
    return -1;
}

/* Has a Python function, or a method that is one, a parameter of that name? */
static bool function_has_parameter(PyObject *fn, const char *name)
{
    if (fn != NULL && PyMethod_Check(fn))
        fn = PyMethod_GET_FUNCTION(fn);
    if (fn == NULL || !PyFunction_Check(fn))
        return false;
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(fn);
    PyObject *names = PyCode_GetVarnames(code);
    bool has_it = false;
    for (int i = 0; names != NULL && i < code->co_argcount + code->co_kwonlyargcount; i++)
        has_it |= PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), name) == 0;
    if (names == NULL)
        PyErr_Clear(); /* no memory for a tuple: the next step will say so */
    Py_XDECREF(names);
    return has_it;
}

/* Sets the arguments by name, of which stack_size=... is an option of ours, unless the function
 * itself takes it. `kwargs` is stolen; NULL: there are none. */
static int task_set_kwargs(PyObject *self, PyObject *kwargs)
{
    PyObject *size = kwargs == NULL ? NULL : PyDict_GetItemString(kwargs, "stack_size");
    if (size == NULL || function_has_parameter(task_of(self)->fn, "stack_size")) {
        Py_XSETREF(record_of(self)->kwargs, kwargs);
        return 0;
    }
    PyObject *others = PyDict_Copy(kwargs); /* the caller may have it */
    int rc = others == NULL ? -1 : fiber_set_stack_size(self, size, NULL);
    Py_DECREF(kwargs);
    if (rc == 0)
        rc = PyDict_DelItemString(others, "stack_size");
    Py_XSETREF(record_of(self)->kwargs, others);
    return rc;
}

/* The function that Task(run=fn) names, taken out of a copy of the arguments by name, which is put
 * in their place. NULL without an exception: there is none. A new reference. */
static PyObject *task_take_run(PyObject **kwargs)
{
    PyObject *run = *kwargs == NULL ? NULL : PyDict_GetItemString(*kwargs, "run");
    if (run == NULL)
        return NULL;
    Py_INCREF(run);
    PyObject *others = PyDict_Copy(*kwargs);
    if (others != NULL && PyDict_DelItemString(others, "run") < 0)
        Py_CLEAR(others);
    if (others == NULL)
        Py_CLEAR(run);
    Py_XSETREF(*kwargs, others);
    return run;
}

/* Sets what it will call, and with what by position; NULL: the exception is there. */
static int task_set_call(PyObject *self, PyObject *fn, PyObject *args)
{
    if (args == NULL || (fn != NULL && fn != Py_None && task_check_callable(fn) < 0)) {
        Py_XDECREF(args);
        return -1;
    }
    Py_XSETREF(task_of(self)->fn, fn != Py_None ? Py_XNewRef(fn) : NULL);
    Py_SETREF(record_of(self)->args, args);
    return 0;
}

static int task_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (task_of(self)->is_spawned) {
        PyErr_SetString(PyExc_RuntimeError, "cannot initialise a task that was started already");
        return -1;
    }
    bool is_given = PyTuple_GET_SIZE(args) > 0;
    Py_XINCREF(kwargs);
    PyObject *fn = is_given ? Py_NewRef(PyTuple_GET_ITEM(args, 0)) : task_take_run(&kwargs);
    int rc = PyErr_Occurred() ? -1 : 0;
    if (rc == 0)
        rc = task_set_call(self, fn, PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args)));
    Py_XDECREF(fn);
    if (rc == 0)
        return task_set_kwargs(self, kwargs);
    Py_XDECREF(kwargs);
    return -1;
}

/* The spawner's context variables, as a copy; an empty context needs none. */
static int task_copy_context(fbl_record *record)
{
    if (fbl_likely(!state_has_context(PyThreadState_Get())) || record->state.context != NULL)
        return 0;
    record->state.context = PyContext_CopyCurrent();
    return record->state.context == NULL ? -1 : 0;
}

/* What a task takes along from where it is started: the context, and the place, for reports.
 * 0: it may start; 1: it was started before; -1: an exception. */
static int task_prepare(PyObject *self)
{
    task_object *task = task_of(self);
    fbl_record *record = record_of(self);
    fbl_thread *thread = thread_get();
    if (task->is_spawned || record_is_started(record))
        return 1;
    if (thread == NULL || task_note_spawn(self, thread) < 0 || task_copy_context(record) < 0)
        return -1;
    task_note_place(self);
    task->is_spawned = true;
    if (fbl_unlikely(fbl_watchdog_is_wanted))
        watchdog_start();
    return 0;
}

/* A task belongs to the thread that made it; another thread may start it. */
static int task_start_now(PyObject *self)
{
    int rc = task_prepare(self);
    if (rc == 0)
        fbl_ready_fiber(&record_of(self)->core);
    return rc < 0 ? -1 : 0;
}

static int task_start_in(PyObject *self, PyObject *seconds)
{
    fbl_record *record = record_of(self);
    uint64_t deadline_ns;
    if (seconds_to_deadline(record->thread, seconds, &deadline_ns) < 0)
        return -1;
    int rc = task_prepare(self);
    if (rc == 0)
        fbl_ready_fiber_at(&record->core, deadline_ns);
    return rc < 0 ? -1 : 0;
}

/* An exact Task that will call fn(*args, **kwargs); not started. Steals args and kwargs. */
static PyObject *task_make(PyObject *fn, PyObject *args, PyObject *kwargs)
{
    PyObject *self =
        args == NULL || task_check_callable(fn) < 0 ? NULL : task_new(&fbl_task_type, NULL, NULL);
    if (self == NULL) {
        Py_XDECREF(args);
        Py_XDECREF(kwargs);
        return NULL;
    }
    task_of(self)->fn = Py_NewRef(fn);
    Py_SETREF(record_of(self)->args, args);
    if (fbl_unlikely(kwargs != NULL) && task_set_kwargs(self, kwargs) < 0)
        Py_CLEAR(self);
    return self;
}

static int task_spawn_link(PyObject *callback, PyObject *args)
{
    PyObject *self = task_make(callback, Py_NewRef(args), NULL);
    int rc = self == NULL ? -1 : task_start_now(self);
    Py_XDECREF(self);
    return rc;
}

/* spawn(fn, *args, **kwargs) and spawn_later(seconds, fn, ...): `lead` arguments come before fn. */
static PyObject *task_from_vector(PyObject *const *args, Py_ssize_t count, PyObject *names,
                                  Py_ssize_t lead, const char *usage)
{
    if (count <= lead)
        return errors_refuse(PyExc_TypeError, "cannot spawn: nothing to run was given. Use %s.",
                             usage);
    PyObject *kwargs = NULL;
    if (names != NULL && PyTuple_GET_SIZE(names) > 0) {
        kwargs = dict_from_vector(args + count, names);
        if (kwargs == NULL)
            return NULL;
    }
    return task_make(args[lead], tuple_from_vector(args + lead + 1, count - lead - 1), kwargs);
}

static PyObject *module_spawn(PyObject *module, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    (void)module;
    PyObject *self = task_from_vector(args, count, names, 0, "spawn(fn, *args)");
    if (self != NULL && task_start_now(self) < 0)
        Py_CLEAR(self);
    return self;
}

static PyObject *module_spawn_later(PyObject *module, PyObject *const *args, Py_ssize_t count,
                                    PyObject *names)
{
    (void)module;
    PyObject *self = task_from_vector(args, count, names, 1, "spawn_later(seconds, fn, *args)");
    if (self != NULL && task_start_in(self, args[0]) < 0)
        Py_CLEAR(self);
    return self;
}

static PyObject *task_spawn(PyObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *self = PyObject_Call(type, args, kwargs);
    PyObject *done = self == NULL ? NULL : PyObject_CallMethod(self, "start", NULL);
    if (done == NULL)
        Py_CLEAR(self);
    Py_XDECREF(done);
    return self;
}

static PyObject *task_spawn_later(PyObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) < 1)
        return errors_refuse(
            PyExc_TypeError,
            "cannot spawn later: no time was given. Use spawn_later(seconds, fn).");
    PyObject *rest = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    PyObject *self = rest == NULL ? NULL : PyObject_Call(type, rest, kwargs);
    PyObject *done = self == NULL
                         ? NULL
                         : PyObject_CallMethod(self, "start_later", "O", PyTuple_GET_ITEM(args, 0));
    if (done == NULL)
        Py_CLEAR(self);
    Py_XDECREF(done);
    Py_XDECREF(rest);
    return self;
}
