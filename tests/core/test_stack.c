/* test_stack.c: stacks lie as drawn, are guarded and pooled, and keep little memory. */
#include "embed.h"

#define BYTES (256u * 1024u)

static fbl_stack_pool pool;

static fbl_stack *take(void)
{
    fbl_stack *stack = NULL;
    CHECK(fbl_stack_take(&pool, FBL_QUARTERS_ALL, &stack) >= 0);
    return stack;
}

static void give(fbl_stack *stack) { fbl_stack_give(stack); }

static void a_stack_lies_as_drawn_in_core_h(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *stack = take();
    CHECK_EQUAL(stack->bytes, BYTES);
    CHECK(fbl_stack_low(stack) == stack->base + FBL_STACK_GUARD_BYTES);
    CHECK(fbl_stack_top(stack) == (char *)stack);
    CHECK(fbl_stack_embed(stack) == (char *)(stack + 1));
    CHECK(fbl_stack_embed(stack) + FBL_STACK_EMBED_BYTES == stack->base + BYTES);
    CHECK_EQUAL((uintptr_t)fbl_stack_embed(stack) % 16, 0);
    CHECK_EQUAL(fbl_stack_room(stack), fbl_stack_top(stack) - fbl_stack_low(stack));
    memset(fbl_stack_low(stack), 0xa5, fbl_stack_room(stack));
    memset(fbl_stack_embed(stack), 0xa5, FBL_STACK_EMBED_BYTES);
    CHECK_EQUAL(stack->bytes, BYTES);
    give(stack);
    fbl_stack_pool_clear(&pool);
}

/* How many of the stack's pages are in memory. */
static size_t resident_pages(const fbl_stack *stack)
{
    unsigned char is_resident[BYTES / 4096];
    size_t bytes = BYTES - FBL_STACK_GUARD_BYTES, count = 0;
    CHECK_EQUAL(mincore(fbl_stack_low(stack), bytes, is_resident), 0);
    for (size_t i = 0; i < bytes / (size_t)sysconf(_SC_PAGESIZE); i++)
        count += is_resident[i] & 1;
    return count;
}

/* First frames, header, and the near part of the embed area. */
static void a_shallow_fiber_touches_one_page(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *stack = take();
    memset(fbl_stack_embed(stack), 1, FBL_STACK_NEAR_BYTES);
    memset(fbl_stack_top(stack) - 2048, 1, 2048);
    CHECK_EQUAL(resident_pages(stack), 1);
    give(stack);
    fbl_stack_pool_clear(&pool);
}

static void a_stack_that_went_deep_gives_back_what_a_shallow_one_does_not_need(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *stack = take();
    size_t whole = fbl_stack_room(stack) / (size_t)sysconf(_SC_PAGESIZE);
    memset(fbl_stack_low(stack), 1, fbl_stack_room(stack));
    CHECK(resident_pages(stack) >= whole);
    give(stack);
    CHECK(take() == stack);
    CHECK(resident_pages(stack) <= 16 * 1024 / 4096 + 2);
    CHECK_EQUAL(*fbl_stack_low(stack), 0);
    CHECK_EQUAL(fbl_stack_top(stack)[-1], 1);
    give(stack);
    fbl_stack_pool_clear(&pool);
}

/* The signal that a child dies of which writes to `at`; 0 if it lives. */
static int signal_of_writing_to(volatile char *at)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler of its own */
        *at = 1;
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void check_guard(void)
{
    fbl_stack *stack = take();
    CHECK_EQUAL(signal_of_writing_to(fbl_stack_low(stack)), 0);
    CHECK_EQUAL(signal_of_writing_to(fbl_stack_top(stack) - 1), 0);
    CHECK_EQUAL(signal_of_writing_to(fbl_stack_low(stack) - 1), SIGSEGV);
    CHECK_EQUAL(signal_of_writing_to(stack->base + FBL_STACK_GUARD_BYTES / 2), SIGSEGV);
    CHECK_EQUAL(signal_of_writing_to(stack->base), SIGSEGV);
    give(stack);
    fbl_stack_pool_clear(&pool);
}

