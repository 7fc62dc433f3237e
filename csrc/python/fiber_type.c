/*
 * fiber_type.c: the type weft.Fiber, which is also greenlet.greenlet: attributes, collection, end.
 *
 * Collectable: a parked fiber's frames are visited, and its finalizer throws GreenletExit into it,
 * so its finally blocks run. What cannot be unwound any more (its thread is gone) is leaked, never
 * freed: a traceback may still look at its frames.
 */
#include "thread.h"

#include <stddef.h>

/* ---- attributes ---- */

static PyObject *fiber_get_run(PyObject *self, void *unused)
{
    (void)unused;
    weft_record *record = record_of(self);
    if (record_is_started(record) || record->run == NULL)
        return errors_refuse(PyExc_AttributeError, "run");
    return Py_NewRef(record->run);
}

static int fiber_set_run(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    weft_record *record = record_of(self);
    if (record_is_started(record)) {
        PyErr_SetString(PyExc_AttributeError, "run cannot be set after the start of the greenlet");
        return -1;
    }
    if (value == NULL && record->run == NULL) {
        PyErr_SetString(PyExc_AttributeError, "run");
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

static int fiber_set_parent(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    weft_record *record = record_of(self);
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "can't delete attribute");
        return -1;
    }
    if (!PyObject_TypeCheck(value, &weft_fiber_type)) {
        PyErr_Format(PyExc_TypeError, "parent must be a fiber (greenlet), not %s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    if (record == record->thread->main) {
        PyErr_SetString(PyExc_AttributeError, "cannot set the parent of a main greenlet");
        return -1;
    }
    weft_record *parent = record_of(value);
    for (weft_record *step = parent; step != NULL;
         step = step->parent != NULL ? record_of(step->parent) : NULL) {
        if (step == record) {
            PyErr_SetString(PyExc_ValueError, "cyclic parent chain");
            return -1;
        }
    }
    if (parent->thread != record->thread) {
        PyErr_SetString(PyExc_ValueError, "parent cannot be on a different thread");
        return -1;
    }
    Py_XSETREF(record->parent, Py_NewRef(value));
    return 0;
}

static PyObject *fiber_get_dead(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(record_is_dead(record_of(self)));
}

static PyObject *fiber_get_frame(PyObject *self, void *unused)
{
    (void)unused;
    weft_record *record = record_of(self);
    if (!record_is_away(record) || record->thread->hub.current == &record->core)
        Py_RETURN_NONE;
    PyFrameObject *frame = state_frame(&record->state, PyThreadState_Get());
    return frame != NULL ? (PyObject *)frame : Py_NewRef(Py_None);
}

static int fiber_is_true(PyObject *self)
{
    weft_record *record = record_of(self);
    return record_is_started(record) && !record_is_dead(record);
}

static PyObject *fiber_repr(PyObject *self)
{
    static const char *const words[] = {"pending",
                                        "current active started",
                                        "suspended active started",
                                        "suspended active started",
                                        "dead",
                                        "dead"};
    weft_record *record = record_of(self);
    return PyUnicode_FromFormat("<%s object at %p (otid=%p) %s%s>", Py_TYPE(self)->tp_name, self,
                                record->thread, words[record->core.state],
                                record == record->thread->main ? " main" : "");
}

/* ---- creation, collection, end ---- */

static PyObject *fiber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    weft_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    weft_record *record = record_make(self, thread);
    if (record == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    weft_fiber_init(&record->core, &thread->hub);
    record->body = fiber_body;
    record->parent = Py_NewRef(thread_current(thread)->self);
    return self;
}

static int fiber_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"run", "parent", NULL};
    PyObject *run = NULL, *parent = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:Fiber", names, &run, &parent))
        return -1;
    if (run != NULL && run != Py_None && fiber_set_run(self, run, NULL) < 0)
        return -1;
    if (parent != NULL && parent != Py_None && fiber_set_parent(self, parent, NULL) < 0)
        return -1;
    return 0;
}

