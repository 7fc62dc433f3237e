/*
 * raw.c: io.FileIO on what may keep a thread waiting: pipes, terminals, sockets.
 *
 * The idea: its methods are replaced in place (inplace.c) and do what os.read and os.write do
 * (io/file.c), so the descriptor stays a blocking one. A file that can be positioned is one on a
 * disk, which waits for nobody; the original serves it, and whatever is unusual: a closed file,
 * wrong arguments, another mode.
 *
 * The descriptor and the flags are read from CPython's struct: its head has been an object, a
 * descriptor, a byte of bits since 3.4. Which bit is which is learned from five files that are
 * opened for it, as 3.15 has one more; another order is found out before anything is replaced.
 * Threads: any, with the GIL. Do not add: buffers.
 */
#include "python/io/fd_wait.h"
#include "python/io/stream/stream.h"

#include <fcntl.h>
#include <unistd.h>

#define RAW_FIRST_BYTES 8192

/* The head of CPython's fileio (Modules/_io/fileio.c). */
typedef struct {
    PyObject_HEAD int fd;
    unsigned char flags;
} raw_head;

static unsigned char raw_readable, raw_writable, raw_closefd, raw_seekable; /* of the flags */
static PyTypeObject *raw_type;     /* io.FileIO, once its methods are replaced */
static PyTypeObject *raw_own_type; /* fibril's subclass of it, or NULL */
static PyObject *raw_of_sockets; /* owned: socket.SocketIO; only compared */
static PyObject *raw_originals[5];
enum { RAW_READ, RAW_READALL, RAW_READINTO, RAW_WRITE, RAW_CLOSE };

static raw_head *raw_of(PyObject *self) { return (raw_head *)self; }

/* Known to be: a field of two bits, of which the upper one says that nobody has asked. */
static bool raw_is_seekable(const raw_head *head)
{
    unsigned char field = (unsigned char)(raw_seekable | (raw_seekable << 1));
    return (head->flags & field) == raw_seekable;
}

/* A file on a disk that is to keep nobody from running. */
static bool raw_is_disk(PyObject *self)
{
    return raw_is_seekable(raw_of(self)) &&
           (fbl_disk_is_served || (raw_own_type != NULL && PyObject_TypeCheck(self, raw_own_type)));
}

/* Is the call ours? Else it is the original's. */
static bool raw_may_wait(PyObject *self, unsigned char mode)
{
    const raw_head *head = raw_of(self);
    return head->fd >= 0 && (head->flags & mode) != 0 &&
           (!raw_is_seekable(head) || raw_is_disk(self));
}

static PyObject *raw_original(int method, const fbl_call *call, PyObject *names)
{
    return inplace_call(raw_originals[method], call, names);
}

/* Of a try that failed: None where the descriptor is a non-blocking one, or the exception was put
 * aside; NULL: it stands. */
static PyObject *raw_failed_read(PyObject *self)
{
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError))
        PyErr_Clear();
    else if (!stream_strike(thread_get(), self))
        return NULL;
    Py_RETURN_NONE;
}

/* ---- reading ---- */

/* How many bytes; -1: an exception. What was kept comes first. */
static Py_ssize_t raw_fill_wait(PyObject *self, char *buffer, size_t bytes)
{
    PyObject *kept = kept_take(self, KEPT_UNREAD);
    if (fbl_likely(kept == NULL)) {
        if (raw_is_disk(self))
            return disk_read_wait(self, raw_of(self)->fd, buffer, bytes);
        struct iovec part = {buffer, bytes};
        return file_transfer_wait(raw_of(self)->fd, FBL_READ, &part, 1);
    }
    size_t there = (size_t)PyBytes_GET_SIZE(kept);
    size_t used = there < bytes ? there : bytes;
    memcpy(buffer, PyBytes_AS_STRING(kept), used);
    PyObject *rest =
        PyBytes_FromStringAndSize(PyBytes_AS_STRING(kept) + used, (Py_ssize_t)(there - used));
    if (rest != NULL)
        kept_put_first(self, KEPT_UNREAD, rest);
    Py_XDECREF(rest);
    Py_DECREF(kept);
    return rest == NULL ? -1 : (Py_ssize_t)used;
}

static PyObject *raw_read_bytes_wait(PyObject *self, Py_ssize_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes == NULL)
        return NULL;
    Py_ssize_t got = raw_fill_wait(self, PyBytes_AS_STRING(bytes), (size_t)size);
    if (got < 0) {
        Py_DECREF(bytes);
        return raw_failed_read(self);
    }
    if (got != size)
        _PyBytes_Resize(&bytes, got);
    return bytes;
}

/* The end of readall(): what was read before an error is kept, or is the answer where there is
 * nothing more yet. `bytes` is stolen. */
