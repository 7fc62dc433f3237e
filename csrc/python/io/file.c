/*
 * file.c: os.read, os.write, os.readv and os.writev of what may keep a thread waiting: pipes,
 * terminals, sockets, eventfds.
 *
 * The idea: such a descriptor is shared with children and other processes, so it stays a blocking
 * one. Each call tries first, with RWF_NOWAIT, which is for this call what O_NONBLOCK is for the
 * descriptor, and parks on EAGAIN. What does not know the flag (terminals; pipes before Linux 6.4)
 * is polled, and then read, or written in pieces that poll says there is room for.
 *   - Files on a disk wait for nobody: they are read and written as ever.
 *   - A descriptor that the program made non-blocking answers BlockingIOError, as ever.
 *
 * write() goes on until all is written, as the kernel's does. What is thrown at a fiber in the
 * middle of it waits for the next wait: the caller is told how much was written. What a signal
 * handler raises comes right after that, as without us.
 * Threads: any. Do not add: closing; files with buffers, which are Python's.
 */
#include "python/hub/spin.h"
#include "python/io/fd_wait.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Pieces for which there is room where poll says that there is some: of a pipe by POSIX, of a
 * terminal nearly always. */
#define FILE_PIPE_PIECE PIPE_BUF
#define FILE_TERMINAL_PIECE 256

/* As the kernel knows it; C libraries have it only with a function that may be missing. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

/* One call of read or write: what of which descriptor. */
typedef struct {
    fbl_thread *thread;
    int fd;
    unsigned direction; /* FBL_READ or FBL_WRITE */
    struct iovec *parts; /* what is left of the caller's buffers */
    int part_count;
    size_t bytes; /* in them */
    bool is_polled; /* it does not know RWF_NOWAIT */
    bool is_signalled; /* a signal handler has raised in the middle of it */
} file_call;

/* ---- the system calls ---- */

/* errno of a failed one, as a negative number; else how many bytes. */
static ssize_t file_answer(ssize_t rc) { return rc < 0 ? -errno : rc; }

/* Without libc: its function is newer than the oldest system, and does more. */
static ssize_t file_nowait(const file_call *call)
{
    long number = call->direction == FBL_READ ? SYS_preadv2 : SYS_pwritev2;
    return file_answer(
        syscall(number, call->fd, call->parts, (long)call->part_count, -1L, -1L, RWF_NOWAIT));
}

static ssize_t file_plainly(const file_call *call)
{
    return file_answer(call->direction == FBL_READ
                           ? readv(call->fd, call->parts, call->part_count)
                           : writev(call->fd, call->parts, call->part_count));
}

/* Lets other native threads run meanwhile, where it pays. */
static ssize_t file_ask(const file_call *call, ssize_t (*ask)(const file_call *), bool may_wait)
{
    if (!may_wait && call->bytes <= FD_GIL_BYTES)
        return ask(call);
    ssize_t rc;
    Py_BEGIN_ALLOW_THREADS rc = ask(call);
    Py_END_ALLOW_THREADS return rc;
}

/* Without libc, whose function has got another name in glibc 2.33.
 * SAFE: on the machines that there are (64 bits), its struct is the kernel's. */
static bool file_is_on_disk(int fd, mode_t *mode)
{
    struct stat status;
    *mode = syscall(SYS_fstat, fd, &status) < 0 ? 0 : status.st_mode;
    return S_ISREG(*mode) || S_ISDIR(*mode) || S_ISBLK(*mode);
}

/* ---- one try ---- */

/* So many bytes are done. */
static void file_advance(file_call *call, size_t done)
{
    call->bytes -= done;
    while (call->part_count > 0 && done >= call->parts->iov_len) {
        done -= call->parts->iov_len;
        call->parts++;
        call->part_count--;
    }
    if (call->part_count > 0) {
        call->parts->iov_base = (char *)call->parts->iov_base + done;
        call->parts->iov_len -= done;
    }
}

/* SAFE: nobody of this thread comes between the poll and the call. Another native thread may, or
 * another process that shares a terminal: then this thread waits as it would without us. */
static ssize_t file_try_polled(const file_call *call, mode_t mode)
{
    if (!fd_is_ready(call->fd, call->direction))
        return -EAGAIN;
    size_t piece = S_ISCHR(mode) ? FILE_TERMINAL_PIECE : FILE_PIPE_PIECE;
    struct iovec part = call->parts[0];
    file_call first = *call;
    if (call->direction == FBL_WRITE) {
        part.iov_len = part.iov_len < piece ? part.iov_len : piece;
        first.parts = &part;
        first.part_count = 1;
    }
    return file_ask(&first, file_plainly, true);
}