static int fiber_traverse(PyObject *self, visitproc visit, void *arg)
{
    weft_record *record = record_of(self);
    Py_VISIT(((weft_fiber_object *)self)->dict);
    if (record == NULL)
        return 0;
    Py_VISIT(record->run);
    Py_VISIT(record->args);
    Py_VISIT(record->kwargs);
    Py_VISIT(record->parent);
    Py_VISIT(record->thrown);
    /* A running fiber's share is in the thread state, a main fiber's frames are the thread's. */
    if (record_is_away(record) && record->core.stack != NULL &&
        record->thread->hub.current != &record->core)
        return state_visit(&record->state, visit, arg);
    return 0;
}

/* Nobody can switch to it any more: unwind it, with GreenletExit, so that its finally blocks run. A
 * fiber of another thread, a task, or one met where nobody may switch, is left to its hub. */
static void fiber_unwind(PyObject *self, weft_record *record)
{
    weft_thread *thread = weft_this_thread;
    PyObject *exit = PyObject_CallFunction(
        weft_error_exit, "s", "Killing the greenlet because all references have vanished.");
    if (exit == NULL) {
        PyErr_WriteUnraisable(self);
        return;
    }
    bool is_here = thread == record->thread &&
                   thread_current(thread)->core.state == WEFT_FIBER_RUNNING &&
                   record->core.state == WEFT_FIBER_SUSPENDED && record->body == fiber_body;
    if (!is_here) {
        if (fiber_throw_later(record, exit) < 0)
            PyErr_WriteUnraisable(self);
        Py_DECREF(exit);
        return;
    }
    Py_XSETREF(record->parent, Py_NewRef(thread_current(thread)->self));
    PyErr_SetObject((PyObject *)Py_TYPE(exit), exit);
    Py_DECREF(exit);
    PyObject *result = fiber_throw_and_return_switch(thread, record);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(self);
    Py_XDECREF(result);
}

/* Is it away, and can it still run? */
static bool record_is_unwindable(const weft_record *record)
{
    return record != NULL && record_is_away(record) && !record->thread->is_closed &&
           record != record->thread->main && !weft_is_finalizing();
}

static void fiber_finalize(PyObject *self)
{
    weft_record *record = record_of(self);
    if (!record_is_unwindable(record))
        return;
    PyObject *pending = PyErr_GetRaisedException();
    fiber_unwind(self, record);
    PyErr_SetRaisedException(pending);
}

/* Garbage that is still away has refused to be unwound, or has a __del__ that took the finalizer's
 * place. What its frames need may be cleared already, so it must never run again. */
static void fiber_give_up(PyObject *self, weft_record *record)
{
    bool was_held = record->core.is_held;
    weft_fiber_lose(&record->core);
    if (was_held)
        Py_DECREF(self); /* the collector has a reference of its own */
}

/* Only what the object owns. A fiber that still has frames keeps what they may need. */
static int fiber_clear(PyObject *self)
{
    weft_record *record = record_of(self);
    if (record != NULL && record_is_away(record)) {
        fiber_give_up(self, record);
        return 0;
    }
    Py_CLEAR(((weft_fiber_object *)self)->dict);
    if (record == NULL || record->core.stack != NULL || record->core.state == WEFT_FIBER_RUNNING)
        return 0;
    record_release(record);
    if (record_is_dead(record))
        Py_CLEAR(record->parent);
    return 0;
}

/* The end of every fiber object, untracked already. One that could not be unwound is lost first, so
 * that no code that runs below can find it. */
