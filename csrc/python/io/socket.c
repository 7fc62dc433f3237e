/*
 * socket.c: the hot methods of sockets: recv, recv_into, send, sendall; accept is in accept.c.
 *
 * The idea: they are method descriptors of `_socket.socket`, so they serve fibril.socket.socket,
 * and socket.socket itself once patched, with no object of our own beside the socket. The
 * descriptor and the timeout are read from CPython's own socket struct: its head (object, fd,
 * family, type, proto, error handler, timeout) has been the same since 3.5, and is checked at
 * import on a real socket.
 *
 * Each call tries first, with MSG_DONTWAIT, so that the descriptor may stay a blocking one for
 * whoever inherits it; on EAGAIN it parks. A stream read that got less than it asked for has
 * emptied the socket, so the next read parks without trying: one system call per message. That rule
 * holds for TCP only, and not after a hang-up or urgent data (see epoll.c), nor with flags.
 *
 * The GIL is kept: a call that cannot wait takes about a microsecond, and giving the GIL away costs
 * more, and up to 5 ms when another thread is busy. Only large transfers let go of it.
 */
#include "python/hub/spin.h"
#include "python/io/socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

PyTypeObject *fbl_socket_type;

/* With MSG_DONTWAIT a socket without timeout does not wait, as the kernel would not. */
static int socket_begin(PyObject *self, socket_call *call, int flags)
{
    socket_head *head = (socket_head *)self;
    call->thread = thread_get();
    if (fbl_unlikely(call->thread == NULL))
        return -1;
    call->fd = head->fd;
    bool is_told_not_to = head->timeout_ns < 0 && (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) != 0;
    call->timeout_ns = is_told_not_to ? 0 : head->timeout_ns;
    call->deadline_ns = 0;
    call->late_message = "timed out";
    call->is_thrown = false;
    call->is_tcp = (head->family == AF_INET || head->family == AF_INET6) &&
                   (head->type & 0xff) == SOCK_STREAM &&
                   (head->proto == 0 || head->proto == IPPROTO_TCP);
    int rc = fbl_fd_get(&call->thread->hub, call->fd, &call->entry);
    if (fbl_likely(rc == 0))
        return 0;
    errors_os(rc);
    return -1;
}

/* Waits until the socket may be tried again. -1: an exception (time is up, closed, killed). */
static int socket_wait(PyObject *self, socket_call *call, unsigned direction)
{
    if (call->timeout_ns == 0) {
        spin_poll_wait();
        errors_os(-EAGAIN);
        return -1;
    }
    fbl_hub *hub = &call->thread->hub;
    if (call->deadline_ns == 0)
        call->deadline_ns =
            call->timeout_ns < 0 ? FBL_NEVER : hub->now(hub) + (uint64_t)call->timeout_ns;
    int err;
    fd_wish wish = {call->thread, call->fd, direction, true};
    int rc = fd_try_wait(&wish, call->deadline_ns, &err);
    call->is_thrown = rc < 0;
    if (fbl_likely(rc == 0)) {
        if (fbl_likely(((socket_head *)self)->fd == call->fd))
            return 0;
        rc = 2; /* closed, and the number perhaps reused, while it waited */
        err = -EBADF;
    }
    if (rc == 2)
        errors_os(err);
    if (rc == 1)
        PyErr_SetString(PyExc_TimeoutError, call->late_message);
    return -1;
}

/* After a failed system call. 0: try again; -1: an exception. */
static int socket_retry_wait(PyObject *self, socket_call *call, unsigned direction, int err)
{
    if (fbl_likely(err == EAGAIN || err == EWOULDBLOCK)) {
        call->entry->ready &= (uint8_t)~direction;
        return socket_wait(self, call, direction);
    }
    if (err == EINTR)
        return PyErr_CheckSignals();
    errors_os(-err);
    return -1;
}

/* ---- reading ---- */

static ssize_t socket_try_recv(socket_call *call, char *buffer, size_t length, int flags)
{
    if (length <= FD_GIL_BYTES)
        return recv(call->fd, buffer, length, flags | MSG_DONTWAIT);
    ssize_t got;
    int err;
    Py_BEGIN_ALLOW_THREADS got = recv(call->fd, buffer, length, flags | MSG_DONTWAIT);
    err = errno;
    Py_END_ALLOW_THREADS errno = err;
    return got;
}

/* A reader that may wait, and knows the socket to be empty, does not try: the kernel will tell. One
 * that may not wait must ask the kernel now. -1: an exception. */
