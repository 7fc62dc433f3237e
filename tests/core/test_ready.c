/* test_ready.c: whom the world outside wakes may overtake, and nobody starves. In the sim world,
 * where who computes moves the clock by himself. */
#include "embed.h"

#define MANY 200
#define NS_PER_MS 1000000ull

static test_fiber crowd[MANY], readers[MANY], others[3];
static test_fiber *order[4096];
static int order_count, computed_count;
static bool is_over;

static void open_quietly(void)
{
    test_open(true);
    order_count = computed_count = 0;
    is_over = false;
}

static void note(test_fiber *self) { order[order_count++] = self; }

static void compute(uint64_t ms) { ((sim_world *)test_hub.poller_data)->now_ns += ms * NS_PER_MS; }

static void compute_20_ms(test_fiber *self)
{
    note(self);
    compute(20);
    computed_count++;
}

static void read_once(test_fiber *self)
{
    fbl_fd *entry;
    int err = 0;
    CHECK_EQUAL(fbl_fd_get(&test_hub, (int)(self - readers), &entry), 0);
    entry->ready = 0;
    fbl_wake why = fbl_fd_wait(&test_hub, entry, FBL_READ, FBL_NEVER, &err);
    test_arrive();
    CHECK(why == FBL_WAKE_FIRED || why == FBL_WAKE_SWITCHED);
    note(self);
}

static void start_readers(int count)
{
    for (int i = 0; i < count; i++)
        test_spawn(&readers[i], read_once, NULL);
    test_yield();
}

static void start_crowd(int count, void (*fn)(test_fiber *))
{
    for (int i = 0; i < count; i++)
        test_spawn(&crowd[i], fn, NULL);
}

static void feed(int count)
{
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(fbl_sim_feed(&test_hub, i, FBL_READ), 0);
}

/* How many others ran before it. */
static int place_of(const test_fiber *fiber)
{
    for (int i = 0; i < order_count; i++)
        if (order[i] == fiber)
            return i;
    return -1;
}

static void let_all_run(void)
{
    for (int turn = 0; turn < 2 * MANY && !fbl_list_is_empty(&test_hub.ready); turn++)
        test_yield();
    test_yield();
}

static void feed_one(test_fiber *self)
{
    compute_20_ms(self);
    if (computed_count == 5 || computed_count == 100)
        fbl_sim_feed(&test_hub, computed_count == 5 ? 0 : 1, FBL_READ);
}

/* At first the hub does not know that they are slow. */
static void a_byte_does_not_wait_for_a_crowd_that_computes(void)
{
    open_quietly();
    start_readers(2);
    start_crowd(MANY, feed_one);
    let_all_run();
    CHECK_EQUAL(order_count, MANY + 2);
    CHECK(place_of(&readers[0]) <= 5 + FBL_HUB_STEP);
    CHECK(place_of(&readers[1]) <= 101 + 2);
    test_close();
}

static void sleep_a_little(test_fiber *self)
{
    test_sleep_until(test_hub.now(&test_hub) + 10 * NS_PER_MS);
    note(self);
}

static void a_timer_does_not_wait_for_a_crowd_that_computes(void)
{
    open_quietly();
    test_spawn(&others[0], sleep_a_little, NULL);
    start_crowd(MANY, compute_20_ms);
    let_all_run();
    CHECK(place_of(&others[0]) >= 0 && place_of(&others[0]) <= FBL_HUB_STEP + 2);
    test_close();
}

static void compute_and_feed(test_fiber *self)
{
    if (self == &crowd[0])
        feed(10);
    compute_20_ms(self);
}

static void compute_again_and_again(test_fiber *self)
{
    for (int turn = 0; turn < 20; turn++) {
        note(self);
        compute(1);
        test_yield();
    }
}

/* Ten that are quick take less time than one that is not. */
static void shares_are_of_time(void)
{
    open_quietly();
    start_readers(10);
    start_crowd(MANY, compute_and_feed);
    let_all_run();
    CHECK_EQUAL(order_count, MANY + 10);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(place_of(&readers[i]), place_of(&readers[0]) + i);
    CHECK(place_of(&readers[0]) <= FBL_HUB_STEP + 2);
    test_close();
}

static void read_for_ever(test_fiber *self)
{
    while (!is_over) {
        read_once(self);
        compute(1);
    }
}

static void end_the_reading(test_fiber *self)
{
    note(self);
    is_over = true;
    feed(64);
}

static void feed_all(test_fiber *self)
{
    compute_20_ms(self);
    if (((sim_world *)test_hub.poller_data)->fed_count == 0)
        feed(64);
}

/* However many the kernel wakes at each look, everybody's number comes up: who computes gets half
 * of the time, so of 64 that take 1 ms each, about 20 run for each of these. */
