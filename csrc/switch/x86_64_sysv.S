/*
 * x86_64_sysv.S: the stack switch for x86-64 with the System V calling convention.
 *
 * What a parked stack looks like, from the saved stack pointer upwards (64 bytes):
 *
 *     sp +  0   MXCSR (4 bytes), x87 control word (2 bytes), 2 unused
 *     sp +  8   r15
 *     sp + 16   r14
 *     sp + 24   r13
 *     sp + 32   r12
 *     sp + 40   rbx
 *     sp + 48   rbp
 *     sp + 56   return address
 *
 * The ABI makes the control bits of MXCSR and x87 callee-saved, so a library that sets
 * flush-to-zero in one fiber must not change another's arithmetic. Loading them costs 5 to 10 ns,
 * comparing them almost nothing, and they differ practically never: so compare, and load only when
 * they differ.
 *
 * The jump at the end is an indirect jump rather than `ret`: the return-address predictor would
 * predict the caller on the stack that was left, wrongly each time. `notrack`: the landing place is
 * a return address and has no endbr64.
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
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movl    (%rsp), %eax
        movzwl  4(%rsp), %edx

        movq    %rsp, (%rdi)
        movq    %rsi, %rsp              /* same layout there: the CFI stays true */

        cmpl    (%rsp), %eax
        jne     .Lload_mxcsr
.Lmxcsr_done:
        cmpw    4(%rsp), %dx
        jne     .Lload_x87
.Lx87_done:
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        .cfi_remember_state
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
.Lload_mxcsr:
        .cfi_restore_state
        .cfi_adjust_cfa_offset 8
        ldmxcsr (%rsp)
        jmp     .Lmxcsr_done
.Lload_x87:
        fldcw   4(%rsp)
        jmp     .Lx87_done
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
        leaq    -80(%rdi), %rax         /* 64 bytes as drawn above, and two words of zero */
        stmxcsr 0(%rax)
        fnstcw  4(%rax)
        movw    $0, 6(%rax)
        movq    $0, 8(%rax)
        movq    $0, 16(%rax)
        movq    %rdx, 24(%rax)          /* r13: argument */
        movq    %rsi, 32(%rax)          /* r12: entry */
        movq    $0, 40(%rax)
        movq    $0, 48(%rax)
        leaq    weft_context_start(%rip), %rcx
        movq    %rcx, 56(%rax)
        movq    $0, 64(%rax)            /* where a frame-pointer walker would look next */
        movq    $0, 72(%rax)
        ret
        .cfi_endproc
        .size   weft_context_make, .-weft_context_make

        .section .note.GNU-stack, "", @progbits
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* x86 feature: IBT yes, SHSTK no */
