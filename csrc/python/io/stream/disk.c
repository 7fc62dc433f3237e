/*
 * disk.c: reading and writing files on disks without keeping the thread.
 *
 * The idea: what is in memory already is read, and what fits there is written, at once (RWF_NOWAIT,
 * io/file.c). What has to wait for the disk is handed to the kernel (core/poll/uring.c); where that
 * is forbidden, the original does it in a native thread of the pool, by a function in Python
 * (fibril._io.disk). Either is waited for to its end, whatever is thrown at the fiber meanwhile.
 * So the buffers are the caller's, nothing goes on behind his back, and the position of the file is
 * the kernel's. Each call is one turn of the file's, so the order of calls is kept.
 *
 * A read of fewer bytes than were asked for may be the end of the file, or of what is in memory: it
 * is asked once more, which says 0 at the end.
 * Threads: any. Do not add: pipes, which are raw.c's.
 */
#include "python/io/fd_wait.h"
#include "python/io/stream/stream.h"

#include <fcntl.h>

#define DISK_PART_MAX 0x40000000u /* bytes of one call; the kernel counts in 32 bits */

bool fbl_disk_is_served;
static PyObject *disk_in_pool;                     /* called with an original and its arguments */
static PyObject *disk_readinto, *disk_write;       /* the originals */

/* ---- by the kernel ---- */

/* Parks until the call is done. What is thrown at the fiber is put off: to its next wait. */
static void ring_call_wait(fbl_thread *thread, fbl_ring_call *call, PyObject *subject)
{
    PyObject *put_off = NULL;
    while (!call->is_done) {
        fbl_waiter waiter = {0};
        fbl_park park = {FBL_NEVER, "for the disk, with", subject, &waiter, &call->waiters};
        if (fiber_park_wait(thread, &park) == PARK_FIRED)
            continue;
        PyObject *exception = PyErr_GetRaisedException();
        if (put_off == NULL)
            put_off = PyList_New(0);
        if (put_off == NULL || PyList_Append(put_off, exception) < 0)
            PyErr_WriteUnraisable(subject);
        Py_DECREF(exception);
    }
    for (Py_ssize_t i = 0; put_off != NULL && i < PyList_GET_SIZE(put_off); i++)
        if (fiber_throw_later(thread_current(thread), PyList_GET_ITEM(put_off, i)) < 0)
            PyErr_WriteUnraisable(subject);
    Py_XDECREF(put_off);
}

/* Its result, or a negative errno. False: it is to be done otherwise. */
static bool ring_order_wait(const fbl_ring_order *order, PyObject *subject, int32_t *result)
{
    fbl_thread *thread = thread_get();
    fbl_ring_call call;
    if (thread == NULL || fiber_may_block(thread) < 0) {
        PyErr_Clear();
        return false;
    }
    if (fbl_ring_submit(&thread->hub, order, &call) < 0)
        return false;
    ring_call_wait(thread, &call, subject);
    *result = call.result;
    return *result != -EINTR && *result != -EAGAIN;
}

/* ---- by a native thread ---- */

/* The rest, in a native thread. How many bytes; -1: an exception. */
static Py_ssize_t disk_pool_wait(PyObject *original, PyObject *self, char *data, size_t bytes)
{
    int flags = original == disk_readinto ? PyBUF_WRITE : PyBUF_READ;
    PyObject *view = PyMemoryView_FromMemory(data, (Py_ssize_t)bytes, flags);
    if (view == NULL)
        return -1;
    PyObject *answer = PyObject_CallFunctionObjArgs(disk_in_pool, original, self, view, NULL);
    Py_DECREF(view);
    if (answer == NULL)
        return -1;
    Py_ssize_t count = answer == Py_None ? 0 : PyLong_AsSsize_t(answer);
    Py_DECREF(answer);
    return count;
}

/* What must wait for the disk, by either. How many bytes; -1: an exception. */
static Py_ssize_t disk_call_wait(PyObject *self, int fd, fbl_ring_kind kind, char *data,
                                 size_t bytes)
{
    int32_t result;
    uint32_t part = (uint32_t)(bytes < DISK_PART_MAX ? bytes : DISK_PART_MAX);
    fbl_ring_order order = {kind, fd, FBL_RING_POSITION, data, part, 0};
    if (!ring_order_wait(&order, self, &result))
        return disk_pool_wait(kind == FBL_RING_READ ? disk_readinto : disk_write, self, data,
                              bytes);
    if (result < 0)
        errors_os(result);
    return result < 0 ? -1 : result;
}