static int socket_recv_begin_wait(PyObject *self, socket_call *call, int flags)
{
    bool is_empty = !(call->entry->ready & FBL_READ) && call->entry->is_registered;
    bool may_wait = flags == 0 && call->timeout_ns != 0;
    return is_empty && may_wait ? socket_wait(self, call, FBL_READ) : 0;
}

/* After `got` of `length` bytes: is the socket empty now? */
static void socket_note_read(socket_call *call, size_t got, size_t length, int flags)
{
    if (call->is_tcp && got > 0 && got < length && flags == 0 && !call->entry->is_hungup)
        call->entry->ready &= (uint8_t)~FBL_READ;
}

/* How many bytes were read into the buffer; 0 at the end of the stream; -1: an exception. */
static Py_ssize_t socket_recv_wait(PyObject *self, socket_call *call, char *buffer, size_t length,
                                   int flags)
{
    if (socket_recv_begin_wait(self, call, flags) < 0)
        return -1;
    for (;;) {
        ssize_t got = socket_try_recv(call, buffer, length, flags);
        if (fbl_likely(got >= 0)) {
            socket_note_read(call, (size_t)got, length, flags);
            return got;
        }
        if (socket_retry_wait(self, call, FBL_READ, errno) < 0)
            return -1;
    }
}

/* Small reads go through one buffer of the process, so that a task that waits holds no memory for
 * what may come, and a short message gets an object of its own size. Copying costs less than the
 * allocation that it saves up to about this size.
 * SAFE: filled and copied out under the GIL: SOCKET_SCRATCH_BYTES is below FD_GIL_BYTES. */
#define SOCKET_SCRATCH_BYTES 16384
_Static_assert(SOCKET_SCRATCH_BYTES <= FD_GIL_BYTES, "the scratch buffer is under the GIL");
static char socket_scratch[SOCKET_SCRATCH_BYTES];

/* One try: the bytes; or NULL, with *err what recv said, or 0 and an exception. */
static PyObject *socket_recv_bytes(socket_call *call, size_t length, int flags, int *err)
{
    *err = 0;
    PyObject *bytes = NULL;
    char *buffer = socket_scratch;
    if (length > SOCKET_SCRATCH_BYTES) {
        bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
        if (bytes == NULL)
            return NULL;
        buffer = PyBytes_AS_STRING(bytes);
    }
    ssize_t got = socket_try_recv(call, buffer, length, flags);
    if (fbl_unlikely(got < 0)) {
        *err = errno;
        Py_XDECREF(bytes);
        return NULL;
    }
    socket_note_read(call, (size_t)got, length, flags);
    if ((size_t)got > length)
        got = (ssize_t)length; /* MSG_TRUNC tells of more than was copied */
    if (bytes == NULL)
        return PyBytes_FromStringAndSize(socket_scratch, got);
    if ((size_t)got != length)
        _PyBytes_Resize(&bytes, got);
    return bytes;
}

/* MSG_WAITALL on a socket without timeout: the kernel would wait for all of it, so we do, piece by
 * piece. With a timeout CPython's descriptor is non-blocking: the kernel takes what is there. */
static bool socket_wants_all(const socket_call *call, int flags)
{
    return (flags & MSG_WAITALL) != 0 && call->timeout_ns < 0;
}

static Py_ssize_t socket_recv_all_wait(PyObject *self, socket_call *call, char *buffer,
                                       size_t length, int flags)
{
    size_t done = 0;
    while (done < length) {
        Py_ssize_t got =
            socket_recv_wait(self, call, buffer + done, length - done, flags & ~MSG_WAITALL);
        if (got <= 0)
            return got < 0 ? -1 : (Py_ssize_t)done;
        done += (size_t)got;
    }
    return (Py_ssize_t)done;
}

static PyObject *socket_recv_bytes_wait(PyObject *self, socket_call *call, Py_ssize_t length,
                                        int flags)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, length);
    if (bytes == NULL)
        return NULL;
    Py_ssize_t got =
        socket_recv_all_wait(self, call, PyBytes_AS_STRING(bytes), (size_t)length, flags);
    if (got < 0)
        Py_CLEAR(bytes);
    else if (got != length)
        _PyBytes_Resize(&bytes, got);
    return bytes;
}

