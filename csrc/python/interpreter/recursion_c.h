/*
 * recursion_c.h: the budget of C recursion that a fresh fiber gets on CPython 3.12 and 3.13.
 *
 * The idea: what a new thread starts with is a constant of the interpreter that runs, which differs
 * between patch releases and builds, so it is read from a thread state that is made for the
 * purpose. Included by state_3_12.h and state_3_13.h only.
 */
#include "python/interpreter/recursion.h"

static int recursion_thread_units; /* what a new thread starts with; set at import */

/* 0, or -1 with an exception. */
static int recursion_learn(PyThreadState *ts)
{
    PyThreadState *fresh = PyThreadState_New(ts->interp);
    if (fresh == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    recursion_thread_units = fresh->c_recursion_remaining;
    PyThreadState_Clear(fresh);
    PyThreadState_Delete(fresh);
    return 0;
}

static inline int recursion_budget(size_t room_bytes)
{
    int units = recursion_fitting(room_bytes);
    bool is_full = recursion_has_thread_stack(room_bytes) || units > recursion_thread_units;
    return is_full ? recursion_thread_units : units;
}
