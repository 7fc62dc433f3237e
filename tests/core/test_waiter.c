/* test_waiter.c: parking on several things at once: the first wakes, and nobody wakes twice. */
#include "embed.h"

#define LISTS 4
#define MANY 50

static test_fiber fibers[MANY];
static fbl_link lists[LISTS];
static fbl_wake woken_by[MANY];
static bool fired_in[MANY][LISTS];
static int order[MANY], order_count;

static void open_quietly(void)
{
    test_open(true);
    order_count = 0;
    memset(woken_by, 0, sizeof woken_by);
    memset(fired_in, 0, sizeof fired_in);
    for (int i = 0; i < LISTS; i++)
        fbl_list_init(&lists[i]);
}

static bool all_lists_are_empty(void)
{
    for (int i = 0; i < LISTS; i++) {
        if (!fbl_list_is_empty(&lists[i]))
            return false;
    }
    return true;
}

/* Waits in all lists at once; `argument`: the deadline, or NULL for never. */
static void wait_in_all(test_fiber *self)
{
    int number = (int)(self - fibers);
    fbl_waiter waiters[LISTS];
    for (int i = 0; i < LISTS; i++)
        fbl_waiter_add(&waiters[i], &test_hub, &lists[i]);
    uint64_t deadline_ns = self->argument != NULL ? *(uint64_t *)self->argument : FBL_NEVER;
    woken_by[number] = fbl_park_wait(&test_hub, deadline_ns);
    test_arrive();
    for (int i = 0; i < LISTS; i++) {
        fired_in[number][i] = waiters[i].is_fired;
        CHECK(!fbl_list_has(&waiters[i].link));
    }
    CHECK(self->core.waiters == NULL && !self->core.timer.is_started);
    order[order_count++] = number;
}

static int fired_count(int number)
{
    int count = 0;
    for (int i = 0; i < LISTS; i++)
        count += fired_in[number][i];
    return count;
}

static void the_first_to_fire_cancels_the_rest(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_in_all, NULL);
    test_yield();
    CHECK(fbl_waiter_fire_first(&lists[2]));
    CHECK(all_lists_are_empty());
    for (int i = 0; i < LISTS; i++)
        CHECK(!fbl_waiter_fire_first(&lists[i]));
    test_yield();
    CHECK_EQUAL(woken_by[0], FBL_WAKE_FIRED);
    CHECK(fired_in[0][2]);
    CHECK_EQUAL(fired_count(0), 1);
    test_close();
}

static void lists_are_first_come_first_served(void)
{
    open_quietly();
    for (int i = 0; i < MANY; i++)
        test_spawn(&fibers[i], wait_in_all, NULL);
    test_yield();
    for (int i = 0; i < MANY; i++)
        CHECK(fbl_waiter_fire_first(&lists[i % LISTS]));
    test_yield();
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(order[i], i);
        CHECK(fired_in[i][i % LISTS]);
    }
    test_close();
}

static void the_deadline_takes_it_out_of_every_list(void)
{
    open_quietly();
    uint64_t deadline_ns = test_hub.now(&test_hub) + 1000;
    test_spawn(&fibers[0], wait_in_all, &deadline_ns);
    test_sleep_until(deadline_ns + 1);
    CHECK_EQUAL(woken_by[0], FBL_WAKE_TIMEOUT);
    CHECK_EQUAL(fired_count(0), 0);
    CHECK(all_lists_are_empty());
    test_close();
}

static void firing_cancels_the_deadline(void)
{
    open_quietly();
    uint64_t deadline_ns = test_hub.now(&test_hub) + 1000;
    test_spawn(&fibers[0], wait_in_all, &deadline_ns);
    test_yield();
    CHECK(fbl_waiter_fire_first(&lists[0]));
    CHECK_EQUAL(fbl_timer_next(&test_hub), FBL_NEVER);
    test_sleep_until(deadline_ns + 1);
    CHECK_EQUAL(woken_by[0], FBL_WAKE_FIRED);
    CHECK_EQUAL(order_count, 1);
    test_close();
}

static void the_first_reason_wins(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_in_all, NULL);
    test_yield();
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_THROWN);
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_CLOSED);
    CHECK(!fbl_waiter_fire_first(&lists[0]));
    test_yield();
    CHECK_EQUAL(woken_by[0], FBL_WAKE_THROWN);
    CHECK_EQUAL(fired_count(0), 0);
    CHECK_EQUAL(order_count, 1);
    test_close();
}

static void waking_who_is_not_parked_does_nothing(void)
{
    open_quietly();
    test_make(&fibers[0], wait_in_all, NULL);
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_FIRED);
    CHECK_EQUAL(fibers[0].references, 0);
    fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED);
    CHECK(fbl_list_is_empty(&test_hub.ready));
    fbl_fiber_cancel(&fibers[0].core);
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_FIRED);
    CHECK(fbl_list_is_empty(&test_hub.ready));
    test_close();
}