static PyObject *socket_recv_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2)
        return errors_refuse(PyExc_TypeError, "recv(bufsize, flags=0) takes 1 or 2 arguments");
    Py_ssize_t length = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    long flags = count == 2 ? PyLong_AsLong(args[1]) : 0;
    if ((length == -1 || flags == -1) && PyErr_Occurred())
        return NULL;
    if (length < 0)
        return errors_refuse(PyExc_ValueError, "negative buffersize in recv");
    socket_call call;
    if (socket_begin(self, &call, (int)flags) < 0)
        return NULL;
    if (fbl_unlikely(socket_wants_all(&call, (int)flags)))
        return socket_recv_bytes_wait(self, &call, length, (int)flags);
    if (socket_recv_begin_wait(self, &call, (int)flags) < 0)
        return NULL;
    for (;;) {
        int err;
        PyObject *bytes = socket_recv_bytes(&call, (size_t)length, (int)flags, &err);
        if (fbl_likely(bytes != NULL) || err == 0)
            return bytes;
        if (socket_retry_wait(self, &call, FBL_READ, err) < 0)
            return NULL;
    }
}

static PyObject *socket_recv_into_args_wait(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"buffer", "nbytes", "flags", NULL};
    Py_buffer view;
    Py_ssize_t length = 0;
    int flags = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "w*|ni:recv_into", names, &view, &length,
                                     &flags))
        return NULL;
    PyObject *result = NULL;
    socket_call call;
    if (length < 0)
        errors_refuse(PyExc_ValueError, "negative buffersize in recv_into");
    else if (length > view.len)
        errors_refuse(PyExc_ValueError, "buffer too small for requested bytes");
    else if (socket_begin(self, &call, flags) == 0) {
        size_t wanted = (size_t)(length != 0 ? length : view.len);
        Py_ssize_t got = socket_wants_all(&call, flags)
                             ? socket_recv_all_wait(self, &call, view.buf, wanted, flags)
                             : socket_recv_wait(self, &call, view.buf, wanted, flags);
        result = got < 0 ? NULL : PyLong_FromSsize_t(got);
    }
    PyBuffer_Release(&view);
    return result;
}

/* ---- writing ---- */

static ssize_t socket_try_send(socket_call *call, const char *data, size_t length, int flags)
{
    if (length <= FD_GIL_BYTES)
        return send(call->fd, data, length, flags | MSG_DONTWAIT);
    ssize_t sent;
    int err;
    Py_BEGIN_ALLOW_THREADS sent = send(call->fd, data, length, flags | MSG_DONTWAIT);
    err = errno;
    Py_END_ALLOW_THREADS errno = err;
    return sent;
}

static Py_ssize_t socket_send_wait(PyObject *self, socket_call *call, const char *data,
                                   size_t length, int flags)
{
    for (;;) {
        ssize_t sent = socket_try_send(call, data, length, flags);
        if (fbl_likely(sent >= 0))
            return sent;
        if (socket_retry_wait(self, call, FBL_WRITE, errno) < 0)
            return -1;
    }
}

static int socket_send_arguments(PyObject *const *args, Py_ssize_t count, Py_buffer *view,
                                 int *flags, const char *usage)
{
    if (count < 1 || count > 2) {
        PyErr_Format(PyExc_TypeError, "%s takes 1 or 2 arguments", usage);
        return -1;
    }
    *flags = count == 2 ? (int)PyLong_AsLong(args[1]) : 0;
    if (*flags == -1 && PyErr_Occurred())
        return -1;
    if (PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a bytes-like object is required, not 'str'");
        return -1;
    }
    return PyObject_GetBuffer(args[0], view, PyBUF_SIMPLE);
}

static PyObject *socket_send_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer view;
    int flags;
    if (socket_send_arguments(args, count, &view, &flags, "send(data, flags=0)") < 0)
        return NULL;
    socket_call call;
    Py_ssize_t sent = socket_begin(self, &call, flags);
    if (sent == 0)
        sent = socket_send_wait(self, &call, view.buf, (size_t)view.len, flags);
    PyBuffer_Release(&view);
    return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

static PyObject *socket_sendall_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer view;
    int flags;
    if (socket_send_arguments(args, count, &view, &flags, "sendall(data, flags=0)") < 0)
        return NULL;
    socket_call call;
    Py_ssize_t rc = socket_begin(self, &call, flags);
    const char *data = view.buf;
    size_t left = (size_t)view.len;
    while (rc >= 0 && (left > 0 || data == view.buf)) {
        rc = socket_send_wait(self, &call, data, left, flags);
        if (rc < 0 || left == 0)
            break;
        data += rc;
        left -= (size_t)rc;
    }
    PyBuffer_Release(&view);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- installation ---- */

PyDoc_STRVAR(
    socket_recv_doc,
    "recv($self, bufsize, flags=0, /)\n--\n\n"
    "Receive up to bufsize bytes; b'' at the end of the stream.\n\n"
    "Switches: if it must wait. Threads: any. Raises TimeoutError after the socket's timeout,\n"
    "BlockingIOError instead of waiting if that is 0, OSError(EBADF) if it is closed meanwhile.");
