/*
 * aarch64_aapcs.S: the first frame of a fiber. Its stack begins as fbl_context_make laid it out:
 *
 *     sp +  0   the function to call
 *     sp +  8   its argument
 *     sp + 16   two words of zero
 *
 * Unwinders stop here: the return address is declared undefined and the frame-pointer chain ends
 * with 0.
 */
        .text
        .p2align 2
        .globl  fbl_context_start
        .hidden fbl_context_start
        .type   fbl_context_start, %function
fbl_context_start:
        .cfi_startproc
        .cfi_undefined x30
        hint    #36                     /* bti j: it is entered by a jump */
        mov     x30, xzr
        ldp     x9, x0, [sp], #16
        blr     x9
        brk     #0                      /* a fiber's entry never returns */
        .cfi_endproc
        .size   fbl_context_start, .-fbl_context_start

        .section .note.GNU-stack, "", %progbits
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0     /* aarch64 feature: BTI yes, PAC no */
