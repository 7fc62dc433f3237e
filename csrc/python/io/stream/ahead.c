/*
 * ahead.c: reading from a TextIOWrapper whose reader was struck in the middle of a line.
 *
 * The idea: what that reader had (kept.c) is text that comes before what the original would give:
 * take from it, and ask the original for the rest.
 * Threads: any, in turn. Do not add: where it is kept.
 */
#include "python/io/stream/stream.h"

/* The limit that the method was given; -1: none; -2: an exception. */
static Py_ssize_t ahead_limit(const fbl_call *call, const PyObject *names)
{
    if (call->count == 0 || names != NULL || call->args[0] == Py_None)
        return -1;
    Py_ssize_t limit = PyNumber_AsSsize_t(call->args[0], PyExc_OverflowError);
    if (limit == -1 && PyErr_Occurred())
        return -2;
    return limit < 0 ? -1 : limit;
}

/* How much of it is an answer in itself; -1: it does not suffice. */
static Py_ssize_t ahead_enough(const stream_call *self, PyObject *ahead, Py_ssize_t limit)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(ahead);
    Py_ssize_t end = -1;
    if (strcmp(self->method->name, "read") != 0)
        end = PyUnicode_FindChar(ahead, '\n', 0, length, 1) + 1;
    if (end > 0 && (limit < 0 || end <= limit))
        return end;
    return limit >= 0 && limit <= length ? limit : -1;
}

/* Some of it; the rest stays. */
static PyObject *ahead_part(const stream_call *self, PyObject *ahead, Py_ssize_t end)
{
    PyObject *part = PyUnicode_Substring(ahead, 0, end);
    PyObject *rest = PyUnicode_Substring(ahead, end, PyUnicode_GET_LENGTH(ahead));
    if (part != NULL && rest != NULL)
        kept_put_first(self->stream, KEPT_AHEAD, rest);
    Py_XDECREF(rest);
    return part;
}

/* Asks the original for what is missing; NULL: an exception, or (without) there is nothing. */
static PyObject *ahead_rest(const stream_call *self, PyObject *ahead, Py_ssize_t limit)
{
    fbl_call call = {self->stream, NULL, 0, NULL};
    if (limit < 0 || self->method->next != NULL)
        return stream_original(self->method, &call, NULL);
    PyObject *missing = PyLong_FromSsize_t(limit - PyUnicode_GET_LENGTH(ahead));
    if (missing == NULL)
        return NULL;
    call.args = &missing;
    call.count = 1;
    PyObject *rest = stream_original(self->method, &call, NULL);
    Py_DECREF(missing);
    return rest;
}

/* `rest` is stolen. */
static PyObject *ahead_join(PyObject *ahead, PyObject *rest)
{
    PyObject *all = PyUnicode_Concat(ahead, rest);
    Py_DECREF(rest);
    return all;
}

static PyObject *ahead_read(const stream_call *self, const fbl_call *call, PyObject *names)
{
    PyObject *ahead = kept_take(self->stream, KEPT_AHEAD);
    if (ahead == NULL)
        return stream_original(self->method, call, names);
    Py_ssize_t limit = ahead_limit(call, names);
    Py_ssize_t enough = limit < -1 ? -1 : ahead_enough(self, ahead, limit);
    PyObject *answer = NULL;
    if (enough >= 0)
        answer = ahead_part(self, ahead, enough);
    else if (limit >= -1)
        answer = ahead_rest(self, ahead, limit);
    bool is_over = answer == NULL && !PyErr_Occurred();
    if (enough < 0 && (answer != NULL || is_over)) /* a text that ends is no error */
        answer = is_over ? Py_NewRef(ahead) : ahead_join(ahead, answer);
    if (answer == NULL)
        kept_put_first(self->stream, KEPT_AHEAD, ahead);
    Py_DECREF(ahead);
    return answer;
}
