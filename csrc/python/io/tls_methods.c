/*
 * tls_methods.c: the methods of TLS sockets, as Python calls them.
 *
 * The idea: they are method descriptors of `_socket.socket`, as those of socket.c, so they serve
 * fibril.ssl.SSLSocket, and ssl.SSLSocket itself once patched. Their arguments, defaults and words
 * are the standard library's. A socket that is not TLS yet, or no longer, is a plain one: its
 * methods are.
 * Threads: any. Do not add: trying and waiting (tls.c).
 */
#include "python/io/tls.h"

/* ---- the methods ---- */

/* Is it a TLS socket? If not, its methods are a plain one's. -1: an exception. */
static int tls_is_on(PyObject *self)
{
    PyObject *attributes = PyObject_GenericGetDict(self, NULL);
    PyObject *engine =
        attributes == NULL ? NULL : PyDict_GetItemWithError(attributes, fbl_tls.engine);
    int rc = engine != NULL && engine != Py_None;
    Py_XDECREF(attributes);
    return engine == NULL && PyErr_Occurred() ? -1 : rc;
}

/* As arguments_read; the first has no default. */
static int tls_arguments(PyObject *const *args, Py_ssize_t count, PyObject *names,
                         const char *const *known, PyObject **values)
{
    const fbl_call call = {NULL, args, count, NULL};
    if (arguments_read(&call, names, known, values) < 0)
        return -1;
    if (values[0] == NULL)
        errors_refuse(PyExc_TypeError, "use %s", known[0]);
    return values[0] == NULL ? -1 : 0;
}

/* TLS knows no flags. -1: an exception says so. */
static int tls_check_flags(PyObject *self, PyObject *flags, const char *method)
{
    int rc = PyObject_IsTrue(flags);
    if (rc <= 0)
        return rc;
    PyErr_Format(PyExc_ValueError, "non-zero flags not allowed in calls to %s() on %R", method,
                 (PyObject *)Py_TYPE(self));
    return -1;
}

static PyObject *tls_read(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const known[] = {"read(len=1024, buffer=None)", "len", "buffer", NULL};
    PyObject *values[] = {fbl_tls.length, Py_None};
    if (tls_arguments(args, vector_length(count, names), names, known, values) < 0)
        return NULL;
    return tls_read_wait(self, values[0], values[1] == Py_None ? NULL : values[1]);
}

static PyObject *tls_recv(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const known[] = {"recv(buflen=1024, flags=0)", "buflen", "flags", NULL};
    PyObject *values[] = {fbl_tls.length, fbl_tls.zero};
    if (tls_arguments(args, vector_length(count, names), names, known, values) < 0)
        return NULL;
    int rc = tls_is_on(self);
    if (rc == 0)
        return socket_recv_args_wait(self, values, 2);
    if (rc < 0 || tls_check_flags(self, values[1], "recv") < 0)
        return NULL;
    return tls_read_wait(self, values[0], NULL);
}

