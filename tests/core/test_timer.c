/* test_timer.c: deadlines fire in time, in order, and never after they were cancelled. */
#include "embed.h"

#include <math.h>

#define TIMERS 64
#define NS_PER_S 1000000000u

typedef struct {
    fbl_timer core;
    int number;
    fbl_timer *restarts;   /* started again by fire() */
    fbl_timer *cancels;    /* cancelled by fire() */
    uint64_t restart_after; /* ns */
} numbered;

static int fired[4096], fired_count;

static void numbered_fire(fbl_hub *hub, fbl_timer *timer)
{
    numbered *self = fbl_container_of(timer, numbered, core);
    CHECK(!timer->is_started);
    CHECK(timer->deadline_ns <= hub->now(hub));
    fired[fired_count++] = self->number;
    if (self->cancels != NULL)
        fbl_timer_cancel(hub, self->cancels);
    if (self->restarts != NULL)
        fbl_timer_start(hub, self->restarts, hub->now(hub) + self->restart_after);
}

static numbered *numbered_make(numbered *timer, int number)
{
    *timer = (numbered){.core = {.fire = numbered_fire}, .number = number};
    return timer;
}

static void run_until(uint64_t now_ns) { test_sleep_until(now_ns); }

static void open_quietly(void)
{
    test_open(true);
    fired_count = 0;
}

static void ties_fire_in_the_order_in_which_they_were_started(void)
{
    static numbered timers[TIMERS];
    open_quietly();
    for (int i = 0; i < TIMERS; i++)
        fbl_timer_start(&test_hub, &numbered_make(&timers[i], i)->core, 5 * NS_PER_S);
    run_until(6 * (uint64_t)NS_PER_S);
    CHECK_EQUAL(fired_count, TIMERS);
    for (int i = 0; i < fired_count; i++)
        CHECK_EQUAL(fired[i], i);
    test_close();
}

static void earlier_deadlines_fire_first_whenever_they_were_started(void)
{
    static numbered timers[TIMERS];
    open_quietly();
    for (int i = 0; i < TIMERS; i++)
        fbl_timer_start(&test_hub, &numbered_make(&timers[i], i)->core,
                        (2 + (uint64_t)(TIMERS - i)) * NS_PER_S);
    CHECK_EQUAL(fbl_timer_next(&test_hub), 3ull * NS_PER_S);
    run_until(100 * (uint64_t)NS_PER_S);
    CHECK_EQUAL(fired_count, TIMERS);
    for (int i = 0; i < fired_count; i++)
        CHECK_EQUAL(fired[i], TIMERS - 1 - i);
    CHECK_EQUAL(fbl_timer_next(&test_hub), FBL_NEVER);
    test_close();
}

static void a_cancelled_timer_does_not_fire_and_may_start_again(void)
{
    numbered timer;
    open_quietly();
    numbered_make(&timer, 1);
    fbl_timer_cancel(&test_hub, &timer.core);
    fbl_timer_start(&test_hub, &timer.core, 2 * NS_PER_S);
    fbl_timer_cancel(&test_hub, &timer.core);
    fbl_timer_cancel(&test_hub, &timer.core);
    CHECK(!timer.core.is_started);
    run_until(3 * (uint64_t)NS_PER_S);
    CHECK_EQUAL(fired_count, 0);
    fbl_timer_start(&test_hub, &timer.core, 4 * (uint64_t)NS_PER_S);
    run_until(5 * (uint64_t)NS_PER_S);
    CHECK_EQUAL(fired_count, 1);
    test_close();
}

static void fire_may_cancel_another_that_is_due_as_well(void)
{
    numbered first, second;
    open_quietly();
    numbered_make(&first, 1)->cancels = &numbered_make(&second, 2)->core;
    fbl_timer_start(&test_hub, &first.core, 2 * NS_PER_S);
    fbl_timer_start(&test_hub, &second.core, 2 * NS_PER_S);
    run_until(3 * (uint64_t)NS_PER_S);
    CHECK_EQUAL(fired_count, 1);
    CHECK_EQUAL(fired[0], 1);
    test_close();
}

/* fire() may start itself for now: that is for the next turn, or this turn would never end. */
static void a_timer_that_restarts_itself_for_now_fires_once_a_turn(void)
{
    numbered timer;
    open_quietly();
    numbered_make(&timer, 1)->restarts = &timer.core;
    fbl_timer_start(&test_hub, &timer.core, NS_PER_S);
    fbl_timer_fire_due(&test_hub);
    CHECK_EQUAL(fired_count, 1);
    fbl_timer_fire_due(&test_hub);
    CHECK_EQUAL(fired_count, 2);
    fbl_timer_cancel(&test_hub, &timer.core);
    test_close();
}

