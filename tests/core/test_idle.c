/* test_idle.c: who waits for the moment when everybody waits, and when that is. */
#include "embed.h"

#define NS_PER_S 1000000000u
#define MANY 6

static test_fiber fibers[MANY];
static int order[64], order_count;
static uint64_t woken_ns[MANY];

static void open_quietly(void)
{
    test_open(true);
    order_count = 0;
    memset(woken_ns, 0, sizeof woken_ns);
}

static void note(test_fiber *self) { order[order_count++] = (int)(self - fibers); }

static fbl_wake wait_quiet(uint64_t cushion_ns, int priority)
{
    fbl_idle idle = {.cushion_ns = cushion_ns, .priority = priority};
    fbl_wake why = fbl_idle_wait(&test_hub, &idle);
    test_arrive();
    return why;
}

static void wait_idle(test_fiber *self)
{
    const int *numbers = self->argument;
    CHECK_EQUAL(wait_quiet((uint64_t)numbers[0], numbers[1]), FBL_WAKE_FIRED);
    woken_ns[self - fibers] = test_hub.now(&test_hub);
    note(self);
}

static void yield_often(test_fiber *self)
{
    for (int turn = 0; turn < 3 * FBL_HUB_BUDGET; turn++)
        test_yield();
    note(self);
}

static void sleep_to_argument(test_fiber *self)
{
    test_sleep_until(*(uint64_t *)self->argument);
    note(self);
}

static void it_is_idle_when_all_others_are_parked_and_no_time_has_passed(void)
{
    uint64_t later_ns = 2 * (uint64_t)NS_PER_S;
    open_quietly();
    test_spawn(&fibers[0], yield_often, NULL);
    test_spawn(&fibers[1], yield_often, NULL);
    test_spawn(&fibers[2], sleep_to_argument, &later_ns);
    CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 2);
    CHECK_EQUAL(fibers[2].core.state, FBL_FIBER_PARKED);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S);
    test_sleep_until(later_ns + 1);
    test_close();
}

static void it_is_idle_at_once_when_alone(void)
{
    open_quietly();
    for (int round = 0; round < 3; round++)
        CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(test_stall_count, 0);
    test_close();
}

static void all_equals_are_woken_in_the_order_they_came(void)
{
    int numbers[] = {0, 0};
    open_quietly();
    for (int i = 0; i < MANY; i++)
        test_spawn(&fibers[i], wait_idle, numbers);
    CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    test_yield();
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_EQUAL(order[i], i);
    CHECK(fbl_list_is_empty(&test_hub.idle));
    test_close();
}

static void higher_priorities_are_woken_first_and_alone(void)
{
    int numbers[][2] = {{0, -1}, {0, 2}, {0, 0}, {0, 2}, {0, 1}, {0, -2}};
    static const int wanted[] = {1, 3, 4, 2, 0, 5};
    open_quietly();
    for (int i = 0; i < MANY; i++)
        test_spawn(&fibers[i], wait_idle, numbers[i]);
    CHECK_EQUAL(wait_quiet(0, -100), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_EQUAL(order[i], wanted[i]);
    test_close();
}

static void a_cushion_lets_that_much_time_pass(void)
{
    open_quietly();
    CHECK_EQUAL(wait_quiet(500, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S + 500);
    test_close();
}

/* Fiber 0 runs at +300 and at +600: the quiet that lasts 400 begins at +600. */
static void whatever_happens_starts_the_cushion_anew(void)
{
    uint64_t times_ns[] = {NS_PER_S + 300, NS_PER_S + 600};
    open_quietly();
    for (int i = 0; i < 2; i++)
        test_spawn(&fibers[i], sleep_to_argument, &times_ns[i]);
    CHECK_EQUAL(wait_quiet(400, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 2);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S + 1000);
    test_close();
}

static void what_is_due_when_the_cushion_ends_comes_first(void)
{
    uint64_t end_ns = NS_PER_S + 400;
    open_quietly();
    test_spawn(&fibers[0], sleep_to_argument, &end_ns);
    CHECK_EQUAL(wait_quiet(400, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 1);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S + 800);
    test_close();
}

static void waking_the_smallest_cushion_ends_the_quiet_for_the_others(void)
{
    int numbers[][2] = {{300, 0}, {100, 0}, {100, 0}};
    open_quietly();
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], wait_idle, numbers[i]);
    CHECK_EQUAL(wait_quiet(1000, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(woken_ns[1], NS_PER_S + 100);
    CHECK_EQUAL(woken_ns[2], NS_PER_S + 100);
    CHECK_EQUAL(woken_ns[0], NS_PER_S + 400);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S + 1400);
    test_close();
}

static void wait_readable(test_fiber *self)
{
    fbl_fd *entry;
    int err = 0;
    CHECK_EQUAL(fbl_fd_get(&test_hub, *(int *)self->argument, &entry), 0);
    entry->ready = 0;
    CHECK_EQUAL(fbl_fd_wait(&test_hub, entry, FBL_READ, FBL_NEVER, &err), FBL_WAKE_FIRED);
    test_arrive();
    note(self);
}

static void what_a_descriptor_has_to_tell_comes_first(void)
{
    int fd = 5;
    open_quietly();
    test_spawn(&fibers[0], wait_readable, &fd);
    test_yield();
    fbl_sim_feed(&test_hub, fd, FBL_READ);
    CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 1);
    test_close();
}

static void the_real_kernel_is_asked_as_well(void)
{
    int ends[2];
    test_open(false);
    order_count = 0;
    CHECK_EQUAL(pipe(ends), 0);
    test_spawn(&fibers[0], wait_readable, &ends[0]);
    CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 0);
    CHECK_EQUAL(write(ends[1], "x", 1), 1);
    CHECK_EQUAL(wait_quiet(0, 0), FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 1);
    uint64_t began_ns = test_hub.now(&test_hub);
    CHECK_EQUAL(wait_quiet(1000000, 0), FBL_WAKE_FIRED);
    CHECK(test_hub.now(&test_hub) >= began_ns + 1000000);
    close(ends[0]);
    close(ends[1]);
    test_close();
}

static void end_of_wait(test_fiber *self) { self->error = (int)wait_quiet(NS_PER_S, 0); }

static void who_waits_for_idleness_may_be_woken_by_name(void)
{
    open_quietly();
    test_spawn(&fibers[0], end_of_wait, NULL);
    test_yield();
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_THROWN);
    CHECK(fbl_list_is_empty(&test_hub.idle));
    test_yield();
    CHECK_EQUAL(fibers[0].error, FBL_WAKE_THROWN);
    test_close();
}

int main(void)
{
    RUN(it_is_idle_when_all_others_are_parked_and_no_time_has_passed);
    RUN(it_is_idle_at_once_when_alone);
    RUN(all_equals_are_woken_in_the_order_they_came);
    RUN(higher_priorities_are_woken_first_and_alone);
    RUN(a_cushion_lets_that_much_time_pass);
    RUN(whatever_happens_starts_the_cushion_anew);
    RUN(what_is_due_when_the_cushion_ends_comes_first);
    RUN(waking_the_smallest_cushion_ends_the_quiet_for_the_others);
    RUN(what_a_descriptor_has_to_tell_comes_first);
    RUN(the_real_kernel_is_asked_as_well);
    RUN(who_waits_for_idleness_may_be_woken_by_name);
    return test_end();
}
