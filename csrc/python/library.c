/*
 * library.c: what fibril.libraries asks of the core: thread-local variables that fibers keep, where
 * a library remembers the end of the stack, functions that are called on the thread's own, and
 * who is a thread.
 *
 * The idea: private.c, limit.c and entry.c do it. Of thread-local variables every thread that has a
 * hub is told, because its switches do not ask before. The GIL is the lock.
 * Callers: fibril.libraries, on any thread. Do not add: which libraries; they are listed there.
 */
#include "python/fiber/record.h"

#include <dlfcn.h>

/* So many bytes are kept by each fiber from now on, or it was an error. */
static PyObject *library_kept(int rc)
{
    if (rc < 0)
        return errors_os(rc);
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        fbl_cxx_watch(&fbl_container_of(link, fbl_thread, threads)->hub);
    return PyLong_FromLong(rc);
}

static PyObject *module_keep_thread_locals(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *path;
    Py_ssize_t offset = 0, size = 0;
    if (!PyArg_ParseTuple(args, "O&|nn:keep_thread_locals", PyUnicode_FSConverter, &path, &offset,
                          &size))
        return NULL;
    int rc = -ENODATA;
    if (offset >= 0 && size >= 0)
        rc = fbl_private_add(PyBytes_AS_STRING(path), (size_t)offset, (size_t)size, false);
    Py_DECREF(path);
    return library_kept(rc);
}

static void library_provoke(void *call)
{
    PyObject *result = PyObject_CallNoArgs(call);
    if (result == NULL)
        PyErr_Clear(); /* another version, which has no such function: it shows nothing */
    Py_XDECREF(result);
}

static PyObject *module_find_stack_limit(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *path, *call;
    size_t offset = 0;
    if (!PyArg_ParseTuple(args, "O&O:find_stack_limit", PyUnicode_FSConverter, &path, &call))
        return NULL;
    int rc = fbl_limit_find(PyBytes_AS_STRING(path), library_provoke, call, &offset);
    Py_DECREF(path);
    return rc < 0 ? errors_os(rc) : Py_BuildValue("ni", (Py_ssize_t)offset, rc);
}

static PyObject *module_follow_stack_limit(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *path;
    Py_ssize_t offset, size;
    if (!PyArg_ParseTuple(args, "O&nn:follow_stack_limit", PyUnicode_FSConverter, &path, &offset,
                          &size))
        return NULL;
    int rc = -ENODATA;
    if (offset >= 0 && size > 0)
        rc = fbl_limit_follow(PyBytes_AS_STRING(path), (size_t)offset, (size_t)size);
    Py_DECREF(path);
    return library_kept(rc);
}

/* Which thread is it, for a library whose objects belong to one? A task that is a thread is itself;
 * what else runs in a native thread is that thread, or greenlets could not share an object. */
static unsigned long library_thread_ident(void)
{
    const fbl_thread *thread = fbl_this_thread;
    if (thread != NULL && thread_current(thread)->is_daemon)
        return (unsigned long)(uintptr_t)thread_current(thread)->self;
    return PyThread_get_thread_ident();
}

static PyObject *module_tell_threads_apart(PyObject *module, PyObject *function)
{
    (void)module;
    Dl_info library, interpreter;
    if (!PyCFunction_Check(function))
        return errors_refuse(PyExc_TypeError, "only a function of C code, not %R", function);
    const void *inside = (void *)(uintptr_t)PyCFunction_GET_FUNCTION(function);
    if (dladdr(inside, &library) == 0 ||
        dladdr((void *)(uintptr_t)&PyObject_Call, &interpreter) == 0)
        return errors_os(-ENOENT);
    /* A part of the interpreter, whose slots are everybody's. */
    if (library.dli_fbase == interpreter.dli_fbase)
        return errors_os(-ENODATA);
    void *former;
    int rc = fbl_slot_exchange(inside, "PyThread_get_thread_ident",
                               (void *)(uintptr_t)library_thread_ident, &former);
    return rc <= 0 ? errors_os(rc < 0 ? rc : -ENODATA) : Py_NewRef(Py_None);
}

static PyObject *module_enter_on_main_stack(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long table;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "Kn:enter_on_main_stack", &table, &count))
        return NULL;
    /* SAFE: the caller's word: so many pointers to functions lie there, and may be written to. */
    int rc = fbl_entry_replace((void **)(uintptr_t)table, (size_t)count);
    return rc < 0 ? errors_os(rc) : Py_NewRef(Py_None);
}
