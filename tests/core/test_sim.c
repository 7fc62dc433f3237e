/* test_sim.c: going into the test world and out of it, with a hub that has been used for real. */
#include "embed.h"

#include <sys/socket.h>

#define NS_PER_S 1000000000ull

static test_fiber fibers[2];
static int sockets[2];
static fbl_wake outcome;

static void open_with_sockets(void)
{
    test_open(false);
    outcome = FBL_WAKE_NONE;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
}

static void close_with_sockets(void)
{
    close(sockets[0]);
    close(sockets[1]);
    test_close();
}

static void wait_for_data(test_fiber *self)
{
    fbl_fd *entry;
    int err = 0;
    CHECK_EQUAL(fbl_fd_get(&test_hub, *(int *)self->argument, &entry), 0);
    entry->ready &= (uint8_t)~FBL_READ;
    outcome = fbl_fd_wait(&test_hub, entry, FBL_READ, FBL_NEVER, &err);
    CHECK_EQUAL(err, 0);
    test_arrive();
}

static void let_real_data_come(void)
{
    test_spawn(&fibers[0], wait_for_data, &sockets[0]);
    test_yield();
    CHECK_EQUAL(write(sockets[1], "x", 1), 1);
    test_sleep_until(test_hub.now(&test_hub) + NS_PER_S / 1000);
    for (int turn = 0; turn < 1000 && outcome == FBL_WAKE_NONE; turn++)
        test_sleep_until(test_hub.now(&test_hub) + NS_PER_S / 1000);
    CHECK_EQUAL(outcome, FBL_WAKE_FIRED);
    outcome = FBL_WAKE_NONE;
}

static void a_hub_that_has_polled_can_enter_and_leave(void)
{
    open_with_sockets();
    let_real_data_come();
    CHECK(test_hub.is_open && test_hub.poller_fd >= 0);
    for (int round = 0; round < 3; round++) {
        CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
        CHECK_EQUAL(test_hub.poller_fd, -1);
        CHECK_EQUAL(fbl_sim_install(&test_hub), -EBUSY);
        uint64_t began_ns = test_hub.now(&test_hub);
        test_sleep_until(began_ns + 3600 * NS_PER_S);
        CHECK_EQUAL(test_hub.now(&test_hub), began_ns + 3600 * NS_PER_S);
        fbl_sim_remove(&test_hub);
        let_real_data_come();
    }
    CHECK_EQUAL(fbl_sim_feed(&test_hub, 0, FBL_READ), -EINVAL);
    fbl_sim_remove(&test_hub); /* nothing to remove */
    close_with_sockets();
}

static void the_clock_goes_on_in_both_directions(void)
{
    test_open(false);
    uint64_t before_ns = test_hub.now(&test_hub);
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    CHECK(test_hub.now(&test_hub) >= before_ns);
    uint64_t end_ns = test_hub.now(&test_hub) + 86400 * NS_PER_S;
    test_sleep_until(end_ns);
    fbl_sim_remove(&test_hub);
    uint64_t after_ns = test_hub.now(&test_hub);
    CHECK(after_ns >= end_ns && after_ns < end_ns + 60 * NS_PER_S);
    test_sleep_until(after_ns + NS_PER_S / 1000);
    CHECK(test_hub.now(&test_hub) >= after_ns + NS_PER_S / 1000);
    test_close();
}

static void sleep_to_argument(test_fiber *self) { test_sleep_until(*(uint64_t *)self->argument); }

static void real_timers_and_descriptors_that_are_awaited_refuse(void)
{
    open_with_sockets();
    uint64_t soon_ns = test_hub.now(&test_hub) + NS_PER_S / 100;
    test_spawn(&fibers[0], sleep_to_argument, &soon_ns);
    test_yield();
    CHECK_EQUAL(fbl_sim_install(&test_hub), -EBUSY);
    test_sleep_until(soon_ns + 1);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);

    test_spawn(&fibers[0], wait_for_data, &sockets[0]);
    test_yield();
    CHECK(fbl_fd_is_awaited(&test_hub));
    CHECK_EQUAL(fbl_sim_install(&test_hub), -EBUSY);
    fbl_fd_forget(&test_hub, sockets[0]);
    /* Woken, and not run yet: it waits for nothing that the world would take away. */
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    test_yield();
    CHECK_EQUAL(outcome, FBL_WAKE_CLOSED);
    fbl_sim_remove(&test_hub);
    close_with_sockets();
}

