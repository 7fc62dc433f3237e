/*
 * fiber_type.c: the type fibril.Fiber, which is also greenlet.greenlet: creation, attributes,
 * table.
 *
 * The idea: the object is greenlet's 40 bytes and nothing but a face; what it shows lies in the
 * record (life.c), how it is switched to is fiber_switch.c's, how it ends death.c's.
 */
#include "python/fiber/record.h"

#include <stddef.h>

/* ---- attributes ---- */

/* A thread's main fiber runs what the thread does. */
static int fiber_check_run(const fbl_record *record)
{
    if (!record->is_main)
        return 0;
    errors_refuse(PyExc_AttributeError, "Main %ss do not have a run attribute.", fiber_noun());
    return -1;
}

static PyObject *fiber_get_run(PyObject *self, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (fiber_check_run(record) < 0)
        return NULL;
    if (record_is_started(record) || record->run == NULL)
        return errors_refuse(PyExc_AttributeError, "run");
    return Py_NewRef(record->run);
}

static int fiber_set_run(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (fiber_check_run(record) < 0)
        return -1;
    if (record_is_started(record)) {
        PyErr_Format(PyExc_AttributeError, "run cannot be set after the start of the %s",
                     fiber_noun());
        return -1;
    }
    Py_XSETREF(record->run, Py_XNewRef(value));
    return 0;
}

static PyObject *fiber_get_parent(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *parent = record_of(self)->parent;
    return Py_NewRef(parent != NULL ? parent : Py_None);
}

/* 0: it may be the parent; -1 with greenlet's exceptions. */
static int fiber_check_parent(fbl_record *record, PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can't delete attribute");
        return -1;
    }
    if (record->is_main) {
        PyErr_Format(PyExc_AttributeError, "cannot set the parent of a main %s", fiber_noun());
        return -1;
    }
    if (!PyObject_TypeCheck(value, &fbl_fiber_type)) {
        PyErr_Format(PyExc_TypeError,
                     fbl_knows_greenlets ? "GreenletChecker: Expected any type of greenlet, not %s"
                                         : "the parent of a fiber must be a fiber, not %s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    for (PyObject *step = value; step != NULL; step = record_of(step)->parent) {
        if (record_of(step) == record) {
            PyErr_SetString(PyExc_ValueError, "cyclic parent chain");
            return -1;
        }
    }
    if (record_is_started(record) && record_home(record_of(value)) != record->thread) {
        PyErr_SetString(PyExc_ValueError, "parent cannot be on a different thread");
        return -1;
    }
    return 0;
}

static int fiber_set_parent(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (fiber_check_parent(record_of(self), value) < 0)
        return -1;
    Py_XSETREF(record_of(self)->parent, Py_NewRef(value));
    return 0;
}

static PyObject *fiber_get_dead(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(record_is_dead(record_of(self)));
}

static int fiber_set_dict(PyObject *self, PyObject *value, void *unused)
{
    if (value != NULL && PyDict_Check(value))
        return PyObject_GenericSetDict(self, value, unused);
    PyErr_SetString(PyExc_TypeError, value == NULL ? "__dict__ may not be deleted"
                                                   : "__dict__ must be a dictionary");
    return -1;
}

/* Whether its frames stand still: parked, or left for ever where it was when its thread ended. */
static bool record_has_frames(const fbl_record *record)
{
    bool is_lost = record->core.state == FBL_FIBER_LOST && record->core.stack != NULL;
    return (record_is_away(record) || is_lost) && record->thread->hub.current != &record->core;
}

static PyObject *fiber_get_frame(PyObject *self, void *unused)
{
    (void)unused;
    fbl_record *record = record_of(self);
    if (!record_has_frames(record))
        Py_RETURN_NONE;
    PyFrameObject *frame = state_frame(&record->state, PyThreadState_Get());
    return frame != NULL ? (PyObject *)frame : Py_NewRef(Py_None);
}

