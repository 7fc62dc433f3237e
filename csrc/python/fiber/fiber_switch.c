/*
 * fiber_switch.c: Fiber.switch() and Fiber.throw(), with greenlet's rules for values and the dead.
 *
 * The idea: find out who really gets it (a dead fiber passes on to its nearest living ancestor),
 * what travels (one argument as it is, several as a tuple, an exception), and leave the rest to
 * passage.c. The `run` attribute of a fiber that has not started may be a property that itself
 * switches, so whether it has started is asked again after each step that can run Python code. What
 * was found travels to the start like a value: until then the fiber is as it was.
 */
#include "python/fiber/record.h"

/* The native thread that may switch to it. One that has not started has no stack, so it belongs to
 * whichever thread its nearest started ancestor does: it may be given a parent on another thread,
 * and starts there. */
static fbl_thread *record_home(const fbl_record *record)
{
    while (!record_is_started(record) && record->body == fiber_body && record->parent != NULL &&
           !record->core.is_held && record->core.stack == NULL)
        record = record_of(record->parent);
    return record->thread;
}

static void fiber_refuse_thread(fbl_thread *thread, fbl_thread *home)
{
    if (home->is_closed)
        errors_refuse(fbl_error_fiber,
                      "cannot switch to a different thread (which happens to have exited)");
    else
        errors_refuse(fbl_error_fiber,
                      "Cannot switch to a different thread\n\tCurrent:  %R\n\tExpected: %R\n"
                      "Hand over work with a Queue, an Event or hub.call_soon_threadsafe.",
                      thread->main->self, home->main->self);
}

/* Makes an unstarted fiber one of this thread's. */
static void record_adopt(fbl_thread *thread, fbl_record *record)
{
    assert(!record_is_started(record));
    fbl_thread *former = record->thread;
    thread->record_count++;
    record->thread = thread;
    fbl_fiber_move(&record->core, &thread->hub);
    if (--former->record_count == 0 && former->is_closed)
        PyMem_RawFree(former);
}

/* May this thread switch to it? -1: no, with an exception. */
static int record_reach(fbl_thread *thread, fbl_record *record)
{
    fbl_thread *home = record_home(record);
    if (fbl_unlikely(home != thread)) {
        fiber_refuse_thread(thread, home);
        return -1;
    }
    if (fbl_unlikely(record->thread != thread))
        record_adopt(thread, record);
    return 0;
}

/* Whom a switch to `target` really goes to; NULL with an exception if that cannot be. */
static fbl_record *fiber_reachable(fbl_thread *thread, fbl_record *target)
{
    if (fbl_unlikely(record_reach(thread, target) < 0))
        return NULL;
    if (fbl_likely(!record_is_dead(target)))
        return target;
    if (target->core.state == FBL_FIBER_DONE)
        target = record_living_ancestor(target);
    if (target == NULL || target->core.state == FBL_FIBER_LOST) {
        errors_refuse(fbl_error_fiber,
                      "cannot switch to a fiber that stayed in the parent process: after os.fork() "
                      "only the forking fiber goes on in the child.");
        return NULL;
    }
    return record_reach(thread, target) < 0 ? NULL : target;
}

/* Is what an unstarted fiber will call known without running any code? */
static bool record_has_plain_run(const fbl_record *record)
{
    return record->run != NULL && Py_IS_TYPE(record->self, &fbl_fiber_type);
}

/* What an unstarted fiber will call, as a new reference. A subclass may have a method, a property
 * or a __getattribute__ for it: that may run any code, and even start the fiber. */
static PyObject *fiber_find_run(fbl_record *record)
{
    if (fbl_likely(record_has_plain_run(record)))
        return Py_NewRef(record->run);
    return PyObject_GetAttrString(record->self, "run");
}

/* Whom a switch to `named` goes to; *run: what that one will call, if it has not started. Asked
 * again after whatever can run Python code: that may have ended or started anybody. */
static fbl_record *fiber_choose(fbl_thread *thread, fbl_record *named, PyObject **run)
{
    *run = NULL;
    for (;;) {
        fbl_record *target = fiber_reachable(thread, named);
        if (target == NULL || record_is_started(target) || target->body != fiber_body)
            return target;
        bool is_plain = record_has_plain_run(target);
        PyObject *held = Py_NewRef(target->self);
        PyObject *found = fiber_find_run(target);
        bool is_same = is_plain || fiber_reachable(thread, named) == target;
        bool is_usable = found != NULL && is_same && !record_is_started(target);
        if (is_usable)
            *run = found;
        else
            Py_XDECREF(found);
        Py_DECREF(held); /* SAFE: if usable, whoever named it still holds it: no code has run */
        if (is_usable)
            return target;
        if (PyErr_Occurred())
            return NULL;
    }
}

/* What is handed over is made first, and the target chosen last: in 3.11 the collector runs inside
 * allocations, and with it destructors that may end the target. */
