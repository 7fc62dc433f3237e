/*
 * errors.c: the exception classes that C raises, and the one place where messages are made.
 *
 * The classes are defined in Python (fibril/errors.py, the whole tree on one screen) and fetched
 * here once. Core functions return negative errno values; they become exceptions here and nowhere
 * else.
 */
#include "python/fiber/record.h"

PyObject *fbl_error_fiber, *fbl_error_exit, *fbl_error_loop_exit, *fbl_error_blocking;
PyObject *fbl_error_invalid_switch, *fbl_error_internal;

static int errors_import(void)
{
    static const struct {
        const char *name;
        PyObject **slot;
    } table[] = {
        {"FiberError", &fbl_error_fiber},
        {"GreenletExit", &fbl_error_exit},
        {"LoopExit", &fbl_error_loop_exit},
        {"BlockingSwitchOutError", &fbl_error_blocking},
        {"InvalidSwitchError", &fbl_error_invalid_switch},
        {"FibrilInternalError", &fbl_error_internal},
    };
    PyObject *module = PyImport_ImportModule("fibril.errors");
    if (module == NULL)
        return -1;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        *table[i].slot = PyObject_GetAttrString(module, table[i].name);
        if (*table[i].slot == NULL) {
            Py_DECREF(module);
            return -1;
        }
    }
    Py_DECREF(module);
    return 0;
}

/* Sets the exception and returns NULL, so that `return errors_refuse(...)` reads as what it is. */
static PyObject *errors_refuse(PyObject *type, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(type, format, arguments);
    va_end(arguments);
    return NULL;
}

/* A negative errno of the core as OSError. */
static PyObject *errors_os(int rc)
{
    assert(rc < 0);
    errno = -rc;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* greenlet's words first: programs look for them. */
static PyObject *errors_finalizing(void)
{
    return errors_refuse(PyExc_RuntimeError,
                         "%s is being finalized: no fiber can be used while the interpreter is "
                         "shutting down.",
                         fbl_knows_greenlets ? "greenlet" : "fibril");
}

/* GreenletExit for a fiber that is ended, because of `why`. A new reference. */
static PyObject *errors_exit(const char *why)
{
    PyObject *text = PyUnicode_FromFormat("Killing the %s because %s.", fiber_noun(), why);
    PyObject *exit = text == NULL ? NULL : PyObject_CallOneArg(fbl_error_exit, text);
    Py_XDECREF(text);
    return exit;
}

static PyObject *errors_stack(int rc)
{
    return errors_refuse(PyExc_MemoryError,
                         "cannot map a stack for a new fiber: %s. Each fiber needs address space "
                         "(and, before Linux 6.13, two mappings of vm.max_map_count); run fewer at "
                         "once or raise that limit.",
                         strerror(-rc));
}
