/*
 * main_stack.c: on_main_stack(): a Python call that runs on the native thread's own stack.
 *
 * The idea: guest.c moves the C frames there; of the fiber's share of the thread state only what
 * CPython knows of the C stack is exchanged (fbl_embed_lend): bounds, or the budget of recursion.
 * All else stays the fiber's: Python frames, handled exceptions, context, and who is current.
 * Callers: Python, on any thread. Do not add: policy about whose calls need it; that is Python's.
 */
#include "python/fiber/record.h"

typedef struct {
    PyObject *const *args; /* borrowed: what to call, and its arguments */
    Py_ssize_t count;      /* of the arguments that have no name */
    PyObject *names;       /* borrowed: of the others, or NULL */
    PyObject *result;      /* owned: what it returned; NULL: it raised */
} main_stack_call;

static void main_stack_run(void *argument)
{
    main_stack_call *call = argument;
    call->result =
        PyObject_Vectorcall(call->args[0], call->args + 1, (size_t)call->count, call->names);
}

static PyObject *module_on_main_stack(PyObject *module, PyObject *const *args, Py_ssize_t count,
                                      PyObject *names)
{
    (void)module;
    if (count < 1)
        return errors_refuse(PyExc_TypeError, "use on_main_stack(fn, *args, **kwargs)");
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    if (fbl_guest_is_home(&thread->hub))
        return PyObject_Vectorcall(args[0], args + 1, (size_t)(count - 1), names);
    main_stack_call call = {args, count - 1, names, NULL};
    fbl_guest_call(&thread->hub, main_stack_run, &call);
    return call.result;
}
