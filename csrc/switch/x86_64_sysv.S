/*
 * x86_64_sysv.S: the stack switch for x86-64 with the System V calling convention.
 *
 * What a parked stack looks like, from the saved stack pointer upwards (56 bytes):
 *
 *     sp +  0   r15
 *     sp +  8   r14
 *     sp + 16   r13
 *     sp + 24   r12
 *     sp + 32   rbx
 *     sp + 40   rbp
 *     sp + 48   return address
 *
 * The floating-point modes are not here: reading MXCSR takes 4.7 ns of the 6.9 that the switch took
 * with it (AMD EPYC, 2026-11-23). Who parks keeps them (waiter.c); a switch by hand leaves them to
 * the thread, as a generator's yield does.
 *
 * The jump at the end is an indirect jump rather than `ret`: the return-address predictor would
 * predict the caller on the stack that was left, wrongly each time (9.1 ns with `ret`, 2.1 with the
 * jump). `notrack`: the landing place is a return address and has no endbr64.
 *
 * Shadow stacks (CET SHSTK) are not supported, and this file does not carry the SHSTK mark, so the
 * loader turns them off for the process. Indirect branch tracking is fine.
 */
        .text
        .p2align 5
        .globl  weft_context_switch
        .hidden weft_context_switch
        .type   weft_context_switch, @function
/* void weft_context_switch(void **source [rdi], void *target [rsi]) */
weft_context_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0

        movq    %rsp, (%rdi)
        movq    %rsi, %rsp              /* same layout there: the CFI stays true */

        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        notrack jmpq *%rcx
        .cfi_endproc
        .size   weft_context_switch, .-weft_context_switch

/*
 * The first frame of a fiber: r12 holds the entry function, r13 its argument. Unwinders stop here:
 * the return address is declared undefined and the frame-pointer chain ends with 0.
 */
        .p2align 4
        .type   weft_context_start, @function
weft_context_start:
        .cfi_startproc
        .cfi_undefined %rip
        xorl    %ebp, %ebp
        movq    %r13, %rdi
        callq   *%r12
        ud2                             /* a fiber's entry never returns */
        .cfi_endproc
        .size   weft_context_start, .-weft_context_start

        .p2align 4
        .globl  weft_context_make
        .hidden weft_context_make
        .type   weft_context_make, @function
/* void *weft_context_make(void *top [rdi], void (*entry)(void *) [rsi], void *argument [rdx]) */
weft_context_make:
        .cfi_startproc
        endbr64
        andq    $-16, %rdi              /* 16-aligned before the call in weft_context_start */
        leaq    -72(%rdi), %rax         /* 56 bytes as drawn above, and two words of zero */
        movq    $0, 0(%rax)
        movq    $0, 8(%rax)
        movq    %rdx, 16(%rax)          /* r13: argument */
        movq    %rsi, 24(%rax)          /* r12: entry */
        movq    $0, 32(%rax)
        movq    $0, 40(%rax)
        leaq    weft_context_start(%rip), %rcx
        movq    %rcx, 48(%rax)
        movq    $0, 56(%rax)            /* where a frame-pointer walker would look next */
        movq    $0, 64(%rax)
        ret
        .cfi_endproc
        .size   weft_context_make, .-weft_context_make

        .section .note.GNU-stack, "", @progbits
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* x86 feature: IBT yes, SHSTK no */
