/*
 * aarch64_aapcs.h: the stack switch for aarch64 with the AAPCS64 calling convention; included by
 * switch.h only.
 *
 * The idea is x86_64_sysv.h's: the switch is inlined and tells the compiler that all registers are
 * lost, so no return is ever mispredicted for it. Kept in the fiber: sp, x29 (the frame pointer,
 * which nobody may clobber) and where to go on. x18 is a register like any other on Linux, and the
 * compiler puts what must survive into it if it is not told.
 *
 * `hint #36` is `bti j`: where branch targets are checked, the landing place must say so; older
 * machines take it for nothing.
 */
#if defined(__ARM_FEATURE_SVE) /* registers that only some builds have, and may keep values in */
#define FBL_SWITCH_LOSES_MORE                                                                      \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13",      \
        "p14", "p15", "ffr"
#else
#define FBL_SWITCH_LOSES_MORE
#endif

static inline __attribute__((always_inline)) void fbl_context_switch(fbl_context *source,
                                                                     const fbl_context *target)
{
    register fbl_context *from __asm__("x0") = source;
    register const fbl_context *to __asm__("x1") = target;
    /* SAFE: nothing of this stack is read or written between the change of sp and label 1, where
     * sp and x29 are again what they were. */
    __asm__ volatile("adr x9, 1f\n\t"
                     "mov x10, sp\n\t"
                     "stp x10, x29, [x0]\n\t"
                     "str x9, [x0, #16]\n\t"
                     "ldp x10, x29, [x1]\n\t"
                     "ldr x9, [x1, #16]\n\t"
                     "mov sp, x10\n\t"
                     "br x9\n"
                     "1:\n\t"
                     "hint #36"
                     : "+r"(from), "+r"(to)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
                       "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
                       "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
                       "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
                       "v29", "v30", "v31", "cc", "memory" FBL_SWITCH_LOSES_MORE);
}

static inline uint64_t fbl_float_modes(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}
static inline void fbl_float_restore(uint64_t modes)
{
    if (fbl_unlikely(fbl_float_modes() != modes))
        __asm__ volatile("msr fpcr, %0" : : "r"(modes));
}