/* Did the kernel, or a sandbox, refuse the flag and not the call? Asked again without it, the call
 * says the same if that was meant. */
static bool file_knows_no_flag(ssize_t rc)
{
    return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL || rc == -EPERM;
}

/* What was not in memory. `got`: how much was. */
static ssize_t file_read_rest(file_call *call, size_t got)
{
    file_advance(call, got);
    ssize_t rest = file_ask(call, file_plainly, true);
    return rest < 0 ? (ssize_t)got : (ssize_t)got + rest;
}

/* How many bytes, or a negative errno; -EAGAIN: it must be waited for. */
static ssize_t file_try(file_call *call)
{
    ssize_t rc = call->is_polled ? -EOPNOTSUPP : file_ask(call, file_nowait, false);
    bool is_refused = file_knows_no_flag(rc);
    if (rc == (ssize_t)call->bytes || rc == 0 || (rc < 0 && rc != -EAGAIN && !is_refused))
        return rc;
    mode_t mode;
    bool is_on_disk = file_is_on_disk(call->fd, &mode);
    if (is_on_disk && rc > 0 && call->direction == FBL_READ)
        return file_read_rest(call, (size_t)rc);
    if (is_on_disk && rc < 0)
        return file_ask(call, file_plainly, true);
    if (!is_refused)
        return rc;
    call->is_polled = true;
    return file_try_polled(call, mode);
}

/* ---- waiting ---- */

/* May -EAGAIN be waited for? Not where the program made the descriptor non-blocking. */
static bool file_is_blocking(const file_call *call)
{
    int flags = fcntl(call->fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

/* After a try that failed. 0: try again; -1: something was thrown at the fiber, or a signal handler
 * raised; above: it is over, and *error is to be told. */
static int file_wait(file_call *call, ssize_t rc, int *error)
{
    *error = (int)rc;
    if (rc == -EINTR) {
        call->is_signalled = PyErr_CheckSignals() < 0;
        return call->is_signalled ? -1 : 0;
    }
    if (rc != -EAGAIN)
        return 1;
    if (file_is_blocking(call)) {
        fd_wish wish = {call->thread, call->fd, call->direction, false};
        return fd_try_wait(&wish, FBL_NEVER, error);
    }
    spin_poll_wait();
    return 1;
}

/* Reads what there is. -1: an exception. */
static Py_ssize_t file_read_wait(file_call *call)
{
    for (;;) {
        int error;
        ssize_t got = file_try(call);
        int rc = got >= 0 ? 0 : file_wait(call, got, &error);
        if (fbl_likely(got >= 0))
            return got;
        if (rc > 0)
            errors_os(error);
        if (rc != 0)
            return -1;
    }
}

/* Writes all of it. How much was written, if something came between: who has written a part is told
 * so, and an error by the next call. -1: an exception. */
static Py_ssize_t file_write_wait(file_call *call)
{
    size_t done = 0;
    for (;;) {
        int error = 0;
        ssize_t sent = file_try(call);
        int rc = sent >= 0 ? 0 : file_wait(call, sent, &error);
        if (sent > 0) {
            done += (size_t)sent;
            file_advance(call, (size_t)sent);
        }
        if (call->bytes == 0 || sent == 0)
            return (Py_ssize_t)done;
        if (rc == 0)
            continue;
        if (rc < 0 && done > 0)
            fd_put_off(call->thread, call->is_signalled);
        if (rc > 0 && done == 0)
            errors_os(error);
        return done > 0 ? (Py_ssize_t)done : -1;
    }
}

/* `parts` is the caller's, and is used up. A call for no bytes at all only asks for errors. */
static Py_ssize_t file_transfer_wait(int fd, unsigned direction, struct iovec *parts, int count)
{
    file_call call = {thread_get(), fd, direction, parts, count, 0, false, false};
    if (call.thread == NULL)
        return -1;
    for (int i = 0; i < count; i++)
        call.bytes += parts[i].iov_len;
    if (call.bytes > 0) {
        file_advance(&call, 0);
        return direction == FBL_READ ? file_read_wait(&call) : file_write_wait(&call);
    }
    ssize_t rc = file_plainly(&call);
    if (rc < 0)
        errors_os((int)rc);
    return rc < 0 ? -1 : rc;
}

/* What of a file on a disk can be had, or taken, without waiting for the disk: how many bytes, or a
 * negative errno; it may be fewer than there are. */
static ssize_t file_now(int fd, unsigned direction, char *data, size_t bytes)
{
    struct iovec part = {data, bytes};
    file_call call = {NULL, fd, direction, &part, 1, bytes, false, false};
    return file_ask(&call, file_nowait, false);
}

/* ---- os.read, os.write ---- */

static PyObject *file_read_bytes_wait(int fd, size_t length)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    if (bytes == NULL)
        return NULL;
    struct iovec part = {PyBytes_AS_STRING(bytes), length};
    Py_ssize_t got = file_transfer_wait(fd, FBL_READ, &part, 1);
    if (got < 0)
        Py_CLEAR(bytes);
    else if ((size_t)got != length)
        _PyBytes_Resize(&bytes, got);
    return bytes;
}

static PyObject *module_read(PyObject *module, PyObject *args)
{
    (void)module;
    int fd;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "in:read", &fd, &length))
        return NULL;
    if (length < 0)
        return errors_os(-EINVAL);
    return file_read_bytes_wait(fd, (size_t)length);
}

