/*
 * signal_stack.c: an alternate signal stack for native threads that use fibers.
 *
 * The idea: a fiber that runs into its guard cannot run a signal handler on its own stack, so the
 * kernel would end the process without a word. faulthandler.enable() gives an alternate stack to
 * the thread that calls it only; every thread without one gets one here, so that overflow.c can
 * say what happened, and faulthandler's report, with the line, comes from there as well. It costs
 * two system calls for each thread and no memory until a signal comes. A thread that has one keeps
 * it.
 *
 * They are never unmapped, but handed to the next thread: faulthandler remembers the stack that it
 * replaced, and may put it back long after the thread has ended. Their number is that of threads
 * that were alive at the same time. The GIL is the lock.
 */
#include "python/thread/thread.h"

#include <signal.h>
#include <sys/mman.h>

/* Virtual. faulthandler needs 10 KiB, and from 3.14 on unwinds the C stack as well. */
#define SIGNAL_STACK_BYTES (256u * 1024u)

typedef struct signal_stack {
    struct signal_stack *next; /* the next unused one */
    void *memory;              /* the mapping */
} signal_stack;

static signal_stack *unused_signal_stacks;

static signal_stack *signal_stack_make(void)
{
    signal_stack *stack = PyMem_RawMalloc(sizeof *stack);
    if (stack == NULL)
        return NULL;
    stack->memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack->memory != MAP_FAILED)
        return stack;
    PyMem_RawFree(stack);
    return NULL;
}

/* Without memory there is none, and a crash goes unreported: no reason to fail. */
static void signal_stack_open(fbl_thread *thread)
{
    stack_t present;
    if (sigaltstack(NULL, &present) < 0 || !(present.ss_flags & SS_DISABLE))
        return;
    signal_stack *stack = unused_signal_stacks;
    if (stack != NULL)
        unused_signal_stacks = stack->next;
    else
        stack = signal_stack_make();
    if (stack == NULL)
        return;
    sigaltstack(&(stack_t){.ss_sp = stack->memory, .ss_size = SIGNAL_STACK_BYTES}, NULL);
    thread->signal_stack = stack;
}

/* SAFE: only in the thread itself, as the kernel would go on to use the stack otherwise. */
static void signal_stack_close(fbl_thread *thread)
{
    signal_stack *stack = thread->signal_stack;
    stack_t present;
    thread->signal_stack = NULL;
    if (stack == NULL || fbl_this_thread != thread || sigaltstack(NULL, &present) < 0)
        return;
    if (present.ss_sp == stack->memory)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    stack->next = unused_signal_stacks;
    unused_signal_stacks = stack;
}
