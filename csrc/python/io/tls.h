/*
 * tls.h: what the methods of TLS sockets are made of.
 *
 * Callers: tls.c and tls_methods.c, with the GIL. Do not add: OpenSSL's; CPython's object has it.
 */
#ifndef FBL_TLS_H
#define FBL_TLS_H

#include "python/io/socket.h"

#define RECORD_NAME "_fibril_record"
#define TIMEOUT_NAME "_fibril_timeout" /* what the user has set, while the C level's is 0 */

/* Set once, by module_tls_methods. */
typedef struct {
    PyObject *want_read, *want_write, *error; /* classes of exceptions */
    PyObject *take_over;                      /* makes the C level's timeout 0, and keeps it */
    PyObject *read, *write, *pending;         /* names of the engine's methods */
    PyObject *engine, *record, *timeout, *ragged; /* and of what the socket has */
    PyObject *length, *zero;                  /* what read and recv are given if nothing */
} fbl_tls_names;

extern fbl_tls_names fbl_tls;

/* ---- tls.c ---- */
static PyObject *tls_read_wait(PyObject *self, PyObject *length, PyObject *buffer);
static Py_ssize_t tls_write_wait(PyObject *self, PyObject *data, bool is_all);

#endif
