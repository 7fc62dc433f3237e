/*
 * x86_64_sysv.S: the first frame of a fiber, and a call on another stack.
 *
 * A fiber's stack begins as fbl_context_make laid it out:
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

/*
 * fbl_stack_call(top, fn, argument): rbp keeps the caller's stack, so unwind tables and the chain
 * of frame pointers both lead back to it. gdb takes a caller's frame that lies below its callee's
 * for a broken stack, but goes on from a function of this name (gcc's, for split stacks).
 */
        .p2align 4
        .globl  fbl_stack_call
        .hidden fbl_stack_call
        .type   fbl_stack_call, @function
fbl_stack_call:
        .cfi_startproc
        .cfi_personality 0x1b, fbl_guest_personality /* pc-relative, 4 bytes */
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        movq    %rdi, %rsp
        movq    %rdx, %rdi
__morestack:
        callq   *%rsi
        movq    %rbp, %rsp
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   fbl_stack_call, .-fbl_stack_call
        .type   __morestack, @function
        .size   __morestack, .-__morestack

        .section .note.GNU-stack, "", @progbits
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* x86 feature: IBT yes, SHSTK no */
