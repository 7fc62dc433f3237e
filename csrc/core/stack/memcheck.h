/*
 * memcheck.h: what valgrind must be told of stacks, in builds for it; nothing in others.
 *
 * The idea: valgrind follows the stack pointer, and takes a jump of it for one huge frame unless it
 * knows that another stack begins there. So each stack of a slab is registered when it is first
 * used, for as long as the slab is mapped; the slab keeps the numbers that valgrind gave them. What
 * lies below a stack pointer is out of bounds for valgrind; fibril looks there once (stack.c), and
 * once makes a call there (guest.c), whose first push comes with the jump.
 * Callers: slab.c, stack.c and guest.c.
 */
#ifndef FBL_MEMCHECK_H
#define FBL_MEMCHECK_H

#include "core/core.h"

#if defined(FBL_VALGRIND)
#include <valgrind/memcheck.h>

#define FBL_IS_MEMCHECK true /* it knows guards by mprotect only, and reads what the kernel reads */

static inline void fbl_memcheck_used(fbl_slab *slab, uint32_t number, fbl_stack *stack)
{
    slab->memcheck_ids[number] =
        VALGRIND_STACK_REGISTER(fbl_stack_low(stack), fbl_stack_top(stack) - 1);
}
static inline void fbl_memcheck_unmapped(const fbl_slab *slab)
{
    for (uint32_t number = 0; number < slab->used_count; number++)
        VALGRIND_STACK_DEREGISTER(slab->memcheck_ids[number]);
}
static inline void fbl_memcheck_may_touch(const void *at, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(at, bytes);
}
#else
#define FBL_IS_MEMCHECK false

static inline void fbl_memcheck_used(fbl_slab *slab, uint32_t number, fbl_stack *stack)
{
    (void)slab;
    (void)number;
    (void)stack;
}
static inline void fbl_memcheck_unmapped(const fbl_slab *slab) { (void)slab; }
static inline void fbl_memcheck_may_touch(const void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
}
#endif

#endif
