/*
 * tls.c: read, write, recv, recv_into, send and sendall of TLS sockets.
 *
 * The idea: OpenSSL is CPython's. ssl.SSLSocket keeps an object for it (`_sslobj`), whose read and
 * write try at once while the socket's C-level timeout is 0, and raise SSLWantReadError or
 * SSLWantWriteError where they would wait. So each method here is what those of socket.c are: try,
 * park, try again; no Python runs between the user's call and OpenSSL's. Nobody parks inside
 * OpenSSL, which is not re-entrant: one task may read while another writes.
 *
 * Raising costs more than asking the kernel: a reader looks first whether anything is there, and
 * parks if not.
 *
 * Writing goes record by record. One that OpenSSL has encrypted and could not send whole, it keeps,
 * and takes whatever write() comes next for that one's repetition: the bytes of another writer, or
 * of the next call after a timeout, would be taken for sent and be lost. So the socket's dict has
 * the record under RECORD_NAME until it is out: a tuple of its bytes while who wrote it waits, the
 * bytes when he has given up (a kill, a timeout, timeout 0). Whoever writes next sends that first;
 * only if he has given up, and the same bytes come again, they are its repetition.
 *
 * Callers: tls_methods.c, in any thread. Do not add: handshakes and farewells, which wait seldom
 * (fibril/ssl.py).
 */
#include "python/hub/spin.h"
#include "python/io/tls.h"

#define TLS_RECORD_BYTES 16384         /* OpenSSL cuts at this length by itself */
#define TLS_EOF 8                      /* ssl.SSL_ERROR_EOF: an end without farewell */

fbl_tls_names fbl_tls;

typedef struct {
    socket_call wait;
    PyObject *sock; /* borrowed: the caller's argument */
    PyObject *attributes; /* its dict */
    const char *closed_message;
} tls_call;

/* ---- one call ---- */

/* What the user has set, in ns; -1: none, -2: an exception. */
static int64_t tls_timeout_ns(const tls_call *call)
{
    PyObject *kept = PyDict_GetItemWithError(call->attributes, fbl_tls.timeout);
    if (kept == NULL)
        return PyErr_Occurred() ? -2 : ((socket_head *)call->sock)->timeout_ns;
    double seconds = kept == Py_None ? -1 : PyFloat_AsDouble(kept);
    if (seconds == -1 && PyErr_Occurred())
        return -2;
    int64_t ns = (int64_t)(seconds * 1e9);
    return seconds < 0 ? -1 : ns > 0 ? ns : seconds > 0;
}

static void tls_end(tls_call *call) { Py_CLEAR(call->attributes); }

/* OpenSSL's object, now: another task may have ended TLS. A new reference; NULL: an exception. */
static PyObject *tls_engine(const tls_call *call)
{
    PyObject *engine = PyDict_GetItemWithError(call->attributes, fbl_tls.engine);
    if (engine != NULL && engine != Py_None)
        return Py_NewRef(engine);
    return PyErr_Occurred() ? NULL : errors_refuse(PyExc_ValueError, "%s", call->closed_message);
}

static int tls_begin(tls_call *call, PyObject *self, const char *late, const char *closed)
{
    call->sock = self;
    call->closed_message = closed;
    call->attributes = PyObject_GenericGetDict(self, NULL);
    PyObject *engine = call->attributes == NULL ? NULL : tls_engine(call);
    if (engine != NULL && socket_begin(self, &call->wait, 0) == 0) {
        Py_DECREF(engine);
        call->wait.late_message = late;
        call->wait.timeout_ns = tls_timeout_ns(call);
        if (call->wait.timeout_ns != -2)
            return 0;
        engine = NULL;
    }
    Py_XDECREF(engine);
    Py_CLEAR(call->attributes);
    return -1;
}

/* engine.<name>(first, second), or fewer; while we waited, another task may have set a timeout, and
 * so the C level's. */
