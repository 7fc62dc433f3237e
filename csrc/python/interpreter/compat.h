/*
 * compat.h: small gaps between CPython versions, as inline functions with a meaning in the name.
 *
 * Everything that concerns a fiber's share of the thread state is in state.h instead. A newer
 * version's spelling is the name; older versions get the function.
 * Do not add: behaviour. If a function here needs a comment to say what it does, it is elsewhere.
 */
#ifndef FBL_COMPAT_H
#define FBL_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/core.h"

/* A method that takes its arguments as a vector, with keywords. */
#define FAST_KEYWORDS METH_FASTCALL | METH_KEYWORDS

/* Whether time.sleep takes any real number: what has __float__ (fractions, decimals). */
#define TIMES_ARE_REAL (PY_VERSION_HEX >= 0x030F0000)

/* Whether threading.RLock refuses the arguments that it ignored before. */
#define RLOCK_TAKES_NOTHING (PY_VERSION_HEX >= 0x030F0000)

#if PY_VERSION_HEX < 0x030C0000
static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

static inline void PyErr_SetRaisedException(PyObject *exception)
{
    if (exception == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
}
#endif

#if PY_VERSION_HEX < 0x030D0000
static inline int PyWeakref_GetRef(PyObject *reference, PyObject **target)
{
    PyObject *found = PyWeakref_GetObject(reference);
    if (found == NULL)
        return -1;
    *target = found == Py_None ? NULL : Py_NewRef(found);
    return *target != NULL;
}
#endif

/* How many deallocations the trashcan counts on this C stack; 0 where it has stopped counting. */
static inline int fbl_trash_nesting(PyThreadState *ts)
{
#if PY_VERSION_HEX < 0x030C0000
    return ts->trash_delete_nesting;
#elif PY_VERSION_HEX < 0x030D0000
    return ts->trash.delete_nesting;
#else
    (void)ts;
    return 0;
#endif
}

/* What a thread state has for threading.local. Before 3.13 that is in its dict. */
typedef struct {
    PyObject *key;      /* owned: names the thread's values; or NULL */
    PyObject *sentinel; /* owned: its end takes the values along; or NULL */
} fbl_locals;

#if PY_VERSION_HEX < 0x030D0000
static inline void fbl_locals_take(fbl_locals *locals, PyThreadState *ts)
{
    (void)ts;
    *locals = (fbl_locals){NULL, NULL};
}

static inline void fbl_locals_give(fbl_locals *locals, PyThreadState *ts)
{
    (void)locals;
    (void)ts;
}
#else
/* Further references: clearing the state will then not end the values. */
static inline void fbl_locals_take(fbl_locals *locals, PyThreadState *ts)
{
    locals->key = Py_XNewRef(ts->threading_local_key);
    locals->sentinel = Py_XNewRef(ts->threading_local_sentinel);
}

/* SAFE: the state is being cleared, and has let go of its own by now. */
static inline void fbl_locals_give(fbl_locals *locals, PyThreadState *ts)
{
    Py_XSETREF(ts->threading_local_key, locals->key);
    Py_XSETREF(ts->threading_local_sentinel, locals->sentinel);
    *locals = (fbl_locals){NULL, NULL};
}
#endif

/* Where CPython writes a byte at each signal; returns where it did before, -1: nowhere; -2: it may
 * not be asked here. Main thread. */
#if PY_VERSION_HEX < 0x030D0000
static inline int fbl_set_wakeup_fd(int fd)
{
    static PyObject *function; /* owned: signal.set_wakeup_fd, as it was first seen */
    PyObject *pending = PyErr_GetRaisedException();
    PyObject *module = function == NULL ? PyImport_ImportModule("_signal") : NULL;
    if (module != NULL)
        function = PyObject_GetAttrString(module, "set_wakeup_fd");
    Py_XDECREF(module);
    PyObject *former = function == NULL ? NULL : PyObject_CallFunction(function, "i", fd);
    long number = former == NULL ? -2 : PyLong_AsLong(former);
    Py_XDECREF(former);
    PyErr_SetRaisedException(pending);
    return (int)number;
}
#else
static inline int fbl_set_wakeup_fd(int fd) { return PySignal_SetWakeupFd(fd); }
#endif

/* Reports the current exception, of which a thread that called `function` has died. */
static inline void fbl_report_thread(PyObject *function)
{
#if PY_VERSION_HEX < 0x030D0000
    _PyErr_WriteUnraisableMsg("in thread started by", function);
#else
    PyErr_FormatUnraisable("Exception ignored in thread started by %R", function);
#endif
}

static inline bool fbl_is_finalizing(void)
{
#if PY_VERSION_HEX < 0x030D0000
    return _Py_IsFinalizing();
#else
    return Py_IsFinalizing();
#endif
}

#endif
