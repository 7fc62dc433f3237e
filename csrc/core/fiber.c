/*
 * fiber.c: one fiber's life: init, prepare (a stack), enter, run, done.
 *
 *      NEW --enter--> RUNNING --park--> PARKED --wake, next--> RUNNING --> DONE
 *       |                |  ^                                     ^
 *       |                |  +--- SUSPENDED <-- explicit switch ---+
 *       +--- LOST <------+------------ thread ended, or forked away
 *
 * The idea: whoever leaves sets its own state (PARKED or SUSPENDED) and whoever is entered becomes
 * RUNNING in one place, fbl_fiber_enter_switch. A fiber that ends hands its stack to the next one
 * directly if that has not started yet: a chain of short tasks then runs on one warm stack without
 * any switch at all.
 *
 * Invariant: exactly one fiber of a hub is RUNNING, and it is hub->current.
 * Callers: waiter.c, hub.c and the embedder, on the hub's own thread.
 * Do not add: knowledge of what a fiber runs. That is fbl_embed_run's.
 */
#include "core/core.h"
#include "core/switch/enter.h"

#include <errno.h>

static void fiber_timer_fire(fbl_hub *hub, fbl_timer *timer);

void fbl_fiber_init(fbl_fiber *fiber, fbl_hub *hub)
{
    *fiber = (fbl_fiber){.hub = hub, .state = FBL_FIBER_NEW};
    fiber->timer.fire = fiber_timer_fire;
    fbl_list_init(&fiber->ready);
    fbl_list_init(&fiber->ahead);
    fbl_list_append(&hub->fibers, &fiber->all);
}

/* A fiber that has not started, and is not going to by itself, belongs to another thread. */
void fbl_fiber_move(fbl_fiber *fiber, fbl_hub *hub)
{
    assert(fiber->state == FBL_FIBER_NEW && fiber->stack == NULL && !fiber->is_held);
    assert(!fbl_fiber_is_ready(fiber) && !fiber->timer.is_started);
    fbl_list_remove(&fiber->all);
    fbl_list_append(&hub->fibers, &fiber->all);
    fiber->hub = hub;
}

/* The record will be freed. Only fibers that do not hold a stack get here. */
void fbl_fiber_drop(fbl_fiber *fiber)
{
    assert(fiber->stack == NULL);
    fbl_list_remove(&fiber->all);
    if (fiber->state == FBL_FIBER_LOST)
        return;
    assert(!fbl_fiber_is_ready(fiber));
    fbl_timer_cancel(fiber->hub, &fiber->timer);
}

/* A NEW fiber will never run. */
void fbl_fiber_cancel(fbl_fiber *fiber)
{
    assert(fiber->state == FBL_FIBER_NEW);
    fbl_ready_remove(fiber);
    fbl_timer_cancel(fiber->hub, &fiber->timer);
    if (fiber->stack != NULL)
        fbl_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->context.sp = NULL;
    fiber->is_held = false;
    fiber->state = FBL_FIBER_DONE;
    fbl_list_remove(&fiber->all);
}

/* A fiber that will never run again, whatever state it is in: nobody will wake it and no list names
 * it. Its stack and record stay in memory for ever, because its frames may still be looked at. */
void fbl_fiber_lose(fbl_fiber *fiber)
{
    for (fbl_waiter *waiter = fiber->waiters; waiter != NULL; waiter = waiter->next)
        fbl_list_remove(&waiter->link);
    fiber->waiters = NULL;
    fbl_timer_cancel(fiber->hub, &fiber->timer);
    fbl_ready_remove(fiber);
    fbl_list_remove(&fiber->all);
    fiber->is_held = false;
    fiber->state = FBL_FIBER_LOST;
}

