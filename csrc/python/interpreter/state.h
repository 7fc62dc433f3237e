/*
 * state.h: a fiber's share of PyThreadState: the contract, and what all versions have alike.
 *
 * The idea: CPython keeps the running coroutine's state (frames, recursion depth, handled
 * exception, context, data stack) in fields of the thread state. A switch moves those fields into
 * the record of the fiber that is left and brings in those of the fiber that is entered. Nothing
 * else may touch them: DESIGN.md.
 *
 *   state_save(s, ts)    the fiber is left: move its share out of the thread state
 *   state_load(s, ts)    the fiber is entered: move it in
 *   state_fresh(s, ...)  it will start: a share that begins with no frames, at depth 0
 *   state_drop(s, ts)    it has ended and is still loaded: free its chunks, keep the context in s
 *   state_abandon(s)     it will never be loaded again: free its chunks, if nobody can look at them
 *   state_called(s, c)   a method of ours that was called as c says may leave it (eval_stack.h)
 *   state_visit(s, ...)  the garbage collector asks what a parked share refers to
 *   state_frame(s, ts)   the innermost Python frame of a parked share, as an object, or NULL
 *   state_place(ts, ...) where the running fiber is, without a frame object
 *   state_learn(ts)      once, at import: what only the interpreter that runs can tell
 *   state_adopt(s, ts)   it is the thread's main fiber: what it has and every fiber must own
 *   state_lend, _unlend  around a call of the loaded fiber's on the main fiber's stack
 * Between save and load nothing may allocate, decref or let go of the GIL: in 3.11 the collector
 * can run inside any allocation, and would find the thread state half moved.
 * Data stack: a fiber brings its first chunk along, embedded above its C stack; as the root chunk
 * CPython never frees it. Those above come from the arena allocator. `version_`: state_3_NN.h's.
 */
#ifndef FBL_STATE_H
#define FBL_STATE_H

#include "python/interpreter/compat.h"

/* A call of one of our methods. On the C stack of the fiber that makes it, while it lasts. */
typedef struct fbl_call {
    PyObject *self;                /* borrowed: the method's */
    PyObject *const *args;         /* the vector that CPython gave us */
    Py_ssize_t count;              /* its length, values of keywords included */
    const struct fbl_call *outer; /* the call during which this one was made, or NULL */
} fbl_call;

#define Py_BUILD_CORE 1 /* for the headers of frames and thread states */
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
#include "python/interpreter/state_3_11.h"
#elif PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
#include "python/interpreter/state_3_12.h"
#elif PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
#include "python/interpreter/state_3_13.h"
#elif PY_VERSION_HEX >= 0x030E0000 && PY_VERSION_HEX < 0x030F0000
#include "python/interpreter/state_3_14.h"
#elif PY_VERSION_HEX >= 0x030F0000 && PY_VERSION_HEX < 0x03100000
#include "python/interpreter/state_3_15.h"
#else
#error "fibril knows the inside of CPython 3.11 to 3.15; this version has no state file yet"
#endif
#undef Py_BUILD_CORE

typedef struct {
    version_state version;        /* frame head, recursion depth, and what else the version has */
    _PyErr_StackItem *exc_info;   /* top of the handled-exception stack */
    _PyErr_StackItem exc_bottom;  /* the bottom of it, for fibers that are not a thread's main */
    PyObject *context;            /* owned while not loaded; NULL: empty */
    _PyStackChunk *chunk;         /* data stack: newest chunk */
    PyObject **chunk_top;         /* data stack: first free slot */
    PyObject **chunk_limit;       /* data stack: end of the newest chunk */
} fbl_state;

static inline void state_save(fbl_state *state, PyThreadState *ts)
{
    version_save(&state->version, ts);
    state->exc_info = ts->exc_info;
    state->context = ts->context;
    state->chunk = ts->datastack_chunk;
    state->chunk_top = ts->datastack_top;
    state->chunk_limit = ts->datastack_limit;
}

static inline void state_load(fbl_state *state, PyThreadState *ts)
{
    version_load(&state->version, ts);
    /* SAFE: exc_info points into this record or into frames on the fiber's own stack, and both
     * live until the fiber ends. */
    ts->exc_info = state->exc_info;
    if (ts->context != state->context) {
        /* SAFE: ownership moves with the pointer; the version tells ContextVar's caches. */
        ts->context = state->context;
        ts->context_ver++;
    }
    state->context = NULL;
    ts->datastack_chunk = state->chunk;
    ts->datastack_top = state->chunk_top;
    ts->datastack_limit = state->chunk_limit;
}

