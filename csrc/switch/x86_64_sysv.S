/*
 * x86_64_sysv.S: the first frame of a fiber. Its stack begins as fbl_context_make laid it out:
 *
 *     rsp +  0   the function to call
 *     rsp +  8   its argument
 *     rsp + 16   two words of zero, where a frame-pointer walker would look next (rbp is 0)
 *
 * Unwinders stop here: the return address is declared undefined and the frame-pointer chain ends
 * with 0.
 *
 * Shadow stacks (CET SHSTK) are not supported, and this file does not carry the SHSTK mark, so the
 * loader turns them off for the process. Indirect branch tracking is fine.
 */
        .text
        .p2align 4
        .globl  fbl_context_start
        .hidden fbl_context_start
        .type   fbl_context_start, @function
fbl_context_start:
        .cfi_startproc
        .cfi_undefined %rip
        popq    %rcx
        popq    %rdi                    /* rsp is 16-aligned now */
        callq   *%rcx
        ud2                             /* a fiber's entry never returns */
        .cfi_endproc
        .size   fbl_context_start, .-fbl_context_start

        .section .note.GNU-stack, "", @progbits
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* x86 feature: IBT yes, SHSTK no */
