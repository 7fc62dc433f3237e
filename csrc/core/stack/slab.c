/*
 * slab.c: maps many stacks at once, guards them, and gives their memory back to the kernel.
 *
 * The idea: address space is free, mappings and system calls are not. One mapping holds up to 128
 * stacks of one size, so mapping and unmapping cost 0.1 and 3.5 us a stack instead of 7 and 20
 * (measured with 100,000, on a busy machine), and the kernel keeps one record for many. A stack
 * that goes back here gives up its pages and keeps its guard; when all of a slab are back, the
 * slab is unmapped, and its page tables go with it. Most of a burst end together, so giving up
 * pages is put off (dirty stacks) until the hub has nothing else to do, or too few are alive to
 * hope for whole slabs: an unmapped slab needs none of it.
 *
 *   mapping |..slack..| guard | C stack.. | guard | C stack.. | guard | C stack.. |  never used  |
 *                     ^ first: number 0   ^ number 1          ^ number 2
 *
 * Guard: MADV_GUARD_INSTALL where the kernel has it (6.13), because it splits no mapping; else
 * mprotect, which costs two mappings a stack and so is limited by vm.max_map_count: running into
 * that limit is -ENOMEM, never an unguarded stack. It is made when a stack is used first.
 *
 * Invariants: of the stacks numbered below used_count, cold_count are here and the others are in
 * the pool or carry fibers. Stacks of lost fibers never come back, and keep their slab.
 * Callers: stack.c. Do not add: when to keep a stack warm; that is the pool's to know.
 */
#include "core/core.h"
#include "core/stack/memcheck.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* What one page of page tables maps: a touched page costs 4 KiB more where it is the only one. */
#define TABLE_SPAN ((size_t)2 * 1024 * 1024)

/* Asked once: an older kernel refuses, and an emulator may take any advice and do nothing. The
 * kernel itself is made to read there: EFAULT instead of ENOENT (no name) says that nobody can. */
