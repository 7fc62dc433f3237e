/* test_hub.c: who runs next, when the kernel is asked, and what a dead end is. In the sim world. */
#include "embed.h"

#define MANY 100

static test_fiber fibers[MANY];
static int order[4096], order_count, turns_of_spinner;
static bool is_over;

static void open_quietly(void)
{
    test_open(true);
    order_count = turns_of_spinner = 0;
    is_over = false;
}

static void note(test_fiber *self) { order[order_count++] = (int)(self - fibers); }

static void note_thrice(test_fiber *self)
{
    for (int turn = 0; turn < 3; turn++) {
        note(self);
        test_yield();
    }
}

static void ready_fibers_run_first_in_first_out(void)
{
    open_quietly();
    for (int i = 0; i < 10; i++)
        test_spawn(&fibers[i], note_thrice, NULL);
    for (int turn = 0; turn < 4; turn++)
        test_yield();
    CHECK_EQUAL(order_count, 30);
    for (int i = 0; i < order_count; i++)
        CHECK_EQUAL(order[i], i % 10);
    test_close();
}

static void the_clock_jumps_to_each_deadline_exactly(void)
{
    open_quietly();
    CHECK_EQUAL(test_hub.now(&test_hub), 1000000000u);
    test_sleep_until(1000000007u);
    CHECK_EQUAL(test_hub.now(&test_hub), 1000000007u);
    test_sleep_until(86400ull * 1000000000u);
    CHECK_EQUAL(test_hub.now(&test_hub), 86400ull * 1000000000u);
    test_sleep_until(5); /* long past: no time goes by */
    CHECK_EQUAL(test_hub.now(&test_hub), 86400ull * 1000000000u);
    test_close();
}

static void sleep_long(test_fiber *self)
{
    test_sleep_until(*(uint64_t *)self->argument);
    note(self);
}

static void sleepers_wake_in_order_of_their_deadlines(void)
{
    uint64_t deadlines[MANY];
    open_quietly();
    for (int i = 0; i < MANY; i++) {
        deadlines[i] = 2000000000u + (uint64_t)(i * 37 % MANY) * 1000;
        test_spawn(&fibers[i], sleep_long, &deadlines[i]);
    }
    test_sleep_until(3000000000u);
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_EQUAL(order[i] * 37 % MANY, i);
    test_close();
}

static void spin(test_fiber *self)
{
    (void)self;
    while (!is_over) {
        turns_of_spinner++;
        test_yield();
    }
}

static void wait_readable(test_fiber *self)
{
    fbl_fd *entry;
    int err = 0;
    CHECK_EQUAL(fbl_fd_get(&test_hub, 5, &entry), 0);
    entry->ready = 0;
    CHECK_EQUAL(fbl_fd_wait(&test_hub, entry, FBL_READ, FBL_NEVER, &err), FBL_WAKE_FIRED);
    test_arrive();
    note(self);
    is_over = true;
}

static void ready_work_cannot_starve_descriptors(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_readable, NULL);
    test_spawn(&fibers[1], spin, NULL);
    test_spawn(&fibers[2], spin, NULL);
    test_yield();
    CHECK_EQUAL(fbl_sim_feed(&test_hub, 5, FBL_READ), 0);
    turns_of_spinner = 0;
    while (!is_over && turns_of_spinner < 10000)
        test_yield();
    CHECK(is_over);
    CHECK(turns_of_spinner <= FBL_HUB_BUDGET + 2);
    test_yield();
    test_close();
}

static void end_spinning(test_fiber *self)
{
    test_sleep_until(*(uint64_t *)self->argument);
    is_over = true;
}

/* The sim clock stands still while somebody is ready, so the deadline must be past already. */
static void ready_work_cannot_starve_timers(void)
{
    uint64_t past_ns = 1;
    open_quietly();
    test_spawn(&fibers[1], spin, NULL);
    test_spawn(&fibers[2], spin, NULL);
    test_spawn(&fibers[0], end_spinning, &past_ns);
    for (int turn = 0; !is_over && turn < 1000; turn++)
        test_yield();
    CHECK(is_over);
    CHECK(turns_of_spinner <= FBL_HUB_BUDGET + 4);
    test_yield();
    test_close();
}

static void nothing_to_wait_for_is_a_dead_end_and_is_told_once(void)
{
    open_quietly();
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    CHECK_EQUAL(test_stall_count, 1);
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    CHECK_EQUAL(test_stall_count, 2);
    test_close();
}

static void wake_main_by_name(void) { fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED); }

static void a_deadline_or_an_expected_wake_is_no_dead_end(void)
{
    open_quietly();
    test_sleep_until(test_hub.now(&test_hub) + 1);
    test_hub.expected = 1;
    test_on_block = wake_main_by_name; /* the promised one */
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
    CHECK_EQUAL(test_stall_count, 0);
    test_close();
}

static void a_waiter_on_a_descriptor_is_a_dead_end_where_nothing_is_fed(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_readable, NULL);
    test_yield();
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    CHECK_EQUAL(test_stall_count, 1);
    CHECK_EQUAL(test_interrupt_error, 0);
    fbl_sim_feed(&test_hub, 5, FBL_READ);
    test_sleep_until(test_hub.now(&test_hub) + 1);
    CHECK(is_over);
    test_close();
}

