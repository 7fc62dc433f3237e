/*
 * stack.c: maps stacks, guards them, and keeps a pool of them warm.
 *
 * The idea: address space is free and pages are not. Each stack is a large mapping of which only
 * the touched pages cost anything; a finished fiber's stack goes back to a LIFO pool, so the next
 * fiber starts on pages that are mapped and in the cache. Creating a fiber therefore costs no
 * system call once the pool is warm (a mapping per fiber is what makes greenlet's creation 10 us).
 *
 * Guard: MADV_GUARD_INSTALL where the kernel has it (6.13), because it splits no mapping; else
 * mprotect, which costs two mappings a stack and so is limited by vm.max_map_count: running into
 * that limit is -ENOMEM, never an unguarded stack.
 *
 * Invariant: a stack is in exactly one of: a pool, a fiber. A pool belongs to one thread.
 * weft_stack_give may be called while still running on the stack that is given back: nothing
 * takes from the pool, or unmaps that stack, before the caller has switched away.
 */
#include "core.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* Enough that a server's connections come and go without system calls; 64 touched stacks are about
 * 1 MiB resident at most when each used four pages. */
#define STACK_FREE_MAX 64

#if defined(__SANITIZE_ADDRESS__)
void __asan_unpoison_memory_region(const volatile void *start, size_t size);

/* The functions at the bottom of a fiber never return, so ASan never clears their red zones. */
static void stack_unpoison(weft_stack *stack)
{
    char *low = weft_stack_low(stack);
    __asan_unpoison_memory_region(low, (size_t)(weft_stack_top(stack) - low));
}
#else
static void stack_unpoison(weft_stack *stack) { (void)stack; }
#endif

static int stack_guard(char *base)
{
    static bool is_without_madvise; /* written once, to the same value, by any thread */
    if (!is_without_madvise) {
        if (madvise(base, WEFT_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
            return 0;
        is_without_madvise = true;
    }
    return mprotect(base, WEFT_STACK_GUARD_BYTES, PROT_NONE) == 0 ? 0 : -errno;
}

static int stack_map(size_t bytes, weft_stack **stack)
{
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    /* A huge page under a stack would make one touched page cost 2 MiB. */
    (void)madvise(base, bytes, MADV_NOHUGEPAGE);
    int rc = stack_guard(base);
    if (rc < 0) {
        munmap(base, bytes);
        return rc;
    }
    *stack = (weft_stack *)(base + bytes) - 1;
    (*stack)->next = NULL;
    (*stack)->base = base;
    (*stack)->bytes = bytes;
    return 0;
}

static void stack_unmap(weft_stack *stack) { munmap(stack->base, stack->bytes); }

void weft_stack_pool_init(weft_stack_pool *pool, size_t stack_bytes)
{
    assert(stack_bytes >= WEFT_STACK_BYTES_MIN && stack_bytes % 4096 == 0);
    *pool = (weft_stack_pool){.stack_bytes = stack_bytes, .free_max = STACK_FREE_MAX};
}

void weft_stack_pool_clear(weft_stack_pool *pool)
{
    while (pool->free != NULL) {
        weft_stack *stack = pool->free;
        pool->free = stack->next;
        stack_unmap(stack);
    }
    pool->free_count = 0;
}

int weft_stack_take(weft_stack_pool *pool, weft_stack **stack)
{
    if (weft_likely(pool->free != NULL)) {
        *stack = pool->free;
        pool->free = (*stack)->next;
        pool->free_count--;
    } else {
        int rc = stack_map(pool->stack_bytes, stack);
        if (rc < 0)
            return rc;
    }
    pool->live_count++;
    stack_unpoison(*stack);
    return 0;
}

void weft_stack_give(weft_stack_pool *pool, weft_stack *stack)
{
    assert(pool->live_count > 0);
    pool->live_count--;
    /* SAFE: unmaps the pool's former top, never `stack`, which the caller may be running on. */
    if (pool->free_count >= pool->free_max) {
        weft_stack *former = pool->free;
        pool->free = former->next;
        pool->free_count--;
        stack_unmap(former);
    }
    stack->next = pool->free;
    pool->free = stack;
    pool->free_count++;
}
