/* test_stack.c: stacks are mapped, guarded, pooled and given back. */
#include "embed.h"

#define BYTES (256u * 1024u)

static weft_stack_pool pool;

static weft_stack *take(void)
{
    weft_stack *stack = NULL;
    CHECK_EQUAL(weft_stack_take(&pool, &stack), 0);
    return stack;
}

static void a_stack_lies_as_drawn_in_core_h(void)
{
    weft_stack_pool_init(&pool, BYTES);
    weft_stack *stack = take();
    CHECK_EQUAL(stack->bytes, BYTES);
    CHECK((char *)(stack + 1) == stack->base + BYTES);
    CHECK(weft_stack_low(stack) == stack->base + WEFT_STACK_GUARD_BYTES);
    CHECK(weft_stack_top(stack) == weft_stack_embed(stack));
    CHECK(weft_stack_embed(stack) + WEFT_STACK_EMBED_BYTES == (char *)stack);
    CHECK_EQUAL((uintptr_t)weft_stack_embed(stack) % 16, 0);
    memset(weft_stack_low(stack), 0xa5, (size_t)((char *)stack - weft_stack_low(stack)));
    CHECK_EQUAL(stack->bytes, BYTES);
    weft_stack_give(&pool, stack);
    weft_stack_pool_clear(&pool);
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
    weft_stack *stack = take();
    CHECK_EQUAL(signal_of_writing_to(weft_stack_low(stack)), 0);
    CHECK_EQUAL(signal_of_writing_to(weft_stack_top(stack) - 1), 0);
    CHECK_EQUAL(signal_of_writing_to(weft_stack_low(stack) - 1), SIGSEGV);
    CHECK_EQUAL(signal_of_writing_to(stack->base + WEFT_STACK_GUARD_BYTES / 2), SIGSEGV);
    CHECK_EQUAL(signal_of_writing_to(stack->base), SIGSEGV);
    weft_stack_give(&pool, stack);
    weft_stack_pool_clear(&pool);
}

static void touching_the_guard_is_a_segmentation_fault(void)
{
    weft_stack_pool_init(&pool, BYTES);
    check_guard();
}

/* In a child, because stack.c remembers what the kernel cannot do. */
static void before_linux_6_13_mprotect_makes_the_guard(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        test_is_old_kernel = true;
        weft_stack_pool_init(&pool, BYTES);
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
    weft_stack_pool_init(&pool, BYTES);
    weft_stack *first = take(), *second = take();
    CHECK(first != second);
    CHECK_EQUAL(pool.live_count, 2);
    weft_stack_give(&pool, first);
    weft_stack_give(&pool, second);
    CHECK_EQUAL(pool.free_count, 2);
    CHECK_EQUAL(pool.live_count, 0);
    CHECK(take() == second);
    CHECK(take() == first);
    CHECK_EQUAL(pool.free_count, 0);
    weft_stack_give(&pool, first);
    weft_stack_give(&pool, second);
    weft_stack_pool_clear(&pool);
    CHECK_EQUAL(pool.free_count, 0);
    CHECK(pool.free == NULL);
}

static void a_full_pool_gives_mappings_back_to_the_kernel(void)
{
    enum { MANY = 300 };
    static weft_stack *stacks[MANY];
    weft_stack_pool_init(&pool, BYTES);
    for (int i = 0; i < MANY; i++)
        stacks[i] = take();
    CHECK_EQUAL(pool.live_count, MANY);
    for (int i = 0; i < MANY; i++) {
        weft_stack_give(&pool, stacks[i]);
        CHECK(pool.free_count <= pool.free_max);
        CHECK(pool.free == stacks[i]); /* never unmaps what the caller runs on */
    }
    CHECK_EQUAL(pool.live_count, 0);
    size_t listed = 0;
    for (weft_stack *stack = pool.free; stack != NULL; stack = stack->next)
        listed++;
    CHECK_EQUAL(listed, pool.free_count);
    weft_stack_pool_clear(&pool);
}

static void no_memory_is_an_error_and_leaves_the_pool_as_it_was(void)
{
    weft_stack_pool_init(&pool, BYTES);
    weft_stack *kept = take(), *unset = NULL;
    test_maps_left = 0;
    CHECK_EQUAL(weft_stack_take(&pool, &unset), -ENOMEM);
    CHECK(unset == NULL);
    CHECK_EQUAL(pool.live_count, 1);
    weft_stack_give(&pool, kept);
    CHECK(take() == kept); /* needs no mapping */
    test_maps_left = -1;
    weft_stack_give(&pool, kept);
    weft_stack_pool_clear(&pool);
}

int main(void)
{
    RUN(a_stack_lies_as_drawn_in_core_h);
    RUN(touching_the_guard_is_a_segmentation_fault);
    RUN(before_linux_6_13_mprotect_makes_the_guard);
    RUN(the_last_given_is_the_first_taken);
    RUN(a_full_pool_gives_mappings_back_to_the_kernel);
    RUN(no_memory_is_an_error_and_leaves_the_pool_as_it_was);
    return test_end();
}
