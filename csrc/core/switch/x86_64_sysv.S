/*
 * x86_64_sysv.S: the first frame of a fiber, and calls on another stack.
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

/*
 * fbl_entry_code: FBL_ENTRIES_MAX pieces of 16 bytes that push their number; the rest is common:
 *
 *     rbp + 24   arguments that the caller passes on the stack
 *     rbp + 16   return address
 *     rbp +  8   the number
 *     rbp +  0   the caller's rbp
 *     rsp + 64   xmm0 to xmm7
 *     rsp +  0   rdi, rsi, rdx, rcx, r8, r9, and two words of nothing
 */
        .p2align 4
        .globl  fbl_entry_code
        .hidden fbl_entry_code
        .type   fbl_entry_code, @function
fbl_entry_code:
        .cfi_startproc
        .set    number, 0
        .rept   256
        .p2align 4
        endbr64
        .byte   0x68                    /* pushq $number, of 5 bytes */
        .long   number
        .cfi_adjust_cfa_offset 8
        .byte   0xe9                    /* jmp, of 5 bytes */
        .long   entry_common - . - 4
        .cfi_adjust_cfa_offset -8
        .set    number, number + 1
        .endr
        .cfi_endproc
        .size   fbl_entry_code, .-fbl_entry_code

        .type   entry_common, @function
entry_common:
        .cfi_startproc
        .cfi_def_cfa_offset 16
        pushq   %rbp
        .cfi_def_cfa_offset 24
        .cfi_offset %rbp, -24
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $200, %rsp
        movq    %rdi, 0(%rsp)
        movq    %rsi, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rcx, 24(%rsp)
        movq    %r8, 32(%rsp)
        movq    %r9, 40(%rsp)
        movaps  %xmm0, 64(%rsp)
        movaps  %xmm1, 80(%rsp)
        movaps  %xmm2, 96(%rsp)
        movaps  %xmm3, 112(%rsp)
        movaps  %xmm4, 128(%rsp)
        movaps  %xmm5, 144(%rsp)
        movaps  %xmm6, 160(%rsp)
        movaps  %xmm7, 176(%rsp)
        movq    %rsp, %rdi
        movq    8(%rbp), %rsi
        leaq    24(%rbp), %rdx
        callq   fbl_entry_pass
        testb   %al, %al
        jz      1f
        movq    0(%rsp), %rax
        movaps  64(%rsp), %xmm0
        movq    %rbp, %rsp
        popq    %rbp
        .cfi_remember_state
        .cfi_def_cfa %rsp, 16
        addq    $8, %rsp
        .cfi_def_cfa_offset 8
        ret
1:      .cfi_restore_state
        movq    8(%rbp), %rax
        leaq    fbl_entry_originals(%rip), %r11
        movq    (%r11,%rax,8), %r11
        movq    0(%rsp), %rdi
        movq    8(%rsp), %rsi
        movq    16(%rsp), %rdx
        movq    24(%rsp), %rcx
        movq    32(%rsp), %r8
        movq    40(%rsp), %r9
        movaps  64(%rsp), %xmm0
        movaps  80(%rsp), %xmm1
        movaps  96(%rsp), %xmm2
        movaps  112(%rsp), %xmm3
        movaps  128(%rsp), %xmm4
        movaps  144(%rsp), %xmm5
        movaps  160(%rsp), %xmm6
        movaps  176(%rsp), %xmm7
        movl    $8, %eax                /* vector registers of a call with ... */
        movq    %rbp, %rsp
        popq    %rbp
        .cfi_def_cfa %rsp, 16
        addq    $8, %rsp
        .cfi_def_cfa_offset 8
        jmpq    *%r11
        .cfi_endproc
        .size   entry_common, .-entry_common

/* fbl_entry_call(registers, fn, stack): rbx keeps the first. */
        .p2align 4
        .globl  fbl_entry_call
        .hidden fbl_entry_call
        .type   fbl_entry_call, @function
fbl_entry_call:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        .cfi_offset %rbx, -24
        subq    $8, %rsp
        movq    %rdi, %rbx
        movq    %rsi, %r11
        pushq   56(%rdx)
        pushq   48(%rdx)
        pushq   40(%rdx)
        pushq   32(%rdx)
        pushq   24(%rdx)
        pushq   16(%rdx)
        pushq   8(%rdx)
        pushq   0(%rdx)
        movq    0(%rbx), %rdi
        movq    8(%rbx), %rsi
        movq    16(%rbx), %rdx
        movq    24(%rbx), %rcx
        movq    32(%rbx), %r8
        movq    40(%rbx), %r9
        movaps  64(%rbx), %xmm0
        movaps  80(%rbx), %xmm1
        movaps  96(%rbx), %xmm2
        movaps  112(%rbx), %xmm3
        movaps  128(%rbx), %xmm4
        movaps  144(%rbx), %xmm5
        movaps  160(%rbx), %xmm6
        movaps  176(%rbx), %xmm7
        movl    $8, %eax
        callq   *%r11
        movq    %rax, 0(%rbx)
        movaps  %xmm0, 64(%rbx)
        leaq    -8(%rbp), %rsp
        popq    %rbx
        popq    %rbp
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   fbl_entry_call, .-fbl_entry_call

        .section .note.GNU-stack, "", @progbits
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* x86 feature: IBT yes, SHSTK no */
