/*
 * enter.h: leaving one fiber and entering another: the path of every switch, inline.
 *
 * The idea: this is the one place where a fiber becomes current, so it is where speed counts most:
 * it is inlined into its callers (fiber.c, waiter.c, python/passage.c), which saves two calls and a
 * dozen instructions of some hundred and fifty. Do not add: anything that most switches do not
 * need.
 */
#ifndef WEFT_ENTER_H
#define WEFT_ENTER_H

#include "switch.h"

/* Runs `target` now. The caller has set the state of the current fiber to what it leaves as, and
 * has taken the target out of the ready queue and of its waits. Returns when somebody enters it. */
static inline __attribute__((always_inline)) void weft_fiber_enter_switch(weft_fiber *target)
{
    weft_hub *hub = target->hub;
    weft_fiber *source = hub->current;
    assert(source != target && source->state != WEFT_FIBER_RUNNING && target->context.sp != NULL);
    assert(target->state != WEFT_FIBER_DONE && target->state != WEFT_FIBER_LOST);
    target->state = WEFT_FIBER_RUNNING;
    target->is_held = false;
    hub->current = target;
    weft_embed_swap(source, target);
    void *fake = NULL;
    weft_sanitizer_leave(source->state == WEFT_FIBER_DONE ? NULL : &fake, target);
    weft_context_switch(&source->context, &target->context);
    weft_sanitizer_arrive(fake);
}

#endif