static void who_is_woken_cannot_starve_who_was_ready(void)
{
    open_quietly();
    for (int i = 0; i < 64; i++)
        test_spawn(&readers[i], read_for_ever, NULL);
    test_yield();
    start_crowd(50, feed_all);
    test_spawn(&others[0], end_the_reading, NULL);
    for (int turn = 0; turn < 4096 && !is_over; turn++)
        test_yield();
    CHECK(is_over);
    CHECK_EQUAL(computed_count, 50);
    CHECK(place_of(&others[0]) > 50 * 10 && place_of(&others[0]) < 50 * 30);
    let_all_run();
    test_close();
}

static void yield_twice(test_fiber *self)
{
    test_sleep_until(test_hub.now(&test_hub) + NS_PER_MS);
    for (int turn = 0; turn < 3; turn++) {
        note(self);
        test_yield();
    }
}

/* Whoever gives way comes after all who were ready then, whichever queue they are in. */
static void who_gives_way_overtakes_nobody(void)
{
    open_quietly();
    for (int i = 0; i < 3; i++)
        test_spawn(&others[i], yield_twice, NULL);
    start_crowd(3, compute_again_and_again);
    let_all_run();
    CHECK_EQUAL(order_count, 3 * 3 + 3 * 20);
    for (int i = 0, seen = 0; i < order_count; i++)
        if (order[i] >= others && order[i] < others + 3)
            CHECK(order[i] == &others[seen++ % 3]);
    test_close();
}

static void put_first(test_fiber *self)
{
    compute_20_ms(self);
    if (self != &crowd[20])
        return;
    feed(2);
    for (int i = 0; i < 2; i++) {
        test_spawn(&others[i], note, NULL);
        fbl_ready_advance(&others[i].core, i == 0 ? &test_hub.ready : &others[0].core.ready);
    }
    test_spawn(&others[2], note, NULL);
    fbl_ready_advance(&others[2].core, &others[0].core.ready);
}

static void who_is_to_be_the_next_is(void)
{
    open_quietly();
    start_readers(2);
    start_crowd(MANY, put_first);
    let_all_run();
    int place = place_of(&crowd[20]);
    CHECK_EQUAL(place_of(&others[0]), place + 1);
    CHECK_EQUAL(place_of(&others[2]), place + 2);
    CHECK_EQUAL(place_of(&others[1]), place + 3);
    CHECK(place_of(&readers[1]) <= place + 8);
    test_close();
}

static void feed_and_compute_little(test_fiber *self)
{
    note(self);
    if (self == &crowd[0])
        feed(1);
}

/* The second one was put nowhere: it is the next only because somebody wants to come after it. */
static void who_comes_after_the_next_does_not_overtake_it(void)
{
    open_quietly();
    test_spawn(&others[0], note, NULL);
    test_spawn(&others[1], note, NULL);
    test_spawn(&others[2], note, NULL);
    fbl_ready_advance(&others[2].core, &others[0].core.ready);
    test_yield();
    CHECK_EQUAL(place_of(&others[0]), 0);
    CHECK_EQUAL(place_of(&others[2]), 1);
    CHECK_EQUAL(place_of(&others[1]), 2);
    test_close();
}

/* Where all are quick the look comes after FBL_HUB_BUDGET switches. */
static void where_nobody_computes_turns_are_one_each(void)
{
    open_quietly();
    start_readers(10);
    start_crowd(MANY, feed_and_compute_little);
    feed(10);
    let_all_run();
    int first = place_of(&readers[0]);
    CHECK(first >= 0 && first <= FBL_HUB_BUDGET + 1);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(place_of(&readers[i]), first + 2 * i);
    test_close();
}

static test_fiber *enterer;

static void enter_the_last_reader(test_fiber *self)
{
    note(self);
    if (enterer != NULL || place_of(&readers[5]) < 0)
        return;
    enterer = self;
    CHECK(fbl_list_has(&readers[9].core.ahead));
    CHECK_EQUAL(test_switch(&readers[9].core), 0);
}

/* By hand: it leaves both queues. */
static void who_is_entered_by_hand_is_in_no_queue(void)
{
    open_quietly();
    start_readers(10);
    start_crowd(MANY, enter_the_last_reader);
    feed(10);
    let_all_run();
    CHECK_EQUAL(place_of(&readers[9]), place_of(enterer) + 1);
    CHECK_EQUAL(test_switch(&enterer->core), 0); /* left by hand: it is to end */
    test_close();
}

int main(void)
{
    RUN(a_byte_does_not_wait_for_a_crowd_that_computes);
    RUN(a_timer_does_not_wait_for_a_crowd_that_computes);
    RUN(shares_are_of_time);
    RUN(who_is_woken_cannot_starve_who_was_ready);
    RUN(who_gives_way_overtakes_nobody);
    RUN(who_is_to_be_the_next_is);
    RUN(who_comes_after_the_next_does_not_overtake_it);
    RUN(where_nobody_computes_turns_are_one_each);
    RUN(who_is_entered_by_hand_is_in_no_queue);
    return test_end();
}
