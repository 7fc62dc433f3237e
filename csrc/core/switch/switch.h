/*
 * switch.h: the contract of a stack switch; switch/ has two files per machine and ABI: a header
 * with the switch, inline, and an assembly file with the first frame.
 *
 *   fbl_context_make    lays out a first frame below `top`, so that a switch to the context calls
 *                        entry(argument) on that stack
 *   fbl_context_switch  stores where this stack goes on, and continues where the other one does
 *   fbl_context_start   the first frame (assembly): takes entry and argument from the stack
 *   fbl_stack_call      an ordinary call, but the callee's frames begin at `top` (assembly)
 *
 * Sanitizers: ASan must be told that the stack changes; the two functions below do that and are
 * empty otherwise. They are the only place that knows.
 * Rules for a new ABI: draw the slots; keep the frame-pointer chain valid and end it with 0 at
 * entry; end the unwind information at entry; write nothing below the stack pointer.
 */
#ifndef FBL_SWITCH_H
#define FBL_SWITCH_H

#include "core/core.h"

#if !(defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__))
#error "fibril runs on Linux on x86-64 and aarch64; this machine has no switch/ file yet"
#endif

void fbl_context_start(void);

/* Calls fn(argument) with its frames below `top`, 16-aligned, and comes back. Unwinders go on from
 * there to the caller's frames; exceptions of C++ do not (guest.c). */
void fbl_stack_call(void *top, void (*fn)(void *), void *argument);

/* The registers that the ABI passes arguments in, and results. The assembly knows their places. */
typedef struct {
    uint64_t integers[8]; /* x86-64: rdi to r9; result in the first */
    unsigned char vectors[8][16] __attribute__((aligned(16))); /* result in the first */
} fbl_entry_registers;

/* For entry.c: FBL_ENTRIES_MAX pieces of code, 16 bytes each, to be called instead of others; and
 * the call of such another one, with registers, and with some words of what lies on the stack. */
extern char fbl_entry_code[];
void fbl_entry_call(fbl_entry_registers *registers, void *fn, const void *stack);

/* Each ABI's header also has the floating-point modes (rounding, flush-to-zero, exception masks),
 * which the ABI has a function preserve: fbl_float_modes, fbl_float_restore. Who parks keeps its
 * own; comparing first, because they practically never differ. */

#if defined(__x86_64__)
#include "core/switch/x86_64_sysv.h"
#else
#include "core/switch/aarch64_aapcs.h"
#endif

/* Lays out the first frame below `top`: who switches to the context calls entry(argument) there. */
static inline void fbl_context_make(fbl_context *context, void *top, void (*entry)(void *),
                                    void *argument)
{
    void **slots = (void **)((uintptr_t)top & ~(uintptr_t)15) - 4;
    slots[0] = (void *)entry;
    slots[1] = argument;
    slots[2] = slots[3] = NULL; /* where a frame-pointer walker would look next */
    context->sp = slots;
    context->fp = NULL;
    context->pc = (void *)fbl_context_start;
}

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
void __sanitizer_start_switch_fiber(void **fake_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **old_bottom, size_t *old_size);

/* Where ASan finds the thread's own stack: the main fiber has no fbl_stack. */
static inline void fbl_sanitizer_leave(void **fake, const fbl_fiber *target)
{
    if (target->stack != NULL) {
        __sanitizer_start_switch_fiber(
            fake, fbl_stack_low(target->stack),
            (size_t)(fbl_stack_top(target->stack) - fbl_stack_low(target->stack)));
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
static inline void fbl_sanitizer_arrive(void *fake)
{
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}
#else
static inline void fbl_sanitizer_leave(void **fake, const fbl_fiber *target)
{
    (void)fake;
    (void)target;
}
static inline void fbl_sanitizer_arrive(void *fake) { (void)fake; }
#endif

#endif
