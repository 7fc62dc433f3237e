/* test_fiber.c: one fiber's life: new, started, ended, cancelled; what happens to its stack. */
#include "embed.h"

#define MANY 200

static test_fiber fibers[MANY];
static int order[4 * MANY], order_count;
static fbl_stack *stacks_seen[MANY];

static void note(test_fiber *self) { order[order_count++] = (int)(self - fibers); }

static void note_stack(test_fiber *self)
{
    stacks_seen[self - fibers] = self->core.stack;
    note(self);
}

static void open_quietly(void)
{
    test_open(true);
    order_count = 0;
}

static void a_new_fiber_costs_no_stack_and_starts_in_order(void)
{
    open_quietly();
    for (int i = 0; i < MANY; i++) {
        test_spawn(&fibers[i], note, NULL);
        CHECK_EQUAL(fibers[i].core.state, FBL_FIBER_NEW);
        CHECK(fibers[i].core.stack == NULL);
        CHECK_EQUAL(fibers[i].references, 1);
    }
    CHECK_EQUAL(test_hub.stacks.live_count, 0);
    test_yield();
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(order[i], i);
        CHECK_EQUAL(fibers[i].core.state, FBL_FIBER_DONE);
        CHECK_EQUAL(fibers[i].references, 0);
    }
    test_close();
}

static void a_finished_fiber_hands_its_stack_to_the_next_new_one(void)
{
    open_quietly();
    for (int i = 0; i < MANY; i++)
        test_spawn(&fibers[i], note_stack, NULL);
    test_yield();
    CHECK_EQUAL(order_count, MANY);
    for (int i = 1; i < MANY; i++)
        CHECK(stacks_seen[i] == stacks_seen[0]);
    CHECK_EQUAL(test_hub.stacks.free_count, 1);
    test_close();
}

static size_t sizes_seen[MANY];

static void note_size(test_fiber *self)
{
    sizes_seen[self - fibers] = self->core.stack->bytes;
    note(self);
}

static void a_new_one_that_wants_another_size_gets_a_stack_of_its_own(void)
{
    open_quietly();
    for (int i = 0; i < MANY; i++) {
        test_make(&fibers[i], note_size, NULL);
        fbl_fiber_want_stack(&fibers[i].core, i % 2 ? 2 * TEST_STACK_BYTES : 0);
        CHECK_EQUAL(fbl_fiber_stack_bytes(&fibers[i].core), TEST_STACK_BYTES * (1u + i % 2));
        fbl_ready_fiber(&fibers[i].core);
    }
    test_yield();
    CHECK_EQUAL(order_count, MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(order[i], i);
        CHECK_EQUAL(sizes_seen[i], TEST_STACK_BYTES * (1u + i % 2));
    }
    CHECK_EQUAL(test_hub.stacks.next->live_count, 0);
    test_close();
}

static void who_changes_his_mind_gives_the_first_stack_back(void)
{
    open_quietly();
    test_make(&fibers[0], note_size, NULL);
    CHECK_EQUAL(fbl_fiber_prepare(&fibers[0].core), 0);
    fbl_fiber_want_stack(&fibers[0].core, 4 * TEST_STACK_BYTES);
    CHECK_EQUAL(test_hub.stacks.live_count, 0);
    fbl_ready_fiber(&fibers[0].core);
    test_yield();
    CHECK_EQUAL(sizes_seen[0], 4 * TEST_STACK_BYTES);
    test_close();
}

static void stay(test_fiber *self)
{
    note(self);
    test_yield();
    note(self);
}

/* The finished one's stack goes to the pool, because who runs next has a stack already. */
static void a_finished_fiber_gives_its_stack_back_if_the_next_has_one(void)
{
    open_quietly();
    test_spawn(&fibers[0], stay, NULL);
    test_spawn(&fibers[1], note, NULL);
    test_yield();
    CHECK_EQUAL(test_hub.stacks.live_count, 1);
    CHECK_EQUAL(test_hub.stacks.free_count, 1);
    test_yield();
    CHECK_EQUAL(order_count, 3);
    CHECK_EQUAL(test_hub.stacks.free_count, 2);
    test_close();
}

