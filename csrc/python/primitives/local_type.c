/*
 * local_type.c: values that each fiber has for itself: threading.local, where a thread is a fiber.
 *
 * The idea: a local has a dict of values for each fiber that uses it, found by the fiber's serial
 * number, which no other fiber ever has; the last one that was used is remembered, so a fiber that
 * comes again pays a comparison. A weak reference drops a fiber's values when it is gone. Attribute
 * access goes to the values directly: nothing is swapped in and out, and native threads, each with
 * fibers of its own, cannot see each other's.
 *
 * Invariant: `last_values` is what `values` has under `last_serial`; or, once the collector takes
 * this apart, it was. Subclasses with __slots__ share those among all fibers, as the standard
 * library's.
 * Threads: any.
 * Do not add: ways to change another fiber's values.
 */
#include "python/fiber/record.h"

extern PyTypeObject fbl_local_type;

typedef struct {
    PyObject_HEAD PyObject *values; /* owned dict: serial → (weak reference to the fiber, dict) */
    PyObject *args;                 /* owned: what __init__ is called with in each fiber */
    PyObject *kwargs;               /* owned, or NULL */
    uint64_t last_serial;           /* whose values were used last; 0: nobody's */
    PyObject *last_values;          /* owned: those, or NULL */
    PyObject *weakrefs;             /* weak references to it */
    fbl_link all;                  /* among all locals, for reports */
} local_object;

static fbl_link all_locals = {&all_locals, &all_locals};

static local_object *local_of(PyObject *self) { return (local_object *)self; }

/* ---- the values of one fiber ---- */

static void local_remember(local_object *local, uint64_t serial, PyObject *values)
{
    PyObject *former = local->last_values;
    local->last_serial = serial;
    local->last_values = Py_XNewRef(values);
    Py_XDECREF(former); /* last: it may run anybody's code */
}

static void local_drop(local_object *local, PyObject *serial)
{
    if (local->last_serial == PyLong_AsUnsignedLongLong(serial))
        local_remember(local, 0, NULL);
    if (local->values != NULL && PyDict_DelItem(local->values, serial) < 0)
        PyErr_Clear(); /* KeyError: the collector was here before */
}

/* A fiber is gone: `watched` is (weak reference to the local, its serial). */
static PyObject *local_forget(PyObject *watched, PyObject *unused)
{
    (void)unused;
    PyObject *self = NULL;
    if (PyWeakref_GetRef(PyTuple_GET_ITEM(watched, 0), &self) < 0)
        return NULL;
    if (self != NULL)
        local_drop(local_of(self), PyTuple_GET_ITEM(watched, 1));
    Py_XDECREF(self);
    Py_RETURN_NONE;
}

static PyMethodDef local_forget_def = {"forget", local_forget, METH_O, NULL};

/* A weak reference to the fiber that drops its values. */
static PyObject *local_watch(local_object *local, PyObject *serial, PyObject *fiber)
{
    PyObject *self = PyWeakref_NewRef((PyObject *)local, NULL);
    PyObject *watched = self == NULL ? NULL : PyTuple_Pack(2, self, serial);
    PyObject *forget = watched == NULL ? NULL : PyCFunction_New(&local_forget_def, watched);
    PyObject *watch = forget == NULL ? NULL : PyWeakref_NewRef(fiber, forget);
    Py_XDECREF(self);
    Py_XDECREF(watched);
    Py_XDECREF(forget);
    return watch;
}

/* Values for a fiber that had none when we looked: *is_fresh, unless a collection has run code
 * meanwhile that came first. */
static PyObject *local_add(local_object *local, PyObject *serial, fbl_record *record,
                           bool *is_fresh)
{
    PyObject *fresh = PyDict_New();
    PyObject *watch = fresh == NULL ? NULL : local_watch(local, serial, record->self);
    PyObject *entry = watch == NULL ? NULL : PyTuple_Pack(2, watch, fresh);
    PyObject *kept = entry == NULL ? NULL : PyDict_SetDefault(local->values, serial, entry);
    PyObject *values = kept == NULL ? NULL : Py_NewRef(PyTuple_GET_ITEM(kept, 1));
    *is_fresh = values == fresh;
    Py_XDECREF(fresh);
    Py_XDECREF(watch);
    Py_XDECREF(entry);
    if (values != NULL)
        local_remember(local, record->serial, values);
    return values;
}

