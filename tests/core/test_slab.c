/* test_slab.c: many stacks in one mapping, and their memory back to the kernel. */
#include "embed.h"

#define BYTES (256u * 1024u)
#define MANY 400

static fbl_stack_pool pool;
static fbl_stack *stacks[MANY];

static fbl_stack *take(void)
{
    fbl_stack *stack = NULL;
    CHECK(fbl_stack_take(&pool, FBL_QUARTERS_ALL, &stack) >= 0);
    return stack;
}

/* Straight to the slab, as the pool does when it has enough. */
static void give_cold(fbl_stack *stack)
{
    pool.live_count--;
    fbl_slab_give(stack);
}

static size_t take_many(size_t stack_bytes, size_t count)
{
    fbl_stack_pool_init(&pool, stack_bytes);
    for (size_t i = 0; i < count; i++) {
        stacks[i] = take();
        memset(fbl_stack_top(stacks[i]) - 100, 1, 100);
    }
    return count;
}

static bool is_mapped(char *at)
{
    return access(at, F_OK) == 0 || errno != EFAULT; /* the kernel reads a name there */
}

static void they_do_not_overlap(void)
{
    take_many(BYTES, MANY);
    for (int i = 0; i < MANY; i++)
        for (int j = 0; j < i; j++)
            CHECK(stacks[i]->base >= stacks[j]->base + BYTES ||
                  stacks[j]->base >= stacks[i]->base + BYTES);
    for (int i = 0; i < MANY; i++)
        give_cold(stacks[i]);
    CHECK(fbl_list_is_empty(&pool.slabs));
}

static void few_fibers_take_little_address_space(void)
{
    take_many(BYTES, 1);
    CHECK_EQUAL(stacks[0]->slab->count, 4);
    give_cold(stacks[0]);
    take_many(BYTES, MANY);
    CHECK_EQUAL(stacks[MANY - 1]->slab->count, FBL_SLAB_STACKS_MAX);
    for (int i = 0; i < MANY; i++)
        give_cold(stacks[i]);
}

static void a_slab_is_unmapped_when_all_of_it_is_back(void)
{
    take_many(BYTES, MANY);
    fbl_slab *slab = stacks[MANY / 2]->slab;
    char *mapping = slab->mapping;
    size_t others = 0;
    for (int i = 0; i < MANY; i++) {
        if (stacks[i]->slab == slab)
            give_cold(stacks[i]);
        else
            stacks[others++] = stacks[i];
    }
    CHECK(!is_mapped(mapping + FBL_STACK_GUARD_BYTES));
    for (size_t i = 0; i < others; i++) {
        CHECK(is_mapped(fbl_stack_low(stacks[i])));
        give_cold(stacks[i]);
    }
    CHECK(fbl_list_is_empty(&pool.slabs));
}

static bool is_guarded(char *at)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler of its own */
        *(volatile char *)at = 1;
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void a_cold_stack_gives_its_pages_back_when_there_is_time_and_keeps_its_guard(void)
{
    take_many(BYTES, 3);
    char *base = stacks[1]->base, *top = fbl_stack_top(stacks[1]);
    give_cold(stacks[1]);
    CHECK_EQUAL(top[-1], 1);
    CHECK(fbl_stack_pool_clean(&pool));
    CHECK(!fbl_stack_pool_clean(&pool));
    CHECK_EQUAL(top[-1], 0);
    CHECK_EQUAL(fbl_stack_top(stacks[0])[-1], 1);
    fbl_stack *again = take();
    CHECK(again->base == base && again->bytes == BYTES);
    CHECK(is_guarded(base) && is_guarded(base + FBL_STACK_GUARD_BYTES - 1));
    CHECK(!is_guarded(fbl_stack_low(again)));
    stacks[1] = again;
    for (int i = 0; i < 3; i++)
        give_cold(stacks[i]);
}

static void the_dirty_one_is_used_again_first(void)
{
    take_many(BYTES, 4);
    char *clean = stacks[0]->base, *dirty = stacks[2]->base;
    give_cold(stacks[0]);
    fbl_slab_clean(&pool, 0, SIZE_MAX);
    give_cold(stacks[2]);
    CHECK_EQUAL(pool.dirty_count, 1);
    stacks[2] = take();
    CHECK(stacks[2]->base == dirty);
    CHECK_EQUAL(pool.dirty_count, 0);
    CHECK(fbl_list_is_empty(&pool.dirty));
    stacks[0] = take();
    CHECK(stacks[0]->base == clean);
    for (int i = 0; i < 4; i++)
        give_cold(stacks[i]);
    CHECK_EQUAL(pool.dirty_count, 0);
}