static void cancelled_before_it_starts_it_never_runs(void)
{
    open_quietly();
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], note, NULL);
    fbl_fiber_cancel(&fibers[1].core);
    fibers[1].references--;
    CHECK_EQUAL(fibers[1].core.state, FBL_FIBER_DONE);
    CHECK(!fibers[1].core.is_held);
    test_yield();
    CHECK_EQUAL(order_count, 2);
    CHECK_EQUAL(order[0], 0);
    CHECK_EQUAL(order[1], 2);
    test_close();
}

static void cancelled_while_its_start_is_timed_it_never_runs(void)
{
    open_quietly();
    uint64_t now_ns = test_hub.now(&test_hub);
    test_make(&fibers[0], note, NULL);
    test_make(&fibers[1], note, NULL);
    fbl_ready_fiber_at(&fibers[0].core, now_ns + 1000);
    fbl_ready_fiber_at(&fibers[1].core, now_ns + 2000);
    CHECK_EQUAL(fibers[0].references, 1);
    fbl_fiber_cancel(&fibers[0].core);
    fibers[0].references--;
    CHECK(!fibers[0].core.timer.is_started);
    test_sleep_until(now_ns + 5000);
    CHECK_EQUAL(order_count, 1);
    CHECK_EQUAL(order[0], 1);
    test_close();
}

static void cancelled_after_it_got_a_stack_it_gives_it_back(void)
{
    open_quietly();
    test_make(&fibers[0], note, NULL);
    CHECK_EQUAL(fbl_fiber_prepare(&fibers[0].core), 0);
    CHECK_EQUAL(fbl_fiber_prepare(&fibers[0].core), 0);
    CHECK_EQUAL(test_hub.stacks.live_count, 1);
    fbl_fiber_cancel(&fibers[0].core);
    CHECK_EQUAL(test_hub.stacks.live_count, 0);
    CHECK(fibers[0].core.context.sp == NULL && fibers[0].core.stack == NULL);
    fbl_fiber_drop(&fibers[0].core);
    test_close();
}

static void a_timed_start_comes_in_time_and_once(void)
{
    open_quietly();
    uint64_t now_ns = test_hub.now(&test_hub);
    test_make(&fibers[0], note, NULL);
    fbl_ready_fiber_at(&fibers[0].core, now_ns + 1000);
    test_sleep_until(now_ns + 999);
    CHECK_EQUAL(order_count, 0);
    fbl_ready_fiber(&fibers[0].core); /* somebody starts it earlier after all */
    CHECK(!fibers[0].core.timer.is_started);
    fbl_ready_fiber(&fibers[0].core);
    CHECK_EQUAL(fibers[0].references, 1);
    test_sleep_until(now_ns + 5000);
    CHECK_EQUAL(order_count, 1);
    test_close();
}

static void hand_over_to_main(test_fiber *self)
{
    note(self);
    self->next = &test_main.core;
    test_main.references++;
}

static void a_named_successor_runs_next_whoever_is_ready(void)
{
    open_quietly();
    test_make(&fibers[0], hand_over_to_main, NULL);
    test_spawn(&fibers[1], note, NULL);
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(order_count, 1);
    CHECK_EQUAL(test_main.core.state, FBL_FIBER_RUNNING);
    test_yield();
    CHECK_EQUAL(order_count, 2);
    test_close();
}

static void name_a_new_one(test_fiber *self)
{
    note_stack(self);
    self->next = &fibers[self - fibers + 1].core;
    ((test_fiber *)self->next)->references++;
    if (self - fibers == 9) {
        self->next = &test_main.core;
        test_main.references++;
        fibers[10].references--;
    }
}