/* greenlet counts the bytes that it has copied off the thread's stack. Here nothing is copied: it
 * is what the fiber's own stack holds while it is away. A thread's main fiber is on a stack whose
 * size fibril does not know; programs only ask whether it is more than nothing. */
static PyObject *fiber_get_stack_saved(PyObject *self, void *unused)
{
    (void)unused;
    fbl_fiber *fiber = &record_of(self)->core;
    if (!record_is_away(record_of(self)) || fiber->hub->current == fiber)
        return PyLong_FromLong(0);
    if (fiber->stack == NULL)
        return PyLong_FromLong(1);
    return PyLong_FromSsize_t(fbl_stack_top(fiber->stack) - (char *)fiber->context.sp);
}

static int fiber_is_true(PyObject *self)
{
    fbl_record *record = record_of(self);
    return record_is_started(record) && !record_is_dead(record);
}

static const char *record_words(const fbl_record *record)
{
    if (record_is_dead(record))
        return record->thread->is_closed ? "(thread exited) dead" : "dead";
    if (!record_is_started(record))
        return "pending";
    bool is_current =
        record->thread == fbl_this_thread && record->thread->hub.current == &record->core;
    return is_current ? "current active started" : "suspended active started";
}

/* greenlet's forms, to the letter: programs and tests look for them. otid tells fibers of one
 * native thread from those of another; one that has not started may still start on any. */
static PyObject *fiber_repr(PyObject *self)
{
    fbl_record *record = record_of(self);
    fbl_thread *thread = record->thread;
    bool has_thread = record_is_started(record) && !thread->is_closed;
    bool is_main = record->is_main && !record_is_dead(record);
    return PyUnicode_FromFormat("<%s object at %p (otid=%p) %s%s>", Py_TYPE(self)->tp_name, self,
                                has_thread ? thread : NULL, record_words(record),
                                is_main ? " main" : "");
}

/* ---- creation ---- */

static PyObject *fiber_new_switch(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    dropped_unwind_switch(thread);
    fiber_type_settle(type);
    if (fbl_unlikely(type->tp_flags & Py_TPFLAGS_IS_ABSTRACT))
        return PyBaseObject_Type.tp_new(type, fbl_empty_tuple, NULL); /* refuses, and says why */
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    fbl_record *record = record_make(self, thread);
    if (record == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    fbl_fiber_init(&record->core, &thread->hub);
    record->body = fiber_body;
    record->parent = Py_NewRef(thread_current(thread)->self);
    return self;
}

static int fiber_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"run", "parent", "stack_size", NULL};
    PyObject *run = NULL, *parent = NULL, *stack_size = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO$O:Fiber", names, &run, &parent,
                                     &stack_size))
        return -1;
    if (stack_size != Py_None && fiber_set_stack_size(self, stack_size, NULL) < 0)
        return -1;
    if (run != NULL && fiber_set_run(self, run, NULL) < 0)
        return -1;
    if (parent != NULL && parent != Py_None && fiber_set_parent(self, parent, NULL) < 0)
        return -1;
    return 0;
}

static PyObject *fiber_refuse_state(PyObject *self, PyObject *unused)
{
    (void)unused;
    return errors_refuse(PyExc_TypeError, "cannot serialize '%s' object", Py_TYPE(self)->tp_name);
}

static PyGetSetDef fiber_getset[] = {
    {"__dict__", PyObject_GenericGetDict, fiber_set_dict, NULL, NULL},
    {"run", fiber_get_run, fiber_set_run, "What it will call; gone once it has started.", NULL},
    {"parent", fiber_get_parent, fiber_set_parent, "Where control goes when it ends.", NULL},
    {"dead", fiber_get_dead, NULL, "True once it has ended, or its thread has.", NULL},
    {"stack_size", fiber_get_stack_size, fiber_set_stack_size,
     "Bytes of its stack, or of the one that it will get; may be set until it starts.", NULL},
    {"gr_frame", fiber_get_frame, NULL, "Innermost frame while it is away, else None.", NULL},
    {"gr_context", fiber_get_context, fiber_set_context,
     "The contextvars.Context that it runs with, or None while that is empty.", NULL},
    {"_stack_saved", fiber_get_stack_saved, NULL,
     "Bytes that its stack holds while it is away, else 0.", NULL},
    {0},
};

