/*
 * accept.c: a connection of a listening socket, as a socket, with the peer's address.
 *
 * The idea: one system call for each connection, accept4. CPython asks for the new descriptor's
 * name before it makes a socket of it, and somebody must see that the listener does not block; the
 * first is left out, the second asked once for all the connections of one turn of the hub.
 *
 * Invariant: a descriptor is in a socket, or closed, when an exception is raised.
 * Callers: fibril/socket.py, in any thread. Do not add: addresses of rarer families; the kernel is
 * asked for them by who has the socket.
 */
#include "python/io/socket.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    PyObject *io_refs, *closed, *zero; /* what socket.socket has beside the descriptor */
} accept_names;

/* ---- the socket ---- */

/* CPython's struct ends with the timeout, or from 3.12 on with its module's state. */
#define SOCKET_BYTES_MAX (sizeof(socket_head) + sizeof(void *))

/* What socket.socket(family, type, proto, fd) makes of a class that adds nothing to it. CPython
 * asks the kernel for the descriptor's name first, which nobody uses (0.5 us). The listener's
 * struct tells what is the same. The descriptor is the socket's, or closed: NULL, an exception.
 * SAFE: writes CPython's struct, whose head was checked; behind it there is no owned reference. */
static PyObject *accept_socket(PyTypeObject *kind, PyObject *listener, int fd)
{
    PyObject *peer = kind->tp_new(kind, fbl_empty_tuple, NULL);
    if (peer == NULL) {
        close(fd);
        return NULL;
    }
    socket_head *head = (socket_head *)peer;
    int64_t timeout_ns = head->timeout_ns; /* none */
    size_t begin = offsetof(socket_head, fd);
    memcpy((char *)peer + begin, (char *)listener + begin,
           (size_t)fbl_socket_type->tp_basicsize - begin);
    head->timeout_ns = timeout_ns;
    head->fd = fd;
    fd_forget(fd); /* who still waits for that number waits for one that is closed */
    if (PySys_Audit("socket.__new__", "Oiii", peer, head->family, head->type, head->proto) < 0 ||
        PyObject_SetAttr(peer, accept_names.io_refs, accept_names.zero) < 0 ||
        PyObject_SetAttr(peer, accept_names.closed, Py_False) < 0)
        Py_CLEAR(peer);
    return peer;
}

/* ---- accept ---- */

/* accept4 has no MSG_DONTWAIT, and between "ready" and the call another process may take the
 * connection. Asked once in each turn of the hub: a program may set it to blocking again, or
 * another process that has the same socket. -1: an exception. */
static int accept_unblock(socket_call *call)
{
    uint64_t turn = call->thread->hub.turn_count;
    if (call->timeout_ns >= 0 || call->entry->unblocking_turn == turn)
        return 0; /* with a timeout, CPython has made it so */
    int flags = fcntl(call->fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0)
        flags = fcntl(call->fd, F_SETFL, flags | O_NONBLOCK);
    if (flags < 0) {
        errors_os(-errno);
        return -1;
    }
    call->entry->unblocking_turn = turn;
    return 0;
}

/* (socket, address); the number of the descriptor where no class for the socket is given. */
static PyObject *accept_result(PyObject *self, PyObject *kind, int fd, PyObject *address)
{
    if (address == NULL) {
        close(fd);
        return NULL;
    }
    if (kind == Py_None)
        return Py_BuildValue("(iN)", fd, address);
    PyObject *peer = accept_socket((PyTypeObject *)kind, self, fd);
    if (peer != NULL)
        return Py_BuildValue("(NN)", peer, address);
    Py_DECREF(address);
    return NULL;
}

static bool accept_knows(PyObject *kind)
{
    return PyType_Check(kind) && PyType_IsSubtype((PyTypeObject *)kind, fbl_socket_type) &&
           (size_t)fbl_socket_type->tp_basicsize <= SOCKET_BYTES_MAX;
}

static PyObject *socket_accept_wait(PyObject *self, PyObject *kind)
{
    socket_call call;
    if (socket_begin(self, &call, 0) < 0)
        return NULL;
    if (kind != Py_None && !accept_knows(kind))
        kind = Py_None;
    struct sockaddr_storage address;
    for (;;) {
        if (accept_unblock(&call) < 0)
            return NULL;
        socklen_t length = sizeof address;
        memset(&address, 0, offsetof(struct sockaddr_un, sun_path) + 1);
        int fd = accept4(call.fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
        if (fbl_likely(fd >= 0))
            return accept_result(self, kind, fd, address_make(&address, length));
        if (socket_retry_wait(self, &call, FBL_READ, errno) < 0)
            return NULL;
    }
}

static int accept_import(void)
{
    accept_names.io_refs = PyUnicode_InternFromString("_io_refs");
    accept_names.closed = PyUnicode_InternFromString("_closed");
    accept_names.zero = PyLong_FromLong(0);
    return accept_names.io_refs == NULL || accept_names.closed == NULL ? -1 : 0;
}
