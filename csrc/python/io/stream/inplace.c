/*
 * inplace.c: have a method, or a function, of CPython's call another C function.
 *
 * The idea: the object that stands for it (a descriptor in a type's dict, a built-in function)
 * stays where it is, with its name, its signature and its text; what it calls is replaced. So
 * whoever has it, from before or in a class of his own, is served, nothing that CPython has cached
 * becomes wrong, and types that may not be changed are not. What is bound already (`write =
 * file.write`) still calls the original.
 *
 * SAFE: these structs are public (descrobject.h, methodobject.h), and the interpreter reads flags
 * and function at each call. The replacement is never freed.
 * Threads: any, with the GIL. Do not add: what is replaced.
 */
#include "python/io/stream/stream.h"

#define INPLACE_ARGUMENTS_MAX 8

static PyMethodDescrObject *inplace_find(PyTypeObject *type, const char *name)
{
    PyObject *found = PyDict_GetItemString(type->tp_dict, name);
    bool is_method = found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type);
    return is_method ? (PyMethodDescrObject *)found : NULL;
}

/* A descriptor that calls the original, whose text the replacement takes over; NULL: an exception,
 * or (without) there is no such method. */
static PyObject *inplace_original(PyTypeObject *type, PyMethodDef *replacement)
{
    PyMethodDescrObject *method = inplace_find(type, replacement->ml_name);
    if (method == NULL)
        return NULL;
    replacement->ml_doc = method->d_method->ml_doc;
    return PyDescr_NewMethod(type, method->d_method);
}

/* The same, and from now on the method is the replacement. */
static PyObject *inplace_method(PyTypeObject *type, PyMethodDef *replacement)
{
    PyObject *original = inplace_original(type, replacement);
    PyObject *fresh = original == NULL ? NULL : PyDescr_NewMethod(type, replacement);
    if (fresh == NULL) {
        Py_XDECREF(original);
        return NULL;
    }
    PyMethodDescrObject *method = inplace_find(type, replacement->ml_name);
    method->d_method = replacement;
    method->vectorcall = ((PyMethodDescrObject *)fresh)->vectorcall;
    Py_DECREF(fresh);
    return original;
}

/* Returns -1, with an exception. */
static int inplace_failed(const PyTypeObject *type, const char *name)
{
    if (!PyErr_Occurred())
        errors_refuse(fbl_error_internal,
                      "%s.%s is not the method of C that fibril knows: was it replaced before?",
                      type->tp_name, name);
    return -1;
}

/* A function that calls the original; NULL: an exception, or (without) it is not C's. */
static PyObject *inplace_function(PyObject *object, PyMethodDef *replacement)
{
    if (!PyCFunction_CheckExact(object))
        return NULL;
    PyCFunctionObject *function = (PyCFunctionObject *)object;
    replacement->ml_doc = function->m_ml->ml_doc;
    PyObject *original = PyCFunction_NewEx(function->m_ml, function->m_self, function->m_module);
    PyObject *fresh = PyCFunction_NewEx(replacement, function->m_self, function->m_module);
    if (original == NULL || fresh == NULL) {
        Py_XDECREF(fresh);
        Py_CLEAR(original);
        return NULL;
    }
    function->m_ml = replacement;
    function->vectorcall = ((PyCFunctionObject *)fresh)->vectorcall;
    Py_DECREF(fresh);
    return original;
}

/* The type and those that have inherited its slot. */
static void inplace_next_below(PyTypeObject *type, iternextfunc original, iternextfunc replacement)
{
    if (type->tp_iternext != original)
        return;
    type->tp_iternext = replacement;
    PyObject *below = PyObject_CallMethod((PyObject *)type, "__subclasses__", NULL);
    for (Py_ssize_t i = 0; below != NULL && i < PyList_GET_SIZE(below); i++)
        inplace_next_below((PyTypeObject *)PyList_GET_ITEM(below, i), original, replacement);
    Py_XDECREF(below);
    PyErr_Clear();
}

/* __next__ and the slot behind it; returns the original. */
static iternextfunc inplace_next(PyTypeObject *type, iternextfunc replacement)
{
    iternextfunc original = type->tp_iternext;
    PyObject *found = PyDict_GetItemString(type->tp_dict, "__next__");
    if (found != NULL && Py_IS_TYPE(found, &PyWrapperDescr_Type))
        ((PyWrapperDescrObject *)found)->d_wrapped = (void *)replacement;
    inplace_next_below(type, original, replacement);
    return original;
}

/* Calls an original as we were called. */
static PyObject *inplace_call(PyObject *original, const fbl_call *call, PyObject *names)
{
    PyObject *all[INPLACE_ARGUMENTS_MAX + 1];
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (call->count > INPLACE_ARGUMENTS_MAX)
        return errors_refuse(PyExc_TypeError, "%R takes no %zd arguments", original, call->count);
    all[0] = call->self;
    for (Py_ssize_t i = 0; i < call->count; i++)
        all[i + 1] = call->args[i];
    return PyObject_Vectorcall(original, all, (size_t)(call->count - named + 1), names);
}