static PyObject *tls_try(const tls_call *call, PyObject *name, PyObject *first, PyObject *second)
{
    if (fbl_unlikely(((socket_head *)call->sock)->timeout_ns != 0)) {
        PyObject *done = PyObject_CallOneArg(fbl_tls.take_over, call->sock);
        if (done == NULL)
            return NULL;
        Py_DECREF(done);
    }
    PyObject *engine = tls_engine(call);
    if (engine == NULL)
        return NULL;
    PyObject *args[] = {engine, first, second};
    size_t count = 1 + (size_t)(first != NULL) + (size_t)(second != NULL);
    PyObject *result = PyObject_VectorcallMethod(name, args, count, NULL);
    Py_DECREF(engine);
    return result;
}

/* What the exception that is set asks to wait for; 0: it is another. */
static unsigned tls_direction(void)
{
    if (PyErr_ExceptionMatches(fbl_tls.want_read))
        return FBL_READ;
    return PyErr_ExceptionMatches(fbl_tls.want_write) ? FBL_WRITE : 0;
}

/* After a try that raised. 0: try again; -1: an exception. */
static int tls_retry_wait(tls_call *call)
{
    unsigned direction = tls_direction();
    if (direction == 0)
        return -1;
    PyObject *want = PyErr_GetRaisedException();
    if (call->wait.timeout_ns == 0) {
        spin_poll_wait();
        PyErr_SetRaisedException(want);
        return -1;
    }
    Py_DECREF(want);
    call->wait.entry->ready &= (uint8_t)~direction;
    return socket_wait(call->sock, &call->wait, direction);
}

/* ---- reading ---- */

/* 1: OpenSSL has bytes that it has decrypted; -1: an exception. */
static int tls_has_pending(const tls_call *call)
{
    PyObject *count = tls_try(call, fbl_tls.pending, NULL, NULL);
    long rc = count == NULL ? -1 : PyLong_AsLong(count);
    Py_XDECREF(count);
    return rc > 0 ? 1 : (int)rc;
}

/* Waits where a try would find nothing. -1: an exception. */
static int tls_read_begin_wait(tls_call *call)
{
    if (call->wait.timeout_ns == 0)
        return 0;
    int rc = tls_has_pending(call);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    fbl_fd *entry = call->wait.entry;
    if ((entry->ready & FBL_READ) && fd_is_ready(call->wait.fd, FBL_READ))
        return 0;
    entry->ready &= (uint8_t)~FBL_READ;
    return socket_wait(call->sock, &call->wait, FBL_READ);
}

/* Did the peer go without a farewell, where the user wants that to be an end like any other? Then
 * no exception is set any more. */
static bool tls_is_ragged_end(const tls_call *call)
{
    if (!PyErr_ExceptionMatches(fbl_tls.error))
        return false;
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *args = PyObject_GetAttrString(raised, "args");
    PyObject *number = args != NULL && PyTuple_Check(args) && PyTuple_GET_SIZE(args) > 0
                           ? PyTuple_GET_ITEM(args, 0)
                           : NULL;
    bool is_end = number != NULL && PyLong_Check(number) && PyLong_AsLong(number) == TLS_EOF;
    PyObject *suppressed = is_end ? PyObject_GetAttr(call->sock, fbl_tls.ragged) : NULL;
    is_end = suppressed != NULL && PyObject_IsTrue(suppressed) == 1;
    Py_XDECREF(suppressed);
    Py_XDECREF(args);
    PyErr_Clear();
    if (is_end)
        Py_DECREF(raised);
    else
        PyErr_SetRaisedException(raised);
    return is_end;
}

static PyObject *tls_read_loop_wait(tls_call *call, PyObject *length, PyObject *buffer)
{
    PyObject *got;
    do {
        got = tls_try(call, fbl_tls.read, length, buffer);
        if (fbl_likely(got != NULL))
            return got;
    } while (tls_retry_wait(call) == 0);
    if (tls_is_ragged_end(call))
        got = buffer == NULL ? PyBytes_FromStringAndSize("", 0) : PyLong_FromLong(0);
    return got;
}