static void a_chain_of_named_new_fibers_runs_on_one_stack(void)
{
    open_quietly();
    for (int i = 0; i < 11; i++)
        test_make(&fibers[i], name_a_new_one, NULL);
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(order_count, 10);
    for (int i = 1; i < 10; i++)
        CHECK(stacks_seen[i] == stacks_seen[0]);
    fbl_fiber_cancel(&fibers[10].core);
    test_close();
}

static void swing(test_fiber *self)
{
    for (int turn = 0; turn < 100; turn++) {
        note(self);
        CHECK_EQUAL(test_switch(&test_main.core), 0);
    }
    self->next = &test_main.core;
    test_main.references++;
}

static void switching_by_hand_holds_no_reference(void)
{
    open_quietly();
    test_make(&fibers[0], swing, NULL);
    for (int turn = 0; turn < 100; turn++) {
        CHECK_EQUAL(test_switch(&fibers[0].core), 0);
        CHECK_EQUAL(fibers[0].references, 0);
        CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_SUSPENDED);
    }
    CHECK_EQUAL(test_switch(&fibers[0].core), 0);
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);
    CHECK_EQUAL(order_count, 100);
    test_close();
}

static void park_for_ever(test_fiber *self)
{
    note(self);
    fbl_wake why = fbl_park_wait(&test_hub, FBL_NEVER);
    test_arrive();
    self->error = (int)why;
}

static void end_idle_takes_a_parked_fiber_away_without_running_it(void)
{
    open_quietly();
    test_spawn(&fibers[0], park_for_ever, NULL);
    test_yield();
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_PARKED);
    fbl_fiber_end_idle(&fibers[0].core);
    fibers[0].references--;
    CHECK_EQUAL(fibers[0].core.state, FBL_FIBER_DONE);
    test_yield();
    CHECK_EQUAL(fibers[0].error, 0);
    fbl_fiber_drop(&fibers[0].core);
    test_close();
}

/* The child of a fork, or a thread that ends: only one goes on. */
static void abandon_leaves_only_the_survivor(void)
{
    open_quietly();
    test_spawn(&fibers[0], park_for_ever, NULL);
    test_yield();
    test_spawn(&fibers[1], note, NULL);
    test_make(&fibers[2], note, NULL);
    fbl_ready_fiber_at(&fibers[2].core, test_hub.now(&test_hub) + 10);
    fbl_hub_abandon(&test_hub, test_hub.current);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(fibers[i].core.state, FBL_FIBER_LOST);
        CHECK(!fbl_fiber_is_ready(&fibers[i].core));
        CHECK(!fibers[i].core.timer.is_started);
    }
    test_sleep_until(test_hub.now(&test_hub) + 100);
    CHECK_EQUAL(order_count, 1);
    fbl_wake_fiber(&fibers[0].core, FBL_WAKE_FIRED); /* nobody to wake */
    CHECK(!fbl_fiber_is_ready(&fibers[0].core));
    fbl_stack_give(fibers[0].core.stack); /* only here: in earnest it stays, for who looks at it */
    test_close();
}

int main(void)
{
    RUN(a_new_fiber_costs_no_stack_and_starts_in_order);
    RUN(a_finished_fiber_hands_its_stack_to_the_next_new_one);
    RUN(a_finished_fiber_gives_its_stack_back_if_the_next_has_one);
    RUN(a_new_one_that_wants_another_size_gets_a_stack_of_its_own);
    RUN(who_changes_his_mind_gives_the_first_stack_back);
    RUN(cancelled_before_it_starts_it_never_runs);
    RUN(cancelled_while_its_start_is_timed_it_never_runs);
    RUN(cancelled_after_it_got_a_stack_it_gives_it_back);
    RUN(a_timed_start_comes_in_time_and_once);
    RUN(a_named_successor_runs_next_whoever_is_ready);
    RUN(a_chain_of_named_new_fibers_runs_on_one_stack);
    RUN(switching_by_hand_holds_no_reference);
    RUN(end_idle_takes_a_parked_fiber_away_without_running_it);
    RUN(abandon_leaves_only_the_survivor);
    return test_end();
}