PyDoc_STRVAR(fiber_switch_doc,
             "switch($self, /, *args, **kwargs)\n--\n\n"
             "Run this fiber now; return when somebody switches back, with what they passed.\n\n"
             "The first switch calls run(*args, **kwargs). Later ones make the fiber's own pending "
             "switch() return:\n"
             "one argument as it is, several as a tuple, none as (), keywords as a dict. A dead "
             "fiber passes the\n"
             "value on to its nearest living ancestor.\n\n"
             "Switches: always. Threads: the fiber's own. Raises FiberError from any other thread, "
             "and whatever\n"
             "is thrown into the calling fiber meanwhile.");

const char fbl_throw_doc[] =
    "throw($self, typ=GreenletExit, val=None, tb=None, /)\n--\n\n"
    "Raise an exception inside this fiber now; return when somebody switches back.\n\n"
    "A fiber that never started dies of it at once, and its parent gets the exception\n"
    "(GreenletExit as a value).\n\n"
    "Switches: always. Threads: the fiber's own. Raises TypeError for what is no exception.";

static PyMethodDef fiber_methods[] = {
    {"switch", (PyCFunction)(void (*)(void))fiber_type_switch, METH_FASTCALL | METH_KEYWORDS,
     fiber_switch_doc},
    {"throw", (PyCFunction)(void (*)(void))fiber_type_throw_vector, METH_FASTCALL, fbl_throw_doc},
    {"__getstate__", fiber_refuse_state, METH_NOARGS, "Fibers cannot be copied or pickled."},
    {0},
};

static PyNumberMethods fiber_number = {.nb_bool = fiber_is_true};

PyDoc_STRVAR(
    fiber_doc,
    "Fiber(run=None, parent=None, *, stack_size=None)\n--\n\n"
    "A coroutine with a stack of its own, which wraps a plain function and is switched to by "
    "name.\n\n"
    "run: what it calls when first switched to. parent: the fiber that gets its result or its "
    "exception\n"
    "when it ends; the creating fiber by default. stack_size: bytes for its C stack, for code that "
    "needs\n"
    "more than usual (fibril.stack_size()); they cost memory only once touched.\n\n"
    "Switches: never. Threads: any; the fiber belongs to the native thread that makes it.\n\n"
    ">>> from fibril import Fiber, getcurrent\n"
    ">>> main = getcurrent()\n"
    ">>> def double(number):\n"
    "...     while True:\n"
    "...         number = main.switch(number * 2)\n"
    ">>> fiber = Fiber(double)\n"
    ">>> fiber.switch(4), fiber.switch(21)\n"
    "(8, 42)\n");

PyTypeObject fbl_fiber_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.Fiber",
    .tp_doc = fiber_doc,
    .tp_basicsize = sizeof(fbl_fiber_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = fiber_new_switch,
    .tp_init = fiber_init,
    .tp_dealloc = fiber_dealloc,
    .tp_finalize = fiber_finalize_switch,
    .tp_traverse = fiber_traverse,
    .tp_clear = fiber_clear,
    .tp_repr = fiber_repr,
    .tp_as_number = &fiber_number,
    .tp_methods = fiber_methods,
    .tp_getset = fiber_getset,
    .tp_weaklistoffset = offsetof(fbl_fiber_object, weakrefs),
    .tp_dictoffset = offsetof(fbl_fiber_object, dict),
};
_Static_assert(sizeof(fbl_fiber_object) == 40, "C extensions compile greenlet's size in");