static bool stay_silent(void) { return false; }

static void a_dead_end_in_the_test_world_that_nobody_ends_is_an_error(void)
{
    open_quietly();
    test_on_stall = stay_silent;
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    CHECK_EQUAL(test_interrupt_error, -EDEADLK);
    test_close();
}

static void wait_for_ever(test_fiber *self)
{
    fbl_wake why = fbl_park_wait(&test_hub, FBL_NEVER);
    test_arrive();
    self->error = (int)why;
}

static bool wake_first_fiber(void)
{
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_CLOSED);
    fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED);
    return true;
}

static void whoever_is_told_of_a_dead_end_may_make_somebody_ready(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_for_ever, NULL);
    test_yield();
    test_on_stall = wake_first_fiber;
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
    test_arrive();
    CHECK_EQUAL(fibers[0].error, FBL_WAKE_CLOSED);
    CHECK_EQUAL(test_stall_count, 1);
    test_close();
}

static void sleep_to_argument(test_fiber *self) { test_sleep_until(*(uint64_t *)self->argument); }

/* A fiber that ends chooses the next one as well, and may be the one to ask the kernel. */
static void an_ending_fiber_may_have_to_wait_for_the_next(void)
{
    uint64_t soon_ns = 1500000000u;
    open_quietly();
    test_spawn(&fibers[0], sleep_to_argument, &soon_ns);
    test_sleep_until(2000000000u);
    CHECK_EQUAL(test_hub.now(&test_hub), 2000000000u);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);
    test_close();
}

static void events_come_in_the_order_in_which_they_were_fed(void)
{
    open_quietly();
    fbl_fd *entries[3];
    for (int fd = 0; fd < 3; fd++) {
        CHECK_EQUAL(fbl_fd_get(&test_hub, fd, &entries[fd]), 0);
        entries[fd]->ready = 0;
    }
    fbl_sim_feed(&test_hub, 2, FBL_READ);
    fbl_sim_feed(&test_hub, 0, FBL_WRITE | FBL_HANGUP);
    CHECK_EQUAL(fbl_hub_open(&test_hub), 0);
    CHECK_EQUAL(test_hub.poller->wait(&test_hub, 0), 2);
    CHECK_EQUAL(test_hub.events[0].fd, 2);
    CHECK_EQUAL(test_hub.events[1].fd, 0);
    fbl_hub_dispatch(&test_hub, 2);
    CHECK_EQUAL(entries[2]->ready, FBL_READ);
    CHECK_EQUAL(entries[0]->ready, FBL_WRITE);
    CHECK(entries[0]->is_hungup && !entries[2]->is_hungup);
    test_close();
}

static void a_park_is_told_when_the_same_fiber_goes_on(void)
{
    open_quietly();
    test_yield();
    test_sleep_until(test_hub.now(&test_hub) + 1);
    CHECK_EQUAL(test_stay_count, 2);
    test_spawn(&fibers[0], note, NULL);
    test_yield();
    CHECK_EQUAL(order_count, 1);
    CHECK_EQUAL(test_stay_count, 2);
    test_close();
}

/* The three pieces that a host loop drives instead of the hub. */
static void prepare_block_and_dispatch_can_be_driven_by_hand(void)
{
    uint64_t soon_ns = 1000000500u;
    open_quietly();
    CHECK_EQUAL(fbl_hub_prepare(&test_hub), FBL_NEVER);
    test_spawn(&fibers[0], sleep_to_argument, &soon_ns);
    CHECK_EQUAL(fbl_hub_prepare(&test_hub), 0);
    test_yield();
    CHECK_EQUAL(fbl_hub_prepare(&test_hub), 500);
    CHECK_EQUAL(fbl_hub_block(&test_hub, 500), 0);
    CHECK_EQUAL(fbl_hub_prepare(&test_hub), 0);
    CHECK(fbl_fiber_is_ready(&fibers[0].core));
    test_yield();
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);
    test_close();
}

int main(void)
{
    RUN(ready_fibers_run_first_in_first_out);
    RUN(the_clock_jumps_to_each_deadline_exactly);
    RUN(sleepers_wake_in_order_of_their_deadlines);
    RUN(ready_work_cannot_starve_descriptors);
    RUN(ready_work_cannot_starve_timers);
    RUN(nothing_to_wait_for_is_a_dead_end_and_is_told_once);
    RUN(a_deadline_or_an_expected_wake_is_no_dead_end);
    RUN(a_waiter_on_a_descriptor_is_a_dead_end_where_nothing_is_fed);
    RUN(a_dead_end_in_the_test_world_that_nobody_ends_is_an_error);
    RUN(a_park_is_told_when_the_same_fiber_goes_on);
    RUN(whoever_is_told_of_a_dead_end_may_make_somebody_ready);
    RUN(an_ending_fiber_may_have_to_wait_for_the_next);
    RUN(events_come_in_the_order_in_which_they_were_fed);
    RUN(prepare_block_and_dispatch_can_be_driven_by_hand);
    return test_end();
}
