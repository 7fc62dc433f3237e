/*
 * greenlet.h: greenlet's C interface as fibril serves it, for extensions that switch fibers from C.
 *
 * Call PyGreenlet_Import() once, in the module's init function, and stop if an exception is set;
 * from then on the names below work, in this compilation unit. What runs is whatever `greenlet` the
 * program imports: names, numbers and layout are greenlet's own, so an extension that was compiled
 * against one header works with the other package, and the other way round.
 *
 * All functions want the GIL. Those that return PyObject* or PyGreenlet* return a new reference, or
 * NULL with an exception, unless it says otherwise.
 */
#ifndef Py_GREENLETOBJECT_H /* greenlet's own guard: the two headers exclude each other */
#define Py_GREENLETOBJECT_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface, which stays; the package's is greenlet.__version__. */
#define GREENLET_VERSION "1.0.0"

/* What every greenlet begins with: 40 bytes. A subclass with fields of its own puts them behind. */
typedef struct _greenlet {
    PyObject_HEAD PyObject *weakreflist; /* for the interpreter */
    PyObject *dict;        /* instance attributes, or NULL */
    void *pimpl;           /* the engine's; not to be looked at */
} PyGreenlet;

/* Where each thing lies in the table that the capsule greenlet._C_API holds. */
#define PyGreenlet_Type_NUM 0
#define PyExc_GreenletError_NUM 1
#define PyExc_GreenletExit_NUM 2
#define PyGreenlet_New_NUM 3
#define PyGreenlet_GetCurrent_NUM 4
#define PyGreenlet_Throw_NUM 5
#define PyGreenlet_Switch_NUM 6
#define PyGreenlet_SetParent_NUM 7
#define PyGreenlet_MAIN_NUM 8
#define PyGreenlet_STARTED_NUM 9
#define PyGreenlet_ACTIVE_NUM 10
#define PyGreenlet_GET_PARENT_NUM 11
#define PyGreenlet_API_pointers 12

#ifndef GREENLET_MODULE /* who fills the table defines this, and needs none of what follows */

#if defined(__GNUC__)
__attribute__((unused)) /* a unit may include this and use only the struct */
#endif
static void **_PyGreenlet_API = NULL;

/* Fetches the table. If there is no greenlet, _PyGreenlet_API is NULL and an exception is set. */
#define PyGreenlet_Import()                                                                        \
    {                                                                                              \
        _PyGreenlet_API = (void **)PyCapsule_Import("greenlet._C_API", 0);                         \
    }

#define FBL_GREENLET_FUNCTION(number, result, arguments)                                           \
    (*(result(*) arguments)_PyGreenlet_API[number])

/* greenlet.greenlet, greenlet.error and greenlet.GreenletExit */
#define PyGreenlet_Type (*(PyTypeObject *)_PyGreenlet_API[PyGreenlet_Type_NUM])
#define PyExc_GreenletError ((PyObject *)_PyGreenlet_API[PyExc_GreenletError_NUM])
#define PyExc_GreenletExit ((PyObject *)_PyGreenlet_API[PyExc_GreenletExit_NUM])

/* Is it a greenlet, or of a subclass? False for NULL. */
#define PyGreenlet_Check(op) ((op) && PyObject_TypeCheck((PyObject *)(op), &PyGreenlet_Type))

/* greenlet.greenlet(run, parent). Either may be NULL: the attribute `run`; the current greenlet. */
#define PyGreenlet_New                                                                             \
    FBL_GREENLET_FUNCTION(PyGreenlet_New_NUM, PyGreenlet *, (PyObject * run, PyGreenlet * parent))

/* greenlet.getcurrent(). RuntimeError while the interpreter shuts down. */
#define PyGreenlet_GetCurrent FBL_GREENLET_FUNCTION(PyGreenlet_GetCurrent_NUM, PyGreenlet *, (void))

/* g.throw(type, value, traceback); value and traceback may be NULL. */
#define PyGreenlet_Throw                                                                           \
    FBL_GREENLET_FUNCTION(                                                                         \
        PyGreenlet_Throw_NUM, PyObject *,                                                          \
        (PyGreenlet * g, PyObject * type, PyObject * value, PyObject * traceback))

/* g.switch(*args, **kwargs). args is a tuple, or NULL for none; kwargs a dict, else ignored. */
#define PyGreenlet_Switch                                                                          \
    FBL_GREENLET_FUNCTION(PyGreenlet_Switch_NUM, PyObject *,                                       \
                          (PyGreenlet * g, PyObject * args, PyObject * kwargs))

/* g.parent = parent. 0, or -1 with an exception. */
#define PyGreenlet_SetParent                                                                       \
    FBL_GREENLET_FUNCTION(PyGreenlet_SetParent_NUM, int, (PyGreenlet * g, PyGreenlet * parent))

/* g.parent; NULL without an exception for a main greenlet, which has none. */
#define PyGreenlet_GetParent                                                                       \
    FBL_GREENLET_FUNCTION(PyGreenlet_GET_PARENT_NUM, PyGreenlet *, (PyGreenlet * g))
#define PyGreenlet_GET_PARENT PyGreenlet_GetParent

/* 1 or 0, or -1 with an exception: is it its thread's main one; was it ever switched to; was it,
 * and has not ended. */
#define PyGreenlet_MAIN FBL_GREENLET_FUNCTION(PyGreenlet_MAIN_NUM, int, (PyGreenlet * g))
#define PyGreenlet_STARTED FBL_GREENLET_FUNCTION(PyGreenlet_STARTED_NUM, int, (PyGreenlet * g))
#define PyGreenlet_ACTIVE FBL_GREENLET_FUNCTION(PyGreenlet_ACTIVE_NUM, int, (PyGreenlet * g))

#endif /* GREENLET_MODULE */

#ifdef __cplusplus
}
#endif

#endif
