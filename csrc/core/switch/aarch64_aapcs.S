/*
 * aarch64_aapcs.S: the first frame of a fiber, and calls on another stack.
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

/*
 * fbl_entry_code: FBL_ENTRIES_MAX pieces of 16 bytes that note their number; the rest is common:
 *
 *     x29 +  16  arguments that the caller passes on the stack
 *     x29 +   0  the caller's x29 and x30
 *     sp  + 192  the number, and x8
 *     sp  +  64  q0 to q7
 *     sp  +   0  x0 to x7
 */
        .p2align 4
        .globl  fbl_entry_code
        .hidden fbl_entry_code
        .type   fbl_entry_code, %function
fbl_entry_code:
        .cfi_startproc
        .set    number, 0
        .rept   256
        .p2align 4
        hint    #34                     /* bti c */
        mov     x16, #number
        b       entry_common
        .set    number, number + 1
        .endr
        .cfi_endproc
        .size   fbl_entry_code, .-fbl_entry_code

        .type   entry_common, %function
entry_common:
        .cfi_startproc
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        mov     x29, sp
        .cfi_def_cfa_register x29
        sub     sp, sp, #208
        stp     x0, x1, [sp, #0]
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     q0, q1, [sp, #64]
        stp     q2, q3, [sp, #96]
        stp     q4, q5, [sp, #128]
        stp     q6, q7, [sp, #160]
        stp     x16, x8, [sp, #192]
        mov     x0, sp
        mov     x1, x16
        add     x2, x29, #16
        bl      fbl_entry_pass
        tst     w0, #0xff
        b.eq    1f
        ldp     x0, x1, [sp]
        ldr     q0, [sp, #64]
        mov     sp, x29
        ldp     x29, x30, [sp], #16
        .cfi_remember_state
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
        ret
1:      .cfi_restore_state
        ldp     x16, x8, [sp, #192]
        adrp    x17, fbl_entry_originals
        add     x17, x17, :lo12:fbl_entry_originals
        ldr     x17, [x17, x16, lsl #3]
        ldp     x0, x1, [sp, #0]
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     q0, q1, [sp, #64]
        ldp     q2, q3, [sp, #96]
        ldp     q4, q5, [sp, #128]
        ldp     q6, q7, [sp, #160]
        mov     sp, x29
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
        br      x17
        .cfi_endproc
        .size   entry_common, .-entry_common

/* fbl_entry_call(registers, fn, stack): x19 keeps the first. */
        .p2align 2
        .globl  fbl_entry_call
        .hidden fbl_entry_call
        .type   fbl_entry_call, %function
fbl_entry_call:
        .cfi_startproc
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        mov     x29, sp
        .cfi_def_cfa_register x29
        str     x19, [sp, #16]
        .cfi_offset x19, -16
        mov     x19, x0
        mov     x16, x1
        sub     sp, sp, #64
        ldp     x9, x10, [x2]
        ldp     x11, x12, [x2, #16]
        ldp     x13, x14, [x2, #32]
        ldp     x15, x17, [x2, #48]
        stp     x9, x10, [sp]
        stp     x11, x12, [sp, #16]
        stp     x13, x14, [sp, #32]
        stp     x15, x17, [sp, #48]
        ldp     x0, x1, [x19, #0]
        ldp     x2, x3, [x19, #16]
        ldp     x4, x5, [x19, #32]
        ldp     x6, x7, [x19, #48]
        ldp     q0, q1, [x19, #64]
        ldp     q2, q3, [x19, #96]
        ldp     q4, q5, [x19, #128]
        ldp     q6, q7, [x19, #160]
        blr     x16
        stp     x0, x1, [x19]
        str     q0, [x19, #64]
        mov     sp, x29
        ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        .cfi_def_cfa sp, 0
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore x19
        ret
        .cfi_endproc
        .size   fbl_entry_call, .-fbl_entry_call

        .section .note.GNU-stack, "", %progbits
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5                /* name size, descriptor size, NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0     /* aarch64 feature: BTI yes, PAC no */
