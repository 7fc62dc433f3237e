/*
 * guest.c: a call of a fiber's that runs on the thread's own stack.
 *
 * Some libraries ask the system where the thread's stack lies and cannot stand to be anywhere else
 * (a Java machine compares its stack pointer with those bounds at each call).
 *
 * The idea: while another fiber runs, the main fiber's frames lie still, and below its stack
 * pointer the thread's own stack is free. So the call's frames are put there; when it returns, the
 * fiber is back on its own stack. It is a nested call: no other fiber ran, and none may.
 *
 *      +----------------------+
 *      | main fiber's frames  |   parked, or left by hand
 *      +----------------------+  <- main->context.sp
 *      | red zone             |   the main fiber's innermost function may keep values here
 *      +----------------------+
 *      | the call's frames    |   `current` is a guest, until it returns
 *      |          ...         |
 *
 * Invariants: while hub->is_lent, `current` is not the main fiber and cannot leave: it is a GUEST,
 * or PARKED and inside fbl_hub_next. Everybody who switches asks for RUNNING first.
 * Callers: the hub's own thread. Do not add: a way to switch inside.
 */
#include "core/stack/memcheck.h"
#include "core/switch/switch.h"

#include <unwind.h>

#define GUEST_RED_ZONE_BYTES 128u /* of x86-64's ABI; others have none */

typedef struct {
    fbl_hub *hub;       /* whose thread it is */
    void (*fn)(void *); /* what to call */
    void *argument;     /* with this */
} guest_call;

/* Asked by unwinders at the frame between the two stacks. An exception of C++ ends the process here
 * and not in the fiber's frames: past this one, the hub would believe for ever that the call goes
 * on. What ends a thread (pthread_exit) passes. */
__attribute__((visibility("hidden"))) _Unwind_Reason_Code
fbl_guest_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                      struct _Unwind_Exception *exception, struct _Unwind_Context *context)
{
    (void)version;
    (void)kind;
    (void)exception;
    (void)context;
    return actions & _UA_FORCE_UNWIND ? _URC_CONTINUE_UNWIND : _URC_FATAL_PHASE1_ERROR;
}

/* Does the current fiber run on the thread's own stack anyway? */
bool fbl_guest_is_home(const fbl_hub *hub) { return hub->current == hub->main || hub->is_lent; }

static void guest_enter(void *argument)
{
    guest_call *call = argument;
    fbl_sanitizer_arrive(NULL);
    fbl_embed_lend(call->hub->current);
    call->fn(call->argument);
    fbl_embed_unlend(call->hub->current);
    fbl_sanitizer_leave(NULL, call->hub->current);
}

/* Libraries that remember where the fiber's stack ends do not while it is on another one. */
static __attribute__((noinline)) void guest_call_elsewhere(void *top, guest_call *call)
{
    char kept[FBL_PRIVATE_BYTES_MAX];
    uint32_t count = fbl_private_take_limits(call->hub, kept);
    fbl_stack_call(top, guest_enter, call);
    fbl_private_give_limits(call->hub, kept, count);
}

/* Calls fn(argument) on the thread's own stack. The current fiber must not be there already. */
void fbl_guest_call(fbl_hub *hub, void (*fn)(void *), void *argument)
{
    fbl_fiber *self = hub->current;
    assert(!fbl_guest_is_home(hub) && hub->main->context.sp != NULL);
    guest_call call = {hub, fn, argument};
    bool was_running = self->state == FBL_FIBER_RUNNING;
    if (was_running)
        self->state = FBL_FIBER_GUEST; /* one that is PARKED must be found so by who wakes it */
    hub->is_lent = true;
    /* SAFE: a main fiber that was left, parked or lost in a fork has its frames where they were,
     * and cannot be entered before is_lent is false again. */
    uintptr_t below = (uintptr_t)hub->main->context.sp - GUEST_RED_ZONE_BYTES;
    void **top = (void **)(below & ~(uintptr_t)15), *fake = NULL;
    fbl_memcheck_may_touch(top - 1, sizeof *top); /* what the call pushes */
    fbl_sanitizer_leave(&fake, hub->main);
    if (fbl_unlikely(fbl_private_has_limit()))
        guest_call_elsewhere(top, &call);
    else
        fbl_stack_call(top, guest_enter, &call);
    fbl_sanitizer_arrive(fake);
    hub->is_lent = false;
    if (was_running)
        self->state = FBL_FIBER_RUNNING;
}
