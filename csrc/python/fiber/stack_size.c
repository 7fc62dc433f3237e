/*
 * stack_size.c: how large the stacks of fibers are: the usual size, and what one fiber asks for.
 *
 * The idea: code in C is written for a thread's stack, so that is what a fiber gets: the soft
 * RLIMIT_STACK, by which pthread sizes the stacks of this process. A size is virtual, so there is
 * no reason to be precise. It is rounded up to one of a few sizes, and must not be below what the
 * CPython at hand needs to raise RecursionError in time, which its state file says. A size that is
 * too small is refused here and nowhere else.
 * The usual size belongs to the process; each thread's hub has a copy, so that who starts a fiber
 * need not look further. The GIL is the lock.
 */
#include "python/fiber/record.h"

#include <sys/resource.h>

#define THREAD_STACK_BYTES ((size_t)8 << 20) /* where there is no limit: Linux's own default */
#define THREAD_STACK_BYTES_MAX ((size_t)64 << 20) /* a limit far beyond is none */

size_t fbl_thread_stack_bytes;
size_t fbl_stack_bytes;

/* At import: later changes of the limit concern neither pthread nor us. */
static void stack_size_learn(void)
{
    struct rlimit limit;
    size_t bytes = THREAD_STACK_BYTES;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = limit.rlim_cur;
    if (bytes > THREAD_STACK_BYTES_MAX)
        bytes = THREAD_STACK_BYTES_MAX;
    if (bytes < FBL_PYTHON_STACK_BYTES_MIN)
        bytes = FBL_PYTHON_STACK_BYTES_MIN;
    fbl_thread_stack_bytes = fbl_stack_bytes = fbl_stack_round(bytes);
}

/* ---- where the address space is short ---- */

static bool is_short_told; /* once for the process */
static fbl_thread *short_thread; /* who is to tell; NULL: nobody */

/* A stack that is smaller than usual was made, where no Python code may run: the thread tells of it
 * when it next makes a fiber or asks for the current one. */
static void stack_size_note_short(fbl_thread *thread)
{
    if (is_short_told)
        return;
    is_short_told = true;
    short_thread = thread;
    thread->dropped_count++; /* makes it look */
}

static void stack_size_tell_short(fbl_thread *thread)
{
    if (short_thread != thread)
        return;
    short_thread = NULL;
    int rc = PyErr_WarnFormat(
        PyExc_RuntimeWarning, 1,
        "the address space of this process is limited (RLIMIT_AS, or vm.overcommit_memory=2), so "
        "from here on fibers get stacks of %zu bytes or less instead of %zu. C code that recurses "
        "deeply or has large arrays may overflow them. Raise the limit, or choose a size: "
        "fibril.stack_size(), or FIBRIL_STACK_SIZE.",
        fbl_stack_bytes / 8 > FBL_PYTHON_STACK_BYTES_MIN ? fbl_stack_bytes / 8
                                                         : (size_t)FBL_PYTHON_STACK_BYTES_MIN,
        fbl_stack_bytes);
    if (rc < 0)
        PyErr_WriteUnraisable(thread->main->self);
}

/* ---- sizes that are asked for ---- */

/* The rounded size in bytes; 0 with an exception. */
static size_t stack_size_from_argument(PyObject *size)
{
    if (!PyLong_Check(size)) {
        errors_refuse(PyExc_TypeError, "a stack's size must be an int, in bytes, not %.200s",
                      Py_TYPE(size)->tp_name);
        return 0;
    }
    Py_ssize_t bytes = PyLong_AsSsize_t(size);
    if (bytes == -1 && PyErr_Occurred())
        PyErr_Clear(); /* beyond any limit; below, all the same */
    if (bytes >= (Py_ssize_t)FBL_PYTHON_STACK_BYTES_MIN && bytes <= (Py_ssize_t)FBL_STACK_BYTES_MAX)
        return fbl_stack_round((size_t)bytes);
    errors_refuse(PyExc_ValueError,
                  "cannot give a fiber a stack of %S bytes: on CPython " FBL_PYTHON_VERSION
                  " it takes from %zu, or deep recursion could not be stopped in time, to %zu. Ask "
                  "for a size between the two.",
                  size, (size_t)FBL_PYTHON_STACK_BYTES_MIN, FBL_STACK_BYTES_MAX);
    return 0;
}

static PyObject *fiber_get_stack_size(PyObject *self, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (record->is_main)
        Py_RETURN_NONE; /* the native thread's own stack, which is not ours to measure */
    return PyLong_FromSize_t(fbl_fiber_stack_bytes(&record->core));
}

static int fiber_set_stack_size(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (value == NULL || record_is_started(record)) {
        errors_refuse(PyExc_AttributeError,
                      value == NULL ? "cannot delete stack_size: set it to None for the usual size"
                                    : "cannot set stack_size: the fiber has started. Set it "
                                      "before, or give it to Fiber().");
        return -1;
    }
    size_t bytes = value == Py_None ? 0 : stack_size_from_argument(value);
    if (value != Py_None && bytes == 0)
        return -1;
    fbl_fiber_want_stack(&record->core, bytes);
    return 0;
}

static PyObject *module_stack_size(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *size = Py_None;
    if (!PyArg_ParseTuple(args, "|O:stack_size", &size))
        return NULL;
    size_t former = fbl_stack_bytes, bytes = former;
    if (PyLong_Check(size) && PyObject_Not(size) == 1)
        bytes = fbl_thread_stack_bytes;
    else if (size != Py_None)
        bytes = stack_size_from_argument(size);
    if (bytes == 0)
        return NULL;
    fbl_stack_bytes = bytes;
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        fbl_container_of(link, fbl_thread, threads)->hub.stack_bytes = bytes;
    return PyLong_FromSize_t(former);
}
