/*
 * cxx.h: what a fiber must keep itself when it leaves: the question that every switch asks.
 *
 * C++ keeps for each thread a stack of exceptions that are being handled, and a count of those on
 * their way; whoever runs on that thread changes them in nested order. Fibers do not nest: one may
 * leave in a catch block, or in a destructor while the stack is unwound, and another then enters
 * or ends a block of its own. So each fiber must have its own (the Itanium C++ ABI's 16 bytes).
 * The same goes for thread-local variables of libraries that are named to us (private.c).
 *
 * The idea: who leaves with something in flight keeps it on its own stack, and leaves nothing
 * behind; so nothing is in flight after any switch, and only leaving has to ask. And it asks with
 * one load and one test: hub->cxx_sign points to eight bytes that are zero as long as all is usual,
 * or always something else once such a library has been named.
 * What that costs: see DESIGN.md. Do not add: a second load.
 */
#ifndef FBL_CXX_H
#define FBL_CXX_H

#include "core/core.h"

#include <string.h>

static inline bool fbl_cxx_is_quiet(const fbl_hub *hub)
{
    uint64_t sign;
    memcpy(&sign, hub->cxx_sign, sizeof sign);
    return fbl_likely(sign == 0);
}

#endif
