/*
 * library.c: what fibril.libraries asks of the core: thread-local variables that fibers keep, and
 * functions that are called on the thread's own stack.
 *
 * The idea: private.c and entry.c do it. Of thread-local variables every thread that has a hub is
 * told, because its switches do not ask before. The GIL is the lock.
 * Callers: fibril.libraries, on any thread. Do not add: which libraries; they are listed there.
 */
#include "exports.h"

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
        rc = fbl_private_add(PyBytes_AS_STRING(path), (size_t)offset, (size_t)size);
    Py_DECREF(path);
    if (rc < 0)
        return errors_os(rc);
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        fbl_cxx_watch(&fbl_container_of(link, fbl_thread, threads)->hub);
    return PyLong_FromLong(rc);
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
