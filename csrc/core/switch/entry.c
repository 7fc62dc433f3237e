/*
 * entry.c: functions of a C library that are always called on the thread's own stack.
 *
 * A Java machine is entered through a table of functions (JNI), from C code that is not ours, with
 * and without the interpreter's lock. on_main_stack() would have to be put around all of that code.
 *
 * The idea: each entry of the table is replaced by a piece of code that knows its number and keeps
 * the registers that carry arguments. If the caller is a fiber on a stack of its own, the original
 * is called on the thread's own stack with the same registers (guest.c), else it is jumped to. So
 * it need not be known what the function is, nor what its arguments are.
 *
 *      caller -> fbl_entry_code + 16 * number -> fbl_entry_pass -> original
 *                                                 `-> guest.c -> original, on the other stack
 *
 * Invariants: entries are only added, under the embedder's lock; an original is known before the
 * table names the new code. Callers of the code: any thread, also one that has no hub.
 * Do not add: which tables; that is the embedder's.
 */
#include "core/switch/switch.h"

#include <errno.h>

/* Read by the assembly. */
__attribute__((visibility("hidden"))) void *fbl_entry_originals[FBL_ENTRIES_MAX];
static size_t entry_count;

typedef struct {
    fbl_entry_registers *registers; /* the arguments; and then the result */
    void *fn;                       /* the original */
    const void *stack;              /* further arguments lie here */
} entry_call;

static void entry_run(void *argument)
{
    entry_call *call = argument;
    fbl_entry_call(call->registers, call->fn, call->stack);
}

/* Called by the assembly. False: the caller is on the thread's own stack, and jumps to the original
 * itself. Else it was called, and `registers` have the result. */
__attribute__((visibility("hidden"))) bool fbl_entry_pass(fbl_entry_registers *registers,
                                                          size_t number, const void *stack)
{
    fbl_hub *hub = fbl_embed_hub();
    if (hub == NULL || fbl_guest_is_home(hub))
        return false;
    entry_call call = {registers, fbl_entry_originals[number], stack};
    fbl_guest_call(hub, entry_run, &call);
    return true;
}

/* Replaces so many pointers to functions, none or few of whose arguments lie on the stack (eight
 * words are passed on). What is replaced already, or NULL, is left alone. -E2BIG: too many. */
int fbl_entry_replace(void **table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *code = table[i];
        size_t length = (size_t)FBL_ENTRIES_MAX * 16;
        if (code == NULL || (code >= fbl_entry_code && code < fbl_entry_code + length))
            continue;
        if (entry_count == FBL_ENTRIES_MAX)
            return -E2BIG;
        fbl_entry_originals[entry_count] = code;
        __atomic_store_n(&table[i], fbl_entry_code + 16 * entry_count, __ATOMIC_RELEASE);
        entry_count++;
    }
    return 0;
}