static inline void state_fresh(fbl_state *state, PyThreadState *ts, fbl_stack *stack)
{
    version_fresh(&state->version, ts, fbl_stack_low(stack), fbl_stack_top(stack));
    state->exc_bottom = (_PyErr_StackItem){0};
    state->exc_info = &state->exc_bottom;
    char *embed = fbl_stack_embed(stack);
    _PyStackChunk *chunk = (_PyStackChunk *)embed;
    chunk->previous = NULL;
    chunk->size = FBL_STACK_EMBED_BYTES;
    chunk->top = 0;
    state->chunk = chunk;
    state->chunk_top =
        &chunk->data[1]; /* a root chunk never hands out data[0], so is never freed */
    state->chunk_limit = (PyObject **)(embed + FBL_STACK_EMBED_BYTES);
}

/* Frees the chunks above the first, which is returned. */
static _PyStackChunk *state_free_chunks(_PyStackChunk *chunk)
{
    PyObjectArenaAllocator arena;
    PyObject_GetArenaAllocator(&arena);
    while (chunk->previous != NULL) {
        _PyStackChunk *previous = chunk->previous;
        arena.free(arena.ctx, chunk, chunk->size);
        chunk = previous;
    }
    return chunk;
}

/* Runs no Python code: what the context drags along is dropped later, by who owns `state`. */
static inline void state_drop(fbl_state *state, PyThreadState *ts)
{
    _PyStackChunk *chunk = ts->datastack_chunk;
    if (fbl_unlikely(chunk != NULL && chunk->previous != NULL))
        ts->datastack_chunk = state_free_chunks(chunk);
    state->context = ts->context;
    ts->context = NULL;
    ts->context_ver++;
}

/* Returns what was said before: the caller says that again when its method ends. */
static inline const fbl_call *state_called(fbl_state *state, const fbl_call *call)
{
    return version_called(&state->version, call);
}

/* What the frames refer to is lost. False: somebody may look at them, so all must stay. */
static bool state_abandon(fbl_state *state)
{
    if (!version_is_private(&state->version))
        return false;
    state->chunk = state_free_chunks(state->chunk);
    return true;
}

static int state_visit(fbl_state *state, visitproc visit, void *arg)
{
    Py_VISIT(state->context);
    Py_VISIT(state->exc_bottom.exc_value);
    return version_visit(&state->version, visit, arg);
}

/* A new reference, or NULL without an error. */
static PyFrameObject *state_frame(fbl_state *state, PyThreadState *ts)
{
    /* The collector would run Python code with the wrong frames loaded (3.11 runs it when the frame
     * object is allocated). */
    int was_enabled = PyGC_Disable();
    version_exchange_frames(&state->version, ts);
    PyFrameObject *frame = PyThreadState_GetFrame(ts);
    version_exchange_frames(&state->version, ts);
    if (was_enabled)
        PyGC_Enable();
    return frame;
}

/* 0, or -1 with ImportError. */
static int state_learn(PyThreadState *ts) { return version_learn(ts); }

static inline void state_adopt(fbl_state *state, PyThreadState *ts)
{
    version_adopt(&state->version, ts);
}

static inline void state_lend(fbl_state *state, const fbl_state *main, PyThreadState *ts)
{
    version_lend(&state->version, &main->version, ts);
}

static inline void state_unlend(fbl_state *state, PyThreadState *ts)
{
    version_unlend(&state->version, ts);
}

static inline PyCodeObject *state_place(PyThreadState *ts, int *offset)
{
    return version_place(ts, offset);
}

/* What the running fiber's `with context:` set, for a task that is spawned by it. NULL: empty. */
static inline bool state_has_context(const PyThreadState *ts) { return ts->context != NULL; }

/* The running fiber goes on with another context (owned; NULL: empty). Returns the former one. */
static inline PyObject *state_exchange_context(PyThreadState *ts, PyObject *context)
{
    PyObject *former = ts->context;
    /* SAFE: ownership moves both ways; the version tells ContextVar's caches. */
    ts->context = context;
    ts->context_ver++;
    return former;
}

#endif
