/*
 * greenlet_calls.c: an extension that hands Python's arguments to greenlet's C interface as they
 * are, so that the tests can say in Python what C callers may get wrong; and a subclass with C
 * fields of its own, as Cython makes them. `NULL` of this module stands for the pointer NULL.
 */
#include <greenlet/greenlet.h>

#include <stddef.h>
#include <structmember.h>

static PyObject *null_marker;

static void *pointer(PyObject *object) { return object == null_marker ? NULL : object; }

/* An answer that may be NULL without an exception: the marker then. */
static PyObject *answer(void *object)
{
    if (object == NULL && !PyErr_Occurred())
        return Py_NewRef(null_marker);
    return object;
}

static PyObject *call_check(PyObject *module, PyObject *object)
{
    (void)module;
    return PyBool_FromLong(PyGreenlet_Check(pointer(object)));
}

static PyObject *call_new(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *run, *parent;
    if (!PyArg_ParseTuple(args, "OO", &run, &parent))
        return NULL;
    return answer(PyGreenlet_New(pointer(run), pointer(parent)));
}

static PyObject *call_get_current(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return answer(PyGreenlet_GetCurrent());
}

static PyObject *call_throw(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *fiber, *type, *value, *traceback;
    if (!PyArg_ParseTuple(args, "OOOO", &fiber, &type, &value, &traceback))
        return NULL;
    return answer(
        PyGreenlet_Throw(pointer(fiber), pointer(type), pointer(value), pointer(traceback)));
}

static PyObject *call_switch(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *fiber, *positional, *keywords;
    if (!PyArg_ParseTuple(args, "OOO", &fiber, &positional, &keywords))
        return NULL;
    return answer(PyGreenlet_Switch(pointer(fiber), pointer(positional), pointer(keywords)));
}

static PyObject *call_set_parent(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *fiber, *parent;
    if (!PyArg_ParseTuple(args, "OO", &fiber, &parent))
        return NULL;
    int rc = PyGreenlet_SetParent(pointer(fiber), pointer(parent));
    return PyErr_Occurred() ? NULL : PyLong_FromLong(rc);
}

static PyObject *call_get_parent(PyObject *module, PyObject *fiber)
{
    (void)module;
    return answer(PyGreenlet_GetParent(pointer(fiber)));
}

/* (MAIN, STARTED, ACTIVE) */
static PyObject *call_states(PyObject *module, PyObject *fiber)
{
    (void)module;
    PyGreenlet *greenlet = pointer(fiber);
    int is_main = PyGreenlet_MAIN(greenlet);
    int is_started = is_main < 0 ? -1 : PyGreenlet_STARTED(greenlet);
    int is_active = is_started < 0 ? -1 : PyGreenlet_ACTIVE(greenlet);
    return PyErr_Occurred() ? NULL : Py_BuildValue("(iii)", is_main, is_started, is_active);
}

/* Each refuses NULL: the answers and exceptions of all, -1 or NULL and TypeError. */
static PyObject *call_all_with_null(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int count = 0;
#define REFUSED(call, answer)                                                                      \
    if ((call) != (answer) || !PyErr_ExceptionMatches(PyExc_TypeError))                            \
        return PyErr_Format(PyExc_AssertionError, "%s was not refused", #call);                    \
    PyErr_Clear();                                                                                 \
    count++
    REFUSED(PyGreenlet_Switch(NULL, NULL, NULL), NULL);
    REFUSED(PyGreenlet_Throw(NULL, PyExc_ValueError, NULL, NULL), NULL);
    REFUSED(PyGreenlet_SetParent(NULL, NULL), -1);
    REFUSED(PyGreenlet_GET_PARENT(NULL), NULL);
    REFUSED(PyGreenlet_MAIN(NULL), -1);
    REFUSED(PyGreenlet_STARTED(NULL), -1);
    REFUSED(PyGreenlet_ACTIVE(NULL), -1);
#undef REFUSED
    return PyLong_FromLong(count);
}

/* ---- a subclass with fields of its own ---- */

typedef struct {
    PyGreenlet base;
    long count;
    PyObject *note;
} counted;

static int counted_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((counted *)self)->note);
    return PyGreenlet_Type.tp_traverse(self, visit, arg);
}

static int counted_clear(PyObject *self)
{
    Py_CLEAR(((counted *)self)->note);
    return PyGreenlet_Type.tp_clear(self);
}

/* In the order that Cython's generated code has. */
static void counted_dealloc(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((counted *)self)->note);
    PyObject_GC_Track(self);
    PyGreenlet_Type.tp_dealloc(self);
}

static PyMemberDef counted_members[] = {
    {"count", T_LONG, offsetof(counted, count), 0, "A C field."},
    {"note", T_OBJECT_EX, offsetof(counted, note), 0, "An object field."},
    {0},
};

static PyTypeObject counted_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "greenlet_calls.Counted",
    .tp_basicsize = sizeof(counted),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = counted_traverse,
    .tp_clear = counted_clear,
    .tp_dealloc = counted_dealloc,
    .tp_members = counted_members,
};

static PyMethodDef methods[] = {
    {"check", call_check, METH_O, NULL},
    {"new", call_new, METH_VARARGS, NULL},
    {"get_current", call_get_current, METH_NOARGS, NULL},
    {"throw", call_throw, METH_VARARGS, NULL},
    {"switch", call_switch, METH_VARARGS, NULL},
    {"set_parent", call_set_parent, METH_VARARGS, NULL},
    {"get_parent", call_get_parent, METH_O, NULL},
    {"states", call_states, METH_O, NULL},
    {"all_with_null", call_all_with_null, METH_NOARGS, NULL},
    {0},
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "greenlet_calls", .m_size = -1,
                                 .m_methods = methods};

static int fill(PyObject *module)
{
    counted_type.tp_base = &PyGreenlet_Type;
    if (PyGreenlet_Type.tp_basicsize != sizeof(PyGreenlet)) {
        PyErr_SetString(PyExc_ImportError, "greenlet.greenlet has another size than its header");
        return -1;
    }
    if (PyType_Ready(&counted_type) < 0 ||
        PyModule_AddObjectRef(module, "Counted", (PyObject *)&counted_type) < 0 ||
        PyModule_AddObjectRef(module, "Type", (PyObject *)&PyGreenlet_Type) < 0 ||
        PyModule_AddObjectRef(module, "Error", PyExc_GreenletError) < 0 ||
        PyModule_AddObjectRef(module, "Exit", PyExc_GreenletExit) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "VERSION", GREENLET_VERSION);
}

PyMODINIT_FUNC PyInit_greenlet_calls(void)
{
    PyGreenlet_Import();
    if (_PyGreenlet_API == NULL)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    null_marker = PyUnicode_FromString("NULL");
    if (module == NULL || null_marker == NULL || fill(module) < 0 ||
        PyModule_AddObjectRef(module, "NULL", null_marker) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
