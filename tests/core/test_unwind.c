/* test_unwind.c: who walks a fiber's stack, by unwind tables or frame pointers, comes to an end. */
#include "embed.h"

/* Not with musl, which has no backtrace(); and Debian's gcc unwinds by means of glibc only. */
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#include <unwind.h>
#define HAS_TABLES 1
#else
#define HAS_TABLES 0
#endif

#define FRAMES_MAX 200

static test_fiber fibers[2];

#if HAS_TABLES
typedef struct {
    int count; /* frames seen */
    void *outermost; /* the function of the last one */
} walk;

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
    walk *seen = argument;
    uintptr_t at = _Unwind_GetIP(context);
    if (at != 0) /* the last call, beyond the end, has no address */
        seen->outermost = _Unwind_FindEnclosingFunction((void *)(at - 1));
    return ++seen->count < FRAMES_MAX ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwind_here(test_fiber *self)
{
    walk seen = {0};
    CHECK_EQUAL(_Unwind_Backtrace(note_frame, &seen), _URC_END_OF_STACK);
    CHECK(seen.count > 1 && seen.count < FRAMES_MAX);
    CHECK(seen.outermost == (void *)fbl_context_start);
    self->error++;
}

/* On a stack that carried others before, too, and after each way to come back. */
static void unwind_again(test_fiber *self)
{
    for (int turn = 0; turn < 3; turn++) {
        unwind_here(self);
        test_yield();
    }
}

static void unwinding_ends_at_the_first_frame(void)
{
    test_open(true);
    for (int i = 0; i < 2; i++)
        test_spawn(&fibers[i], unwind_again, NULL);
    for (int turn = 0; turn < 5; turn++)
        test_yield();
    CHECK_EQUAL(fibers[0].error, 3);
    CHECK_EQUAL(fibers[1].error, 3);
    test_close();
}

static void take_backtrace(test_fiber *self)
{
    void *frames[FRAMES_MAX];
    self->error = backtrace(frames, FRAMES_MAX);
}

/* What faulthandler prints of C from CPython 3.14 on. */
static void backtrace_of_glibc_ends(void)
{
    test_open(true);
    test_spawn(&fibers[0], take_backtrace, NULL);
    test_yield();
    CHECK(fibers[0].error > 1 && fibers[0].error < FRAMES_MAX);
    test_close();
}

static void unwind_tables(void)
{
    RUN(unwinding_ends_at_the_first_frame);
    RUN(backtrace_of_glibc_ends);
}
#else
static void unwind_tables(void) { printf("nothing here unwinds by tables\n"); }
#endif

/* As a profiler walks it. Each frame begins with the caller's frame pointer. */
static int count_frame_pointers(const fbl_stack *stack, void **frame)
{
    int count = 0;
    while (frame != NULL && count < FRAMES_MAX) {
        CHECK((char *)frame >= fbl_stack_low(stack) && (char *)frame < (char *)stack);
        frame = *frame;
        count++;
    }
    return count;
}

/* A function that asks for its frame's address keeps a frame pointer. */
__attribute__((noinline)) static void walk_frame_pointers(test_fiber *self, void **caller)
{
    void **frame = __builtin_frame_address(0);
    CHECK(*frame == caller);
    self->error = count_frame_pointers(self->core.stack, frame);
}

static fbl_context thread_context;

static void walk_and_leave(void *argument)
{
    test_fiber *self = argument;
    walk_frame_pointers(self, __builtin_frame_address(0));
    fbl_context_switch(&self->core.context, &thread_context);
}

/* The first frame alone, with functions above it that all keep frame pointers: the core's own do
 * not everywhere. */
static void the_chain_of_frame_pointers_ends_at_the_first_frame(void)
{
    test_open(true);
    test_fiber *self = &fibers[0];
    CHECK(fbl_stack_take(&test_hub.stacks, FBL_QUARTERS_ALL, &self->core.stack) >= 0);
    fbl_context_make(&self->core.context, fbl_stack_top(self->core.stack), walk_and_leave, self);
    fbl_context_switch(&thread_context, &self->core.context);
    CHECK_EQUAL(self->error, 2);
    fbl_stack_give(self->core.stack);
    self->core.stack = NULL;
    test_close();
}

int main(void)
{
    unwind_tables();
    RUN(the_chain_of_frame_pointers_ends_at_the_first_frame);
    return test_end();
}
