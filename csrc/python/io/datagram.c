/*
 * datagram.c: recvfrom and sendto, for the usual addresses.
 *
 * The idea: a server of datagrams has one socket for everybody, so each message passes here. They
 * are tried and waited for as in socket.c. For other families, and names of hosts, the answer is
 * NotImplemented, and the standard library is asked (fibril/socket.py).
 * Threads: any. Do not add: ancillary data; a Unix datagram's full receiver, of which nobody tells.
 */
#include "python/io/socket.h"

#include <errno.h>

#define DATAGRAM_BYTES 65536 /* more than one of IP carries */
_Static_assert(DATAGRAM_BYTES <= FD_GIL_BYTES, "the scratch buffer is under the GIL");

/* So a task that waits holds no memory for what may come.
 * SAFE: filled and copied out under the GIL. */
static char datagram_scratch[DATAGRAM_BYTES];

/* ---- recvfrom ---- */

static PyObject *datagram_result(ssize_t got, size_t length, const struct sockaddr_storage *address,
                                 socklen_t address_bytes)
{
    if ((size_t)got > length)
        got = (ssize_t)length; /* MSG_TRUNC tells of more than was copied */
    PyObject *peer = address_make(address, address_bytes);
    PyObject *bytes = peer == NULL ? NULL : PyBytes_FromStringAndSize(datagram_scratch, got);
    PyObject *result = bytes == NULL ? NULL : PyTuple_Pack(2, bytes, peer);
    Py_XDECREF(bytes);
    Py_XDECREF(peer);
    return result;
}

/* (bytes, address). NotImplemented: of that family, or of so many bytes, others must ask. */
static PyObject *socket_recvfrom_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2)
        return errors_refuse(PyExc_TypeError, "recvfrom_usual(bufsize, flags) takes 2 arguments");
    Py_ssize_t length = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    long flags = PyLong_AsLong(args[1]);
    if ((length == -1 || flags == -1) && PyErr_Occurred())
        return NULL;
    if (length < 0 || length > DATAGRAM_BYTES || !address_is_known(((socket_head *)self)->family) ||
        (flags & MSG_WAITALL) != 0)
        Py_RETURN_NOTIMPLEMENTED;
    socket_call call;
    if (socket_begin(self, &call, (int)flags) < 0)
        return NULL;
    struct sockaddr_storage address;
    for (;;) {
        socklen_t address_bytes = sizeof address;
        ssize_t got = recvfrom(call.fd, datagram_scratch, (size_t)length, (int)flags | MSG_DONTWAIT,
                               (struct sockaddr *)&address, &address_bytes);
        if (fbl_likely(got >= 0))
            return datagram_result(got, (size_t)length, &address, address_bytes);
        if (socket_retry_wait(self, &call, FBL_READ, errno) < 0)
            return NULL;
    }
}

/* ---- sendto ---- */

/* How many bytes. NotImplemented: that is an address for others to read. */
static PyObject *socket_sendto_wait(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3)
        return errors_refuse(PyExc_TypeError,
                             "sendto_usual(data, flags, address) takes 3 arguments");
    struct sockaddr_storage address;
    socklen_t address_bytes = address_read(args[2], ((socket_head *)self)->family, &address);
    if (address_bytes == 0)
        Py_RETURN_NOTIMPLEMENTED;
    Py_buffer view;
    int flags;
    if (socket_send_arguments(args, 2, &view, &flags, "sendto(data, flags, address)") < 0)
        return NULL;
    socket_call call;
    ssize_t sent = -1;
    if (PySys_Audit("socket.sendto", "OO", self, args[2]) == 0 &&
        socket_begin(self, &call, flags) == 0) {
        do
            sent = sendto(call.fd, view.buf, (size_t)view.len, flags | MSG_DONTWAIT,
                          (struct sockaddr *)&address, address_bytes);
        while (sent < 0 && socket_retry_wait(self, &call, FBL_WRITE, errno) == 0);
    }
    PyBuffer_Release(&view);
    return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}