static PyObject *fiber_arguments_switch(fbl_thread *thread, fbl_record *named, PyObject *args,
                                        PyObject *kwargs)
{
    PyObject *run;
    PyObject *value = value_from_arguments(args, kwargs);
    fbl_record *target = value == NULL ? NULL : fiber_choose(thread, named, &run);
    if (target == NULL) {
        Py_XDECREF(value);
        return NULL;
    }
    if (record_is_started(target))
        return fiber_switch(thread, target, value);
    PyObject *former_args = NULL, *former_kwargs = NULL;
    if (target->body == fiber_body) {
        former_args = target->args;
        former_kwargs = target->kwargs;
        target->args = Py_NewRef(args);
        target->kwargs = Py_XNewRef(kwargs);
    }
    PyObject *result = fiber_switch(thread, target, run);
    Py_DECREF(value);
    Py_XDECREF(former_args);
    Py_XDECREF(former_kwargs);
    return result;
}

/* Every switch but the usual one. Apart, so that the usual one saves no registers for it. */
static __attribute__((noinline)) PyObject *
fiber_type_any_switch(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    dropped_unwind_switch(thread);
    PyObject *tuple = tuple_from_vector(args, count);
    PyObject *kwargs = names == NULL ? NULL : dict_from_vector(args + count, names);
    PyObject *result = NULL;
    fbl_call call = {self, args, vector_length(count, names), NULL};
    fbl_record *record = call_begin(thread, &call);
    if (tuple != NULL && (names == NULL || kwargs != NULL))
        result = fiber_arguments_switch(thread, record_of(self), tuple, kwargs);
    call_end(record, &call);
    Py_XDECREF(tuple);
    Py_XDECREF(kwargs);
    return result;
}

static PyObject *fiber_type_switch(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *names)
{
    fbl_thread *thread = fbl_this_thread;
    fbl_record *target = record_of(self);
    if (fbl_unlikely(names != NULL || count > 1 || !fiber_is_plain_switch(thread, target)))
        return fiber_type_any_switch(self, args, count, names);
    fbl_call call = {self, args, count, NULL};
    fbl_record *record = call_begin(thread, &call);
    PyObject *value = Py_NewRef(count == 1 ? args[0] : fbl_empty_tuple);
    PyObject *result = fiber_plain_switch(thread, target, value);
    call_end(record, &call);
    return result;
}

/* Makes the current exception from throw()'s arguments. -1: they make none. */
static int throw_set_exception(PyObject *type, PyObject *value, PyObject *traceback)
{
    if (traceback == Py_None)
        traceback = NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        return -1;
    }
    if (PyExceptionInstance_Check(type)) {
        if (value != NULL && value != Py_None) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
            return -1;
        }
        value = type;
        type = PyExceptionInstance_Class(value);
        if (traceback == NULL)
            traceback = PyException_GetTraceback(value);
        else
            Py_INCREF(traceback);
        PyErr_Restore(Py_NewRef(type), Py_NewRef(value), traceback);
        return 0;
    }
    if (!PyExceptionClass_Check(type)) {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes, or instances, not %s",
                     Py_TYPE(type)->tp_name);
        return -1;
    }
    PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), Py_XNewRef(traceback));
    PyObject *normal = PyErr_GetRaisedException();
    PyErr_SetRaisedException(normal);
    return 0;
}

/* The current exception goes to `named`. One that has not started starts with it, and so dies of it
 * at once; to one that has ended, GreenletExit is a value like any other. */
static PyObject *fiber_throw_switch(fbl_thread *thread, fbl_record *named)
{
    PyObject *travelling = PyErr_GetRaisedException();
    if (record_is_dead(named) && PyErr_GivenExceptionMatches(travelling, fbl_error_exit)) {
        PyObject *tuple = PyTuple_Pack(1, travelling);
        Py_DECREF(travelling);
        PyObject *result =
            tuple == NULL ? NULL : fiber_arguments_switch(thread, named, tuple, NULL);
        Py_XDECREF(tuple);
        return result;
    }
    PyObject *run;
    fbl_record *target = fiber_choose(thread, named, &run);
    if (target == NULL) {
        Py_XDECREF(travelling);
        return NULL;
    }
    PyErr_SetRaisedException(travelling);
    return fiber_switch(thread, target, run);
}

static PyObject *fiber_type_throw_switch(PyObject *self, PyObject *args)
{
    PyObject *type = fbl_error_exit, *value = NULL, *traceback = NULL;
    if (!PyArg_UnpackTuple(args, "throw", 0, 3, &type, &value, &traceback))
        return NULL;
    fbl_thread *thread = thread_get();
    if (thread == NULL || throw_set_exception(type, value, traceback) < 0)
        return NULL;
    return fiber_throw_switch(thread, record_of(self));
}

/* The method: called by vector, so that the collector can see from where. */
static PyObject *fiber_type_throw_vector(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    fbl_thread *thread = thread_get();
    PyObject *tuple = thread == NULL ? NULL : tuple_from_vector(args, count);
    if (tuple == NULL)
        return NULL;
    fbl_call call = {self, args, count, NULL};
    fbl_record *record = call_begin(thread, &call);
    PyObject *result = fiber_type_throw_switch(self, tuple);
    call_end(record, &call);
    Py_DECREF(tuple);
    return result;
}
