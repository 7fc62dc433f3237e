/*
 * aarch64_aapcs.S: the first frame of a fiber, and a call on another stack.
 *
 * A fiber's stack begins as fbl_context_make laid it out:
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

/*
 * fbl_stack_call(top, fn, argument): x29 keeps the caller's stack, so unwind tables and the chain
 * of frame pointers both lead back to it. gdb: see x86_64_sysv.S.
 */
        .p2align 2
        .globl  fbl_stack_call
        .hidden fbl_stack_call
        .type   fbl_stack_call, %function
fbl_stack_call:
        .cfi_startproc
        .cfi_personality 0x1b, fbl_guest_personality /* pc-relative, 4 bytes */
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa_register x29
        mov     sp, x0
        mov     x0, x2
__morestack:
        blr     x1
        mov     sp, x29
        .cfi_def_cfa_register sp
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   fbl_stack_call, .-fbl_stack_call
        .type   __morestack, %function
        .size   __morestack, .-__morestack

        .section .note.GNU-stack, "", %progbits
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0     /* aarch64 feature: BTI yes, PAC no */
