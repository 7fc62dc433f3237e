/* test_guest.c: a call of a fiber's on the thread's own stack: where it runs, what it may do. */
#include "embed.h"

#include <pthread.h>

#if __has_include(<execinfo.h>)
#include <execinfo.h>
#include <unwind.h>
#endif

#define FRAMES_MAX 200

static test_fiber fibers[3];
static char *thread_low, *thread_top; /* the bounds of the thread's own stack */

static void learn_bounds(void)
{
    pthread_attr_t attr;
    void *low;
    size_t bytes;
    CHECK_EQUAL(pthread_getattr_np(pthread_self(), &attr), 0);
    pthread_attr_getstack(&attr, &low, &bytes);
    pthread_attr_destroy(&attr);
    thread_low = low;
    thread_top = thread_low + bytes;
}

static bool is_on_thread_stack(void)
{
    char probe[16] __attribute__((aligned(16)));
    volatile uintptr_t at = (uintptr_t)probe;
    CHECK_EQUAL(at % 16, 0);
    return (char *)at > thread_low && (char *)at < thread_top;
}

static void look_around(void *argument)
{
    test_fiber *self = argument;
    CHECK(is_on_thread_stack());
    CHECK(test_hub.current == &self->core && self->core.state == FBL_FIBER_GUEST);
    CHECK(fbl_guest_is_home(&test_hub));
    self->error++;
}

static void be_a_guest(test_fiber *self)
{
    volatile unsigned kept[64];
    for (unsigned i = 0; i < 64; i++)
        kept[i] = i * 0x01010101u;
    CHECK(!is_on_thread_stack() && !fbl_guest_is_home(&test_hub));
    fbl_guest_call(&test_hub, look_around, self);
    CHECK(!is_on_thread_stack() && !fbl_guest_is_home(&test_hub));
    CHECK_EQUAL(self->core.state, FBL_FIBER_RUNNING);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQUAL(kept[i], i * 0x01010101u);
}

/* Below it lies what the guest's frames could touch. */
static __attribute__((noinline)) void leave_main_from_depth(int depth, void (*leave)(void))
{
    volatile unsigned kept[64];
    for (unsigned i = 0; i < 64; i++)
        kept[i] = i ^ (unsigned)depth;
    if (depth > 0)
        leave_main_from_depth(depth - 1, leave);
    else
        leave();
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQUAL(kept[i], i ^ (unsigned)depth);
}

static void while_the_main_fiber_is_parked_its_stack_can_be_used(void)
{
    test_open(true);
    CHECK(fbl_guest_is_home(&test_hub));
    for (int depth = 0; depth < 20; depth++) {
        test_spawn(&fibers[0], be_a_guest, NULL);
        leave_main_from_depth(depth, test_yield);
        CHECK_EQUAL(fibers[0].error, 1);
    }
    test_close();
}

static void switch_to_the_first(void) { CHECK_EQUAL(test_switch(&fibers[0].core), 0); }

static void return_to_main(test_fiber *self)
{
    be_a_guest(self);
    self->next = &test_main.core;
    test_main.references++;
}

static void while_the_main_fiber_was_left_by_hand_too(void)
{
    test_open(true);
    test_make(&fibers[0], return_to_main, NULL);
    leave_main_from_depth(7, switch_to_the_first);
    CHECK_EQUAL(fibers[0].error, 1);
    test_close();
}

/* Three fibers are guests in turn, and wait in between. */
static void be_a_guest_often(test_fiber *self)
{
    for (int turn = 0; turn < 100; turn++) {
        be_a_guest(self);
        test_yield();
    }
}

static void guests_of_several_fibers_take_turns(void)
{
    test_open(true);
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], be_a_guest_often, NULL);
    for (int turn = 0; turn < 105; turn++)
        test_yield();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(fibers[i].error, 100);
    test_close();
}

static void wake_the_second(void *argument)
{
    (void)argument;
    fbl_wake_fiber(&fibers[1].core, FBL_WAKE_FIRED);
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_FIRED); /* itself: it is not parked */
    fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED); /* it runs when the call is over */
}

static void wake_others_as_a_guest(test_fiber *self)
{
    fbl_guest_call(&test_hub, wake_the_second, NULL);
    CHECK_EQUAL(self->core.state, FBL_FIBER_RUNNING);
    CHECK_EQUAL(test_main.core.state, FBL_FIBER_PARKED);
    self->error++;
}

static void wait_for_wake(test_fiber *self)
{
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
    test_arrive();
    self->error++;
}