/* A fiber comes for the first time: a subclass's __init__ fills its values. */
static PyObject *local_begin(local_object *local, PyObject *serial, fbl_record *record)
{
    bool is_fresh;
    PyTypeObject *type = Py_TYPE(local);
    PyObject *values = local_add(local, serial, record, &is_fresh);
    if (values == NULL || !is_fresh || type->tp_init == PyBaseObject_Type.tp_init)
        return values;
    if (type->tp_init((PyObject *)local, local->args, local->kwargs) < 0) {
        PyObject *travelling = PyErr_GetRaisedException();
        local_drop(local, serial);
        Py_CLEAR(values);
        PyErr_SetRaisedException(travelling);
    }
    return values;
}

/* The current fiber's dict, which was not the last one used. */
static PyObject *local_find(local_object *local, fbl_record *record)
{
    if (local->values == NULL)
        return errors_refuse(PyExc_ReferenceError,
                             "cannot use this local any more: the collector is destroying it.");
    PyObject *serial = PyLong_FromUnsignedLongLong(record->serial);
    if (serial == NULL)
        return NULL;
    PyObject *entry = PyDict_GetItemWithError(local->values, serial), *found = NULL;
    if (entry != NULL) {
        found = Py_NewRef(PyTuple_GET_ITEM(entry, 1));
        local_remember(local, record->serial, found);
    } else if (!PyErr_Occurred()) {
        found = local_begin(local, serial, record);
    }
    Py_DECREF(serial);
    return found;
}

/* The current fiber's dict. */
static inline PyObject *local_values(PyObject *self)
{
    fbl_thread *thread = thread_get();
    if (fbl_unlikely(thread == NULL))
        return NULL;
    fbl_record *record = thread_current(thread);
    if (fbl_likely(local_of(self)->last_serial == record->serial))
        return Py_NewRef(local_of(self)->last_values);
    return local_find(local_of(self), record);
}

/* ---- attributes ---- */

static bool local_is_dict(PyObject *name)
{
    return PyUnicode_CompareWithASCIIString(name, "__dict__") == 0;
}

/* Properties and slots come before values; methods and class attributes after them. */
static PyObject *local_getattro(PyObject *self, PyObject *name)
{
    if (fbl_unlikely(!PyUnicode_Check(name)))
        return PyObject_GenericGetAttr(self, name); /* refuses it */
    PyObject *values = local_values(self);
    if (fbl_unlikely(values == NULL) || fbl_unlikely(local_is_dict(name)))
        return values;
    PyObject *attribute = _PyType_Lookup(Py_TYPE(self), name), *found = NULL;
    if (attribute == NULL || Py_TYPE(attribute)->tp_descr_set == NULL)
        found = Py_XNewRef(PyDict_GetItemWithError(values, name));
    Py_DECREF(values);
    return found != NULL || PyErr_Occurred() ? found : PyObject_GenericGetAttr(self, name);
}

static int local_set_value(PyObject *self, PyObject *values, PyObject *name, PyObject *value)
{
    if (value != NULL)
        return PyDict_SetItem(values, name, value);
    int rc = PyDict_DelItem(values, name);
    if (rc < 0 && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%U'",
                     Py_TYPE(self)->tp_name, name);
    return rc;
}

static int local_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    if (fbl_unlikely(!PyUnicode_Check(name)))
        return PyObject_GenericSetAttr(self, name, value); /* refuses it */
    if (fbl_unlikely(local_is_dict(name))) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object attribute '__dict__' is read-only",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    PyObject *values = local_values(self);
    if (values == NULL)
        return -1;
    PyObject *attribute = _PyType_Lookup(Py_TYPE(self), name);
    bool is_special = attribute != NULL && Py_TYPE(attribute)->tp_descr_set != NULL;
    int rc = is_special ? PyObject_GenericSetAttr(self, name, value)
                        : local_set_value(self, values, name, value);
    Py_DECREF(values);
    return rc;
}

/* ---- copies ---- */

/* As gevent's: one more of its kind, made with the same arguments, with this fiber's values. */
static PyObject *local_copy(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *values = local_values(self), *copied = NULL, *theirs = NULL;
    if (values != NULL)
        copied =
            PyObject_Call((PyObject *)Py_TYPE(self), local_of(self)->args, local_of(self)->kwargs);
    if (copied != NULL && !PyObject_TypeCheck(copied, &fbl_local_type))
        PyErr_Format(PyExc_TypeError, "cannot copy %R: its class makes objects of another kind.",
                     self);
    else if (copied != NULL)
        theirs = local_values(copied);
    if (theirs != NULL)
        PyDict_Clear(theirs);
    if (theirs == NULL || PyDict_Update(theirs, values) < 0)
        Py_CLEAR(copied);
    Py_XDECREF(theirs);
    Py_XDECREF(values);
    return copied;
}

