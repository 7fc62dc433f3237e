/*
 * fiber.c: one fiber's life: init, prepare (a stack), enter, run, done.
 *
 *      NEW --enter--> RUNNING --park--> PARKED --wake, next--> RUNNING --> DONE
 *       |                |  ^                                     ^
 *       |                |  +--- SUSPENDED <-- explicit switch ---+
 *       +--- LOST <------+------------ thread ended, or forked away
 *
 * The idea: whoever leaves sets its own state (PARKED or SUSPENDED) and whoever is entered becomes
 * RUNNING in one place, weft_fiber_enter_switch. A fiber that ends hands its stack to the next one
 * directly if that has not started yet: a chain of short tasks then runs on one warm stack without
 * any switch at all.
 *
 * Invariant: exactly one fiber of a hub is RUNNING, and it is hub->current.
 * Callers: waiter.c, hub.c and the embedder, on the hub's own thread.
 * Do not add: knowledge of what a fiber runs. That is weft_embed_run's.
 */
#include "core.h"
#include "enter.h"

#include <errno.h>

static void fiber_timer_fire(weft_hub *hub, weft_timer *timer);

void weft_fiber_init(weft_fiber *fiber, weft_hub *hub)
{
    *fiber = (weft_fiber){.hub = hub, .state = WEFT_FIBER_NEW};
    fiber->timer.fire = fiber_timer_fire;
    weft_list_init(&fiber->ready);
    weft_list_append(&hub->fibers, &fiber->all);
}

/* A fiber that has not started, and is not going to by itself, belongs to another thread. */
void weft_fiber_move(weft_fiber *fiber, weft_hub *hub)
{
    assert(fiber->state == WEFT_FIBER_NEW && fiber->stack == NULL && !fiber->is_held);
    assert(!weft_fiber_is_ready(fiber) && !fiber->timer.is_started);
    weft_list_remove(&fiber->all);
    weft_list_append(&hub->fibers, &fiber->all);
    fiber->hub = hub;
}

/* The record will be freed. Only fibers that do not hold a stack get here. */
void weft_fiber_drop(weft_fiber *fiber)
{
    assert(fiber->stack == NULL);
    weft_list_remove(&fiber->all);
    if (fiber->state == WEFT_FIBER_LOST)
        return;
    assert(!weft_fiber_is_ready(fiber));
    weft_timer_cancel(fiber->hub, &fiber->timer);
}

/* A NEW fiber will never run. */
void weft_fiber_cancel(weft_fiber *fiber)
{
    assert(fiber->state == WEFT_FIBER_NEW);
    weft_list_remove(&fiber->ready);
    weft_timer_cancel(fiber->hub, &fiber->timer);
    if (fiber->stack != NULL)
        weft_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->context.sp = NULL;
    fiber->is_held = false;
    fiber->state = WEFT_FIBER_DONE;
    weft_list_remove(&fiber->all);
}

/* A fiber that will never run again, whatever state it is in: nobody will wake it and no list names
 * it. Its stack and record stay in memory for ever, because its frames may still be looked at. */
void weft_fiber_lose(weft_fiber *fiber)
{
    for (weft_waiter *waiter = fiber->waiters; waiter != NULL; waiter = waiter->next)
        weft_list_remove(&waiter->link);
    fiber->waiters = NULL;
    weft_timer_cancel(fiber->hub, &fiber->timer);
    weft_list_remove(&fiber->ready);
    weft_list_remove(&fiber->all);
    fiber->is_held = false;
    fiber->state = WEFT_FIBER_LOST;
}

/* A parked fiber whose stack holds nothing that anybody needs: it ends without running again. */
void weft_fiber_end_idle(weft_fiber *fiber)
{
    assert(fiber->state == WEFT_FIBER_PARKED && fiber->hub->current != fiber);
    weft_wake_fiber(fiber, WEFT_WAKE_CLOSED);
    weft_list_remove(&fiber->ready);
    weft_list_remove(&fiber->all);
    weft_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->state = WEFT_FIBER_DONE;
}

/* The size of its stack, or of the one that it will get. */
size_t weft_fiber_stack_bytes(const weft_fiber *fiber)
{
    if (fiber->stack != NULL)
        return fiber->stack->bytes;
    if (weft_likely(fiber->stack_units == 0))
        return fiber->hub->stack_bytes;
    return (size_t)fiber->stack_units * WEFT_STACK_UNIT;
}

/* A NEW fiber shall have a stack of that size (a rounded one); 0: of the usual size. */
void weft_fiber_want_stack(weft_fiber *fiber, size_t bytes)
{
    assert(fiber->state == WEFT_FIBER_NEW && bytes % WEFT_STACK_UNIT == 0);
    if (fiber->stack != NULL)
        weft_stack_give(fiber->stack);
    fiber->stack = NULL;
    fiber->stack_units = (uint32_t)(bytes / WEFT_STACK_UNIT);
}

/* The first function on every stack. Never returns. */
static void fiber_main(void *argument)
{
    weft_fiber *fiber = argument;
    weft_sanitizer_arrive(NULL);
    for (;;) {
        weft_fiber *next = weft_embed_run(fiber);
        weft_stack *stack = fiber->stack;
        fiber->state = WEFT_FIBER_DONE;
        fiber->stack = NULL;
        fiber->context.sp = NULL;
        weft_list_remove(&fiber->all);
        if (next->state == WEFT_FIBER_NEW)
            weft_float_restore(fiber->hub->float_modes);
        if (next->state != WEFT_FIBER_NEW || next->stack != NULL) {
            /* SAFE: see stack.c: nobody takes or unmaps this stack before we have left it. */
            weft_stack_give(stack);
            weft_fiber_enter_switch(next);
            __builtin_trap();
        }
        assert(weft_fiber_stack_bytes(next) == stack->bytes);
        next->stack = stack;
        next->state = WEFT_FIBER_RUNNING;
        next->is_held = false;
        next->hub->current = next;
        weft_embed_fresh(next);
        weft_embed_swap(fiber, next);
        fiber = next;
    }
}

/* May the fiber take over the stack of the current one, which ends? Else it must be prepared. */
bool weft_fiber_fits(const weft_fiber *fiber)
{
    return weft_fiber_stack_bytes(fiber) == fiber->hub->current->stack->bytes;
}

/* Gives a NEW fiber its stack and first frame. Nothing to do for any other. */
int weft_fiber_prepare(weft_fiber *fiber)
{
    if (fiber->state != WEFT_FIBER_NEW || fiber->stack != NULL)
        return 0;
    weft_stack_pool *pool =
        weft_stack_pool_find(&fiber->hub->stacks, weft_fiber_stack_bytes(fiber));
    int rc = pool == NULL ? -ENOMEM : weft_stack_take(pool, &fiber->stack);
    if (rc < 0)
        return rc;
    weft_context_make(&fiber->context, weft_stack_top(fiber->stack), fiber_main, fiber);
    weft_embed_fresh(fiber);
    return 0;
}
