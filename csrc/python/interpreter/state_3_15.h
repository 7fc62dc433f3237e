/*
 * state_3_15.h: what only CPython 3.15 has: each chain of frames ends in a sentinel of the thread,
 * by which profilers know that they saw all of it, and a profiler's note of a frame that it knows.
 * The rest is as in 3.14 (see there).
 *
 * Included by state.h only.
 */
#include "python/interpreter/frame_visit.h"
#include "python/interpreter/stack_limits.h"

typedef struct {
    struct _PyInterpreterFrame *frame; /* innermost frame; or the sentinel, the end of each chain */
    int depth; /* depth of Python calls */
    stack_limits limits; /* of the fiber's C stack; never change */
    PyObject *executor; /* owned: machine code that a parked fiber is in, or NULL */
    struct _PyExitData *jit_exit; /* where in `executor` it was left; part of it */
} version_state;

static inline void version_save(version_state *state, PyThreadState *ts)
{
    state->frame = ts->current_frame;
    state->depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    if (fbl_unlikely(ts->current_executor != NULL)) {
        state->executor = Py_NewRef(ts->current_executor);
        state->jit_exit = ts->jit_exit;
        ts->current_executor = NULL;
        ts->jit_exit = NULL;
    }
}

/* SAFE: dropping the executor: as in 3.14 (see there). */
static inline void version_load(version_state *state, PyThreadState *ts)
{
    if (fbl_unlikely(state->executor != NULL)) {
        ts->current_executor = state->executor;
        ts->jit_exit = state->jit_exit;
        Py_CLEAR(state->executor);
    }
    ts->current_frame = state->frame;
    ts->py_recursion_remaining = ts->py_recursion_limit - state->depth;
    *stack_limits_of(ts) = state->limits;
    /* The profiler's note may name a frame whose memory another fiber will use. It then starts
     * anew, which costs it one slow sample. */
    if (fbl_unlikely(ts->last_profiled_frame != NULL))
        ts->last_profiled_frame = NULL;
}

static inline void version_fresh(version_state *state, PyThreadState *ts, char *low, char *top)
{
    state->frame = ts->base_frame;
    state->depth = 0;
    state->limits = stack_limits_for(low, top);
    state->executor = NULL;
    state->jit_exit = NULL;
}

/* A call of the fiber's begins or ends on the thread's own stack. */
static inline void version_lend(version_state *state, const version_state *main, PyThreadState *ts)
{
    (void)state;
    *stack_limits_of(ts) = main->limits;
}

static inline void version_unlend(version_state *state, PyThreadState *ts)
{
    *stack_limits_of(ts) = state->limits;
}

/* Frames of this version tell themselves what they hold. */
static inline const fbl_call *version_called(version_state *state, const fbl_call *call)
{
    (void)state;
    (void)call;
    return NULL;
}

static int version_visit(version_state *state, visitproc visit, void *arg)
{
    return frame_visit_chain(state->frame, visit, arg);
}

static bool version_is_private(version_state *state) { return frames_are_private(state->frame); }

/* The line that runs now, as code object (borrowed) and offset in it; NULL: no Python code does. */
static inline PyCodeObject *version_place(PyThreadState *ts, int *offset)
{
    return frame_place(ts->current_frame, offset);
}

/* Shows the share's frames to who asks the thread state; done twice, all is as it was. The limits
 * stay: they belong to the stack that we are on. */
static inline void version_exchange_frames(version_state *state, PyThreadState *ts)
{
    struct _PyInterpreterFrame *frame = ts->current_frame;
    ts->current_frame = state->frame;
    state->frame = frame;
}

static int version_learn(PyThreadState *ts) { return stack_limits_learn(ts); }

/* The thread's own limits come with no save, because nobody changes them. */
static inline void version_adopt(version_state *state, PyThreadState *ts)
{
    state->limits = *stack_limits_of(ts);
}

#define FBL_PYTHON_VERSION "3.15"
#define FBL_PYTHON_STACK_BYTES_MIN (192u * 1024u)
