/*
 * task_type.c: the type fibril.Task: waiting for a task, killing it, linking to its end,
 * attributes.
 *
 * The idea: who joins is a waiter in task.joiners; who kills leaves an exception and wakes the
 * task; who links is called by the hub after the end. None of them knows how the task is run
 * (task_life.c). Threads: any may wait, kill and link; the task runs on the thread that made it.
 */
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/task/task.h"
#include "python/task/task_doc.h"

/* ---- starting it ---- */

static PyObject *task_start(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (task_start_now(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *task_start_later(PyObject *self, PyObject *seconds)
{
    if (task_start_in(self, seconds) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- who asks how it failed ---- */

/* Somebody does. Whoever keeps count of the failures that nobody asks about is told, once. */
static void task_note_seen(task_object *task)
{
    PyObject *unseen = task->unseen;
    if (fbl_likely(unseen == NULL))
        return;
    task->unseen = NULL;
    PyObject *done = PyObject_CallNoArgs(unseen);
    if (done == NULL)
        PyErr_WriteUnraisable(unseen);
    Py_XDECREF(done);
    Py_DECREF(unseen);
}

static PyObject *module_when_seen(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *task, *callback;
    if (!PyArg_ParseTuple(args, "O!O:when_seen", &fbl_task_type, &task, &callback))
        return NULL;
    Py_XSETREF(task_of(task)->unseen, Py_NewRef(callback));
    Py_RETURN_NONE;
}

/* ---- waiting for it ---- */

static int task_refuse_lost(PyObject *self)
{
    errors_refuse(fbl_error_fiber,
                  "cannot wait for %R: its thread ended, or stayed in the parent process when this "
                  "one was forked, and the task had not ended.",
                  self);
    return -1;
}

/* 0: it has ended; 1: the deadline came first; -1: an exception for the caller.
 * SAFE: whoever calls a method of `self` keeps it until the method returns. A reference of our own
 * would be one that the collector cannot see: tasks that join each other would live for ever. */
static int task_wait(fbl_call *call, PyObject *timeout, bool is_killer)
{
    task_object *task = task_of(call->self);
    task_joiner joiner = {.is_killer = is_killer};
    fbl_park park = {FBL_NEVER, "to join", call->self, &joiner.waiter, &task->joiners, NULL};
    fbl_thread *thread = NULL;
    if (task->outcome == TASK_PENDING && (thread = call_prepare_wait(call, timeout, &park)) == NULL)
        return -1;
    if (task->outcome != TASK_PENDING)
        return 0;
    if (record_is_dead(record_of(call->self)))
        return task_refuse_lost(call->self);
    fbl_parked how = call_park_wait(thread, call, &park);
    return how == PARK_CLOSED ? task_refuse_lost(call->self) : (int)how;
}

static PyObject *task_raise(task_object *task)
{
    task_note_seen(task);
    /* Each raise adds to the exception's traceback: begin from the original again. */
    PyException_SetTraceback(task->exception, task->traceback != NULL ? task->traceback : Py_None);
    PyErr_SetObject((PyObject *)Py_TYPE(task->exception), task->exception);
    return NULL;
}

static PyObject *task_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const known[] = {"get(block=True, timeout=None)", "block", "timeout", NULL};
    PyObject *values[] = {Py_True, Py_None};
    fbl_call call = {self, args, vector_length(count, names), NULL};
    int block = arguments_read(&call, names, known, values) < 0 ? -1 : PyObject_IsTrue(values[0]);
    if (block < 0)
        return NULL;
    if (task_of(self)->outcome == TASK_PENDING) {
        int rc = PARK_LATE;
        if (block)
            rc = task_wait(&call, values[1], false);
        else
            spin_poll_wait();
        if (rc != 0)
            return rc < 0 ? NULL : timeout_raise(block ? values[1] : Py_None);
    }
    if (task_of(self)->outcome == TASK_ERROR)
        return task_raise(task_of(self));
    return Py_NewRef(task_of(self)->value);
}

static PyObject *task_join(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const known[] = {"join(timeout=None)", "timeout", NULL};
    PyObject *timeout = Py_None;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (arguments_read(&call, names, known, &timeout) < 0 || task_wait(&call, timeout, false) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- killing it ---- */

/* Class, instance, or (type, value, traceback) as one exception instance. What is none of these is
 * a TypeError, for who is killed, as in gevent: so the task ends, whatever its killer gave. */
static PyObject *exception_from_argument(PyObject *exception)
{
    PyObject *type = exception, *value = NULL, *traceback = NULL;
    if (!PyTuple_Check(exception) ||
        PyArg_UnpackTuple(exception, "exception", 1, 3, &type, &value, &traceback))
        (void)throw_set_exception(type, value, traceback);
    return PyErr_GetRaisedException();
}

static int task_kill_now(PyObject *self, PyObject *exception)
{
    fbl_record *record = record_of(self);
    if (record_is_started(record))
        return fiber_throw_later(record, exception);
    PyErr_SetRaisedException(Py_NewRef(exception));
    task_end_unstarted(record);
    return 0;
}

static PyObject *task_kill(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"exception", "block", "timeout", NULL};
    PyObject *what = fbl_error_exit, *timeout = Py_None;
    int block = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OpO:kill", names, &what, &block, &timeout))
        return NULL;
    if (task_of(self)->outcome != TASK_PENDING || record_is_dead(record_of(self)))
        Py_RETURN_NONE;
    PyObject *exception = exception_from_argument(what);
    if (exception == NULL)
        return NULL;
    if (block && record_is_running(record_of(self))) { /* without: at its next wait */
        PyErr_SetRaisedException(exception);
        return NULL;
    }
    int rc = task_kill_now(self, exception);
    Py_DECREF(exception);
    if (rc == 0 && block)
        rc = task_wait(&(fbl_call){self, NULL, 0, NULL}, timeout, true);
    if (rc < 0)
        return NULL;
    return rc == 1 ? timeout_raise(timeout) : Py_NewRef(Py_None);
}

/* For killall(), which kills all before it waits for the first. */
static PyObject *module_join_killed(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *task, *timeout;
    if (!PyArg_ParseTuple(args, "O!O:join_killed", &fbl_task_type, &task, &timeout))
        return NULL;
    int rc = task_wait(&(fbl_call){task, NULL, 0, NULL}, timeout, true);
    return rc < 0 ? NULL : PyBool_FromLong(rc == 0);
}

static PyObject *task_throw_switch(PyObject *self, PyObject *args)
{
    fbl_record *record = record_of(self);
    if (record_is_started(record))
        return fiber_type_throw_switch(self, args);
    PyObject *type = fbl_error_exit, *value = NULL, *traceback = NULL;
    if (!PyArg_UnpackTuple(args, "throw", 0, 3, &type, &value, &traceback) ||
        throw_set_exception(type, value, traceback) < 0)
        return NULL;
    task_end_unstarted(record);
    Py_RETURN_NONE;
}

/* ---- with task: ---- */

static PyObject *task_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static int task_call_kill(PyObject *self, PyObject *exception)
{
    PyObject *pending = PyErr_GetRaisedException();
    PyObject *done = PyObject_CallMethod(self, "kill", "O", exception);
    Py_XDECREF(done);
    if (done == NULL) {
        Py_XDECREF(pending);
        return -1;
    }
    PyErr_SetRaisedException(pending);
    return pending == NULL ? 0 : -1;
}

/* Left in the usual way it is waited for, and killed if that is cut short; left by an exception, it
 * is killed with that. */
static PyObject *task_exit(PyObject *self, PyObject *args)
{
    PyObject *type, *value, *traceback;
    if (!PyArg_UnpackTuple(args, "__exit__", 3, 3, &type, &value, &traceback))
        return NULL;
    if (type == Py_None) {
        Py_XDECREF(PyObject_CallMethod(self, "join", NULL));
        value = fbl_error_exit;
    }
    return task_call_kill(self, value) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- links ---- */

static PyObject *task_add_link(PyObject *self, PyObject *callback, link_kind kind)
{
    task_object *task = task_of(self);
    if (!PyCallable_Check(callback))
        return errors_refuse(PyExc_TypeError,
                             "cannot link %R: it is not callable. A link is "
                             "called with the task when it has ended.",
                             callback);
    PyObject *entry =
        links_make(&task->links) < 0 ? NULL : Py_BuildValue("(Oi)", callback, (int)kind);
    /* A collection meanwhile may run the task to its end, which takes the list along. */
    int rc = entry == NULL || links_make(&task->links) < 0 ? -1 : PyList_Append(task->links, entry);
    Py_XDECREF(entry);
    if (rc == 0 && task->outcome != TASK_PENDING)
        rc = task_run_links(record_of(self)->thread, self);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *task_rawlink(PyObject *self, PyObject *callback)
{
    return task_add_link(self, callback, LINK_RAW);
}

static PyObject *task_link(PyObject *self, PyObject *callback)
{
    return task_add_link(self, callback, LINK_ALWAYS);
}

static PyObject *task_link_value(PyObject *self, PyObject *callback)
{
    return task_add_link(self, callback, LINK_VALUE);
}

static PyObject *task_link_exception(PyObject *self, PyObject *callback)
{
    return task_add_link(self, callback, LINK_EXCEPTION);
}

/* The first link whose callback is equal: a new reference; NULL without an exception: none.
 * Equality may run any code, so each step holds what it looks at, and looks at the list anew. */
static PyObject *task_find_link(PyObject *links, PyObject *callback)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(links); i++) {
        PyObject *entry = Py_NewRef(PyList_GET_ITEM(links, i));
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(entry, 0), callback, Py_EQ);
        if (same > 0)
            return entry;
        Py_DECREF(entry);
        if (same < 0)
            return NULL;
    }
    return NULL;
}

static int links_remove(PyObject *links, PyObject *entry)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(links); i++) {
        if (PyList_GET_ITEM(links, i) == entry)
            return PyList_SetSlice(links, i, i + 1, NULL);
    }
    return 0;
}

static PyObject *task_unlink(PyObject *self, PyObject *callback)
{
    PyObject *links = Py_XNewRef(task_of(self)->links);
    PyObject *entry = links == NULL ? NULL : task_find_link(links, callback);
    int rc = entry != NULL ? links_remove(links, entry) : PyErr_Occurred() ? -1 : 0;
    if (rc == 0 && entry == NULL) /* told already, perhaps, but not called yet */
        rc = hub_take_back(callback, self);
    Py_XDECREF(entry);
    Py_XDECREF(links);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *task_unlink_all(PyObject *self, PyObject *unused)
{
    (void)unused;
    Py_CLEAR(task_of(self)->links);
    Py_RETURN_NONE;
}

static PyObject *task_has_links(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *links = task_of(self)->links;
    return PyBool_FromLong(links != NULL && PyList_GET_SIZE(links) > 0);
}

/* ---- attributes ---- */

static unsigned long task_name_count; /* the number in the next default name; under the GIL */

static PyObject *task_is_ready(PyObject *self, PyObject *unused)
{
    (void)unused;
    spin_poll_wait();
    return PyBool_FromLong(task_of(self)->outcome != TASK_PENDING);
}

static PyObject *task_is_successful(PyObject *self, PyObject *unused)
{
    (void)unused;
    task_note_seen(task_of(self));
    return PyBool_FromLong(task_of(self)->outcome == TASK_VALUE);
}

static PyObject *task_get_value(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *value = task_of(self)->value;
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *task_get_exception(PyObject *self, void *unused)
{
    (void)unused;
    task_note_seen(task_of(self));
    PyObject *exception = task_of(self)->exception;
    return Py_NewRef(exception != NULL ? exception : Py_None);
}

static PyObject *task_get_exc_info(PyObject *self, void *unused)
{
    (void)unused;
    task_object *task = task_of(self);
    if (task->outcome != TASK_ERROR)
        Py_RETURN_NONE;
    task_note_seen(task);
    return PyTuple_Pack(3, Py_TYPE(task->exception), task->exception,
                        task->traceback != NULL ? task->traceback : Py_None);
}

static int task_is_alive(PyObject *self)
{
    return task_of(self)->is_spawned && task_of(self)->outcome == TASK_PENDING &&
           !record_is_dead(record_of(self));
}

static PyObject *task_get_started(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(task_is_alive(self));
}

static PyObject *task_get_args(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *args = record_of(self)->args;
    return Py_NewRef(args != NULL ? args : fbl_empty_tuple);
}

static PyObject *task_get_kwargs(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *kwargs = record_of(self)->kwargs;
    return kwargs != NULL ? Py_NewRef(kwargs) : PyDict_New();
}

static PyObject *task_get_name(PyObject *self, void *unused)
{
    (void)unused;
    task_object *task = task_of(self);
    if (task->name == NULL)
        (void)place_fill(&task->name, PyUnicode_FromFormat("Task-%lu", task_name_count++));
    return Py_XNewRef(task->name);
}

static int task_set_name(PyObject *self, PyObject *name, void *unused)
{
    (void)unused;
    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "a task's name must be a str");
        return -1;
    }
    Py_XSETREF(task_of(self)->name, Py_NewRef(name));
    return 0;
}

static PyObject *task_get_parent(PyObject *self, void *unused)
{
    (void)unused;
    if (record_of(self)->parent != NULL)
        return fiber_get_parent(self, NULL);
    return hub_get(record_of(self)->thread);
}

static PyObject *task_get_loop(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *hub = hub_get(record_of(self)->thread);
    PyObject *loop = hub == NULL ? NULL : PyObject_GetAttrString(hub, "loop");
    Py_XDECREF(hub);
    return loop;
}

static PyObject *task_get_fn(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *fn = task_of(self)->fn;
    return Py_NewRef(fn != NULL ? fn : Py_None);
}

static int task_traverse(PyObject *self, visitproc visit, void *arg)
{
    task_object *task = task_of(self);
    Py_VISIT(task->fn);
    Py_VISIT(task->value);
    Py_VISIT(task->exception);
    Py_VISIT(task->traceback);
    Py_VISIT(task->unseen);
    Py_VISIT(task->links);
    Py_VISIT(task->place_code);
    int rc = task_tree_visit(self, visit, arg);
    if (rc == 0)
        rc = waiters_visit(&task->joiners, visit, arg);
    return rc != 0 ? rc : fiber_traverse(self, visit, arg);
}

static int task_clear(PyObject *self)
{
    task_object *task = task_of(self);
    Py_CLEAR(task->value);
    Py_CLEAR(task->exception);
    Py_CLEAR(task->traceback);
    Py_CLEAR(task->unseen);
    Py_CLEAR(task->links);
    Py_CLEAR(task->spawner);
    Py_CLEAR(task->tree_locals);
    if (task->outcome != TASK_PENDING)
        Py_CLEAR(task->fn);
    return fiber_clear(self);
}

static void task_dealloc(PyObject *self)
{
    if (fiber_save_switch(self))
        return;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, task_dealloc) /* a chain of results may be as long as memory */
        task_object *task = task_of(self);
    assert(fbl_list_is_empty(&task->joiners)); /* who joins holds a reference */
    Py_CLEAR(task->fn);
    Py_CLEAR(task->value);
    Py_CLEAR(task->exception);
    Py_CLEAR(task->traceback);
    Py_CLEAR(task->unseen);
    Py_CLEAR(task->links);
    Py_CLEAR(task->name);
    Py_CLEAR(task->place_code);
    task_tree_clear(self);
    fiber_free(self);
    Py_TRASHCAN_END
}

static PyGetSetDef task_getset[] = {
    {"value", task_get_value, NULL, "What it returned; None until then.", NULL},
    {"exception", task_get_exception, NULL, "What it raised; None otherwise.", NULL},
    {"exc_info", task_get_exc_info, NULL, "(type, value, traceback) if it raised.", NULL},
    {"started", task_get_started, NULL, "True from start() to its end.", NULL},
    {"args", task_get_args, NULL, "Positional arguments; () once it has ended.", NULL},
    {"kwargs", task_get_kwargs, NULL, "Keyword arguments; {} once it has ended.", NULL},
    {"name", task_get_name, task_set_name, "For people; Task-N unless set.", NULL},
    {"parent", task_get_parent, fiber_set_parent, "The hub of its thread.", NULL},
    {"spawned_at", task_get_spawned_at, NULL, "(file, line, function) that started it, or None.",
     NULL},
    {"spawning_greenlet", task_get_spawner, NULL,
     "A weak reference to the fiber that started it, or None.", NULL},
    {"spawning_stack", task_get_spawning_stack, NULL,
     "spawned_at in the shape of a frame, for traceback.print_stack().", NULL},
    {"spawn_tree_locals", task_get_tree_locals, task_set_tree_locals,
     "A dict that a task shares with all that it spawns, and those spawn.", NULL},
    {"minimal_ident", task_get_minimal_ident, NULL,
     "A small number, unlike those of all living tasks.", NULL},
    {"loop", task_get_loop, NULL, "The loop of its hub; see fibril._hub.loop.", NULL},
    {"fn", task_get_fn, NULL, "What it calls; None once it has ended.", NULL},
    {0},
};

#define TASK_KEYWORDS METH_VARARGS | METH_KEYWORDS

ONE_ARGUMENT(task_start_later, "seconds")
ONE_ARGUMENT(task_rawlink, "callback")
ONE_ARGUMENT(task_link, "callback")
ONE_ARGUMENT(task_link_value, "callback")
ONE_ARGUMENT(task_link_exception, "callback")
ONE_ARGUMENT(task_unlink, "callback")
ONE_ARGUMENT(task_add_spawn_callback, "callback")
ONE_ARGUMENT(task_remove_spawn_callback, "callback")

static PyMethodDef task_methods[] = {
    {"spawn", (PyCFunction)(void (*)(void))task_spawn, TASK_KEYWORDS | METH_CLASS, task_spawn_doc},
    {"spawn_later", (PyCFunction)(void (*)(void))task_spawn_later, TASK_KEYWORDS | METH_CLASS,
     task_spawn_later_doc},
    {"run", task_run, METH_NOARGS, task_run_doc},
    {"start", task_start, METH_NOARGS, task_start_doc},
    {"start_later", FAST_ONE(task_start_later), task_start_later_doc},
    {"get", (PyCFunction)(void (*)(void))task_get, FAST_KEYWORDS, task_get_doc},
    {"join", (PyCFunction)(void (*)(void))task_join, FAST_KEYWORDS, task_join_doc},
    {"kill", (PyCFunction)(void (*)(void))task_kill, TASK_KEYWORDS, task_kill_doc},
    {"throw", task_throw_switch, METH_VARARGS, fbl_throw_doc},
    {"rawlink", FAST_ONE(task_rawlink), task_rawlink_doc},
    {"link", FAST_ONE(task_link), task_link_doc},
    {"link_value", FAST_ONE(task_link_value), task_link_value_doc},
    {"link_exception", FAST_ONE(task_link_exception), task_link_exception_doc},
    {"unlink", FAST_ONE(task_unlink), task_unlink_doc},
    {"unlink_all", task_unlink_all, METH_NOARGS, task_unlink_all_doc},
    {"has_links", task_has_links, METH_NOARGS, task_has_links_doc},
    {"add_spawn_callback", FAST_ONE(task_add_spawn_callback) | METH_STATIC,
     task_add_spawn_callback_doc},
    {"remove_spawn_callback", FAST_ONE(task_remove_spawn_callback) | METH_STATIC,
     task_remove_spawn_callback_doc},
    {"__enter__", task_enter, METH_NOARGS, "The task itself."},
    {"__exit__", task_exit, METH_VARARGS, task_exit_doc},
    {"ready", task_is_ready, METH_NOARGS, task_ready_doc},
    {"successful", task_is_successful, METH_NOARGS, task_successful_doc},
    {"_does", task_does, METH_NOARGS, "What it calls, or how it ended, for reports."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Task[int], for type checkers."},
    {0},
};

static int task_is_true(PyObject *self)
{
    spin_poll_wait();
    return task_is_alive(self);
}

static PyNumberMethods task_number = {.nb_bool = task_is_true};

PyTypeObject fbl_task_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.Task",
    .tp_doc = task_doc,
    .tp_base = &fbl_fiber_type,
    .tp_basicsize = sizeof(task_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = task_new,
    .tp_init = task_init,
    .tp_repr = task_repr,
    .tp_dealloc = task_dealloc,
    .tp_finalize = fiber_finalize_switch,
    .tp_traverse = task_traverse,
    .tp_clear = task_clear,
    .tp_as_number = &task_number,
    .tp_methods = task_methods,
    .tp_getset = task_getset,
};