static void a_switch_by_hand_takes_a_parked_fiber_out_of_its_waits(void)
{
    open_quietly();
    uint64_t deadline_ns = test_hub.now(&test_hub) + 1000;
    test_spawn(&fibers[0], wait_in_all, &deadline_ns);
    test_yield();
    fibers[0].next = &test_main.core;
    test_main.references++;
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(woken_by[0], FBL_WAKE_SWITCHED);
    CHECK_EQUAL(fired_count(0), 0);
    CHECK(all_lists_are_empty());
    CHECK_EQUAL(fibers[0].references, 0);
    test_close();
}

/* It was woken, and before it ran somebody switched to it: what fired stays told. */
static void a_switch_by_hand_to_a_woken_fiber_keeps_what_fired(void)
{
    open_quietly();
    test_spawn(&fibers[0], wait_in_all, NULL);
    test_yield();
    CHECK(fbl_waiter_fire_first(&lists[1]));
    fibers[0].next = &test_main.core;
    test_main.references++;
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(woken_by[0], FBL_WAKE_SWITCHED);
    CHECK(fired_in[0][1]);
    CHECK(fbl_list_is_empty(&test_hub.ready));
    test_close();
}

static bool is_owner_of(int list, int number)
{
    fbl_waiter *waiter = fbl_container_of(lists[list].next, fbl_waiter, link);
    CHECK(waiter->fiber == &fibers[number].core);
    return fbl_waiter_is_owner(waiter);
}

static int owners_of_first(void)
{
    int count = 0;
    for (int i = 0; i < LISTS; i++)
        count += is_owner_of(i, 0);
    return count;
}

/* What a collector of cycles may follow: one list of several; none if the clock holds it too. */
static void exactly_one_list_owns_a_fiber_and_none_if_a_timer_does(void)
{
    open_quietly();
    uint64_t deadline_ns = test_hub.now(&test_hub) + 1000;
    test_spawn(&fibers[0], wait_in_all, NULL);
    test_yield();
    CHECK_EQUAL(owners_of_first(), 1);
    CHECK(fbl_waiter_fire_first(&lists[0]));
    test_yield();
    test_spawn(&fibers[0], wait_in_all, &deadline_ns);
    test_yield();
    CHECK_EQUAL(owners_of_first(), 0);
    test_sleep_until(deadline_ns + 1);
    test_close();
}

static void random_wakes_wake_each_exactly_once(void)
{
    uint64_t seed = test_seed(20260104), state = seed, deadlines[MANY];
    open_quietly();
    for (int round = 0; round < 200 && test_failures == 0; round++) {
        uint64_t now_ns = test_hub.now(&test_hub);
        order_count = 0;
        for (int i = 0; i < MANY; i++) {
            deadlines[i] = now_ns + 1 + test_random(&state) % 1000;
            test_spawn(&fibers[i], wait_in_all, test_random(&state) % 2 ? &deadlines[i] : NULL);
        }
        test_yield();
        while (order_count < MANY) {
            fbl_fiber *fiber = &fibers[test_random(&state) % MANY].core;
            uint64_t what = test_random(&state) % 8;
            if (what < LISTS)
                fbl_waiter_fire_first(&lists[what]);
            else if (what == 4)
                fbl_wake_fiber(fiber, FBL_WAKE_CLOSED);
            else if (what == 5)
                test_yield();
            else
                test_sleep_until(test_hub.now(&test_hub) + test_random(&state) % 100);
        }
        CHECK(all_lists_are_empty());
        for (int i = 0; i < MANY; i++) {
            CHECK(fired_count(i) <= 1);
            CHECK_EQUAL(fired_count(i) == 1, woken_by[i] == FBL_WAKE_FIRED);
        }
    }
    if (test_failures != 0)
        printf("SEED=%llu\n", (unsigned long long)seed);
    test_close();
}

int main(void)
{
    RUN(the_first_to_fire_cancels_the_rest);
    RUN(lists_are_first_come_first_served);
    RUN(the_deadline_takes_it_out_of_every_list);
    RUN(firing_cancels_the_deadline);
    RUN(the_first_reason_wins);
    RUN(waking_who_is_not_parked_does_nothing);
    RUN(a_switch_by_hand_takes_a_parked_fiber_out_of_its_waits);
    RUN(a_switch_by_hand_to_a_woken_fiber_keeps_what_fired);
    RUN(exactly_one_list_owns_a_fiber_and_none_if_a_timer_does);
    RUN(random_wakes_wake_each_exactly_once);
    return test_end();
}