/* A parked fiber whose stack holds nothing that anybody needs: it ends without running again. */
void fbl_fiber_end_idle(fbl_fiber *fiber)
{
    assert(fiber->state == FBL_FIBER_PARKED && fiber->hub->current != fiber);
    fbl_wake_fiber(fiber, FBL_WAKE_CLOSED);
    fbl_ready_remove(fiber);
    fbl_list_remove(&fiber->all);
    fbl_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->state = FBL_FIBER_DONE;
}

/* The size of its stack, or of the one that it will get. */
size_t fbl_fiber_stack_bytes(const fbl_fiber *fiber)
{
    if (fiber->stack != NULL)
        return fiber->stack->bytes;
    if (fbl_likely(fiber->stack_units == 0))
        return fiber->hub->stack_bytes;
    return (size_t)fiber->stack_units * FBL_STACK_UNIT;
}

/* A NEW fiber shall have a stack of that size (a rounded one); 0: of the usual size. */
void fbl_fiber_want_stack(fbl_fiber *fiber, size_t bytes)
{
    assert(fiber->state == FBL_FIBER_NEW && bytes % FBL_STACK_UNIT == 0);
    if (fiber->stack != NULL)
        fbl_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->stack_units = (uint32_t)(bytes / FBL_STACK_UNIT);
}

/* The first function on every stack. Never returns. */
static void fiber_main(void *argument)
{
    fbl_fiber *fiber = argument;
    fbl_sanitizer_arrive(NULL);
    for (;;) {
        fbl_fiber *next = fbl_embed_run(fiber);
        fbl_stack *stack = fiber->stack;
        fiber->state = FBL_FIBER_DONE;
        fiber->stack = NULL;
        fiber->context.sp = NULL;
        fbl_list_remove(&fiber->all);
        if (next->state == FBL_FIBER_NEW)
            fbl_float_restore(fiber->hub->float_modes);
        if (next->state != FBL_FIBER_NEW || next->stack != NULL) {
            /* SAFE: see stack.c: nobody takes or unmaps this stack before we have left it. */
            fbl_stack_give(stack);
            fbl_fiber_enter_switch(next);
            __builtin_trap();
        }
        if (!fbl_cxx_is_quiet(next->hub))
            fbl_cxx_forget(next->hub);
        next->stack = stack;
        next->state = FBL_FIBER_RUNNING;
        next->is_held = false;
        next->hub->current = next;
        fbl_embed_fresh(next);
        fbl_embed_swap(fiber, next);
        fiber = next;
    }
}

/* May the fiber take over the stack of the current one, which ends? Else it must be prepared. Where
 * address space is short, what the one had for want of a larger one is good for the other. */
bool fbl_fiber_fits(const fbl_fiber *fiber)
{
    const fbl_fiber *current = fiber->hub->current;
    if (fbl_likely(fbl_fiber_stack_bytes(fiber) == current->stack->bytes))
        return true;
    return fiber->hub->is_short && fiber->stack_units == 0 && current->stack_units == 0;
}

/* A stack of the size that the fiber was to have, and no other. */
static int fiber_take_wanted(fbl_fiber *fiber)
{
    fbl_stack_pool *pool = fbl_stack_pool_find(&fiber->hub->stacks, fbl_fiber_stack_bytes(fiber));
    return pool == NULL ? -ENOMEM : fbl_stack_take(pool, FBL_QUARTERS_ALL, &fiber->stack);
}

/* Gives a NEW fiber its stack and first frame. Nothing to do for any other. */
int fbl_fiber_prepare(fbl_fiber *fiber)
{
    if (fiber->state != FBL_FIBER_NEW || fiber->stack != NULL)
        return 0;
    int rc = fiber->stack_units == 0 ? fbl_stack_take_usual(fiber->hub, &fiber->stack)
                                     : fiber_take_wanted(fiber);
    if (rc < 0)
        return rc;
    if (fbl_unlikely(rc > 0))
        fbl_embed_mapped(fiber->hub);
    fbl_context_make(&fiber->context, fbl_stack_top(fiber->stack), fiber_main, fiber);
    fbl_embed_fresh(fiber);
    return 0;
}
