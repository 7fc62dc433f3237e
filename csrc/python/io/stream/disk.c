/*
 * disk.c: reading and writing files on disks without keeping the thread.
 *
 * The idea: what is in memory already is read, and what fits there is written, at once (RWF_NOWAIT,
 * io/file.c). What has to wait for the disk is done by the original in a native thread of the pool:
 * a function in Python (fibril._io.disk), which waits for its end, whatever is thrown at the fiber.
 * So the buffers are the caller's, nothing goes on behind his back, and the position of the file is
 * the kernel's. Each call is one turn of the file's, so the order of calls is kept.
 *
 * A read of fewer bytes than were asked for may be the end of the file, or of what is in memory: it
 * is asked once more, which says 0 at the end.
 * Threads: any. Do not add: pipes, which are raw.c's.
 */
#include "python/io/fd_wait.h"
#include "python/io/stream/stream.h"

bool fbl_disk_is_served;
static PyObject *disk_in_pool;                     /* called with an original and its arguments */
static PyObject *disk_readinto, *disk_write;       /* the originals */

/* The rest, in a native thread. How many bytes; -1: an exception. */
static Py_ssize_t disk_call_wait(PyObject *original, PyObject *self, char *data, size_t bytes)
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
    Py_ssize_t rest = disk_call_wait(disk_readinto, self, data + done, bytes - done);
    if (rest < 0 && done > 0)
        PyErr_Clear(); /* the next call meets the error; what was read is told */
    return rest < 0 && done == 0 ? -1 : (Py_ssize_t)done + (rest > 0 ? rest : 0);
}

static Py_ssize_t disk_write_in_turn_wait(PyObject *self, int fd, char *data, size_t bytes)
{
    ssize_t sent = file_now(fd, FBL_WRITE, data, bytes);
    return sent >= 0 ? sent : disk_call_wait(disk_write, self, data, bytes);
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