static PyObject *module_write(PyObject *module, PyObject *args)
{
    (void)module;
    int fd;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "iy*:write", &fd, &data))
        return NULL;
    struct iovec part = {data.buf, (size_t)data.len};
    Py_ssize_t sent = file_transfer_wait(fd, FBL_WRITE, &part, 1);
    PyBuffer_Release(&data);
    return sent < 0 ? NULL : PyLong_FromSsize_t(sent);
}

/* ---- os.readv, os.writev ---- */

/* The caller's buffers, held until the call is over. */
typedef struct {
    Py_buffer *views;
    struct iovec *parts;
    int count; /* of those that are held */
} file_buffers;

static void file_buffers_release(file_buffers *buffers)
{
    for (int i = 0; i < buffers->count; i++)
        PyBuffer_Release(&buffers->views[i]);
    PyMem_Free(buffers->views);
    PyMem_Free(buffers->parts);
}

/* -1: an exception; what was taken is to be released all the same. */
static int file_buffers_take(file_buffers *buffers, PyObject *list, int flags)
{
    Py_ssize_t count = PyList_GET_SIZE(list);
    buffers->views = PyMem_Calloc((size_t)count + 1, sizeof *buffers->views);
    buffers->parts = PyMem_Calloc((size_t)count + 1, sizeof *buffers->parts);
    if (buffers->views == NULL || buffers->parts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_buffer *view = &buffers->views[i];
        if (PyObject_GetBuffer(PyList_GET_ITEM(list, i), view, flags) < 0)
            return -1;
        buffers->parts[i] = (struct iovec){view->buf, (size_t)view->len};
        buffers->count++;
    }
    return 0;
}

static PyObject *file_vector_wait(PyObject *args, const char *format, unsigned direction)
{
    int fd;
    PyObject *sequence;
    if (!PyArg_ParseTuple(args, format, &fd, &sequence))
        return NULL;
    if (!PySequence_Check(sequence))
        return errors_refuse(PyExc_TypeError, "%s must be a sequence",
                             direction == FBL_READ ? "readv() arg 2" : "writev() arg 2");
    PyObject *list = PySequence_List(sequence); /* ours: getting buffers may run any code */
    if (list == NULL)
        return NULL;
    file_buffers buffers = {NULL, NULL, 0};
    int flags = direction == FBL_READ ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    Py_ssize_t rc = -1;
    if (PyList_GET_SIZE(list) > IOV_MAX)
        errors_os(-EINVAL);
    else if (file_buffers_take(&buffers, list, flags) == 0)
        rc = file_transfer_wait(fd, direction, buffers.parts, buffers.count);
    file_buffers_release(&buffers);
    Py_DECREF(list);
    return rc < 0 ? NULL : PyLong_FromSsize_t(rc);
}

static PyObject *module_readv(PyObject *module, PyObject *args)
{
    (void)module;
    return file_vector_wait(args, "iO:readv", FBL_READ);
}

static PyObject *module_writev(PyObject *module, PyObject *args)
{
    (void)module;
    return file_vector_wait(args, "iO:writev", FBL_WRITE);
}