static PyObject *raw_failed_readall(PyObject *self, PyObject *bytes)
{
    if (PyBytes_GET_SIZE(bytes) > 0 && PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
        PyErr_Clear();
        return bytes;
    }
    kept_put_first(self, KEPT_UNREAD, bytes);
    Py_DECREF(bytes);
    return raw_failed_read(self);
}

static PyObject *raw_readall_wait(PyObject *self)
{
    Py_ssize_t size = 0, got;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, RAW_FIRST_BYTES);
    while (bytes != NULL) {
        Py_ssize_t room = PyBytes_GET_SIZE(bytes) - size;
        got = raw_fill_wait(self, PyBytes_AS_STRING(bytes) + size, (size_t)room);
        size += got > 0 ? got : 0;
        if (got <= 0)
            break;
        if (size == PyBytes_GET_SIZE(bytes))
            _PyBytes_Resize(&bytes, 2 * size);
    }
    if (bytes == NULL)
        return NULL;
    PyObject *exception = got < 0 ? PyErr_GetRaisedException() : NULL;
    _PyBytes_Resize(&bytes, size);
    if (exception == NULL || bytes == NULL) {
        Py_XDECREF(exception);
        return bytes;
    }
    PyErr_SetRaisedException(exception);
    return raw_failed_readall(self, bytes);
}

static PyObject *raw_read(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (!raw_may_wait(self, raw_readable) || names != NULL || count > 1)
        return raw_original(RAW_READ, &call, names);
    Py_ssize_t size = -1;
    if (count == 1 && args[0] != Py_None)
        size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
    if (PyErr_Occurred())
        return NULL;
    return size < 0 ? raw_readall_wait(self) : raw_read_bytes_wait(self, size);
}

static PyObject *raw_readall(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    if (!raw_may_wait(self, raw_readable) || call.count > 0)
        return raw_original(RAW_READALL, &call, names);
    return raw_readall_wait(self);
}

static PyObject *raw_readinto(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    Py_buffer view;
    if (!raw_may_wait(self, raw_readable) || names != NULL || count != 1)
        return raw_original(RAW_READINTO, &call, names);
    if (PyObject_GetBuffer(args[0], &view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        return raw_original(RAW_READINTO, &call, names);
    }
    Py_ssize_t got = raw_fill_wait(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return got < 0 ? raw_failed_read(self) : PyLong_FromSsize_t(got);
}

/* ---- writing ---- */

static PyObject *raw_write_view_wait(PyObject *self, const Py_buffer *view)
{
    struct iovec part = {view->buf, (size_t)view->len};
    int fd = raw_of(self)->fd;
    Py_ssize_t sent = raw_is_disk(self) ? disk_write_wait(self, fd, view->buf, (size_t)view->len)
                                        : file_transfer_wait(fd, FBL_WRITE, &part, 1);
    if (sent >= 0) {
        stream_note_written(thread_get(), view->buf, (size_t)sent);
        return PyLong_FromSsize_t(sent);
    }
    if (!PyErr_ExceptionMatches(PyExc_BlockingIOError))
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *raw_write(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    Py_buffer view;
    if (!raw_may_wait(self, raw_writable) || names != NULL || count != 1)
        return raw_original(RAW_WRITE, &call, names);
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return raw_original(RAW_WRITE, &call, names);
    }
    PyObject *sent = raw_write_view_wait(self, &view);
    PyBuffer_Release(&view);
    return sent;
}

/* ---- the end ---- */

static PyObject *raw_close(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    fbl_call call = {self, args, vector_length(count, names), NULL};
    const raw_head *head = raw_of(self);
    if (head->fd >= 0 && (head->flags & raw_closefd) != 0 && !raw_is_seekable(head))
        fd_forget(head->fd);
    return raw_original(RAW_CLOSE, &call, names);
}

/* The descriptor of a raw file that is ours and is going to be closed; -1: it is not. */
static int raw_closing_fd(PyObject *raw)
{
    bool is_ours = Py_IS_TYPE(raw, raw_type) || Py_IS_TYPE(raw, raw_own_type);
    return is_ours && (raw_of(raw)->flags & raw_closefd) != 0 ? raw_of(raw)->fd : -1;
}

/* Does stream_note_written() hear of each byte that it takes? socket.SocketIO does, since the
 * streams take turns: fibril._io.streams. */
static bool raw_tells_what_it_took(PyObject *raw)
{
    const PyTypeObject *type = Py_TYPE(raw);
    return type == raw_type || type == raw_own_type || (PyObject *)type == raw_of_sockets;
}

static void raw_know_sockets(PyObject *type) { Py_XSETREF(raw_of_sockets, Py_NewRef(type)); }

#define RAW_METHOD(name, function)                                                                 \
    {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, NULL}

static PyMethodDef raw_methods[] = {
    [RAW_READ] = RAW_METHOD("read", raw_read),
    [RAW_READALL] = RAW_METHOD("readall", raw_readall),
    [RAW_READINTO] = RAW_METHOD("readinto", raw_readinto),
    [RAW_WRITE] = RAW_METHOD("write", raw_write),
    [RAW_CLOSE] = RAW_METHOD("close", raw_close),
};

/* ---- which bit is which ---- */

/* The flags of FileIO(file, mode, closefd), after it was asked whether it can be positioned; -1: an
 * exception. `file` is stolen. */
static int raw_learn_flags(PyTypeObject *type, PyObject *file, const char *mode, int is_closing)
{
    PyObject *made = NULL, *answer = NULL;
    int flags = -1;
    if (file != NULL)
        made = PyObject_CallFunction((PyObject *)type, "Nsi", file, mode, is_closing);
    if (made != NULL)
        answer = PyObject_CallMethod(made, "seekable", NULL);
    if (answer != NULL)
        flags = raw_of(made)->fd >= 0 ? raw_of(made)->flags : 0;
    Py_XDECREF(answer);
    answer = flags < 0 ? NULL : PyObject_CallMethod(made, "close", NULL);
    Py_XDECREF(answer);
    Py_XDECREF(made);
    return flags;
}

static bool raw_is_one_bit(int bits) { return bits > 0 && (bits & (bits - 1)) == 0; }

/* A pipe cannot be positioned, /dev/null can. -1: an exception. */
static int raw_learn(PyTypeObject *type)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        errors_os(-errno);
        return -1;
    }
    int lent = raw_learn_flags(type, PyLong_FromLong(ends[0]), "rb", 0);
    int owned = raw_learn_flags(type, PyLong_FromLong(ends[0]), "rb", 1);
    int read = raw_learn_flags(type, PyUnicode_FromString("/dev/null"), "rb", 1);
    int written = raw_learn_flags(type, PyUnicode_FromString("/dev/null"), "wb", 1);
    int both = raw_learn_flags(type, PyUnicode_FromString("/dev/null"), "r+b", 1);
    (void)close(ends[1]);
    if (lent < 0 || owned < 0 || read < 0 || written < 0 || both < 0)
        return -1;
    int closefd = owned & ~lent, seekable = read & ~owned;
    int readable = read & ~written, writable = both & ~read;
    if (!raw_is_one_bit(closefd) || !raw_is_one_bit(seekable) || !raw_is_one_bit(readable) ||
        !raw_is_one_bit(writable)) {
        errors_refuse(fbl_error_internal,
                      "io.FileIO has another layout than fibril knows: flags "
                      "%d %d %d %d %d. This is a bug in fibril.",
                      lent, owned, read, written, both);
        return -1;
    }
    raw_closefd = (unsigned char)closefd;
    raw_seekable = (unsigned char)seekable;
    raw_readable = (unsigned char)readable;
    raw_writable = (unsigned char)writable;
    return 0;
}

