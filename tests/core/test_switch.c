/* test_switch.c: what the ABI says a call keeps, a stack switch keeps. */
#include "embed.h"

#define FIBERS 1000

static test_fiber fibers[FIBERS];

static void look_around(test_fiber *self)
{
    char probe[16] __attribute__((aligned(16)));
    volatile uintptr_t at = (uintptr_t)probe;
    CHECK_EQUAL(at % 16, 0);
    CHECK(probe > fbl_stack_low(self->core.stack) && probe < fbl_stack_top(self->core.stack));
    CHECK(self->argument == &fibers[0]);
    self->error++;
}

static void the_first_frame_gets_its_argument_and_an_aligned_stack(void)
{
    test_open(true);
    test_spawn(&fibers[0], look_around, &fibers[0]);
    test_yield();
    CHECK_EQUAL(fibers[0].error, 1);
    test_close();
}

#if defined(__x86_64__)
/* Puts a pattern into the six callee-saved registers, yields, and returns how many changed.
 * rbp cannot be named as a register variable, so it is loaded and compared by hand. */
static int registers_changed_by(void (*leave)(void), unsigned long pattern)
{
    unsigned long changed;
    __asm__ volatile("pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "pushq %%r12\n\t"
                     "pushq %%r13\n\t"
                     "pushq %%r14\n\t"
                     "pushq %%r15\n\t"
                     "pushq %%rsi\n\t"
                     "subq $8, %%rsp\n\t"
                     "movq %%rsi, %%rbx\n\t"
                     "leaq 1(%%rsi), %%r12\n\t"
                     "leaq 2(%%rsi), %%r13\n\t"
                     "leaq 3(%%rsi), %%r14\n\t"
                     "leaq 4(%%rsi), %%r15\n\t"
                     "leaq 5(%%rsi), %%rbp\n\t"
                     "callq *%%rdi\n\t"
                     "addq $8, %%rsp\n\t"
                     "popq %%rsi\n\t"
                     "subq %%rsi, %%rbx\n\t"
                     "subq %%rsi, %%r12\n\t"
                     "subq $1, %%r12\n\t"
                     "subq %%rsi, %%r13\n\t"
                     "subq $2, %%r13\n\t"
                     "subq %%rsi, %%r14\n\t"
                     "subq $3, %%r14\n\t"
                     "subq %%rsi, %%r15\n\t"
                     "subq $4, %%r15\n\t"
                     "subq %%rsi, %%rbp\n\t"
                     "subq $5, %%rbp\n\t"
                     "orq %%r12, %%rbx\n\t"
                     "orq %%r13, %%rbx\n\t"
                     "orq %%r14, %%rbx\n\t"
                     "orq %%r15, %%rbx\n\t"
                     "orq %%rbp, %%rbx\n\t"
                     "movq %%rbx, %%rax\n\t"
                     "popq %%r15\n\t"
                     "popq %%r14\n\t"
                     "popq %%r13\n\t"
                     "popq %%r12\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     : "=a"(changed), "+D"(leave), "+S"(pattern)
                     :
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return changed != 0;
}

static void keep_registers(test_fiber *self)
{
    unsigned long pattern = 0x1111111111111111ul * (unsigned long)(1 + (self - fibers) % 15);
    for (int turn = 0; turn < 20; turn++)
        CHECK(!registers_changed_by(test_yield, pattern + (unsigned long)turn * 0x1000));
}

static void callee_saved_registers_survive(void)
{
    test_open(true);
    for (int i = 0; i < 16; i++)
        test_spawn(&fibers[i], keep_registers, NULL);
    for (int turn = 0; turn < 25; turn++)
        test_yield();
    test_close();
}
#endif

#if defined(__x86_64__)
typedef enum { NEAREST = 0, DOWNWARD = 1, UPWARD = 2 } rounding; /* as both control words have it */

/* Rounding is a control bit of both x87 and MXCSR. */
static void set_rounding(rounding mode)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    mxcsr = (mxcsr & ~(3u << 13)) | (uint32_t)mode << 13;
    x87 = (uint16_t)((x87 & ~(3u << 10)) | (uint32_t)mode << 10);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
}

/* -1: the two disagree. */
static int get_rounding(void)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    int of_mxcsr = mxcsr >> 13 & 3, of_x87 = x87 >> 10 & 3;
    return of_mxcsr == of_x87 ? of_mxcsr : -1;
}

static double third_rounded(void)
{
    volatile double one = 1, three = 3;
    return one / three;
}

static long double third_rounded_by_x87(void)
{
    volatile long double one = 1, three = 3;
    return one / three;
}

static double thirds[3];
static long double long_thirds[3];

static void keep_rounding(test_fiber *self)
{
    rounding mode = self->argument != NULL ? UPWARD : DOWNWARD;
    set_rounding(mode);
    for (int turn = 0; turn < 20; turn++) {
        CHECK_EQUAL(get_rounding(), mode);
        CHECK(third_rounded() == thirds[mode]);
        CHECK(third_rounded_by_x87() == long_thirds[mode]);
        test_yield();
    }
    set_rounding(NEAREST);
}