static PyMethodDef local_methods[] = {
    {"__copy__", local_copy, METH_NOARGS, "One more of its kind, with this fiber's values."},
    {0},
};

/* ---- for reports ---- */

/* SAFE: both are held before anything is allocated, which may run the collector, and with it
 * whatever takes them apart. A local that is being freed has left the list of all. */
static int local_append_to(PyObject *list, local_object *local, PyObject *values)
{
    Py_INCREF(local);
    Py_INCREF(values);
    PyObject *pair = PyTuple_Pack(2, local, values);
    int rc = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    Py_DECREF(values);
    Py_DECREF(local); /* the list has it, or this was the last look at it */
    return rc;
}

/* All (local, dict) of a fiber. */
static PyObject *module_local_values_of(PyObject *module, PyObject *fiber)
{
    (void)module;
    if (!PyObject_TypeCheck(fiber, &fbl_fiber_type))
        return errors_refuse(PyExc_TypeError, "cannot list the values of %R: give a fiber.", fiber);
    PyObject *serial = PyLong_FromUnsignedLongLong(record_of(fiber)->serial);
    PyObject *list = serial == NULL ? NULL : PyList_New(0);
    for (fbl_link *link = all_locals.next; list && link != &all_locals; link = link->next) {
        local_object *local = fbl_container_of(link, local_object, all);
        PyObject *entry = local->values ? PyDict_GetItemWithError(local->values, serial) : NULL;
        if (entry != NULL && local_append_to(list, local, PyTuple_GET_ITEM(entry, 1)) < 0) {
            Py_CLEAR(list);
            break;
        }
    }
    Py_XDECREF(serial);
    return list;
}

/* ---- the type ---- */

static PyObject *local_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    bool has_arguments = PyTuple_GET_SIZE(args) > 0 || (kwargs && PyDict_GET_SIZE(kwargs) > 0);
    if (has_arguments && type->tp_init == PyBaseObject_Type.tp_init)
        return errors_refuse(PyExc_TypeError, "Initialization arguments are not supported");
    fbl_thread *thread = thread_get();
    PyObject *self = thread == NULL ? NULL : type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    local_object *local = local_of(self);
    fbl_list_append(&all_locals, &local->all);
    local->args = Py_NewRef(args);
    local->kwargs = Py_XNewRef(kwargs);
    local->values = PyDict_New();
    /* Its __init__ is about to be called in this fiber. */
    fbl_record *record = thread_current(thread);
    PyObject *serial = PyLong_FromUnsignedLongLong(record->serial), *fresh = NULL;
    bool is_fresh;
    if (local->values != NULL && serial != NULL)
        fresh = local_add(local, serial, record, &is_fresh);
    Py_XDECREF(serial);
    if (fresh == NULL)
        Py_CLEAR(self);
    Py_XDECREF(fresh);
    return self;
}

static int local_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(local_of(self)->values);
    Py_VISIT(local_of(self)->last_values);
    Py_VISIT(local_of(self)->args);
    Py_VISIT(local_of(self)->kwargs);
    return 0;
}

static int local_clear(PyObject *self)
{
    local_remember(local_of(self), 0, NULL);
    Py_CLEAR(local_of(self)->values);
    Py_CLEAR(local_of(self)->args);
    Py_CLEAR(local_of(self)->kwargs);
    return 0;
}

static void local_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    fbl_list_remove(&local_of(self)->all);
    if (local_of(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    local_clear(self);
    Py_TYPE(self)->tp_free(self);
}

PyDoc_STRVAR(local_doc, "local(*args, **kwargs)\n--\n\n"
                        "An object whose attributes differ from fiber to fiber.\n\n"
                        "A subclass's `__init__` is called, with the arguments that the object was "
                        "made with, once in\neach fiber that uses it.\n\n"
                        "Switches: never. Threads: any.\n\n"
                        ">>> import fibril\n"
                        ">>> from fibril.local import local\n"
                        ">>> mine = local()\n"
                        ">>> mine.number = 1\n"
                        ">>> fibril.spawn(hasattr, mine, 'number').get()\n"
                        "False\n");

PyTypeObject fbl_local_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.local.local",
    .tp_doc = local_doc,
    .tp_basicsize = sizeof(local_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = local_new,
    .tp_dealloc = local_dealloc,
    .tp_traverse = local_traverse,
    .tp_clear = local_clear,
    .tp_getattro = local_getattro,
    .tp_setattro = local_setattro,
    .tp_methods = local_methods,
    .tp_weaklistoffset = offsetof(local_object, weakrefs),
};
