/*
 * eval_stack.h: what a parked frame's evaluation stack holds for sure, in CPython 3.11 to 3.13.
 *
 * The collector must be told of references that the frame owns, and of no others: a slot above the
 * stack's top may hold a pointer to what was freed long ago. Where the top is, CPython writes down
 * only for a frame that called a Python function without leaving its eval loop (`stacktop`).
 * While a frame is inside a C function it is not known, and a C function may be what destroys an
 * operand. But one case can be proved, and it is the usual one: our own method was called by the
 * frame as `object.method(...)`, and its arguments are still where the frame had put them.
 *
 *      localsplus  |  locals, cells  |  stack ...  |  method  |  self  |  args ... |  unknown
 *                                                                     ^ call->args
 *
 * The proof: the vector that we were given points into this frame's stack, so the frame is in the
 * middle of the call that passed it (not yet dropping operands), and all below it is in use. Only
 * the slot just before a vector may hold a reference that nobody owns, if a callee borrowed it to
 * prepend an argument (PY_VECTORCALL_ARGUMENTS_OFFSET; functools.partial does); where that slot
 * holds our own self and the one before it a method descriptor, no such callee was in between.
 *
 * What is not visited counts as referenced from outside: safe, but a cycle through it is not
 * collected. That remains so for the operands of other instructions (`with lock:`, a bound method
 * kept in a variable, a frame whose C function called back into Python).
 * Included by the state files of these versions only; each has version_code, version_function,
 * version_is_entry and version_is_inlined.
 */

/* How much of `frame`, in which our own method may have been called, is in use for sure. */
static int eval_stack_called(_PyInterpreterFrame *frame, PyCodeObject *code, const fbl_call *call)
{
    int locals_count = code->co_nlocalsplus;
    if (call == NULL)
        return locals_count;
    uintptr_t stack = (uintptr_t)(frame->localsplus + locals_count);
    uintptr_t args = (uintptr_t)call->args, end = (uintptr_t)(call->args + call->count);
    if (args < stack + 2 * sizeof(PyObject *) ||
        end > stack + (size_t)code->co_stacksize * sizeof(PyObject *))
        return locals_count;
    PyObject *method = call->args[-2];
    if (call->args[-1] != call->self || method == NULL || !Py_IS_TYPE(method, &PyMethodDescr_Type))
        return locals_count;
    return locals_count + (int)((end - stack) / sizeof(PyObject *));
}

/* How many entries of frame->localsplus are in use for sure. `inner`: the frame above, or NULL. */
static int eval_stack_used(_PyInterpreterFrame *frame, _PyInterpreterFrame *inner,
                           const fbl_call *call)
{
    PyCodeObject *code = version_code(frame);
    if (frame->stacktop < 0)
        return inner == NULL ? eval_stack_called(frame, code, call) : code->co_nlocalsplus;
    if (inner == NULL || !version_is_inlined(inner))
        return 0; /* a tracer runs, or (3.11.0) the frame's locals are being destroyed */
    /* A running generator must not look like garbage: the collector would try to close it. */
    return inner->owner == FRAME_OWNED_BY_GENERATOR ? code->co_nlocalsplus : frame->stacktop;
}

/* Can nobody look at these frames, once their fiber is gone? Frame objects and running generators
 * lead to them. */
static bool frames_are_private(_PyInterpreterFrame *innermost)
{
    for (_PyInterpreterFrame *f = innermost; f != NULL; f = f->previous)
        if (!version_is_entry(f) && (f->owner != FRAME_OWNED_BY_THREAD || f->frame_obj != NULL))
            return false;
    return true;
}

static int frames_visit(_PyInterpreterFrame *innermost, const fbl_call *call, visitproc visit,
                        void *arg)
{
    _PyInterpreterFrame *inner = NULL;
    for (_PyInterpreterFrame *f = innermost; f != NULL; inner = f, f = f->previous) {
        if (version_is_entry(f))
            continue;
        if (f->owner == FRAME_OWNED_BY_THREAD) {
            Py_VISIT(f->frame_obj);
            Py_VISIT(f->f_locals);
            Py_VISIT(version_function(f));
            Py_VISIT(version_code(f));
        } else if (f->stacktop >= 0) {
            continue; /* all of it is visited by the generator whose frame it is */
        }
        int used_count = eval_stack_used(f, inner, call);
        for (int i = 0; i < used_count; i++)
            Py_VISIT(f->localsplus[i]);
    }
    return 0;
}