/* Or whoever waits for the kernel would wait until the last of a million had fired. */
static void of_a_crowd_that_is_due_only_so_many_fire_between_two_looks_at_the_kernel(void)
{
    static numbered timers[2 * FBL_HUB_DUE + 1];
    open_quietly();
    for (int i = 0; i <= 2 * FBL_HUB_DUE; i++)
        fbl_timer_start(&test_hub, &numbered_make(&timers[i], i)->core, 0);
    for (int turn = 1; turn <= 2; turn++) {
        CHECK_EQUAL(fbl_hub_prepare(&test_hub), 0);
        CHECK_EQUAL(fired_count, turn * FBL_HUB_DUE);
    }
    CHECK_EQUAL(fbl_hub_prepare(&test_hub), FBL_NEVER);
    CHECK_EQUAL(fired_count, 2 * FBL_HUB_DUE + 1);
    for (int i = 0; i < fired_count; i++)
        CHECK_EQUAL(fired[i], i);
    test_close();
}

static void clear_takes_all_out_and_each_may_still_be_cancelled(void)
{
    static numbered timers[TIMERS];
    open_quietly();
    for (int i = 0; i < TIMERS; i++)
        fbl_timer_start(&test_hub, &numbered_make(&timers[i], i)->core, (uint64_t)(i * 7 % 13));
    fbl_timer_clear(&test_hub);
    for (int i = 0; i < TIMERS; i++) {
        CHECK(!timers[i].core.is_started);
        fbl_timer_cancel(&test_hub, &timers[i].core);
    }
    fbl_timer_fire_due(&test_hub);
    CHECK_EQUAL(fired_count, 0);
    test_close();
}

static void deadlines_are_rounded_up_and_never_overflow(void)
{
    open_quietly();
    uint64_t now_ns = test_hub.now(&test_hub);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, 0), now_ns);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, -1), now_ns);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, 1e-12), now_ns + 1);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, 1.5), now_ns + 1500000000u);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, 1e300), FBL_NEVER - 1);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, INFINITY), FBL_NEVER - 1);
    CHECK_EQUAL(fbl_hub_deadline(&test_hub, 18446744073.709551), FBL_NEVER - 1);
    test_close();
}

static void random_starts_and_cancels_fire_what_is_left_in_order(void)
{
    uint64_t seed = test_seed(20260103), state = seed;
    static numbered timers[TIMERS];
    open_quietly();
    for (int i = 0; i < TIMERS; i++)
        numbered_make(&timers[i], i);
    for (int step = 0; step < 5000 && test_failures == 0; step++) {
        numbered *timer = &timers[test_random(&state) % TIMERS];
        uint64_t now_ns = test_hub.now(&test_hub);
        if (timer->core.is_started)
            fbl_timer_cancel(&test_hub, &timer->core);
        else
            fbl_timer_start(&test_hub, &timer->core, now_ns + test_random(&state) % 1000);
        if (test_random(&state) % 8 != 0)
            continue;
        fired_count = 0;
        uint64_t until_ns = now_ns + test_random(&state) % 300 + 1;
        run_until(until_ns);
        for (int i = 1; i < fired_count; i++) {
            fbl_timer *former = &timers[fired[i - 1]].core, *latter = &timers[fired[i]].core;
            CHECK(former->deadline_ns < latter->deadline_ns ||
                  (former->deadline_ns == latter->deadline_ns && former->order < latter->order));
        }
        for (int i = 0; i < TIMERS; i++)
            CHECK(!timers[i].core.is_started || timers[i].core.deadline_ns >= until_ns);
    }
    if (test_failures != 0)
        printf("SEED=%llu\n", (unsigned long long)seed);
    fbl_timer_clear(&test_hub);
    test_close();
}

int main(void)
{
    RUN(ties_fire_in_the_order_in_which_they_were_started);
    RUN(earlier_deadlines_fire_first_whenever_they_were_started);
    RUN(a_cancelled_timer_does_not_fire_and_may_start_again);
    RUN(fire_may_cancel_another_that_is_due_as_well);
    RUN(a_timer_that_restarts_itself_for_now_fires_once_a_turn);
    RUN(of_a_crowd_that_is_due_only_so_many_fire_between_two_looks_at_the_kernel);
    RUN(clear_takes_all_out_and_each_may_still_be_cancelled);
    RUN(deadlines_are_rounded_up_and_never_overflow);
    RUN(random_starts_and_cancels_fire_what_is_left_in_order);
    return test_end();
}
