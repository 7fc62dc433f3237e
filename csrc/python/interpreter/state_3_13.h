/*
 * state_3_13.h: what only CPython 3.13 has: the frame head is a field of the thread state, there
 * are separate recursion counters for Python and for C, and deallocation counts against the C
 * budget.
 *
 * The budget must stay above 100 on a fresh fiber, or what the trashcan put off is destroyed only
 * back on the thread's own stack; recursion.h sees to it.
 * Included by state.h only.
 */
#include "internal/pycore_frame.h"
#include "python/interpreter/recursion_c.h"

typedef struct {
    struct _PyInterpreterFrame *frame; /* innermost frame; NULL where a fiber's chain ends */
    int depth;                         /* depth of Python calls */
    int c_remaining;                   /* what is left of the budget of C recursion */
    const fbl_call *call; /* what called the method that parks, see eval_stack.h; or NULL */
} version_state;

static inline void version_save(version_state *state, PyThreadState *ts)
{
    state->frame = ts->current_frame;
    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    state->c_remaining = ts->c_recursion_remaining;
}

static inline void version_load(version_state *state, PyThreadState *ts)
{
    ts->current_frame = state->frame;
    ts->py_recursion_remaining = ts->py_recursion_limit - state->depth;
    ts->c_recursion_remaining = state->c_remaining;
}

static inline void version_fresh(version_state *state, PyThreadState *ts, char *low, char *top)
{
    (void)ts;
    state->frame = NULL;
    state->depth = 0;
    state->c_remaining = recursion_budget((size_t)(top - low));
    state->call = NULL;
}

/* A call of the fiber's begins or ends on the thread's own stack, where the main fiber was left. */
static inline void version_lend(version_state *state, const version_state *main, PyThreadState *ts)
{
    state->c_remaining = ts->c_recursion_remaining;
    ts->c_recursion_remaining = main->c_remaining;
}

static inline void version_unlend(version_state *state, PyThreadState *ts)
{
    ts->c_recursion_remaining = state->c_remaining;
}

static inline const fbl_call *version_called(version_state *state, const fbl_call *call)
{
    const fbl_call *outer = state->call;
    state->call = call;
    return outer;
}

static inline PyCodeObject *version_code(_PyInterpreterFrame *frame)
{
    return (PyCodeObject *)frame->f_executable;
}
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
    return frames_visit(state->frame, state->call, visit, arg);
}

static bool version_is_private(version_state *state) { return frames_are_private(state->frame); }

/* The line that runs now, as code object (borrowed) and offset in it; NULL: no Python code does. */
static inline PyCodeObject *version_place(PyThreadState *ts, int *offset)
{
    _PyInterpreterFrame *frame = ts->current_frame;
    if (frame == NULL || frame->owner == FRAME_OWNED_BY_CSTACK)
        return NULL;
    PyCodeObject *code = (PyCodeObject *)frame->f_executable;
    *offset = (int)((char *)frame->instr_ptr - (char *)_PyCode_CODE(code));
    return code;
}

/* Shows the share's frames to who asks the thread state; done twice, all is as it was. */
static inline void version_exchange_frames(version_state *state, PyThreadState *ts)
{
    struct _PyInterpreterFrame *frame = ts->current_frame;
    ts->current_frame = state->frame;
    state->frame = frame;
}

static int version_learn(PyThreadState *ts) { return recursion_learn(ts); }

static inline void version_adopt(version_state *state, PyThreadState *ts)
{
    (void)state; /* it keeps nothing that does not come with each save */
    (void)ts;
}

#define FBL_PYTHON_VERSION "3.13"
#define FBL_PYTHON_STACK_BYTES_MIN (512u * 1024u)