static void touching_the_guard_is_a_segmentation_fault(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    check_guard();
}

/* In a child, because stack.c remembers what the kernel cannot do. */
static void before_linux_6_13_mprotect_makes_the_guard(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        test_is_old_kernel = true;
        fbl_stack_pool_init(&pool, BYTES);
        check_guard();
        fflush(stdout);
        _exit(test_failures != 0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
}

static void the_last_given_is_the_first_taken(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *first = take(), *second = take();
    CHECK(first != second);
    CHECK_EQUAL(pool.live_count, 2);
    give(first);
    give(second);
    CHECK_EQUAL(pool.free_count, 2);
    CHECK_EQUAL(pool.live_count, 0);
    CHECK(take() == second);
    CHECK(take() == first);
    CHECK_EQUAL(pool.free_count, 0);
    give(first);
    give(second);
    fbl_stack_pool_clear(&pool);
    CHECK_EQUAL(pool.free_count, 0);
    CHECK(pool.free == NULL);
}

static void a_full_pool_gives_memory_back_to_the_kernel(void)
{
    enum { MANY = 300 };
    static fbl_stack *stacks[MANY];
    fbl_stack_pool_init(&pool, BYTES);
    for (int i = 0; i < MANY; i++)
        stacks[i] = take();
    CHECK_EQUAL(pool.live_count, MANY);
    for (int i = 0; i < MANY; i++) {
        give(stacks[i]);
        CHECK(pool.free_count <= FBL_STACK_FREE_MAX);
        fbl_stack_top(stacks[i])[-1] = 1; /* the caller may still be running on it */
    }
    CHECK_EQUAL(pool.live_count, 0);
    size_t listed = 0;
    for (fbl_stack *stack = pool.free; stack != NULL; stack = stack->next)
        listed++;
    CHECK_EQUAL(listed, pool.free_count);
    CHECK(pool.surplus == stacks[MANY - 1]);
    fbl_stack_pool_clear(&pool);
    CHECK(fbl_list_is_empty(&pool.slabs));
}

/* The same few slabs each time: those kept are always the first that came. */
static void burst_after_burst_keeps_no_more_slabs(void)
{
    enum { MANY = 1000 };
    static fbl_stack *stacks[MANY];
    size_t slabs_kept = 0;
    fbl_stack_pool_init(&pool, BYTES);
    for (int burst = 0; burst < 10; burst++) {
        for (int i = 0; i < MANY; i++)
            stacks[i] = take();
        for (int i = 0; i < MANY; i++)
            give(stacks[i]);
        size_t slabs = 0;
        for (fbl_link *link = pool.slabs.next; link != &pool.slabs; link = link->next)
            slabs++;
        CHECK(burst == 0 || slabs <= slabs_kept + 1);
        slabs_kept = burst == 0 ? slabs : slabs_kept;
    }
    fbl_stack_pool_clear(&pool);
}

static void no_memory_is_an_error_and_leaves_the_pool_as_it_was(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *kept = take(), *unset = NULL;
    fbl_stack *others[3] = {take(), take(), take()}; /* the first slab's */
    test_bytes_left = 0;
    CHECK_EQUAL(fbl_stack_take(&pool, FBL_QUARTERS_ALL, &unset), -ENOMEM);
    CHECK(unset == NULL);
    CHECK_EQUAL(pool.live_count, 4);
    give(kept);
    CHECK(take() == kept); /* needs no mapping */
    test_bytes_left = -1;
    give(kept);
    for (int i = 0; i < 3; i++)
        give(others[i]);
    fbl_stack_pool_clear(&pool);
}

static void a_parked_stack_is_trimmed_below_its_frames(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    fbl_stack *stack = take();
    char *low = fbl_stack_low(stack), *top = fbl_stack_top(stack), *sp = top - 40 * 1024;
    memset(low, 1, fbl_stack_room(stack));
    fbl_stack_trim(stack, sp);
    for (char *at = sp - 128; at < top; at++)
        CHECK(*at == 1);
    CHECK(resident_pages(stack) <= 44 * 1024 / 4096);
    fbl_stack_trim(stack, low + 300); /* nothing is below, or not a page */
    char elsewhere[512];
    fbl_stack_trim(stack, elsewhere + 256); /* the frames go on where nobody may look */
    fbl_stack_trim(stack, stack->base - 4096);
    give(stack);
    fbl_stack_pool_trim(&pool);
    CHECK(pool.free == NULL && fbl_list_is_empty(&pool.slabs));
    fbl_stack_pool_clear(&pool);
}

static void sizes_are_rounded_up_to_one_of_a_few(void)
{
    CHECK_EQUAL(fbl_stack_round(1), 64 << 10);
    CHECK_EQUAL(fbl_stack_round(BYTES), BYTES);
    CHECK_EQUAL(fbl_stack_round(BYTES + 1), BYTES + (64 << 10));
    CHECK_EQUAL(fbl_stack_round(3 << 20), 3 << 20);
    CHECK_EQUAL(fbl_stack_round((3 << 20) + 1), (3 << 20) + (512 << 10));
    size_t found = 0, former = 0;
    for (size_t bytes = 1; bytes <= FBL_STACK_BYTES_MAX; bytes = former + 1) {
        size_t rounded = fbl_stack_round(bytes);
        CHECK(rounded > former && rounded % FBL_STACK_UNIT == 0);
        CHECK(former == 0 || rounded <= former * 2);
        CHECK_EQUAL(fbl_stack_round(rounded), rounded);
        former = rounded;
        found++;
    }
    CHECK(found < 80);
}

static void each_size_has_a_pool_of_its_own(void)
{
    fbl_stack_pool_init(&pool, BYTES);
    CHECK(fbl_stack_pool_find(&pool, BYTES) == &pool);
    fbl_stack_pool *large = fbl_stack_pool_find(&pool, 16 * BYTES);
    fbl_stack_pool *huge = fbl_stack_pool_find(&pool, (size_t)4 << 30);
    CHECK(large != &pool && large != huge);
    CHECK(fbl_stack_pool_find(&pool, 16 * BYTES) == large);
    fbl_stack *stack = NULL, *other = NULL;
    CHECK(fbl_stack_take(large, FBL_QUARTERS_ALL, &stack) >= 0);
    CHECK_EQUAL(stack->bytes, 16 * BYTES);
    CHECK(fbl_stack_take(huge, FBL_QUARTERS_ALL, &other) >= 0);
    CHECK_EQUAL(other->bytes, (size_t)4 << 30);
    fbl_stack_low(other)[0] = fbl_stack_top(other)[-1] = 1;
    give(stack);
    give(other);
    CHECK_EQUAL(pool.free_count, 0);
    CHECK(large->free == stack && huge->free == other);
    fbl_stack_pool_clear(&pool);
    CHECK(pool.next == NULL);
}

int main(void)
{
    RUN(a_stack_lies_as_drawn_in_core_h);
    RUN(a_shallow_fiber_touches_one_page);
    RUN(a_stack_that_went_deep_gives_back_what_a_shallow_one_does_not_need);
    RUN(touching_the_guard_is_a_segmentation_fault);
    RUN(before_linux_6_13_mprotect_makes_the_guard);
    RUN(the_last_given_is_the_first_taken);
    RUN(a_full_pool_gives_memory_back_to_the_kernel);
    RUN(burst_after_burst_keeps_no_more_slabs);
    RUN(no_memory_is_an_error_and_leaves_the_pool_as_it_was);
    RUN(a_parked_stack_is_trimmed_below_its_frames);
    RUN(sizes_are_rounded_up_to_one_of_a_few);
    RUN(each_size_has_a_pool_of_its_own);
    return test_end();
}
