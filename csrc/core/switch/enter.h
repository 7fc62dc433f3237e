/*
 * enter.h: leaving one fiber and entering another: the path of every switch, inline.
 *
 * The idea: this is the one place where a fiber becomes current, so it is where speed counts most:
 * it is inlined into its callers (fiber.c, park.c, python/passage.c), which saves two calls and a
 * dozen instructions of some hundred and fifty. Do not add: anything that most switches do not
 * need.
 */
#ifndef FBL_ENTER_H
#define FBL_ENTER_H

#include "core/switch/cxx.h"
#include "core/switch/switch.h"

/* Leaves the current fiber for `target`, whatever is in flight. Only for the function below and
 * cxx.c. */
static inline __attribute__((always_inline)) void fbl_fiber_pass_switch(fbl_fiber *target)
{
    fbl_hub *hub = target->hub;
    fbl_fiber *source = hub->current;
    target->state = FBL_FIBER_RUNNING;
    target->is_held = false;
    hub->current = target;
    fbl_embed_swap(source, target);
    void *fake = NULL;
    fbl_sanitizer_leave(source->state == FBL_FIBER_DONE ? NULL : &fake, target);
    fbl_context_switch(&source->context, &target->context);
    fbl_sanitizer_arrive(fake);
}

/* Runs `target` now. The caller has set the state of the current fiber to what it leaves as, and
 * has taken the target out of the ready queue and of its waits. Returns when somebody enters it. */
static inline __attribute__((always_inline)) void fbl_fiber_enter_switch(fbl_fiber *target)
{
    assert(target != target->hub->current && target->context.sp != NULL);
    assert(target->hub->current->state != FBL_FIBER_RUNNING && !target->hub->is_choosing);
    assert(target->state != FBL_FIBER_DONE && target->state != FBL_FIBER_LOST);
    if (fbl_cxx_is_quiet(target->hub))
        fbl_fiber_pass_switch(target);
    else
        fbl_cxx_enter_switch(target);
}

#endif