static void find_thirds(void)
{
    for (rounding mode = NEAREST; mode <= UPWARD; mode++) {
        set_rounding(mode);
        thirds[mode] = third_rounded();
        long_thirds[mode] = third_rounded_by_x87();
    }
    set_rounding(NEAREST);
    CHECK(thirds[UPWARD] != thirds[DOWNWARD]);
    CHECK(long_thirds[UPWARD] != long_thirds[DOWNWARD]);
}

static void who_parks_keeps_the_floating_point_modes(void)
{
    test_open(true);
    find_thirds();
    for (int i = 0; i < 10; i++)
        test_spawn(&fibers[i], keep_rounding, i % 2 == 0 ? &fibers[0] : NULL);
    for (int turn = 0; turn < 25; turn++) {
        CHECK_EQUAL(get_rounding(), NEAREST);
        test_yield();
    }
    test_close();
}

static void end_with_changed_rounding(test_fiber *self)
{
    (void)self;
    set_rounding(UPWARD);
}

static void note_rounding(test_fiber *self) { self->error = get_rounding(); }

/* A finished fiber hands its stack to the next one without a switch. */
static void a_new_fiber_does_not_inherit_modes_with_a_stack(void)
{
    test_open(true);
    test_spawn(&fibers[0], end_with_changed_rounding, NULL);
    test_spawn(&fibers[1], note_rounding, NULL);
    test_yield();
    CHECK_EQUAL(fibers[1].error, NEAREST);
    CHECK_EQUAL(get_rounding(), NEAREST);
    test_close();
}

static void a_new_fiber_does_not_inherit_the_modes_of_who_parked(void)
{
    test_open(true);
    test_spawn(&fibers[0], note_rounding, NULL);
    set_rounding(UPWARD);
    test_yield();
    CHECK_EQUAL(get_rounding(), UPWARD);
    set_rounding(NEAREST);
    CHECK_EQUAL(fibers[0].error, NEAREST);
    test_close();
}

static void note_and_go_back(test_fiber *self)
{
    self->error = get_rounding();
    set_rounding(DOWNWARD);
    self->next = &test_main.core;
    test_main.references++;
}

/* As a generator or a callback would: who switches by hand is one computation with the other. */
static void a_switch_by_hand_leaves_the_modes_alone(void)
{
    test_open(true);
    test_make(&fibers[0], note_and_go_back, NULL);
    set_rounding(UPWARD);
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(fibers[0].error, UPWARD);
    CHECK_EQUAL(get_rounding(), DOWNWARD);
    set_rounding(NEAREST);
    test_close();
}
#endif

static unsigned descend(unsigned levels)
{
    volatile unsigned char local[256];
    memset((void *)local, (int)levels, sizeof local);
    unsigned below = levels == 0 ? 0 : descend(levels - 1);
    for (size_t i = 0; i < sizeof local; i++) {
        if (local[i] != (unsigned char)levels)
            return 1000000;
    }
    return below + 1;
}

static void yield_at_the_bottom(test_fiber *self)
{
    for (int turn = 0; turn < 4; turn++) {
        CHECK_EQUAL(descend(200), 201);
        test_yield();
    }
    (void)self;
}

static unsigned descend_and_yield(unsigned levels)
{
    volatile unsigned mine = levels;
    if (levels == 0)
        test_yield();
    unsigned below = levels == 0 ? 0 : descend_and_yield(levels - 1);
    return mine == levels ? below + 1 : 1000000;
}

static void park_deep(test_fiber *self)
{
    CHECK_EQUAL(descend_and_yield(100 + (unsigned)(self - fibers)), 101 + (self - fibers));
}

static void deep_stacks_survive_each_other(void)
{
    test_open(true);
    for (int i = 0; i < 50; i++)
        test_spawn(&fibers[i], i % 2 == 0 ? yield_at_the_bottom : park_deep, NULL);
    for (int turn = 0; turn < 8; turn++)
        test_yield();
    test_close();
}

static unsigned turns_of[FIBERS], last_turn;

static void take_turns(test_fiber *self)
{
    unsigned number = (unsigned)(self - fibers);
    for (unsigned turn = 0; turn < 20; turn++) {
        CHECK_EQUAL(last_turn % FIBERS, number);
        last_turn++;
        turns_of[number]++;
        test_yield();
    }
}

static void a_thousand_fibers_take_turns_in_order(void)
{
    test_open(true);
    last_turn = 0;
    for (int i = 0; i < FIBERS; i++)
        test_spawn(&fibers[i], take_turns, NULL);
    for (int turn = 0; turn < 22; turn++)
        test_yield();
    for (int i = 0; i < FIBERS; i++)
        CHECK_EQUAL(turns_of[i], 20);
    test_close();
}

int main(void)
{
    RUN(the_first_frame_gets_its_argument_and_an_aligned_stack);
#if defined(__x86_64__)
    RUN(callee_saved_registers_survive);
    RUN(who_parks_keeps_the_floating_point_modes);
    RUN(a_new_fiber_does_not_inherit_modes_with_a_stack);
    RUN(a_new_fiber_does_not_inherit_the_modes_of_who_parked);
    RUN(a_switch_by_hand_leaves_the_modes_alone);
#endif
    RUN(deep_stacks_survive_each_other);
    RUN(a_thousand_fibers_take_turns_in_order);
    return test_end();
}