static void who_sleeps_when_the_world_ends_has_as_much_left(void)
{
    test_open(false);
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    uint64_t began_ns = test_hub.now(&test_hub);
    uint64_t end_ns = began_ns + 3600 * NS_PER_S + NS_PER_S / 100;
    test_spawn(&fibers[0], sleep_to_argument, &end_ns);
    test_sleep_until(began_ns + 3600 * NS_PER_S);
    fbl_sim_remove(&test_hub);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_PARKED);
    test_sleep_until(end_ns + 1);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);
    test_close();
}

static void who_waits_for_a_descriptor_waits_for_the_real_one_afterwards(void)
{
    open_with_sockets();
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    test_spawn(&fibers[0], wait_for_data, &sockets[0]);
    test_yield();
    CHECK_EQUAL(write(sockets[1], "x", 1), 1);
    test_sleep_until(test_hub.now(&test_hub) + NS_PER_S);
    CHECK_EQUAL(outcome, FBL_WAKE_NONE); /* the world has no kernel */
    fbl_sim_remove(&test_hub);
    for (int turn = 0; turn < 1000 && outcome == FBL_WAKE_NONE; turn++)
        test_sleep_until(test_hub.now(&test_hub) + NS_PER_S / 1000);
    CHECK_EQUAL(outcome, FBL_WAKE_FIRED);
    close_with_sockets();
}

static void who_waits_for_what_is_no_descriptor_is_told_so(void)
{
    int imagined = 900;
    open_with_sockets();
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    test_spawn(&fibers[0], wait_for_data, &imagined);
    test_yield();
    fbl_sim_remove(&test_hub);
    test_yield();
    CHECK_EQUAL(outcome, FBL_WAKE_CLOSED);
    close_with_sockets();
}

static void fire_first(void)
{
    test_on_block = NULL;
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_FIRED); /* as another thread would */
}

static void wait_for_wake(test_fiber *self)
{
    (void)self;
    outcome = fbl_park_wait(&test_hub, FBL_NEVER);
    test_hub.expected = 0;
    test_arrive();
}

static void time_stands_still_while_a_wake_is_promised(void)
{
    test_open(true);
    outcome = FBL_WAKE_NONE;
    test_hub.expected = 1;
    test_spawn(&fibers[0], wait_for_wake, NULL);
    test_yield();
    test_on_block = fire_first;
    CHECK_EQUAL(fbl_park_wait(&test_hub, NS_PER_S + 7), FBL_WAKE_TIMEOUT);
    CHECK_EQUAL(outcome, FBL_WAKE_FIRED);
    CHECK_EQUAL(test_hub.now(&test_hub), NS_PER_S + 7);
    test_close();
}

static void a_hub_may_be_closed_inside(void)
{
    open_with_sockets();
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    test_sleep_until(test_hub.now(&test_hub) + NS_PER_S);
    close_with_sockets();
}

int main(void)
{
    RUN(a_hub_that_has_polled_can_enter_and_leave);
    RUN(the_clock_goes_on_in_both_directions);
    RUN(real_timers_and_descriptors_that_are_awaited_refuse);
    RUN(who_sleeps_when_the_world_ends_has_as_much_left);
    RUN(who_waits_for_a_descriptor_waits_for_the_real_one_afterwards);
    RUN(who_waits_for_what_is_no_descriptor_is_told_so);
    RUN(time_stands_still_while_a_wake_is_promised);
    RUN(a_hub_may_be_closed_inside);
    return test_end();
}
