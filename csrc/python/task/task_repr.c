/*
 * task_repr.c: what a task says of itself: <Task "fetcher" at 0x7f…: work(3)>.
 *
 * The idea: who reads a report knows his functions, and not our addresses. So a task shows what it
 * calls and with what, as gevent's do, and once that is gone, how it ended. The name is shown if it
 * was set or asked for. Reports show the same without the brackets.
 *
 * Invariant: nobody else's repr() can hide it. What one of them raises is told in its place; what
 * is long is cut. Threads: any.
 */
#include "python/task/task.h"

#define REPR_CHARS_MAX 60 /* of one value */
#define REPR_ARGUMENTS_MAX 10

/* A new str, or NULL: what is no Exception, or no memory. */
static PyObject *value_repr(PyObject *value)
{
    PyObject *text = PyObject_Repr(value);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = PyErr_GetRaisedException();
        text = PyUnicode_FromFormat("<%s, whose repr raises %s>", Py_TYPE(value)->tp_name,
                                    Py_TYPE(error)->tp_name);
        Py_DECREF(error);
    }
    if (text == NULL || PyUnicode_GET_LENGTH(text) <= REPR_CHARS_MAX)
        return text;
    PyObject *start = PyUnicode_Substring(text, 0, REPR_CHARS_MAX - 3);
    Py_SETREF(text, start == NULL ? NULL : PyUnicode_FromFormat("%U...", start));
    Py_XDECREF(start);
    return text;
}

/* Appends `piece`, which is stolen; NULL: there is an exception already. */
static int pieces_add(PyObject *pieces, PyObject *piece)
{
    int rc = piece == NULL ? -1 : PyList_Append(pieces, piece);
    Py_XDECREF(piece);
    return rc;
}

static int pieces_add_named(PyObject *pieces, PyObject *name, PyObject *value)
{
    PyObject *text = value_repr(value);
    int rc = text == NULL ? -1 : pieces_add(pieces, PyUnicode_FromFormat("%S=%U", name, text));
    Py_XDECREF(text);
    return rc;
}

static int pieces_add_arguments(PyObject *pieces, PyObject *args, PyObject *kwargs)
{
    PyObject *name, *value;
    Py_ssize_t count = PyTuple_GET_SIZE(args), position = 0;
    for (Py_ssize_t i = 0; i < count && i < REPR_ARGUMENTS_MAX; i++)
        if (pieces_add(pieces, value_repr(PyTuple_GET_ITEM(args, i))) < 0)
            return -1;
    while (kwargs != NULL && PyList_GET_SIZE(pieces) < REPR_ARGUMENTS_MAX &&
           PyDict_Next(kwargs, &position, &name, &value))
        if (pieces_add_named(pieces, name, value) < 0)
            return -1;
    if (count + (kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs)) <= REPR_ARGUMENTS_MAX)
        return 0;
    return pieces_add(pieces, PyUnicode_FromString("..."));
}

/* "3, number=4". */
static PyObject *arguments_text(PyObject *args, PyObject *kwargs)
{
    PyObject *pieces = PyList_New(0), *comma = PyUnicode_FromString(", "), *text = NULL;
    if (pieces != NULL && comma != NULL && pieces_add_arguments(pieces, args, kwargs) == 0)
        text = PyUnicode_Join(comma, pieces);
    Py_XDECREF(pieces);
    Py_XDECREF(comma);
    return text;
}

/* "work": a function by its name, all else by its repr. */
static PyObject *function_text(PyObject *fn)
{
    if (fn == NULL)
        return PyUnicode_FromString("_run");
    return PyFunction_Check(fn) ? PyObject_GetAttrString(fn, "__name__") : value_repr(fn);
}

/* SAFE: what is shown is held, as a repr() may run the task to its end, which lets go of it. */
static PyObject *call_text(PyObject *fn, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) == 0 && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0))
        return function_text(fn);
    PyObject *name = function_text(fn);
    PyObject *given = name == NULL ? NULL : arguments_text(args, kwargs);
    PyObject *text = given == NULL ? NULL : PyUnicode_FromFormat("%U(%U)", name, given);
    Py_XDECREF(name);
    Py_XDECREF(given);
    return text;
}

/* What it calls, or how it ended: "work(3)", "ended", "failed with ValueError". */
static PyObject *task_does(PyObject *self, PyObject *unused)
{
    (void)unused;
    task_object *task = task_of(self);
    if (task->outcome == TASK_PENDING && record_is_dead(record_of(self)))
        return PyUnicode_FromString(record_of(self)->thread->is_closed
                                        ? "dead, as its thread has ended"
                                        : "dead, as it stayed in the parent process");
    if (task->outcome == TASK_ERROR && task->fn == NULL)
        return PyUnicode_FromFormat("failed with %s", Py_TYPE(task->exception)->tp_name);
    PyObject *given = record_of(self)->args;
    if (task->outcome != TASK_PENDING && (task->fn == NULL || given == NULL))
        return PyUnicode_FromString("ended");
    PyObject *fn = Py_XNewRef(task->fn), *kwargs = Py_XNewRef(record_of(self)->kwargs);
    PyObject *args = Py_NewRef(given != NULL ? given : fbl_empty_tuple);
    PyObject *named = kwargs == NULL ? NULL : PyDict_Copy(kwargs); /* the function may change it */
    PyObject *text = kwargs != NULL && named == NULL ? NULL : call_text(fn, args, named);
    Py_XDECREF(named);
    Py_XDECREF(fn);
    Py_XDECREF(kwargs);
    Py_DECREF(args);
    return text;
}

static PyObject *task_repr(PyObject *self)
{
    int is_inside = Py_ReprEnter(self); /* it may be among its own arguments */
    if (is_inside < 0)
        return NULL;
    PyObject *does = is_inside ? PyUnicode_FromString("...") : task_does(self, NULL);
    if (!is_inside)
        Py_ReprLeave(self);
    if (does == NULL)
        return NULL;
    const char *type = strrchr(Py_TYPE(self)->tp_name, '.');
    type = type == NULL ? Py_TYPE(self)->tp_name : type + 1;
    PyObject *name = Py_XNewRef(task_of(self)->name);
    PyObject *text = name == NULL
                         ? PyUnicode_FromFormat("<%s at %p: %U>", type, self, does)
                         : PyUnicode_FromFormat("<%s \"%U\" at %p: %U>", type, name, self, does);
    Py_XDECREF(name);
    Py_DECREF(does);
    return text;
}