/* Warm stacks keep their slabs; nobody is alive in whose stead the others would be kept. */
static void few_dirty_ones_are_kept_when_few_are_alive(void)
{
    take_many(BYTES, MANY);
    for (int i = 0; i < MANY; i += 6)
        fbl_stack_give(stacks[i]);
    for (int i = 0; i < MANY; i++)
        if (i % 6 != 0)
            fbl_stack_give(stacks[i]);
    CHECK_EQUAL(pool.live_count, 0);
    CHECK(pool.dirty_count > 0 && pool.dirty_count <= 128);
    fbl_stack_pool_trim(&pool);
    CHECK_EQUAL(pool.dirty_count, 0);
    fbl_stack_pool_clear(&pool);
    CHECK(fbl_list_is_empty(&pool.slabs));
}

static void the_oldest_are_cleaned_first_and_no_more_than_asked(void)
{
    take_many(BYTES, 100);
    for (int i = 0; i < 90; i++)
        give_cold(stacks[i]);
    size_t dirty_count = pool.dirty_count;
    CHECK(dirty_count > 20); /* those of whole slabs are gone */
    fbl_slab_clean(&pool, 0, 5);
    CHECK_EQUAL(pool.dirty_count, dirty_count - 5);
    fbl_slab_clean(&pool, 10, SIZE_MAX);
    CHECK_EQUAL(pool.dirty_count, 10);
    for (int i = 90; i < 100; i++) {
        CHECK_EQUAL(fbl_stack_top(stacks[i])[-1], 1);
        give_cold(stacks[i]);
    }
    fbl_stack_pool_clear(&pool);
    CHECK_EQUAL(pool.dirty_count, 0);
}

static void where_address_space_is_short_a_slab_is_small(void)
{
    take_many(BYTES, 40);
    size_t taken = 40;
    test_bytes_left = 20 * BYTES;
    fbl_stack *unset = NULL;
    while (taken < MANY && fbl_stack_take(&pool, FBL_QUARTERS_ALL, &stacks[taken]) >= 0)
        taken++;
    CHECK(taken >= 60);
    CHECK_EQUAL(fbl_stack_take(&pool, FBL_QUARTERS_ALL, &unset), -ENOMEM);
    test_bytes_left = -1;
    for (size_t i = 0; i < taken; i++)
        give_cold(stacks[i]);
    CHECK(fbl_list_is_empty(&pool.slabs));
}

/* The pages that each fiber touches cost one page of page tables, which maps 2 MiB. */
static void the_top_of_a_large_stack_and_the_guard_above_are_in_one_page_table(void)
{
    const uintptr_t span = 2u << 20;
    take_many(3u << 20, 80);
    for (int i = 0; i < 80; i++) {
        uintptr_t hot = (uintptr_t)fbl_stack_top(stacks[i]) - 20 * 1024;
        uintptr_t end = (uintptr_t)stacks[i]->base + stacks[i]->bytes + FBL_STACK_GUARD_BYTES - 1;
        CHECK_EQUAL(hot / span, end / span);
    }
    for (int i = 0; i < 80; i++)
        give_cold(stacks[i]);
}

static void clearing_the_pool_leaves_the_slab_of_who_is_lost(void)
{
    take_many(BYTES, 3);
    fbl_stack_give(stacks[0]);
    fbl_stack_give(stacks[2]);
    fbl_slab *slab = stacks[1]->slab;
    fbl_stack_pool_clear(&pool);
    CHECK(fbl_list_is_empty(&pool.slabs));
    CHECK_EQUAL(fbl_stack_top(stacks[1])[-1], 1);
    munmap(slab->mapping, slab->mapping_bytes);
    free(slab);
}

int main(void)
{
    RUN(they_do_not_overlap);
    RUN(few_fibers_take_little_address_space);
    RUN(a_slab_is_unmapped_when_all_of_it_is_back);
    RUN(a_cold_stack_gives_its_pages_back_when_there_is_time_and_keeps_its_guard);
    RUN(the_dirty_one_is_used_again_first);
    RUN(few_dirty_ones_are_kept_when_few_are_alive);
    RUN(the_oldest_are_cleaned_first_and_no_more_than_asked);
    RUN(where_address_space_is_short_a_slab_is_small);
    RUN(the_top_of_a_large_stack_and_the_guard_above_are_in_one_page_table);
    RUN(clearing_the_pool_leaves_the_slab_of_who_is_lost);
    return test_end();
}
