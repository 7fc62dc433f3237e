/* test_stillborn.c: what happens when there is no memory for a stack. */
#include "embed.h"

#define MANY 20

static test_fiber fibers[MANY];
static int ran_count;

static void run(test_fiber *self)
{
    (void)self;
    ran_count++;
    test_yield();
}

static void open_quietly(void)
{
    test_open(true);
    test_bytes_left = -1;
    ran_count = 0;
}

static int stillborn_count(void)
{
    int count = 0;
    for (int i = 0; i < MANY; i++) {
        CHECK(fibers[i].error == 0 || fibers[i].error == -ENOMEM);
        CHECK_EQUAL(fibers[i].core.state, FBL_FIBER_DONE);
        CHECK_EQUAL(fibers[i].references, 0);
        count += fibers[i].error != 0;
    }
    return count;
}

static void without_any_stack_each_is_stillborn_and_the_others_go_on(void)
{
    open_quietly();
    test_bytes_left = 0;
    for (int i = 0; i < MANY; i++)
        test_spawn(&fibers[i], run, NULL);
    test_yield();
    CHECK_EQUAL(stillborn_count(), MANY);
    CHECK_EQUAL(ran_count, 0);
    test_bytes_left = -1;
    test_close();
}

static void as_many_run_as_there_are_stacks(void)
{
    for (int stacks = 1; stacks < MANY; stacks += 3) {
        open_quietly();
        test_bytes_left = stacks * TEST_STACK_BYTES;
        for (int i = 0; i < MANY; i++)
            test_spawn(&fibers[i], run, NULL);
        test_yield();
        CHECK_EQUAL(ran_count, stacks);
        test_yield();
        CHECK_EQUAL(stillborn_count(), MANY - stacks);
        test_bytes_left = -1;
        test_close();
    }
}

static void spawn_more(test_fiber *self)
{
    ran_count++;
    if (self < &fibers[MANY - 1])
        test_spawn(self + 1, spawn_more, NULL);
}

/* A chain of short fibers runs on the one stack that the first of them got. */
static void one_stack_is_enough_for_many_that_follow_each_other(void)
{
    open_quietly();
    test_bytes_left = TEST_STACK_BYTES;
    test_spawn(&fibers[0], spawn_more, NULL);
    while (ran_count < MANY && fibers[ran_count].error == 0)
        test_yield();
    CHECK_EQUAL(ran_count, MANY);
    test_bytes_left = -1;
    test_close();
}

static void a_switch_by_hand_says_that_there_is_no_memory(void)
{
    open_quietly();
    test_make(&fibers[0], run, NULL);
    test_bytes_left = 0;
    CHECK_EQUAL(test_switch(&fibers[0].core), -ENOMEM);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_NEW);
    CHECK_EQUAL(test_main.core.state, FBL_FIBER_RUNNING);
    test_bytes_left = -1;
    fbl_ready_fiber(&fibers[0].core);
    test_yield();
    CHECK_EQUAL(ran_count, 1);
    test_yield();
    test_close();
}

static void sleepers_wake_whatever_happens_to_those_without_a_stack(void)
{
    open_quietly();
    test_make(&fibers[0], run, NULL);
    fbl_ready_fiber_at(&fibers[0].core, test_hub.now(&test_hub) + 10);
    test_bytes_left = 0;
    test_sleep_until(test_hub.now(&test_hub) + 20);
    CHECK_EQUAL(fibers[0].error, -ENOMEM);
    CHECK_EQUAL(fibers[0].references, 0);
    test_bytes_left = -1;
    test_close();
}

int main(void)
{
    RUN(without_any_stack_each_is_stillborn_and_the_others_go_on);
    RUN(as_many_run_as_there_are_stacks);
    RUN(one_stack_is_enough_for_many_that_follow_each_other);
    RUN(a_switch_by_hand_says_that_there_is_no_memory);
    RUN(sleepers_wake_whatever_happens_to_those_without_a_stack);
    return test_end();
}
