/*
 * switch.h: the contract of a stack switch; switch/ has one file per machine and ABI.
 *
 *   weft_context_make    lays out a first frame below `top`, so that a switch to the returned
 *                        stack pointer calls entry(argument) on that stack
 *   weft_context_switch  saves the callee-saved registers on this stack, stores the stack pointer
 *                        through `source`, and continues on `target`
 *
 * The idea: the compiler believes that weft_context_switch is an ordinary call. The ABI lets an
 * ordinary call destroy all registers but the callee-saved ones, so only those are kept.
 *
 * Sanitizers: ASan must be told that the stack changes; the two functions below do that and are
 * empty otherwise. They are the only place that knows.
 * Rules for a new ABI file: draw the slots; keep the frame-pointer chain valid and end it with 0 at
 * entry; end the unwind information at entry; no stack protector between the two stacks.
 */
#ifndef WEFT_SWITCH_H
#define WEFT_SWITCH_H

#include "core.h"

#if !(defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__))
#error "weft runs on Linux on x86-64 and aarch64; this machine has no switch/ file yet"
#endif

void weft_context_switch(void **source, void *target);
void *weft_context_make(void *top, void (*entry)(void *), void *argument);

/* The floating-point modes (rounding, flush-to-zero, exception masks), which the ABI has a function
 * preserve. Who parks keeps its own; comparing first, because they practically never differ. */
#if defined(__x86_64__)
static inline uint64_t weft_float_modes(void)
{
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)x87 << 32 | (__builtin_ia32_stmxcsr() & ~0x3fu); /* without the status flags */
}
static inline void weft_float_restore(uint64_t modes)
{
    if (weft_likely(weft_float_modes() == modes))
        return;
    uint16_t x87 = (uint16_t)(modes >> 32);
    __asm__ volatile("fldcw %0" : : "m"(x87));
    __builtin_ia32_ldmxcsr((uint32_t)modes);
}
#else
static inline uint64_t weft_float_modes(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}
static inline void weft_float_restore(uint64_t modes)
{
    if (weft_unlikely(weft_float_modes() != modes))
        __asm__ volatile("msr fpcr, %0" : : "r"(modes));
}
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
void __sanitizer_start_switch_fiber(void **fake_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **old_bottom, size_t *old_size);

/* Where ASan finds the thread's own stack: the main fiber has no weft_stack. */
static inline void weft_sanitizer_leave(void **fake, const weft_fiber *target)
{
    if (target->stack != NULL) {
        __sanitizer_start_switch_fiber(
            fake, weft_stack_low(target->stack),
            (size_t)(weft_stack_top(target->stack) - weft_stack_low(target->stack)));
        return;
    }
    static __thread void *bottom; /* found once: asking costs 180 us */
    static __thread size_t size;
    pthread_attr_t attr;
    if (bottom == NULL && pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &bottom, &size);
        pthread_attr_destroy(&attr);
    }
    __sanitizer_start_switch_fiber(fake, bottom, size);
}
static inline void weft_sanitizer_arrive(void *fake)
{
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}
#else
static inline void weft_sanitizer_leave(void **fake, const weft_fiber *target)
{
    (void)fake;
    (void)target;
}
static inline void weft_sanitizer_arrive(void *fake) { (void)fake; }
#endif

#endif