PyDoc_STRVAR(socket_recv_into_doc, "recv_into($self, buffer, nbytes=0, flags=0)\n--\n\n"
                                   "Receive into a buffer; return how many bytes.\n\n"
                                   "Switches: if it must wait. Threads: any. Raises as recv does.");
PyDoc_STRVAR(socket_send_doc, "send($self, data, flags=0, /)\n--\n\n"
                              "Send as much as fits now; return how many bytes.\n\n"
                              "Switches: if it must wait. Threads: any. Raises as recv does.");
PyDoc_STRVAR(socket_sendall_doc, "sendall($self, data, flags=0, /)\n--\n\n"
                                 "Send all of data; the socket's timeout is for the whole.\n\n"
                                 "Switches: if it must wait. Threads: any. Raises as recv does.");

PyDoc_STRVAR(
    socket_accept_doc,
    "accept_as($self, kind, /)\n--\n\n"
    "Accept a connection: (socket of that class, address), or (descriptor, address) if it is None "
    "or\ncannot be made here. The address is None for families that getpeername() must be asked "
    "for.\n\nSwitches: if it must wait. Threads: any. Raises as recv does.");

static PyMethodDef socket_method_defs[] = {
    {"recv", (PyCFunction)(void (*)(void))socket_recv_args_wait, METH_FASTCALL, socket_recv_doc},
    {"recv_into", (PyCFunction)(void (*)(void))socket_recv_into_args_wait,
     METH_VARARGS | METH_KEYWORDS, socket_recv_into_doc},
    {"send", (PyCFunction)(void (*)(void))socket_send_args_wait, METH_FASTCALL, socket_send_doc},
    {"sendall", (PyCFunction)(void (*)(void))socket_sendall_args_wait, METH_FASTCALL,
     socket_sendall_doc},
    {"accept_as", socket_accept_wait, METH_O, socket_accept_doc},
    {"recvfrom_usual", (PyCFunction)(void (*)(void))socket_recvfrom_wait, METH_FASTCALL,
     "recvfrom(bufsize, flags); NotImplemented where the standard library must be asked."},
    {"sendto_usual", (PyCFunction)(void (*)(void))socket_sendto_wait, METH_FASTCALL,
     "sendto(data, flags, address); NotImplemented where the standard library must be asked."},
    {0},
};

/* Is the head of this interpreter's sockets what we think it is? Asked of a real socket. */
static int socket_check_head(PyObject *type)
{
    PyObject *probe = PyObject_CallFunction(type, "ii", AF_INET, SOCK_STREAM);
    PyObject *done = probe == NULL ? NULL : PyObject_CallMethod(probe, "settimeout", "d", 1.5);
    PyObject *number = done == NULL ? NULL : PyObject_CallMethod(probe, "fileno", NULL);
    int rc = -1;
    if (number != NULL) {
        const socket_head *head = (const socket_head *)probe;
        bool is_same = head->fd == PyLong_AsLong(number) && head->family == AF_INET &&
                       (head->type & 0xff) == SOCK_STREAM && head->timeout_ns == 1500000000;
        rc = is_same ? 0 : -1;
        if (!is_same)
            PyErr_SetString(
                PyExc_ImportError,
                "fibril does not know the layout of this Python's sockets; please report "
                "this with the output of python3 -VV");
    }
    Py_XDECREF(number);
    Py_XDECREF(done);
    PyObject *closed = rc < 0 ? NULL : PyObject_CallMethod(probe, "close", NULL);
    Py_XDECREF(closed);
    Py_XDECREF(probe);
    return closed == NULL ? -1 : 0;
}

/* Methods of _socket.socket, as descriptors, by name; `type` is that type, or NULL and an exception
 * is set. */
static PyObject *socket_methods_of(PyTypeObject *type, PyMethodDef *defs)
{
    PyObject *dict = type == NULL ? NULL : PyDict_New();
    for (PyMethodDef *def = defs; dict != NULL && def->ml_name != NULL; def++) {
        PyObject *method = PyDescr_NewMethod(type, def);
        if (method == NULL || PyDict_SetItemString(dict, def->ml_name, method) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(method);
    }
    return dict;
}

/* The dict `socket_methods`. */
static PyObject *socket_methods_make(void)
{
    PyObject *module = PyImport_ImportModule("_socket");
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, "socket");
    Py_XDECREF(module);
    if (type == NULL || socket_check_head(type) < 0 || accept_import() < 0)
        return NULL;
    fbl_socket_type = (PyTypeObject *)type;
    return socket_methods_of(fbl_socket_type, socket_method_defs);
}
