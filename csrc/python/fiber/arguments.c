/*
 * arguments.c: what calls are given: by vector or by tuple, and for how long to wait.
 *
 * The idea: blocking calls take the same two forms of arguments and the same `timeout`, so they are
 * read in one place, which also says what they should have been.
 * Callers: whatever Python calls, with the GIL. Do not add: waiting.
 */
#include "python/fiber/record.h"

PyObject *fbl_timeout_class; /* fibril.timeout.Timeout, given by set_timeout_class */
PyObject *fbl_empty_tuple;

/* The arguments of a call by vector, in the order of `known` (its first entry tells the usage, its
 * last is NULL); what is not given stays as it is. -1: an exception. */
static int arguments_read(const fbl_call *call, PyObject *names, const char *const *known,
                          PyObject **values)
{
    const char *usage = *known++;
    Py_ssize_t keyword_count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    Py_ssize_t count = call->count - keyword_count, given = 0;
    for (Py_ssize_t i = 0; known[i] != NULL; i++) {
        if (i < count) {
            values[i] = call->args[i];
            given++;
            continue;
        }
        for (Py_ssize_t k = 0; k < keyword_count; k++) {
            if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), known[i]) == 0) {
                values[i] = call->args[count + k];
                given++;
            }
        }
    }
    if (given == call->count)
        return 0;
    PyErr_Format(PyExc_TypeError, "use %s", usage);
    return -1;
}

/* The only argument of a call by vector, borrowed. NULL: an exception. */
static PyObject *argument_read(PyObject *const *args, Py_ssize_t count, PyObject *names,
                               const char *word)
{
    Py_ssize_t keyword_count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (fbl_likely(count == 1 && keyword_count == 0))
        return args[0];
    if (count == 0 && keyword_count == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), word) == 0)
        return args[0];
    PyErr_Format(PyExc_TypeError, "give one argument, %s: %zd are given", word,
                 count + keyword_count);
    return NULL;
}

/* ---- how long to wait ---- */

/* A number of seconds. -1: an exception that says what it should have been. */
static int seconds_read(PyObject *seconds, double *value)
{
    *value = PyFloat_AsDouble(seconds);
    if (*value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError,
                         "cannot wait %R: a time must be a number of seconds, or None.", seconds);
        return -1;
    }
    if (*value != *value) {
        PyErr_SetString(PyExc_ValueError, "cannot wait nan seconds: give a number, or None.");
        return -1;
    }
    return 0;
}

static bool seconds_are_timeout(PyObject *seconds)
{
    return fbl_timeout_class != NULL &&
           PyObject_TypeCheck(seconds, (PyTypeObject *)fbl_timeout_class);
}

/* Its seconds from now; never if it is pending, because then it strikes by itself. */
static int timeout_to_deadline(fbl_thread *thread, PyObject *timeout, uint64_t *deadline_ns)
{
    PyObject *pending = PyObject_GetAttrString(timeout, "pending");
    int is_pending = pending == NULL ? -1 : PyObject_IsTrue(pending);
    Py_XDECREF(pending);
    if (is_pending != 0)
        return is_pending < 0 ? -1 : 0;
    PyObject *seconds = PyObject_GetAttrString(timeout, "seconds");
    double value = 0;
    int rc = seconds == NULL ? -1 : 0;
    if (rc == 0 && seconds != Py_None && (rc = seconds_read(seconds, &value)) == 0)
        *deadline_ns = fbl_hub_deadline(&thread->hub, value);
    Py_XDECREF(seconds);
    return rc;
}

/* None: for ever. A number: seconds from now; what is past or 0 is due at once. A Timeout: its
 * seconds, as in gevent. */
static int seconds_to_deadline(fbl_thread *thread, PyObject *seconds, uint64_t *deadline_ns)
{
    double value;
    *deadline_ns = FBL_NEVER;
    if (seconds == NULL || seconds == Py_None)
        return 0;
    if (fbl_unlikely(PyExceptionInstance_Check(seconds)) && seconds_are_timeout(seconds))
        return timeout_to_deadline(thread, seconds, deadline_ns);
    if (seconds_read(seconds, &value) < 0)
        return -1;
    *deadline_ns = fbl_hub_deadline(&thread->hub, value);
    return 0;
}

/* Raises fibril.Timeout(seconds), or the Timeout that was given in their place. */
static PyObject *timeout_raise(PyObject *seconds)
{
    PyObject *error = PyExceptionInstance_Check(seconds)
                          ? Py_NewRef(seconds)
                          : PyObject_CallFunctionObjArgs(fbl_timeout_class, seconds, NULL);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* Raises the exception that it has for others to throw; false: it would throw itself. */
static bool timeout_raise_other(PyObject *timeout)
{
    PyObject *exception = PyObject_GetAttrString(timeout, "exception");
    if (exception == NULL)
        return true;
    bool is_other = exception != Py_None && exception != Py_False && !PyUnicode_Check(exception);
    if (is_other && PyExceptionInstance_Check(exception))
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    else if (is_other && PyExceptionClass_Check(exception))
        PyErr_SetNone(exception);
    else if (is_other)
        errors_refuse(PyExc_TypeError,
                      "cannot time out with %R: give an exception class or instance", exception);
    Py_DECREF(exception);
    return is_other;
}

/* The wait is over that a Timeout was given for, and so is that. What it has thrown itself is told
 * as being late, which its caller raises or not. */
static fbl_parked timeout_end(PyObject *timeout, fbl_parked how)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *done = PyObject_CallMethod(timeout, "cancel", NULL);
    Py_XDECREF(done);
    if (done == NULL) {
        Py_XDECREF(raised);
        return PARK_RAISED;
    }
    if (raised == timeout) {
        Py_DECREF(raised);
        return PARK_LATE;
    }
    PyErr_SetRaisedException(raised);
    return how == PARK_LATE && timeout_raise_other(timeout) ? PARK_RAISED : how;
}

/* ---- values that travel ---- */

/* One argument is that object, several are a tuple, none is (), keywords join as a dict. */
static PyObject *value_from_arguments(PyObject *args, PyObject *kwargs)
{
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        return PyTuple_GET_SIZE(args) > 0 ? PyTuple_Pack(2, args, kwargs) : Py_NewRef(kwargs);
    if (PyTuple_GET_SIZE(args) == 1)
        return Py_NewRef(PyTuple_GET_ITEM(args, 0));
    return Py_NewRef(args);
}

static PyObject *tuple_from_vector(PyObject *const *args, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    if (tuple == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    return tuple;
}

static PyObject *dict_from_vector(PyObject *const *values, PyObject *names)
{
    PyObject *dict = PyDict_New();
    if (dict == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), values[i]) < 0) {
            Py_DECREF(dict);
            return NULL;
        }
    }
    return dict;
}
