/*
 * stack.c: pools of stacks: which are kept warm, and how much memory they may keep.
 *
 * The idea: a finished fiber's stack goes back to a LIFO pool, so the next fiber starts on pages
 * that are mapped and in the cache: creating a fiber costs no system call once the pool is warm (a
 * mapping per fiber is what makes greenlet's creation 10 us). Beyond FBL_STACK_FREE_MAX, stacks go
 * back to their slabs, and their pages to the kernel.
 *
 * A warm stack that went deep gives back the pages that a shallow fiber does not need. How deep it
 * went is seen without a system call: a look at the bytes just below what it may keep. If they were
 * never written they read as zeros, from a page that all processes share and that costs nothing.
 * The look is short where fibers are made and end in turn, one at a time, and a whole page where
 * stacks pile up, because a frame may have an array there that it never wrote to (sorted()'s is 2
 * KiB). So a pool keeps some 64 times KEPT_BYTES and the embed area, 2 MiB, and usually 0.3.
 *
 * Invariant: a stack is in exactly one of: a pool, a fiber, its slab. A pool belongs to one thread.
 * fbl_stack_give may be called while still running on the stack that is given back: nothing
 * takes from the pool, or unmaps that stack, before the caller has switched away.
 */
#include "core/core.h"
#include "core/stack/memcheck.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT_BYTES (16u * 1024u) /* of a warm stack, below its top */
#define ODD_FREE_MAX 16 /* warm stacks of each other size: there may be dozens of sizes */
#define CLEAN_AT_ONCE 64 /* stacks, between two looks at the kernel: some 50 us */
#define RED_ZONE_BYTES 256u /* what a function may use below its sp: 128 on x86-64, 0 on aarch64 */
#define HASTY_BYTES 256u /* 1 ns */
#define THOROUGH_BYTES 4096u /* 20 to 75 ns */
#define HASTY_FREE_MAX 4u /* free stacks, up to which the look is a hasty one */

#if defined(__SANITIZE_ADDRESS__)
void __asan_unpoison_memory_region(const volatile void *start, size_t size);

/* The functions at the bottom of a fiber never return, so ASan never clears their red zones. */
static void stack_unpoison(fbl_stack *stack)
{
    __asan_unpoison_memory_region(fbl_stack_low(stack), fbl_stack_room(stack));
}
#else
static void stack_unpoison(fbl_stack *stack) { (void)stack; }
#endif

void fbl_stack_pool_init(fbl_stack_pool *pool, size_t stack_bytes)
{
    assert(stack_bytes >= FBL_STACK_BYTES_MIN && stack_bytes % FBL_STACK_UNIT == 0);
    *pool = (fbl_stack_pool){.stack_bytes = stack_bytes, .free_max = FBL_STACK_FREE_MAX};
    fbl_list_init(&pool->slabs);
    fbl_list_init(&pool->dirty);
}

/* Up to one of a few sizes, so that a thread has few pools: four between a power of two and the
 * next. What is added costs addresses, no memory. */
size_t fbl_stack_round(size_t stack_bytes)
{
    assert(stack_bytes > 0 && stack_bytes <= FBL_STACK_BYTES_MAX);
    size_t step = FBL_STACK_UNIT;
    while (step * 8 < stack_bytes)
        step *= 2;
    return (stack_bytes + step - 1) / step * step;
}

/* The thread's pool of that size, made when first needed; NULL if there is no memory. */
fbl_stack_pool *fbl_stack_pool_find(fbl_stack_pool *first, size_t stack_bytes)
{
    fbl_stack_pool *pool = first;
    while (pool != NULL && pool->stack_bytes != stack_bytes)
        pool = pool->next;
    if (fbl_likely(pool != NULL))
        return pool;
    pool = malloc(sizeof *pool);
    if (pool == NULL)
        return NULL;
    fbl_stack_pool_init(pool, stack_bytes);
    pool->free_max = ODD_FREE_MAX;
    pool->next = first->next;
    first->next = pool;
    return pool;
}

/* Gives all warm stacks back to their slabs, of this pool and of all that are chained to it. Nobody
 * may be running on one that was given back. */
void fbl_stack_pool_trim(fbl_stack_pool *pool)
{
    for (; pool != NULL; pool = pool->next) {
        while (pool->free != NULL) {
            fbl_stack *stack = pool->free;
            pool->free = stack->next;
            fbl_slab_give(stack);
        }
        pool->free_count = 0;
        if (pool->surplus != NULL)
            fbl_slab_give(pool->surplus);
        pool->surplus = NULL;
        fbl_slab_clean(pool, 0, SIZE_MAX);
    }
}

/* For who has nothing else to do: gives some memory back, of this pool or one that is chained to
 * it; false if there is none to give. */
bool fbl_stack_pool_clean(fbl_stack_pool *pool)
{
    for (; pool != NULL; pool = pool->next) {
        if (pool->dirty_count == 0)
            continue;
        fbl_slab_clean(pool, 0, CLEAN_AT_ONCE);
        return true;
    }
    return false;
}

/* The end of this pool, and of all that are chained to it. */
void fbl_stack_pool_clear(fbl_stack_pool *pool)
{
    fbl_stack_pool_trim(pool);
    fbl_slab_clear(pool);
    while (pool->next != NULL) {
        fbl_stack_pool *odd = pool->next;
        pool->next = odd->next;
        fbl_slab_clear(odd);
        free(odd);
    }
}

