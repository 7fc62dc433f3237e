/*
 * greenlet_api.c: greenlet's C interface: the table of twelve pointers in greenlet._C_API.
 *
 * The idea: C extensions were compiled against a table and a struct of 40 bytes (greenlet.h, which
 * is installed for new ones). Each entry checks what C callers may get wrong, since they come with
 * pointers instead of arguments, and then does what the method of the same name does in Python: the
 * engine's own, past what a subclass may have put in its place, as C callers expect.
 *
 * Callers: any extension, with the GIL. Do not add: behaviour that the Python interface lacks.
 */
#include "python/hub/hub.h"
#include "python/thread/thread.h"
#include "../../src/fibril/compat/greenlet/greenlet.h"

#include <stddef.h>

#define GREENLET_MODULE
#include "../../src/fibril/compat/greenlet/greenlet.h"

_Static_assert(sizeof(PyGreenlet) == sizeof(fbl_fiber_object) &&
                   offsetof(PyGreenlet, weakreflist) == offsetof(fbl_fiber_object, weakrefs) &&
                   offsetof(PyGreenlet, dict) == offsetof(fbl_fiber_object, dict) &&
                   offsetof(PyGreenlet, pimpl) == offsetof(fbl_fiber_object, record),
               "the header that extensions compile against describes a fiber object");

/* Is the first argument of the named function a fiber? If not, a TypeError says so. */
static bool api_is_fiber(const char *function, PyGreenlet *fiber)
{
    if (fiber != NULL && PyObject_TypeCheck((PyObject *)fiber, &fbl_fiber_type))
        return true;
    errors_refuse(PyExc_TypeError, "%s() needs a greenlet, not %s. Ask PyGreenlet_Check() first.",
                  function, fiber == NULL ? "NULL" : Py_TYPE(fiber)->tp_name);
    return false;
}

static PyGreenlet *api_get_current(void) { return (PyGreenlet *)fiber_current_switch(); }

static PyGreenlet *api_new(PyObject *run, PyGreenlet *parent)
{
    PyObject *fiber = fiber_new_switch(&fbl_fiber_type, fbl_empty_tuple, NULL);
    if (fiber == NULL)
        return NULL;
    record_of(fiber)->run = Py_XNewRef(run);
    if (parent != NULL && fiber_set_parent(fiber, (PyObject *)parent, NULL) < 0)
        Py_CLEAR(fiber);
    return (PyGreenlet *)fiber;
}

static PyObject *api_switch(PyGreenlet *fiber, PyObject *args, PyObject *kwargs)
{
    if (!api_is_fiber("PyGreenlet_Switch", fiber))
        return NULL;
    if (args == NULL)
        args = fbl_empty_tuple;
    if (!PyTuple_Check(args))
        return errors_refuse(PyExc_TypeError,
                             "PyGreenlet_Switch() takes the arguments as a tuple, not %s.",
                             Py_TYPE(args)->tp_name);
    if (kwargs == NULL || !PyDict_Check(kwargs))
        return fiber_type_switch((PyObject *)fiber, &PyTuple_GET_ITEM(args, 0),
                                 PyTuple_GET_SIZE(args), NULL);
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    return fiber_arguments_switch(thread, record_of((PyObject *)fiber), args, kwargs);
}

/* Tasks and the hub have a throw() of their own. */
static PyObject *api_throw_any_switch(PyObject *fiber, PyObject *args)
{
    if (PyObject_TypeCheck(fiber, &fbl_task_type))
        return task_throw_switch(fiber, args);
    if (PyObject_TypeCheck(fiber, &fbl_hub_type))
        return hub_throw(fiber, args);
    return fiber_type_throw_switch(fiber, args);
}

static PyObject *api_throw(PyGreenlet *fiber, PyObject *type, PyObject *value, PyObject *traceback)
{
    if (!api_is_fiber("PyGreenlet_Throw", fiber))
        return NULL;
    if (type == NULL)
        return errors_refuse(PyExc_TypeError, "PyGreenlet_Throw() needs an exception, not NULL.");
    PyObject *args = PyTuple_Pack(3, type, value != NULL ? value : Py_None,
                                  traceback != NULL ? traceback : Py_None);
    if (args == NULL)
        return NULL;
    PyObject *result = api_throw_any_switch((PyObject *)fiber, args);
    Py_DECREF(args);
    return result;
}

static int api_set_parent(PyGreenlet *fiber, PyGreenlet *parent)
{
    if (!api_is_fiber("PyGreenlet_SetParent", fiber))
        return -1;
    return fiber_set_parent((PyObject *)fiber, (PyObject *)parent, NULL);
}

static PyGreenlet *api_get_parent(PyGreenlet *fiber)
{
    if (!api_is_fiber("PyGreenlet_GetParent", fiber))
        return NULL;
    fbl_record *parent = record_parent(record_of((PyObject *)fiber));
    return parent == NULL ? NULL : (PyGreenlet *)Py_NewRef(parent->self);
}

static int api_is_main(PyGreenlet *fiber)
{
    if (!api_is_fiber("PyGreenlet_MAIN", fiber))
        return -1;
    return record_of((PyObject *)fiber)->is_main;
}

static int api_is_started(PyGreenlet *fiber)
{
    if (!api_is_fiber("PyGreenlet_STARTED", fiber))
        return -1;
    return record_is_started(record_of((PyObject *)fiber));
}

static int api_is_active(PyGreenlet *fiber)
{
    if (!api_is_fiber("PyGreenlet_ACTIVE", fiber))
        return -1;
    fbl_record *record = record_of((PyObject *)fiber);
    return record_is_started(record) && !record_is_dead(record);
}

/* The capsule. The exceptions were imported before, so this is made once the module is. */
static PyObject *greenlet_api_make(void)
{
    static void *table[PyGreenlet_API_pointers];
    table[PyGreenlet_Type_NUM] = &fbl_fiber_type;
    table[PyExc_GreenletError_NUM] = fbl_error_fiber;
    table[PyExc_GreenletExit_NUM] = fbl_error_exit;
    table[PyGreenlet_New_NUM] = api_new;
    table[PyGreenlet_GetCurrent_NUM] = api_get_current;
    table[PyGreenlet_Throw_NUM] = api_throw;
    table[PyGreenlet_Switch_NUM] = api_switch;
    table[PyGreenlet_SetParent_NUM] = api_set_parent;
    table[PyGreenlet_MAIN_NUM] = api_is_main;
    table[PyGreenlet_STARTED_NUM] = api_is_started;
    table[PyGreenlet_ACTIVE_NUM] = api_is_active;
    table[PyGreenlet_GET_PARENT_NUM] = api_get_parent;
    return PyCapsule_New(table, "greenlet._C_API", NULL);
}
