/*
 * library.c: what fibril.libraries asks of the core: thread-local variables that fibers keep.
 *
 * The idea: private.c does it; here every thread that has a hub is told, because its switches do
 * not ask before. The GIL is the lock.
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