/* 1: memory was mapped for it, 0, or an error. */
int fbl_stack_take(fbl_stack_pool *pool, unsigned quarters, fbl_stack **stack)
{
    int rc = 0;
    if (fbl_likely(pool->free != NULL)) {
        *stack = pool->free;
        pool->free = (*stack)->next;
        pool->free_count--;
    } else if (pool->surplus != NULL) {
        *stack = pool->surplus;
        pool->surplus = NULL;
    } else {
        rc = fbl_slab_take(pool, quarters, stack);
        if (rc < 0)
            return rc;
    }
    pool->live_count++;
    stack_unpoison(*stack);
    return rc;
}

/* The address space is short: a stack of the largest size that leaves enough to everybody else. */
static __attribute__((noinline)) int stack_take_smaller(fbl_hub *hub, fbl_stack **stack)
{
    size_t eighth = fbl_stack_round(hub->stack_bytes / 8), least = hub->stack_bytes_least;
    int rc = -ENOMEM;
    if (eighth > least) {
        fbl_stack_pool *pool = fbl_stack_pool_find(&hub->stacks, eighth);
        rc = pool == NULL ? -ENOMEM : fbl_stack_take(pool, FBL_QUARTERS_EIGHTH, stack);
    }
    if (rc == -ENOMEM && least < hub->stack_bytes) {
        fbl_stack_pool *pool = fbl_stack_pool_find(&hub->stacks, least);
        rc = pool == NULL ? -ENOMEM : fbl_stack_take(pool, FBL_QUARTERS_LEAST, stack);
    }
    hub->is_short |= rc >= 0;
    return rc;
}

/* A stack of the hub's usual size, if that can be. Returns as above. */
int fbl_stack_take_usual(fbl_hub *hub, fbl_stack **stack)
{
    fbl_stack_pool *pool = fbl_stack_pool_find(&hub->stacks, hub->stack_bytes);
    int rc = pool == NULL ? -ENOMEM : fbl_stack_take(pool, FBL_QUARTERS_USUAL, stack);
    return fbl_likely(rc != -ENOMEM) ? rc : stack_take_smaller(hub, stack);
}

/* The beginning of the page that `at` is on. */
static char *stack_page(const void *at)
{
    static size_t page_bytes; /* written once, to the same value, by any thread */
    if (page_bytes == 0)
        page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    return (char *)((uintptr_t)at & ~(uintptr_t)(page_bytes - 1));
}

/* The lowest byte that a warm stack keeps. */
static char *stack_kept(fbl_stack *stack) { return stack_page(fbl_stack_top(stack) - KEPT_BYTES); }

/* Gives the pages below the frames of a fiber that is away back to the kernel. One that parked on a
 * segment that a library has put under a call (Rust's stacker does) is left alone: where its frames
 * on this stack end, only that library knows. */
void fbl_stack_trim(fbl_stack *stack, const void *sp)
{
    char *low = fbl_stack_low(stack);
    if ((char *)sp <= low + RED_ZONE_BYTES || (char *)sp > fbl_stack_top(stack))
        return;
    /* SAFE: below the red zone of its innermost frame nothing lies that it will read again. */
    char *kept = stack_page((const char *)sp - RED_ZONE_BYTES);
    if (kept > low)
        (void)madvise(low, (size_t)(kept - low), MADV_DONTNEED);
}

/* Nobody will ever run on it again, and its pool is gone: its pages go, its addresses stay. */
void fbl_stack_abandon(fbl_stack *stack)
{
    char *low = fbl_stack_low(stack);
    (void)madvise(low, (size_t)(stack->base + stack->bytes - low), MADV_DONTNEED);
}

/* One word of each line of the cache: frames are full of addresses. SAFE: reads below the frames of
 * whoever runs on this stack: mapped memory that nobody uses. */
__attribute__((no_sanitize("address"))) static bool stack_was_written(const char *end, size_t bytes)
{
    fbl_memcheck_may_touch(end - bytes, bytes);
    uint64_t seen = 0;
    for (const char *at = end - bytes; at < end; at += 64)
        seen |= *(const uint64_t *)at;
    return seen != 0;
}

static bool stack_went_deep(const char *kept, size_t free_count)
{
    size_t bytes = free_count <= HASTY_FREE_MAX ? HASTY_BYTES : THOROUGH_BYTES;
    return stack_was_written(kept, bytes);
}

/* One too many. The caller may be running on it, so it goes back to its slab when the next one
 * comes. Those that are kept are always the same, so that they hold few slabs back. */
static void pool_add_surplus(fbl_stack_pool *pool, fbl_stack *stack)
{
    if (pool->surplus != NULL)
        fbl_slab_give(pool->surplus);
    pool->surplus = stack;
}

void fbl_stack_give(fbl_stack *stack)
{
    fbl_stack_pool *pool = stack->slab->pool;
    assert(pool->live_count > 0);
    pool->live_count--;
    if (fbl_unlikely(pool->free_count >= pool->free_max)) {
        pool_add_surplus(pool, stack);
        return;
    }
    stack->next = pool->free;
    pool->free = stack;
    pool->free_count++;
    char *kept = stack_kept(stack);
    /* SAFE: who runs on it is in the first frames of a fiber, far less than KEPT_BYTES deep. */
    if (fbl_unlikely(stack_went_deep(kept, pool->free_count)))
        (void)madvise(fbl_stack_low(stack), (size_t)(kept - fbl_stack_low(stack)), MADV_DONTNEED);
}
