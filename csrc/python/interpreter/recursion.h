/*
 * recursion.h: how much recursion fits a stack, where CPython counts it instead of looking at
 * addresses: 3.11 to 3.13.
 *
 * The idea: a fiber whose stack is as large as a native thread's may recurse as deep as a thread.
 * The thread's budget (3.12 and 3.13; 10,000 units of C recursion, 1,500 in early releases of 3.12)
 * was chosen by CPython for 8 MiB: plain C takes 210 bytes a unit at the most (repr() of a dict),
 * and what takes more (5.1 KiB a level: sorted() with a Python key) runs into the limit of Python
 * recursion first, unless somebody raises that, who is then on his own, as on a thread. A smaller
 * stack gets no more than fits it in the worst measured case.
 *
 * Included by state_3_11.h to state_3_13.h only.
 */
extern size_t fbl_thread_stack_bytes; /* see record.h */

#define UNIT_BYTES 1700u            /* of C stack: the worst measured case */
#define UNCOUNTED_BYTES (64u << 10) /* stay for what does not count */
#define UNITS_MIN 150               /* with fewer, ordinary code fails */
#define UNITS_MAX 10000             /* no version of CPython allows more */

static inline int recursion_fitting(size_t room_bytes)
{
    size_t units = (room_bytes - UNCOUNTED_BYTES) / UNIT_BYTES;
    return units < UNITS_MIN ? UNITS_MIN : units > UNITS_MAX ? UNITS_MAX : (int)units;
}

/* Is it the stack of a fiber that wants no smaller one than threads have? Guard and header are in
 * its size, and not in its room. */
static inline bool recursion_has_thread_stack(size_t room_bytes)
{
    return room_bytes + FBL_STACK_GUARD_BYTES + FBL_STACK_UNIT > fbl_thread_stack_bytes;
}