/* Learns what the original is. -1: an exception. */
static int raw_prepare(PyTypeObject *type)
{
    if (raw_originals[RAW_CLOSE] != NULL)
        return 0;
    if (raw_learn(type) < 0)
        return -1;
    for (int i = 0; i <= RAW_CLOSE; i++)
        if ((raw_originals[i] = inplace_original(type, &raw_methods[i])) == NULL)
            return inplace_failed(type, raw_methods[i].ml_name);
    return 0;
}

/* -1: an exception. */
static int raw_adopt(PyTypeObject *type)
{
    if (raw_type != NULL)
        return 0;
    if (raw_prepare(type) < 0)
        return -1;
    raw_type = type;
    for (int i = 0; i <= RAW_CLOSE; i++) {
        PyObject *original = inplace_method(type, &raw_methods[i]);
        if (original == NULL)
            return inplace_failed(type, raw_methods[i].ml_name);
        Py_DECREF(original);
    }
    return 0;
}

/* ---- a class of fibril's own, for files without a patch ---- */

/* For fibril._io.disk: what its subclass of io.FileIO overrides, by name. */
static PyObject *module_raw_file_methods(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *type;
    PyObject *in_pool;
    if (!PyArg_ParseTuple(args, "O!O:raw_file_methods", &PyType_Type, &type, &in_pool) ||
        raw_prepare(type) < 0)
        return NULL;
    disk_learn(in_pool, raw_originals[RAW_READINTO], raw_originals[RAW_WRITE]);
    PyObject *methods = PyDict_New();
    for (int i = 0; methods != NULL && i <= RAW_CLOSE; i++) {
        PyObject *method = PyDescr_NewMethod(type, &raw_methods[i]);
        if (method == NULL || PyDict_SetItemString(methods, raw_methods[i].ml_name, method) < 0)
            Py_CLEAR(methods);
        Py_XDECREF(method);
    }
    return methods;
}

static PyObject *module_raw_file_type(PyObject *module, PyObject *type)
{
    (void)module;
    if (!PyType_Check(type))
        return errors_refuse(PyExc_TypeError, "not a type: %R", type);
    Py_XSETREF(raw_own_type, (PyTypeObject *)Py_NewRef(type));
    Py_RETURN_NONE;
}
