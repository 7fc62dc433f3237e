/*
 * builtin.c: functions written in Python that are what they stand for: functions of C.
 *
 * The idea: programs and the standard library notice the difference. A class that keeps a function
 * of Python has made a method of it, and one of C is called as it is; tools ask where a function
 * of Python comes from, and serializers take its attributes for data. So a function of C is made
 * for each, which calls it. What it calls is in the state of a module object of its own, which is
 * its __self__: pickle takes a function for one of its module's only where that is a module.
 *
 * Invariant: each lives as long as the process, with its table entry and the texts in it.
 * Callers: fibril._builtin, at import. Do not add: what the functions do.
 */
#include "python/exports.h"

static PyModuleDef builtin_home = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fibril",
    .m_size = sizeof(PyObject *),
};

static PyObject *builtin_call(PyObject *home, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    PyObject *function = *(PyObject **)PyModule_GetState(home);
    return PyObject_Vectorcall(function, args, (size_t)count, names);
}

/* The entry of a table of methods, though there is no table; for good. */
static PyMethodDef *builtin_entry(PyObject *name, PyObject *text)
{
    PyMethodDef *entry = PyMem_Malloc(sizeof *entry);
    if (entry == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *entry = (PyMethodDef){PyUnicode_AsUTF8(name), (PyCFunction)(void (*)(void))builtin_call,
                           FAST_KEYWORDS, PyUnicode_AsUTF8(text)};
    if (entry->ml_name == NULL || entry->ml_doc == NULL) {
        PyMem_Free(entry);
        return NULL;
    }
    Py_INCREF(name); /* the entry points into them */
    Py_INCREF(text);
    return entry;
}

static PyObject *module_builtin(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *function, *module_name, *name, *text;
    if (!PyArg_ParseTuple(args, "OUUU:builtin", &function, &module_name, &name, &text))
        return NULL;
    PyObject *home = PyModule_Create(&builtin_home);
    if (home == NULL)
        return NULL;
    *(PyObject **)PyModule_GetState(home) = Py_NewRef(function);
    int rc = PyObject_SetAttrString(home, "__name__", module_name);
    PyMethodDef *entry = rc < 0 ? NULL : builtin_entry(name, text);
    PyObject *made = entry == NULL ? NULL : PyCFunction_NewEx(entry, home, module_name);
    Py_DECREF(home);
    return made;
}