static void fiber_free(PyObject *self)
{
    weft_record *record = record_of(self);
    bool has_frames = record != NULL && record->core.stack != NULL;
    if (has_frames)
        weft_fiber_lose(&record->core);
    if (((weft_fiber_object *)self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(((weft_fiber_object *)self)->dict);
    if (record != NULL && !has_frames) {
        record_release(record);
        Py_CLEAR(record->parent);
        Py_CLEAR(record->state.context); /* copied for a start that never came */
        weft_fiber_drop(&record->core);
        record_free(record);
    }
    Py_TYPE(self)->tp_free(self);
}

/* The last reference is gone. True: the fiber must be unwound first, and lives on until it is. */
static bool fiber_is_saved(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return true;
    if (!record_is_unwindable(record_of(self)))
        return false;
    /* A subclass with __del__ has taken the finalizer's place. SAFE: the reference lent here is
     * taken back below, unless unwinding has made others; then the object goes on as a whole, and
     * its type
     * gets back the reference that the caller, subtype_dealloc, is going to drop. */
    Py_SET_REFCNT(self, 1);
    fiber_finalize(self);
    Py_SET_REFCNT(self, Py_REFCNT(self) - 1);
    if (Py_REFCNT(self) == 0)
        return false;
    if (PyType_HasFeature(Py_TYPE(self), Py_TPFLAGS_HEAPTYPE))
        Py_INCREF(Py_TYPE(self));
    if (!PyObject_GC_IsTracked(self))
        PyObject_GC_Track(self);
    return true;
}

static void fiber_dealloc(PyObject *self)
{
    if (fiber_is_saved(self))
        return;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, fiber_dealloc) /* a chain of parents may be as long as memory */
        fiber_free(self);
    Py_TRASHCAN_END
}

static PyObject *fiber_refuse_state(PyObject *self, PyObject *unused)
{
    (void)unused;
    return errors_refuse(PyExc_TypeError, "cannot serialize '%s' object", Py_TYPE(self)->tp_name);
}

static PyGetSetDef fiber_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"run", fiber_get_run, fiber_set_run, "What it will call; gone once it has started.", NULL},
    {"parent", fiber_get_parent, fiber_set_parent, "Where control goes when it ends.", NULL},
    {"dead", fiber_get_dead, NULL, "True once it has ended, or its thread has.", NULL},
    {"gr_frame", fiber_get_frame, NULL, "Innermost frame while it is away, else None.", NULL},
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

const char weft_throw_doc[] =
    "throw($self, typ=GreenletExit, val=None, tb=None, /)\n--\n\n"
    "Raise an exception inside this fiber now; return when somebody switches back.\n\n"
    "A fiber that never started dies of it at once, and its parent gets the exception\n"
    "(GreenletExit as a value).\n\n"
    "Switches: always. Threads: the fiber's own. Raises TypeError for what is no exception.";

static PyMethodDef fiber_methods[] = {
    {"switch", (PyCFunction)(void (*)(void))fiber_type_switch, METH_FASTCALL | METH_KEYWORDS,
     fiber_switch_doc},
    {"throw", fiber_type_throw, METH_VARARGS, weft_throw_doc},
    {"__getstate__", fiber_refuse_state, METH_NOARGS, "Fibers cannot be copied or pickled."},
    {0},
};

static PyNumberMethods fiber_number = {.nb_bool = fiber_is_true};

PyDoc_STRVAR(
    fiber_doc,
    "Fiber(run=None, parent=None)\n--\n\n"
    "A coroutine with a stack of its own, which wraps a plain function and is switched to by "
    "name.\n\n"
    "run: what it calls when first switched to. parent: the fiber that gets its result or its "
    "exception\n"
    "when it ends; the creating fiber by default.\n\n"
    "Switches: never. Threads: any; the fiber belongs to the native thread that makes it.\n\n"
    ">>> from weft import Fiber, getcurrent\n"
    ">>> main = getcurrent()\n"
    ">>> def double(number):\n"
    "...     while True:\n"
    "...         number = main.switch(number * 2)\n"
    ">>> fiber = Fiber(double)\n"
    ">>> fiber.switch(4), fiber.switch(21)\n"
    "(8, 42)\n");

PyTypeObject weft_fiber_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weft.Fiber",
    .tp_doc = fiber_doc,
    .tp_basicsize = sizeof(weft_fiber_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = fiber_new,
    .tp_init = fiber_init,
    .tp_dealloc = fiber_dealloc,
    .tp_finalize = fiber_finalize,
    .tp_traverse = fiber_traverse,
    .tp_clear = fiber_clear,
    .tp_repr = fiber_repr,
    .tp_as_number = &fiber_number,
    .tp_methods = fiber_methods,
    .tp_getset = fiber_getset,
    .tp_weaklistoffset = offsetof(weft_fiber_object, weakrefs),
    .tp_dictoffset = offsetof(weft_fiber_object, dict),
};
_Static_assert(sizeof(weft_fiber_object) == 40, "C extensions compile greenlet's size in");
