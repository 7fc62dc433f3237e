/*
 * socket.h: one call of a socket's method, for the parts that make such calls.
 *
 * Callers: socket.c, tls.c, with the GIL. Do not add: a kind of call.
 */
#ifndef FBL_SOCKET_H
#define FBL_SOCKET_H

#include "python/io/fd_wait.h"

#include <sys/socket.h>

/* The head of CPython's PySocketSockObject (Modules/socketmodule.h, not installed). */
typedef struct {
    PyObject_HEAD int fd;
    int family;
    int type;
    int proto;
    void *error_handler;
    int64_t timeout_ns; /* -1: none; 0: non-blocking */
} socket_head;

typedef struct {
    fbl_thread *thread;
    fbl_fd *entry;
    int fd;
    bool is_tcp;          /* a short read means empty */
    bool is_thrown;       /* the last wait ended with what was thrown at the fiber */
    uint64_t deadline_ns; /* of the whole call; computed at the first wait */
    int64_t timeout_ns;   /* the socket's */
    const char *late_message; /* of the TimeoutError */
} socket_call;

/* ---- socket.c ---- */
static int socket_begin(PyObject *self, socket_call *call, int flags);
static int socket_wait(PyObject *self, socket_call *call, unsigned direction);
static int socket_retry_wait(PyObject *self, socket_call *call, unsigned direction, int err);
static PyObject *socket_recv_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count);
static PyObject *socket_recv_into_args_wait(PyObject *self, PyObject *args, PyObject *kwargs);
static PyObject *socket_send_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count);
static PyObject *socket_sendall_args_wait(PyObject *self, PyObject *const *args, Py_ssize_t count);
static int socket_send_arguments(PyObject *const *args, Py_ssize_t count, Py_buffer *view,
                                 int *flags, const char *usage);
static PyObject *socket_methods_of(PyTypeObject *type, PyMethodDef *defs);

/* ---- address.c ---- */
static PyObject *address_make(const struct sockaddr_storage *address, socklen_t length);
static bool address_is_known(int family);
static socklen_t address_read(PyObject *given, int family, struct sockaddr_storage *address);

/* ---- datagram.c ---- */
static PyObject *socket_recvfrom_wait(PyObject *self, PyObject *const *args, Py_ssize_t count);
static PyObject *socket_sendto_wait(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* ---- accept.c ---- */
static PyObject *socket_accept_wait(PyObject *self, PyObject *kind);
static int accept_import(void);

extern PyTypeObject *fbl_socket_type; /* _socket.socket */

#endif
