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

/* None: for ever. A number: seconds from now; what is past or 0 is due at once. */
static int seconds_to_deadline(fbl_thread *thread, PyObject *seconds, uint64_t *deadline_ns)
{
    double value;
    *deadline_ns = FBL_NEVER;
    if (seconds == NULL || seconds == Py_None)
        return 0;
    if (seconds_read(seconds, &value) < 0)
        return -1;
    *deadline_ns = fbl_hub_deadline(&thread->hub, value);
    return 0;
}

/* Raises fibril.Timeout(seconds). */
static PyObject *timeout_raise(PyObject *seconds)
{
    PyObject *error = PyObject_CallFunctionObjArgs(fbl_timeout_class, seconds, NULL);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
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
