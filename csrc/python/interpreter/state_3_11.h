/*
 * state_3_11.h: what only CPython 3.11 has: frames hang off a _PyCFrame, one recursion counter for
 * Python and C together, a tracing flag per _PyCFrame, and the trashcan's nesting count.
 *
 * The eval loop links its own _PyCFrame to the one it finds and takes the new frame's `previous`
 * from it, so a fresh fiber needs a bottom _PyCFrame of its own, without frame, that outlives its
 * last frame: it lives in the fiber's record.
 *
 * Depth, not the remaining count, is kept: sys.setrecursionlimit changes the limit of all threads
 * but knows nothing of parked fibers.
 * Included by state.h only.
 */
#include "internal/pycore_frame.h"
#include "python/interpreter/recursion.h"

#define FBL_PYTHON_VERSION "3.11"
#define FBL_PYTHON_STACK_BYTES_MIN (1024u * 1024u)

typedef struct {
    _PyCFrame *cframe; /* innermost eval loop's, on the fiber's C stack; or `bottom` */
    _PyCFrame bottom;  /* where a fiber's frame chain ends */
    int depth;         /* recursion depth, Python and C together */
    int trash_nesting; /* deallocations on this C stack that the trashcan counts */
    const fbl_call *call; /* what called the method that parks, see eval_stack.h; or NULL */
} version_state;

static inline void version_save(version_state *state, PyThreadState *ts)
{
    state->cframe = ts->cframe;
    state->depth = ts->recursion_limit - ts->recursion_remaining;
    state->trash_nesting = ts->trash_delete_nesting;
}

static inline void version_load(version_state *state, PyThreadState *ts)
{
    /* SAFE: the flag says whether this *thread* traces; the fiber may have missed a change. */
    state->cframe->use_tracing = ts->cframe->use_tracing;
    ts->cframe = state->cframe;
    ts->recursion_remaining = ts->recursion_limit - state->depth;
    ts->trash_delete_nesting = state->trash_nesting;
}

/* 3 MiB hold the default limit of 1000 in the worst measured kind: sorted() with a Python key, two
 * units and 4981 bytes a level. A fiber with a smaller stack begins at a depth from which the limit
 * is only as far away as the stack reaches. Who raises the limit is on his own, as on a thread. */
#define RECURSION_ROOM_BYTES (2688u << 10)

static inline void version_fresh(version_state *state, PyThreadState *ts, char *low, char *top)
{
    int budget = recursion_fitting((size_t)(top - low));
    bool is_small = (size_t)(top - low) < RECURSION_ROOM_BYTES;
    state->bottom = (_PyCFrame){.use_tracing = ts->cframe->use_tracing,
                                .current_frame = NULL,
                                .previous = &ts->root_cframe};
    state->cframe = &state->bottom;
    state->depth = is_small && budget < ts->recursion_limit ? ts->recursion_limit - budget : 0;
    state->trash_nesting = 0;
    state->call = NULL;
}

/* A call of the fiber's begins or ends on the thread's own stack, which holds the main fiber's
 * frames too. Calls in C count as calls in Python do, so the deeper of the two counts. */
static inline void version_lend(version_state *state, const version_state *main, PyThreadState *ts)
{
    state->depth = ts->recursion_limit - ts->recursion_remaining;
    state->trash_nesting = ts->trash_delete_nesting;
    if (state->depth < main->depth)
        ts->recursion_remaining = ts->recursion_limit - main->depth;
    ts->trash_delete_nesting = main->trash_nesting;
}

static inline void version_unlend(version_state *state, PyThreadState *ts)
{
    ts->recursion_remaining = ts->recursion_limit - state->depth;
    ts->trash_delete_nesting = state->trash_nesting;
}

static inline const fbl_call *version_called(version_state *state, const fbl_call *call)
{
    const fbl_call *outer = state->call;
    state->call = call;
    return outer;
}

static inline PyCodeObject *version_code(_PyInterpreterFrame *frame) { return frame->f_code; }
static inline PyObject *version_function(_PyInterpreterFrame *frame)
{
    return (PyObject *)frame->f_func;
}
static inline bool version_is_entry(_PyInterpreterFrame *frame)
{
    (void)frame;
    return false; /* this version's eval loop has no frames of its own */
}
/* Was it called without leaving the eval loop? */
static inline bool version_is_inlined(_PyInterpreterFrame *frame) { return !frame->is_entry; }

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
    if (frame == NULL)
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

/* All that is used here lies where the headers have it, in every patch release. */
static int version_learn(PyThreadState *ts)
{
    (void)ts;
    return 0;
}

static inline void version_adopt(version_state *state, PyThreadState *ts)
{
    (void)state; /* it keeps nothing that does not come with each save */
    (void)ts;
}
