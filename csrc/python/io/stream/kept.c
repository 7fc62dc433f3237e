/*
 * kept.c: who is struck in the middle of a method of a file object leaves no byte lost.
 *
 * The idea: a method of io that meets an exception beneath drops what it has in hand: the part of a
 * line that it has read, the text of earlier calls that it was about to write. So
 *   - what is thrown at a fiber in a read (a kill, a Timeout) is put aside (`struck`), and the raw
 *     file answers as a non-blocking one without data. The method then returns what it has, which
 *     is kept at the raw file, as unread, and the exception is raised;
 *   - a Buffered*'s write beneath a TextIOWrapper is told what was taken of its argument; the rest
 *     is kept at the Buffered*, and written before anything else.
 * What is kept is an attribute of the object, and goes with it.
 *
 * An OSError is no such exception: a broken pipe takes no more, and is the original's to handle.
 * So is a raw file that is not ours, because nobody knows what it took (raw_tells_what_it_took).
 * Threads: any, with the GIL. Do not add: reading and writing.
 */
#include "python/io/stream/stream.h"

size_t fbl_kept_count;

static const char *const KEPT_NAMES[] = {
    [KEPT_UNREAD] = "_fibril_unread",
    [KEPT_AHEAD] = "_fibril_ahead",
    [KEPT_UNWRITTEN] = "_fibril_unwritten",
};

/* An owned reference, or NULL: there is nothing. Leaves the current exception alone. */
static PyObject *kept_take(PyObject *owner, kept_kind kind)
{
    if (fbl_likely(fbl_kept_count == 0))
        return NULL;
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *data = PyObject_GetAttrString(owner, KEPT_NAMES[kind]);
    if (data != NULL && PyObject_DelAttrString(owner, KEPT_NAMES[kind]) == 0)
        fbl_kept_count--;
    PyErr_SetRaisedException(exception);
    return data;
}

/* Before what is there already. `data` is borrowed; the current exception stays. */
static void kept_put_first(PyObject *owner, kept_kind kind, PyObject *data)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *later = kept_take(owner, kind);
    PyObject *all = later == NULL ? Py_NewRef(data) : PySequence_Concat(data, later);
    if (all != NULL && PySequence_Size(all) > 0 &&
        PyObject_SetAttrString(owner, KEPT_NAMES[kind], all) == 0)
        fbl_kept_count++;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(owner);
    Py_XDECREF(all);
    Py_XDECREF(later);
    PyErr_SetRaisedException(exception);
}

/* May what is thrown beneath this call be raised after it? */
static bool call_may_put_aside(const stream_call *call, const PyObject *raw)
{
    if (call == NULL || call->method->kind == STREAM_TEXT || call->struck != NULL ||
        call->method->effect < STREAM_READS)
        return false;
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *beneath = PyObject_GetAttrString(call->stream, "raw");
    Py_XDECREF(beneath); /* only compared */
    PyErr_SetRaisedException(exception);
    return beneath == raw;
}

/* A raw file meets an exception in a read. True: it was put aside, and the answer is None. */
static bool stream_strike(fbl_thread *thread, const PyObject *raw)
{
    stream_call *call = thread_current(thread)->stream;
    if (PyErr_ExceptionMatches(PyExc_OSError) || !call_may_put_aside(call, raw))
        return false;
    call->struck = PyErr_GetRaisedException();
    return true;
}

/* A raw file has taken so many bytes that begin there. */
static void stream_note_written(const fbl_thread *thread, const char *data, size_t bytes)
{
    stream_call *call = thread_current(thread)->stream;
    if (call != NULL && call->given != NULL && data >= call->given &&
        data < call->given + call->given_bytes)
        call->taken_bytes += bytes;
}

/* ---- for raw files that are written in Python: socket.SocketIO ---- */

static PyObject *module_stream_strike(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *raw, *exception;
    fbl_thread *thread = thread_get();
    if (thread == NULL || !PyArg_ParseTuple(args, "OO:stream_strike", &raw, &exception))
        return NULL;
    PyErr_SetRaisedException(Py_NewRef(exception));
    if (stream_strike(thread, raw))
        Py_RETURN_TRUE;
    PyErr_Clear();
    Py_RETURN_FALSE;
}

static PyObject *module_stream_wrote(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer data;
    Py_ssize_t bytes;
    fbl_thread *thread = thread_get();
    if (thread == NULL || !PyArg_ParseTuple(args, "y*n:stream_wrote", &data, &bytes))
        return NULL;
    stream_note_written(thread, data.buf, (size_t)bytes);
    PyBuffer_Release(&data);
    Py_RETURN_NONE;
}

static PyObject *module_stream_unread(PyObject *module, PyObject *raw)
{
    (void)module;
    PyObject *data = kept_take(raw, KEPT_UNREAD);
    return data != NULL ? data : Py_NewRef(Py_None);
}

static PyObject *module_stream_keep(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *raw, *data;
    if (!PyArg_ParseTuple(args, "OS:stream_keep", &raw, &data))
        return NULL;
    kept_put_first(raw, KEPT_UNREAD, data);
    Py_RETURN_NONE;
}