/* In turn. */
static Py_ssize_t disk_read_in_turn_wait(PyObject *self, int fd, char *data, size_t bytes)
{
    ssize_t got = file_now(fd, FBL_READ, data, bytes);
    if (got == 0 || got == (ssize_t)bytes)
        return got;
    size_t done = got > 0 ? (size_t)got : 0;
    ssize_t more = got > 0 ? file_now(fd, FBL_READ, data + done, bytes - done) : -EAGAIN;
    if (more >= 0)
        return (Py_ssize_t)done + more;
    Py_ssize_t rest = disk_call_wait(self, fd, FBL_RING_READ, data + done, bytes - done);
    if (rest < 0 && done > 0)
        PyErr_Clear(); /* the next call meets the error; what was read is told */
    return rest < 0 && done == 0 ? -1 : (Py_ssize_t)done + (rest > 0 ? rest : 0);
}

static Py_ssize_t disk_write_in_turn_wait(PyObject *self, int fd, char *data, size_t bytes)
{
    ssize_t sent = file_now(fd, FBL_WRITE, data, bytes);
    return sent >= 0 ? sent : disk_call_wait(self, fd, FBL_RING_WRITE, data, bytes);
}

/* How many bytes; -1: an exception. */
static Py_ssize_t disk_do_wait(PyObject *self, int fd, char *data, size_t bytes,
                               Py_ssize_t (*act_wait)(PyObject *, int, char *, size_t))
{
    fbl_thread *thread = thread_get();
    fbl_call call = {self, NULL, 0, NULL};
    stream_turn *turn = thread == NULL ? NULL : turn_enter_wait(thread, self, &call);
    if (turn == NULL)
        return -1;
    Py_ssize_t count = act_wait(self, fd, data, bytes);
    turn_leave(turn);
    return count;
}

static Py_ssize_t disk_read_wait(PyObject *self, int fd, char *data, size_t bytes)
{
    return disk_do_wait(self, fd, data, bytes, disk_read_in_turn_wait);
}

static Py_ssize_t disk_write_wait(PyObject *self, int fd, char *data, size_t bytes)
{
    return disk_do_wait(self, fd, data, bytes, disk_write_in_turn_wait);
}

/* What waits for the disk, and how. */
static void disk_learn(PyObject *in_pool, PyObject *readinto, PyObject *write)
{
    Py_XSETREF(disk_in_pool, Py_NewRef(in_pool));
    Py_XSETREF(disk_readinto, Py_NewRef(readinto));
    Py_XSETREF(disk_write, Py_NewRef(write));
}

static PyObject *module_serve_disks(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_disk_is_served = true;
    Py_RETURN_NONE;
}

/* ---- for fibril._io.disk ---- */

/* What the system call returns, or None: do it otherwise. `path`: for its error. */
static PyObject *ring_answer_wait(const fbl_ring_order *order, PyObject *subject, PyObject *path)
{
    int32_t result;
    if (!ring_order_wait(order, subject, &result))
        Py_RETURN_NONE;
    if (result >= 0)
        return PyLong_FromLong(result);
    errno = -result;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
}

static PyObject *module_ring_fsync(PyObject *module, PyObject *args)
{
    int fd, is_data;
    if (!PyArg_ParseTuple(args, "ip:ring_fsync", &fd, &is_data))
        return NULL;
    fbl_ring_order order = {FBL_RING_FSYNC, fd, 0, NULL, 0, (uint32_t)is_data};
    return ring_answer_wait(&order, module, NULL);
}

static PyObject *module_ring_open(PyObject *module, PyObject *args)
{
    (void)module;
    int flags, mode;
    PyObject *path, *bytes = NULL, *answer = NULL;
    fbl_thread *thread = thread_get();
    if (thread == NULL || !PyArg_ParseTuple(args, "Oii:ring_open", &path, &flags, &mode))
        return NULL;
    if (!fbl_ring_is_there(&thread->hub))
        Py_RETURN_NONE;
    if (PySys_Audit("open", "OOi", path, Py_None, flags) == 0 &&
        PyUnicode_FSConverter(path, &bytes)) {
        fbl_ring_order order = {
            FBL_RING_OPENAT,          AT_FDCWD,       0,
            PyBytes_AS_STRING(bytes), (uint32_t)mode, (uint32_t)(flags | O_CLOEXEC)};
        answer = ring_answer_wait(&order, path, path);
    }
    Py_XDECREF(bytes);
    return answer;
}
