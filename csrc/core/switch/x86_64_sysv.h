/*
 * x86_64_sysv.h: the stack switch for x86-64 with the System V calling convention; included by
 * switch.h only.
 *
 * The idea: the switch is no call. It is inlined where a fiber leaves, and tells the compiler that
 * all registers are lost there, so each caller saves on its own stack what it still needs, often
 * little. And no return address is pushed that would never be returned to: the processor predicts
 * returns by a stack of its own, which an extra call would leave one entry off for every return
 * after the switch. 33.5 ns as a function that is called, 23.8 inlined (one way, Python to Python,
 * CPython 3.11, AMD EPYC, 2026-11-25).
 *
 * rsp, rbp and where to go on are kept in the fiber, because the compiler lets nobody clobber rbp,
 * and because a push here would write over the red zone of the function around.
 *
 * The floating-point modes are not kept: reading MXCSR alone takes 4.7 ns. Who parks keeps them
 * (park.c); a switch by hand leaves them to the thread, as a generator's yield does.
 *
 * `notrack`: the landing place has no endbr64, as it is no function.
 */
#if defined(__AVX512F__) /* registers that only some builds have, and may keep values in */
#define FBL_SWITCH_LOSES_MORE                                                                      \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define FBL_SWITCH_LOSES_MORE
#endif

static inline __attribute__((always_inline)) void fbl_context_switch(fbl_context *source,
                                                                     const fbl_context *target)
{
    /* SAFE: nothing of this stack is read or written between the change of rsp and label 1, where
     * rsp and rbp are again what they were; the unwind information is off for the two instructions
     * in between, in which nothing can fault. */
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, 0(%[source])\n\t"
                     "movq %%rbp, 8(%[source])\n\t"
                     "movq %%rax, 16(%[source])\n\t"
                     "movq 16(%[target]), %%rcx\n\t"
                     "movq 8(%[target]), %%rbp\n\t"
                     "movq 0(%[target]), %%rsp\n\t"
                     "notrack jmpq *%%rcx\n"
                     "1:"
                     : [source] "+D"(source), [target] "+S"(target)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory" FBL_SWITCH_LOSES_MORE);
}

static inline uint64_t fbl_float_modes(void)
{
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)x87 << 32 | (__builtin_ia32_stmxcsr() & ~0x3fu); /* without the status flags */
}
static inline void fbl_float_restore(uint64_t modes)
{
    if (fbl_likely(fbl_float_modes() == modes))
        return;
    uint16_t x87 = (uint16_t)(modes >> 32);
    __asm__ volatile("fldcw %0" : : "m"(x87));
    __builtin_ia32_ldmxcsr((uint32_t)modes);
}
