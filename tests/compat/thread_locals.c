/* thread_locals.c: a library that keeps the call that is going on where its callback finds it: in a
 * thread-local variable, or in a static one. */
#include <Python.h>

static __thread PyObject *current_in_thread; /* borrowed: what to call back */
static __thread long begins_at = 7; /* what each thread finds first */
static PyObject *current; /* borrowed: the same for one call at a time */

static PyObject *call_twice(PyObject **place, PyObject *fn)
{
    PyObject *outer = *place;
    *place = fn;
    PyObject *first = PyObject_CallNoArgs(*place);
    PyObject *second = first == NULL || *place == NULL ? NULL : PyObject_CallNoArgs(*place);
    *place = outer;
    if (second == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_RuntimeError, "the call that is going on is lost");
    PyObject *result = second == NULL ? NULL : PyTuple_Pack(2, first, second);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return result;
}

/* twice(fn): (fn(), fn()), where the function is looked up anew each time. */
static PyObject *twice(PyObject *module, PyObject *fn)
{
    (void)module;
    return call_twice(&current_in_thread, fn);
}

/* twice_static(fn): the same with a static variable. */
static PyObject *twice_static(PyObject *module, PyObject *fn)
{
    (void)module;
    return call_twice(&current, fn);
}

/* exchange(number): what was there. */
static PyObject *exchange(PyObject *module, PyObject *number)
{
    (void)module;
    long former = begins_at;
    begins_at = PyLong_AsLong(number);
    return PyLong_FromLong(former);
}

static PyMethodDef methods[] = {
    {"twice", twice, METH_O, NULL},
    {"twice_static", twice_static, METH_O, NULL},
    {"exchange", exchange, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "thread_locals", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_thread_locals(void) { return PyModule_Create(&definition); }
