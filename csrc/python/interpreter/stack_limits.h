/*
 * stack_limits.h: the bounds of the C stack that CPython 3.14 and later check against.
 *
 * The idea: these versions count no C recursion. They compare the stack pointer with two addresses
 * in the thread state, and what lies below the softer one is refused (RecursionError) or put off
 * (deallocation). So each fiber brings the bounds of its own stack along.
 *
 *      top   +-------------+
 *            |   in use    |
 *      soft  +-------------+  <- low + 2 margins: below it RecursionError
 *            |  to recover |
 *      hard  +-------------+  <- low + 1 margin: below it the interpreter gives up
 *            |   reserve   |
 *      low   +-------------+  <- the guard's end
 *
 * Three adjacent words of the part of the thread state that no public header has, and that moves: a
 * field was put before it in 3.14.4. So where they are is found at import: CPython has a function
 * that sets them (3.14.1), and the words that it changes are they. 3.14.0 has no such function; its
 * words are recognised by what they must hold. On the path of a switch they are stored directly.
 *
 * Included by state_3_14.h and later only.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* CPython's own, from 3.15 on */
#include "internal/pycore_tstate.h"
#pragma GCC diagnostic pop

typedef struct {
    uintptr_t top;  /* where the stack begins */
    uintptr_t soft; /* the stack pointer must not be below this */
    uintptr_t hard; /* nor, while the first refusal is dealt with, below this */
} stack_limits;

static size_t stack_limits_offset; /* of the three words in the thread state; set at import */
static uintptr_t stack_limits_margin; /* soft - hard: 16 KiB, and more in debug builds */

static inline stack_limits *stack_limits_of(PyThreadState *ts)
{
    /* SAFE: checked at import: there CPython keeps the same three words. */
    return (stack_limits *)((char *)ts + stack_limits_offset);
}

static inline stack_limits stack_limits_for(const char *low, const char *top)
{
    return (stack_limits){.top = (uintptr_t)top,
                          .soft = (uintptr_t)low + 2 * stack_limits_margin,
                          .hard = (uintptr_t)low + stack_limits_margin};
}

/* What CPython 3.14.1 added; absent at run time in 3.14.0. */
extern int PyUnstable_ThreadState_SetStackProtection(PyThreadState *ts, void *start, size_t bytes)
    __attribute__((weak));

/* Which three words of the thread state are looked at: those within so many bytes of where this
 * build's headers have the limits. One field came before them so far, and what is looked at lies
 * inside the thread state of every release. */
#define STACK_LIMITS_DRIFT 64

/* Do these words describe the stack that we are on? SAFE: an address to compare with, no more. */
static bool stack_limits_fit(const stack_limits *limits)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), margin = limits->soft - limits->hard;
    return limits->hard < limits->soft && limits->soft < here && here < limits->top &&
           margin % 4096 == 0 && margin <= 128u * 1024u;
}

/* Are they what CPython makes of a stack of 1 MiB at `start`? */
static bool stack_limits_match(const stack_limits *limits, uintptr_t start)
{
    uintptr_t margin = limits->hard - start;
    return limits->top == start + (1u << 20) && limits->soft == start + 2 * margin && margin > 0;
}

/* The offset of the words, or 0. `start`: of the stack that CPython was told of; 0: of none. */
static size_t stack_limits_find(const PyThreadState *ts, uintptr_t start)
{
    size_t middle = offsetof(_PyThreadStateImpl, c_stack_top), found = 0;
    for (size_t at = middle - STACK_LIMITS_DRIFT; at <= middle + STACK_LIMITS_DRIFT; at += 8) {
        const stack_limits *limits = (const stack_limits *)((const char *)ts + at);
        if (!(start == 0 ? stack_limits_fit(limits) : stack_limits_match(limits, start)))
            continue;
        if (found != 0)
            return 0; /* found twice is not found */
        found = at;
    }
    return found;
}

/* Tells CPython of a stack that is not there, looks which words change, and puts them back. */
static size_t stack_limits_provoke(PyThreadState *ts)
{
    const uintptr_t start = (uintptr_t)0x5eed0000;
    size_t former_offset = offsetof(_PyThreadStateImpl, c_stack_top) - STACK_LIMITS_DRIFT;
    char former[2 * STACK_LIMITS_DRIFT + sizeof(stack_limits)];
    memcpy(former, (char *)ts + former_offset, sizeof former);
    if (PyUnstable_ThreadState_SetStackProtection(ts, (void *)start, 1u << 20) < 0)
        return 0;
    size_t offset = stack_limits_find(ts, start);
    /* SAFE: what is written back is what stood there; nothing else ran in between. */
    memcpy((char *)ts + former_offset, former, sizeof former);
    return offset;
}

/* 0, or -1 with ImportError: then fibers cannot run here. */
static int stack_limits_learn(PyThreadState *ts)
{
    bool is_told = PyUnstable_ThreadState_SetStackProtection != NULL;
    stack_limits_offset = is_told ? stack_limits_provoke(ts) : stack_limits_find(ts, 0);
    if (stack_limits_offset == 0) {
        PyErr_Format(
            PyExc_ImportError,
            "fibril cannot find where Python %s keeps the bounds of the C stack, which each "
            "fiber must set. Use another patch release of Python, and please report this.",
            Py_GetVersion());
        return -1;
    }
    /* Both ways must agree, or the one that 3.14.0 depends on would be tested by nobody. */
    assert(stack_limits_find(ts, 0) == stack_limits_offset);
    stack_limits_margin = stack_limits_of(ts)->soft - stack_limits_of(ts)->hard;
    return 0;
}
