/*
 * frame_visit.h: what the frames of a parked fiber refer to, for CPython 3.14 and later.
 *
 * The idea: since 3.14 a frame says how much of its evaluation stack is in use whenever other code
 * may run, so everything that a parked frame holds can be shown to the collector, not its locals
 * only. A slot is a tagged word: it may be empty, a small number, or a reference that is not
 * counted (the object is immortal, or something else keeps it). Only counted ones may be visited:
 * the collector would take one count too many off the others.
 *
 * Included by state_3_14.h and later only.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* CPython's own, from 3.15 on */
#include "internal/pycore_interpframe.h"
#pragma GCC diagnostic pop

static int frame_visit_slot(_PyStackRef slot, visitproc visit, void *arg)
{
    if (PyStackRef_IsNullOrInt(slot) || !PyStackRef_RefcountOnObject(slot))
        return 0;
    Py_VISIT(PyStackRef_AsPyObjectBorrow(slot));
    return 0;
}

/* A generator's frame is the generator's to visit, an eval loop's entry holds nothing of ours, and
 * neither does the sentinel at the end of a chain: only frames on the data stack remain. */
static int frame_visit(_PyInterpreterFrame *frame, visitproc visit, void *arg)
{
    Py_VISIT(frame->frame_obj);
    Py_VISIT(frame->f_locals);
    int rc = frame_visit_slot(frame->f_funcobj, visit, arg);
    if (rc == 0)
        rc = frame_visit_slot(frame->f_executable, visit, arg);
    for (_PyStackRef *slot = frame->localsplus; rc == 0 && slot < frame->stackpointer; slot++)
        rc = frame_visit_slot(*slot, visit, arg);
    return rc;
}

static int frame_visit_chain(_PyInterpreterFrame *frame, visitproc visit, void *arg)
{
    int rc = 0;
    for (; frame != NULL && rc == 0; frame = frame->previous) {
        if (frame->owner == FRAME_OWNED_BY_THREAD)
            rc = frame_visit(frame, visit, arg);
    }
    return rc;
}

/* Can nobody look at these frames, once their fiber is gone? Frame objects and running generators
 * lead to them. */
static bool frames_are_private(_PyInterpreterFrame *innermost)
{
    for (_PyInterpreterFrame *f = innermost; f != NULL; f = f->previous)
        if (f->owner < FRAME_OWNED_BY_INTERPRETER &&
            (f->owner != FRAME_OWNED_BY_THREAD || f->frame_obj != NULL))
            return false;
    return true;
}

/* The line that `frame` runs, as code object (borrowed) and offset in it; NULL if it runs none. */
static inline PyCodeObject *frame_place(_PyInterpreterFrame *frame, int *offset)
{
    if (frame == NULL || frame->owner >= FRAME_OWNED_BY_INTERPRETER)
        return NULL;
    PyCodeObject *code = _PyFrame_GetCode(frame);
    *offset = (int)((char *)frame->instr_ptr - (char *)_PyCode_CODE(code));
    return code;
}