static void a_guest_may_wake_anybody(void)
{
    test_open(true);
    test_spawn(&fibers[1], wait_for_wake, NULL);
    test_yield();
    test_spawn(&fibers[0], wake_others_as_a_guest, NULL);
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
    test_arrive();
    CHECK_EQUAL(fibers[0].error, 1);
    test_yield();
    CHECK_EQUAL(fibers[1].error, 1);
    test_close();
}

/* The hub asks the embedder on the stack of who parked last, which is PARKED by then. */
static void ask_from_the_stalled_hub(void *argument)
{
    (void)argument;
    CHECK(is_on_thread_stack() && fbl_guest_is_home(&test_hub));
    CHECK_EQUAL(test_hub.current->state, FBL_FIBER_PARKED);
    fbl_wake_fiber(test_hub.current, FBL_WAKE_FIRED);
}

static bool be_a_guest_when_stalled(void)
{
    CHECK(test_hub.current == &fibers[0].core);
    fbl_guest_call(&test_hub, ask_from_the_stalled_hub, NULL);
    CHECK_EQUAL(test_hub.current->state, FBL_FIBER_PARKED);
    fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED);
    return true;
}

static void who_is_parked_inside_the_hub_stays_parked_and_can_be_woken(void)
{
    test_open(true);
    test_on_stall = be_a_guest_when_stalled;
    test_spawn(&fibers[0], wait_for_wake, NULL);
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
    test_arrive();
    test_yield();
    CHECK_EQUAL(fibers[0].error, 1);
    test_close();
}

#if __has_include(<execinfo.h>) /* not with musl, whose compiler here has no unwinder either */
typedef struct {
    int count; /* frames seen */
    bool has_passed; /* one of them is the call between the stacks */
    void *outermost; /* the function of the last one */
} walk;

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
    walk *seen = argument;
    uintptr_t at = _Unwind_GetIP(context);
    if (at != 0) /* the last call, beyond the end, has no address */
        seen->outermost = _Unwind_FindEnclosingFunction((void *)(at - 1));
    if (seen->outermost == (void *)fbl_stack_call)
        seen->has_passed = true;
    return ++seen->count < FRAMES_MAX ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind_here(void *argument)
{
    test_fiber *self = argument;
    walk seen = {0};
    CHECK_EQUAL(_Unwind_Backtrace(note_frame, &seen), _URC_END_OF_STACK);
    CHECK(seen.has_passed && seen.count < FRAMES_MAX);
    CHECK(seen.outermost == (void *)fbl_context_start);
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);
    CHECK(count > 3 && count < FRAMES_MAX);
    self->error++;
}

static void unwind_as_a_guest(test_fiber *self) { fbl_guest_call(&test_hub, unwind_here, self); }

static void a_backtrace_goes_on_through_the_fibers_own_stack(void)
{
    test_open(true);
    test_spawn(&fibers[0], unwind_as_a_guest, NULL);
    test_yield();
    CHECK_EQUAL(fibers[0].error, 1);
    test_close();
}

static bool has_come_back; /* who threw an exception that nobody catches */

static void raise_foreign(void *argument)
{
    (void)argument;
    static struct _Unwind_Exception exception;
    /* What it returns is not looked at: gcc bug 114843 loses it on aarch64. */
    (void)_Unwind_RaiseException(&exception);
    has_come_back = true;
}

static void raise_as_a_guest(test_fiber *self) { fbl_guest_call(&test_hub, raise_foreign, self); }

static void an_exception_does_not_leave_the_call(void)
{
    test_open(true);
    test_spawn(&fibers[0], raise_as_a_guest, NULL);
    test_yield();
    CHECK(has_come_back);
    test_close();
}
#else
static void a_backtrace_goes_on_through_the_fibers_own_stack(void) { printf("no unwinder\n"); }
static void an_exception_does_not_leave_the_call(void) { printf("no unwinder\n"); }
#endif

/* In another thread, whose stack is a mapping among the fibers' own. */
static void *in_another_thread(void *argument)
{
    (void)argument;
    learn_bounds();
    while_the_main_fiber_is_parked_its_stack_can_be_used();
    guests_of_several_fibers_take_turns();
    return NULL;
}

static void another_thread_has_a_stack_of_its_own(void)
{
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, in_another_thread, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    learn_bounds();
}

int main(void)
{
    learn_bounds();
    RUN(while_the_main_fiber_is_parked_its_stack_can_be_used);
    RUN(while_the_main_fiber_was_left_by_hand_too);
    RUN(guests_of_several_fibers_take_turns);
    RUN(a_guest_may_wake_anybody);
    RUN(who_is_parked_inside_the_hub_stays_parked_and_can_be_woken);
    RUN(a_backtrace_goes_on_through_the_fibers_own_stack);
    RUN(an_exception_does_not_leave_the_call);
    RUN(another_thread_has_a_stack_of_its_own);
    return test_end();
}