/* Up to `length` bytes as an object; or into the buffer, if that is not NULL. What asks for none,
 * or wrongly, is answered by OpenSSL's object without waiting. The buffer is held meanwhile. */
static PyObject *tls_read_wait(PyObject *self, PyObject *length, PyObject *buffer)
{
    tls_call call;
    if (tls_begin(&call, self, "The read operation timed out",
                  "Read on closed or unwrapped SSL socket.") < 0)
        return NULL;
    Py_ssize_t wanted = PyLong_Check(length) ? PyLong_AsSsize_t(length) : 0;
    Py_buffer view = {.obj = NULL, .len = wanted};
    if (buffer != NULL && PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0)
        view.len = 0;
    PyErr_Clear();
    bool may_wait = view.len > 0 && (buffer != NULL || wanted > 0);
    PyObject *got = NULL;
    if (!may_wait || tls_read_begin_wait(&call) == 0)
        got = tls_read_loop_wait(&call, length, buffer);
    if (view.obj != NULL)
        PyBuffer_Release(&view);
    tls_end(&call);
    return got;
}

/* ---- writing ---- */

/* The record that OpenSSL keeps; borrowed; NULL: none. */
static PyObject *tls_record(const tls_call *call)
{
    return PyDict_GetItemWithError(call->attributes, fbl_tls.record);
}

static PyObject *tls_record_bytes(PyObject *record)
{
    return PyTuple_Check(record) ? PyTuple_GET_ITEM(record, 0) : record;
}

/* Until the record is out, whoever has sent it. -1: an exception. */
static int tls_push_wait(tls_call *call, PyObject *record)
{
    while (tls_record(call) == record) {
        PyObject *sent = tls_try(call, fbl_tls.write, tls_record_bytes(record), NULL);
        if (sent != NULL) {
            Py_DECREF(sent);
            return tls_record(call) == record ? PyDict_DelItem(call->attributes, fbl_tls.record)
                                              : 0;
        }
        if (tls_retry_wait(call) < 0)
            return -1;
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* The same for a record of ours, which OpenSSL has: others know that we wait; and if we do no
 * longer, with an exception set, that we have given up. */
static int tls_push_own_wait(tls_call *call, PyObject *bytes)
{
    PyObject *record = PyTuple_Pack(1, bytes);
    int rc = -1;
    if (record != NULL && PyDict_SetItem(call->attributes, fbl_tls.record, record) == 0)
        rc = tls_push_wait(call, record);
    if (rc < 0 && record != NULL && tls_record(call) == record) {
        PyObject *raised = PyErr_GetRaisedException();
        if (PyDict_SetItem(call->attributes, fbl_tls.record, bytes) < 0)
            PyErr_WriteUnraisable(call->sock);
        PyErr_SetRaisedException(raised);
    }
    Py_XDECREF(record);
    return rc;
}

/* What others have left must be out first. NULL, with *rc 0: it is; or -1: an exception. Else the
 * data repeat it: its bytes, a new reference. */
static PyObject *tls_settle_wait(tls_call *call, const char *data, size_t length, int *rc)
{
    PyObject *record;
    *rc = 0;
    while (*rc == 0 && (record = tls_record(call)) != NULL) {
        if (PyBytes_Check(record) && (size_t)PyBytes_GET_SIZE(record) <= length &&
            memcmp(data, PyBytes_AS_STRING(record), (size_t)PyBytes_GET_SIZE(record)) == 0)
            return Py_NewRef(record);
        Py_INCREF(record);
        *rc = tls_push_wait(call, record);
        Py_DECREF(record);
    }
    return NULL;
}

/* For who sends nothing of his own. 0; -1: an exception. */
static Py_ssize_t tls_settle_all_wait(tls_call *call)
{
    int rc;
    PyObject *repeated = tls_settle_wait(call, "", 0, &rc);
    assert(repeated == NULL);
    Py_XDECREF(repeated);
    return rc;
}

/* Sends one record: `part` is its first bytes at `data`, which go on for `length`. How many bytes
 * are out; -1: an exception. */
static Py_ssize_t tls_record_wait(tls_call *call, PyObject *part, const char *data, size_t length)
{
    int rc;
    PyObject *bytes = tls_settle_wait(call, data, length, &rc);
    if (rc < 0)
        return -1;
    if (bytes == NULL) {
        PyObject *sent = tls_try(call, fbl_tls.write, part, NULL);
        if (fbl_likely(sent != NULL)) {
            Py_ssize_t count = PyLong_AsSsize_t(sent);
            Py_DECREF(sent);
            return count;
        }
        if (tls_direction() == 0)
            return -1;
        PyObject *want = PyErr_GetRaisedException();
        size_t record_bytes = length < TLS_RECORD_BYTES ? length : TLS_RECORD_BYTES;
        bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)record_bytes);
        Py_DECREF(want);
        if (bytes == NULL)
            return -1;
    }
    rc = tls_push_own_wait(call, bytes);
    Py_ssize_t count = PyBytes_GET_SIZE(bytes);
    Py_DECREF(bytes);
    return rc < 0 ? -1 : count;
}