/* As many as the buffer has bytes, if the caller does not say; 1024 for an empty one, or none. */
static PyObject *tls_length_of(PyObject *buffer)
{
    Py_buffer view;
    if (buffer == Py_None)
        return Py_NewRef(fbl_tls.length);
    if (PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t length = view.len;
    PyBuffer_Release(&view);
    return length == 0 ? Py_NewRef(fbl_tls.length) : PyLong_FromSsize_t(length);
}

static PyObject *tls_recv_into_plain_wait(PyObject *self, PyObject *buffer, PyObject *length,
                                          PyObject *flags)
{
    PyObject *args = PyTuple_Pack(3, buffer, length, flags);
    PyObject *got = args == NULL ? NULL : socket_recv_into_args_wait(self, args, NULL);
    Py_XDECREF(args);
    return got;
}

static PyObject *tls_recv_into(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    static const char *const known[] = {"recv_into(buffer, nbytes=None, flags=0)", "buffer",
                                        "nbytes", "flags", NULL};
    PyObject *values[] = {NULL, Py_None, fbl_tls.zero};
    if (tls_arguments(args, vector_length(count, names), names, known, values) < 0)
        return NULL;
    PyObject *length = values[1] == Py_None ? tls_length_of(values[0]) : Py_NewRef(values[1]);
    int rc = length == NULL ? -1 : tls_is_on(self);
    PyObject *got = NULL;
    if (rc == 0)
        got = tls_recv_into_plain_wait(self, values[0], length, values[2]);
    else if (rc > 0 && tls_check_flags(self, values[2], "recv_into") == 0)
        got = tls_read_wait(self, length, values[0] == Py_None ? NULL : values[0]);
    Py_XDECREF(length);
    return got;
}

static PyObject *tls_write_args_wait(PyObject *self, PyObject *data)
{
    Py_ssize_t sent = tls_write_wait(self, data, false);
    return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

static PyObject *tls_send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    static const char *const known[] = {"send(data, flags=0)", "data", "flags", NULL};
    PyObject *values[] = {NULL, fbl_tls.zero};
    if (tls_arguments(args, vector_length(count, names), names, known, values) < 0)
        return NULL;
    int rc = tls_is_on(self);
    if (rc == 0)
        return socket_send_args_wait(self, values, 2);
    if (rc < 0 || tls_check_flags(self, values[1], "send") < 0)
        return NULL;
    return tls_write_args_wait(self, values[0]);
}

static PyObject *tls_sendall(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *names)
{
    static const char *const known[] = {"sendall(data, flags=0)", "data", "flags", NULL};
    PyObject *values[] = {NULL, fbl_tls.zero};
    if (tls_arguments(args, vector_length(count, names), names, known, values) < 0)
        return NULL;
    int rc = tls_is_on(self);
    if (rc == 0)
        return socket_sendall_args_wait(self, values, 2);
    if (rc < 0 || tls_check_flags(self, values[1], "sendall") < 0)
        return NULL;
    return tls_write_wait(self, values[0], true) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- installation ---- */

#define TLS_SWITCHES                                                                               \
    "Switches: if it must wait. Threads: any. Raises TimeoutError after the socket's timeout,\n"   \
    "SSLWantReadError or SSLWantWriteError instead of waiting if that is 0."

PyDoc_STRVAR(tls_read_doc, "read($self, len=1024, buffer=None)\n--\n\n"
                           "Up to len bytes; or their number, when read into a buffer. Nothing at "
                           "the end.\n\n" TLS_SWITCHES);
PyDoc_STRVAR(tls_recv_doc, "recv($self, buflen=1024, flags=0)\n--\n\n"
                           "Up to buflen bytes; b'' at the end.\n\n" TLS_SWITCHES);
PyDoc_STRVAR(tls_recv_into_doc, "recv_into($self, buffer, nbytes=None, flags=0)\n--\n\n"
                                "Receive into a buffer; return how many bytes.\n\n" TLS_SWITCHES);
PyDoc_STRVAR(
    tls_write_doc,
    "write($self, data, /)\n--\n\n"
    "Send data; return how many bytes: all, or those until the time was up.\n\n" TLS_SWITCHES);
PyDoc_STRVAR(
    tls_send_doc,
    "send($self, data, flags=0)\n--\n\n"
    "Send data; return how many bytes: all, or those until the time was up.\n\n" TLS_SWITCHES);
PyDoc_STRVAR(tls_sendall_doc,
             "sendall($self, data, flags=0)\n--\n\n"
             "Send all of data; the socket's timeout is for the whole.\n\n" TLS_SWITCHES);

static PyMethodDef tls_method_defs[] = {
    {"read", (PyCFunction)(void (*)(void))tls_read, FAST_KEYWORDS, tls_read_doc},
    {"recv", (PyCFunction)(void (*)(void))tls_recv, FAST_KEYWORDS, tls_recv_doc},
    {"recv_into", (PyCFunction)(void (*)(void))tls_recv_into, FAST_KEYWORDS, tls_recv_into_doc},
    {"write", tls_write_args_wait, METH_O, tls_write_doc},
    {"send", (PyCFunction)(void (*)(void))tls_send, FAST_KEYWORDS, tls_send_doc},
    {"sendall", (PyCFunction)(void (*)(void))tls_sendall, FAST_KEYWORDS, tls_sendall_doc},
    {0},
};

static int tls_import(void)
{
    const struct {
        const char *name;
        PyObject **slot;
    } classes[] =
        {
            {"SSLWantReadError", &fbl_tls.want_read},
            {"SSLWantWriteError", &fbl_tls.want_write},
            {"SSLError", &fbl_tls.error},
        },
      names[] = {
          {"read", &fbl_tls.read},
          {"write", &fbl_tls.write},
          {"pending", &fbl_tls.pending},
          {"_sslobj", &fbl_tls.engine},
          {RECORD_NAME, &fbl_tls.record},
          {TIMEOUT_NAME, &fbl_tls.timeout},
          {"suppress_ragged_eofs", &fbl_tls.ragged},
      };
    PyObject *module = PyImport_ImportModule("_ssl");
    bool is_done = module != NULL;
    for (size_t i = 0; is_done && i < sizeof classes / sizeof *classes; i++)
        is_done = (*classes[i].slot = PyObject_GetAttrString(module, classes[i].name)) != NULL;
    for (size_t i = 0; is_done && i < sizeof names / sizeof *names; i++)
        is_done = (*names[i].slot = PyUnicode_InternFromString(names[i].name)) != NULL;
    Py_XDECREF(module);
    fbl_tls.length = PyLong_FromLong(1024);
    fbl_tls.zero = PyLong_FromLong(0);
    return is_done && fbl_tls.length != NULL && fbl_tls.zero != NULL ? 0 : -1;
}

/* The methods of ssl.SSLSocket, as descriptors, by name. Called once, by fibril/ssl.py: a Python
 * may be without OpenSSL, and who does not use it does not load it. */
static PyObject *module_tls_methods(PyObject *module, PyObject *take_over)
{
    (void)module;
    if (tls_import() < 0)
        return NULL;
    fbl_tls.take_over = Py_NewRef(take_over);
    return socket_methods_of(fbl_socket_type, tls_method_defs);
}