static bool slab_may_guard_by_madvise(char *base)
{
    return !FBL_IS_MEMCHECK && madvise(base, FBL_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0 &&
           access(base, F_OK) < 0 && errno == EFAULT;
}

/* A stack that is alive keeps so many dirty ones from being given back: about as many as share its
 * slab, twice, because what ends last is scattered over many slabs. */
#define DIRTY_PER_LIVE (2 * FBL_SLAB_STACKS_MAX)
#define DIRTY_MIN 128

/* Larger stacks, fewer together. */
#define SLAB_BYTES_MAX ((size_t)1 << 30)

static int slab_guard(char *base)
{
    static enum { UNKNOWN, MADVISE, MPROTECT } way; /* set once, to the same, by any thread */
    if (fbl_unlikely(way == UNKNOWN))
        way = slab_may_guard_by_madvise(base) ? MADVISE : MPROTECT;
    if (way == MADVISE && madvise(base, FBL_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
        return 0;
    return mprotect(base, FBL_STACK_GUARD_BYTES, PROT_NONE) == 0 ? 0 : -errno;
}

/* Large stacks are touched at their two ends only, and the top of one meets the guard of the next.
 * A quarter of the span off, no such place is cut by the border of two page tables. */
static size_t slab_slack(size_t stack_bytes)
{
    return stack_bytes < TABLE_SPAN ? 0 : TABLE_SPAN + TABLE_SPAN / 4;
}

static char *slab_first(char *mapping, size_t stack_bytes)
{
    if (slab_slack(stack_bytes) == 0)
        return mapping;
    size_t past = (uintptr_t)mapping % TABLE_SPAN;
    return mapping + (past == 0 ? 0 : TABLE_SPAN - past) + TABLE_SPAN / 4;
}

/* As many as are alive already, so that few fibers take little address space; fewer if the address
 * space is short. */
static int slab_map(fbl_slab *slab, fbl_stack_pool *pool, size_t bytes_max)
{
    size_t count = pool->live_count < 4 ? 4 : pool->live_count;
    if (count > FBL_SLAB_STACKS_MAX)
        count = FBL_SLAB_STACKS_MAX;
    if (count > SLAB_BYTES_MAX / pool->stack_bytes)
        count = SLAB_BYTES_MAX / pool->stack_bytes + 1;
    for (; count > 0; count /= 2) {
        size_t bytes = count * pool->stack_bytes + slab_slack(pool->stack_bytes);
        if (bytes > bytes_max)
            continue;
        char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (mapping == MAP_FAILED)
            continue;
        /* A huge page under a stack would make one touched page cost 2 MiB. */
        (void)madvise(mapping, bytes, MADV_NOHUGEPAGE);
        slab->mapping = mapping;
        slab->mapping_bytes = bytes;
        slab->first = slab_first(mapping, pool->stack_bytes);
        slab->count = (uint32_t)count;
        fbl_space_take((ptrdiff_t)bytes);
        return 0;
    }
    return -ENOMEM;
}

static int slab_make(fbl_stack_pool *pool, unsigned quarters)
{
    fbl_slab *slab = calloc(1, sizeof *slab);
    if (slab == NULL)
        return -ENOMEM;
    int rc = slab_map(slab, pool, fbl_space_left(quarters));
    if (rc < 0) {
        free(slab);
        return rc;
    }
    slab->pool = pool;
    fbl_list_init(&slab->dirty);
    fbl_list_prepend(&pool->slabs, &slab->link);
    return 0;
}

static void slab_unmap(fbl_slab *slab)
{
    fbl_list_remove(&slab->link);
    fbl_list_remove(&slab->dirty);
    slab->pool->dirty_count -= slab->dirty_count;
    fbl_memcheck_unmapped(slab);
    munmap(slab->mapping, slab->mapping_bytes);
    fbl_space_take(-(ptrdiff_t)slab->mapping_bytes);
    free(slab);
}

static bool slab_is_full(const fbl_slab *slab)
{
    return slab->cold_count == 0 && slab->used_count == slab->count;
}

/* ---- pages to give back ---- */

static void slab_soil(fbl_slab *slab)
{
    if (slab->dirty_count++ == 0)
        fbl_list_append(&slab->pool->dirty, &slab->dirty);
    slab->pool->dirty_count++;
}

/* One of its dirty stacks is used again, or clean. */
static void slab_unsoil(fbl_slab *slab)
{
    slab->pool->dirty_count--;
    if (--slab->dirty_count == 0)
        fbl_list_remove(&slab->dirty);
}

/* Gives the pages of the oldest dirty stacks back, until dirty_max are left or count_max are clean.
 */
void fbl_slab_clean(fbl_stack_pool *pool, size_t dirty_max, size_t count_max)
{
    for (; pool->dirty_count > dirty_max && count_max > 0; count_max--) {
        fbl_slab *slab = fbl_container_of(pool->dirty.next, fbl_slab, dirty);
        uint32_t number = slab->cold[slab->cold_count - slab->dirty_count];
        char *base = slab->first + number * pool->stack_bytes;
        (void)madvise(base + FBL_STACK_GUARD_BYTES, pool->stack_bytes - FBL_STACK_GUARD_BYTES,
                      MADV_DONTNEED);
        slab_unsoil(slab);
    }
}

/* ---- taking and giving ---- */

static fbl_stack *slab_write_header(fbl_slab *slab, char *base)
{
    size_t bytes = slab->pool->stack_bytes;
    fbl_stack *stack = (fbl_stack *)(base + bytes - FBL_STACK_EMBED_BYTES) - 1;
    stack->next = NULL;
    stack->slab = slab;
    stack->base = base;
    stack->bytes = bytes;
    return stack;
}

/* 1: memory was mapped for it, 0, or an error. */
int fbl_slab_take(fbl_stack_pool *pool, unsigned quarters, fbl_stack **stack)
{
    bool is_mapped = fbl_list_is_empty(&pool->slabs);
    if (is_mapped) {
        int rc = slab_make(pool, quarters);
        if (rc < 0)
            return rc;
    }
    fbl_slab *slab = fbl_container_of(pool->slabs.next, fbl_slab, link);
    assert(!slab_is_full(slab));
    bool is_cold = slab->cold_count > 0;
    uint32_t number = is_cold ? slab->cold[slab->cold_count - 1] : slab->used_count;
    char *base = slab->first + number * pool->stack_bytes;
    int rc = is_cold ? 0 : slab_guard(base);
    if (rc < 0)
        return rc;
    *stack = slab_write_header(slab, base);
    if (is_cold) {
        if (slab->dirty_count > 0)
            slab_unsoil(slab);
        slab->cold_count--;
    } else {
        slab->used_count++;
        fbl_memcheck_used(slab, number, *stack);
    }
    if (slab_is_full(slab))
        fbl_list_remove(&slab->link);
    return is_mapped;
}

/* Nobody runs on the stack. */
void fbl_slab_give(fbl_stack *stack)
{
    fbl_slab *slab = stack->slab;
    fbl_stack_pool *pool = slab->pool;
    assert(slab->cold_count < slab->used_count);
    if (slab_is_full(slab))
        fbl_list_prepend(&pool->slabs, &slab->link);
    slab->cold[slab->cold_count++] = (uint8_t)((size_t)(stack->base - slab->first) / stack->bytes);
    slab_soil(slab);
    if (slab->cold_count == slab->used_count)
        slab_unmap(slab);
    else
        fbl_slab_clean(pool, pool->live_count * DIRTY_PER_LIVE + DIRTY_MIN, SIZE_MAX);
}

/* The pool is going away. A slab that still has a stack elsewhere stays mapped for ever. */
void fbl_slab_clear(fbl_stack_pool *pool)
{
    while (!fbl_list_is_empty(&pool->slabs)) {
        fbl_slab *slab = fbl_container_of(pool->slabs.next, fbl_slab, link);
        if (slab->cold_count == slab->used_count)
            slab_unmap(slab);
        else
            fbl_list_remove(&slab->link);
    }
    while (!fbl_list_is_empty(&pool->dirty))
        fbl_list_remove(pool->dirty.next);
}