/* What OpenSSL is given at once: the caller's object where that is all of it. */
static PyObject *tls_part(PyObject *data, const Py_buffer *view, size_t done)
{
    if (view->len <= TLS_RECORD_BYTES)
        return Py_NewRef(data);
    Py_ssize_t rest = view->len - (Py_ssize_t)done;
    return PyMemoryView_FromMemory((char *)view->buf + done,
                                   rest < TLS_RECORD_BYTES ? rest : TLS_RECORD_BYTES, PyBUF_READ);
}

/* All of the data; how much is out when something came between, which is an exception. */
static Py_ssize_t tls_write_loop_wait(tls_call *call, PyObject *data, const Py_buffer *view)
{
    size_t done = 0, length = (size_t)view->len;
    do {
        PyObject *part = tls_part(data, view, done);
        Py_ssize_t count = -1;
        if (part != NULL)
            count = tls_record_wait(call, part, (char *)view->buf + done, length - done);
        Py_XDECREF(part);
        if (count < 0)
            return done > 0 ? (Py_ssize_t)done : -1;
        done += (size_t)count;
    } while (done < length);
    return (Py_ssize_t)done;
}

/* A part is out, and an exception set: the caller is told how much, as the kernel does. An error
 * of the system's is met again by the next call, and the time is up; what was thrown at the fiber,
 * or raised by a signal handler, is put off. */
static void tls_write_part(const tls_call *call)
{
    if (call->wait.is_thrown || !PyErr_ExceptionMatches(PyExc_OSError))
        fd_put_off(call->wait.thread, !call->wait.is_thrown);
    else
        PyErr_Clear();
}

/* How many bytes are out: all, or a part where `is_all` does not refuse that; -1: an exception. */
static Py_ssize_t tls_write_wait(PyObject *self, PyObject *data, bool is_all)
{
    tls_call call;
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return -1;
    Py_ssize_t done = -1;
    if (tls_begin(&call, self, "The write operation timed out",
                  "Write on closed or unwrapped SSL socket.") == 0) {
        done = view.len == 0 && is_all ? tls_settle_all_wait(&call)
                                       : tls_write_loop_wait(&call, data, &view);
        if (fbl_unlikely(done < view.len) && done > 0 && !is_all)
            tls_write_part(&call);
        else if (done < view.len)
            done = -1;
        tls_end(&call);
    }
    PyBuffer_Release(&view);
    return done;
}
