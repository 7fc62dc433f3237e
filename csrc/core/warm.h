/*
 * warm.h: the memory of those who run next is fetched while somebody else runs.
 *
 * The idea: of a thousand fibers none is in the caches any more when its turn comes, and the first
 * touch of its record, of its stack and of what lies there costs 100 ns each, one after the other.
 * The ready queue knows who comes next, so the processor can be told: the record of the one after
 * next, because that says where the stack is, and the stack of the next. A hint may be given for
 * any address.
 *
 * Callers: ready.c. Do not add: what is behind the stack; a pointer would have to be read for it.
 */
#ifndef FBL_WARM_H
#define FBL_WARM_H

#include "core/core.h"

#define WARM_STACKS_MIN 512  /* with fewer, the second-level cache has them all */
#define WARM_FIBER_BYTES 384 /* the core's part, and as much of the embedder's behind it */
#define WARM_STACK_BYTES 1024 /* the frames of a wait, and of who called it */
#define WARM_LINE_BYTES 64

static inline bool fbl_warm_is_worth(const fbl_hub *hub)
{
    return hub->stacks.live_count >= WARM_STACKS_MIN;
}

/* gcc takes a function that only hints for one that does nothing, and leaves the call out; but not
 * if it holds a line of assembly, however empty. */
static inline void warm_bytes(const char *from, int bytes)
{
    __asm__ volatile("");
    for (int offset = 0; offset < bytes; offset += WARM_LINE_BYTES)
        __builtin_prefetch(from + offset, 1);
}

static inline void fbl_warm_fiber(const fbl_fiber *fiber)
{
    warm_bytes((const char *)fiber, WARM_FIBER_BYTES);
}

static inline void fbl_warm_stack(const fbl_fiber *fiber)
{
    if (fiber->context.sp != NULL)
        warm_bytes(fiber->context.sp, WARM_STACK_BYTES);
}

#endif
