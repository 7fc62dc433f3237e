/*
 * state_3_12.h: what only CPython 3.12 has: frames hang off a _PyCFrame, separate recursion
 * counters for Python and for C, and the trashcan's nesting count in a struct.
 *
 * The bottom _PyCFrame lives in the fiber's record, as in 3.11 (see there). The C budget of a fresh
 * fiber follows from its stack size: C_RECURSION_LIMIT differs between patch releases (1500 and
 * 10000), and was made for the main thread's 8 MiB.
 * Included by state.h only.
 */
#include "internal/pycore_frame.h"
#include "python/interpreter/recursion_c.h"

typedef struct {
    _PyCFrame *cframe; /* innermost eval loop's, on the fiber's C stack; or `bottom` */
    _PyCFrame bottom;  /* where a fiber's frame chain ends */
    int depth;         /* depth of Python calls */
    int c_remaining;   /* what is left of the budget of C recursion */
    int trash_nesting; /* deallocations on this C stack that the trashcan counts */
    const fbl_call *call; /* what called the method that parks, see eval_stack.h; or NULL */
} version_state;

static inline void version_save(version_state *state, PyThreadState *ts)
{
    state->cframe = ts->cframe;
    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    state->c_remaining = ts->c_recursion_remaining;
    state->trash_nesting = ts->trash.delete_nesting;
}

static inline void version_load(version_state *state, PyThreadState *ts)
{
    ts->cframe = state->cframe;
    ts->py_recursion_remaining = ts->py_recursion_limit - state->depth;
    ts->c_recursion_remaining = state->c_remaining;
    ts->trash.delete_nesting = state->trash_nesting;
}

static inline void version_fresh(version_state *state, PyThreadState *ts, char *low, char *top)
{
    state->bottom = (_PyCFrame){.current_frame = NULL, .previous = &ts->root_cframe};
    state->cframe = &state->bottom;
    state->depth = 0;
    state->c_remaining = recursion_budget((size_t)(top - low));
    state->trash_nesting = 0;
    state->call = NULL;
}

/* A call of the fiber's begins or ends on the thread's own stack, where the main fiber was left. */
static inline void version_lend(version_state *state, const version_state *main, PyThreadState *ts)
{
    state->c_remaining = ts->c_recursion_remaining;
    state->trash_nesting = ts->trash.delete_nesting;
    ts->c_recursion_remaining = main->c_remaining;
    ts->trash.delete_nesting = main->trash_nesting;
}

static inline void version_unlend(version_state *state, PyThreadState *ts)
{
    ts->c_recursion_remaining = state->c_remaining;
    ts->trash.delete_nesting = state->trash_nesting;
}

static inline const fbl_call *version_called(version_state *state, const fbl_call *call)
{
    const fbl_call *outer = state->call;
    state->call = call;
    return outer;
}

static inline PyCodeObject *version_code(_PyInterpreterFrame *frame) { return frame->f_code; }
static inline PyObject *version_function(_PyInterpreterFrame *frame) { return frame->f_funcobj; }
/* An eval loop's entry, on the C stack. */
static inline bool version_is_entry(_PyInterpreterFrame *frame)
{
    return frame->owner == FRAME_OWNED_BY_CSTACK;
}
/* Was it called without leaving the eval loop? */
static inline bool version_is_inlined(_PyInterpreterFrame *frame)
{
    return !version_is_entry(frame);
}

#include "python/interpreter/eval_stack.h"

static int version_visit(version_state *state, visitproc visit, void *arg)
{
    return frames_visit(state->cframe->current_frame, state->call, visit, arg);
}

static bool version_is_private(version_state *state)
{
    return frames_are_private(state->cframe->current_frame);
}

/* The line that runs now, as code object (borrowed) and offset in it; NULL: no Python code does. */
static inline PyCodeObject *version_place(PyThreadState *ts, int *offset)
{
    _PyInterpreterFrame *frame = ts->cframe->current_frame;
    if (frame == NULL || frame->owner == FRAME_OWNED_BY_CSTACK)
        return NULL;
    PyCodeObject *code = frame->f_code;
    *offset = (int)((char *)frame->prev_instr - (char *)_PyCode_CODE(code));
    return code;
}

/* Shows the share's frames to who asks the thread state; done twice, all is as it was. */
static inline void version_exchange_frames(version_state *state, PyThreadState *ts)
{
    _PyCFrame *cframe = ts->cframe;
    ts->cframe = state->cframe;
    state->cframe = cframe;
}

static int version_learn(PyThreadState *ts) { return recursion_learn(ts); }

static inline void version_adopt(version_state *state, PyThreadState *ts)
{
    (void)state; /* it keeps nothing that does not come with each save */
    (void)ts;
}

#define FBL_PYTHON_VERSION "3.12"
#define FBL_PYTHON_STACK_BYTES_MIN (512u * 1024u)
