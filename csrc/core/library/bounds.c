/*
 * bounds.c: what a library is told that asks pthread for the bounds of the stack it runs on.
 *
 * The idea: pthread knows one stack for each thread. Who asks for it while a fiber runs means the
 * fiber's: CPython does, from 3.14 on, for each thread state that is made there (sub-interpreters),
 * and compares the stack pointer with the answer. In the libraries that are named, and in no
 * others, our function is called instead (slot.c). It answers itself where a fiber's stack is
 * meant, and asks pthread else.
 *
 * Who remembers the answer for the thread, and not for the call, needs more help: see limit.c.
 *
 * Threads: any; under the embedder's lock. Do not add: other functions than the one.
 */
#include "core/core.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

typedef int bounds_function(pthread_t thread, pthread_attr_t *attributes);

static const char bounds_name[] = "pthread_getattr_np";
static bounds_function *bounds_real; /* pthread's own, found beyond all slots */

/* Put in the place of pthread's. */
static int bounds_answer(pthread_t thread, pthread_attr_t *attributes)
{
    fbl_stack *stack = pthread_equal(thread, pthread_self()) ? fbl_embed_stack() : NULL;
    /* SAFE: only compared. */
    char *here = __builtin_frame_address(0);
    if (stack == NULL || here < fbl_stack_low(stack) || here >= fbl_stack_top(stack))
        return bounds_real(thread, attributes); /* the thread's own stack all the same */
    /* Not pthread's answer with other bounds: for a main thread glibc reads the list of all
     * mappings, and each fiber asks. So the rest is what a thread has by default. */
    int rc = pthread_attr_init(attributes);
    if (rc == 0)
        rc = pthread_attr_setstack(attributes, fbl_stack_low(stack), fbl_stack_room(stack));
    return rc != 0 ? rc : pthread_attr_setguardsize(attributes, 0);
}

/* From now on the object that has this address is told of the stack that it really runs on. Returns
 * how many of its slots were filled, 0 if it never asks, or an error. */
int fbl_bounds_correct(const void *inside)
{
    void *former;
    /* Not &pthread_getattr_np: in an executable that may be its own entry, which goes by a slot. */
    *(void **)&bounds_real = dlsym(RTLD_NEXT, bounds_name);
    if (bounds_real == NULL)
        return -ENOSYS;
    return fbl_slot_exchange(inside, bounds_name, (void *)(uintptr_t)bounds_answer, &former);
}
