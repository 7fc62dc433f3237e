/*
 * embed.h: the smallest embedder of the core: a fiber runs a C function, references are counted.
 *
 * Include it first: it includes the core as csrc/fibril.c does, without python/. A program is a
 * list of functions whose names are sentences; `main` gives them to RUN and returns `test_end()`.
 *
 * What is counted: `references` of a fiber goes up when the core holds it, and down when it has
 * been left by hand or has ended, where CPython's embedder does it. After a test it must be 0.
 */
#ifndef FBL_TEST_EMBED_H
#define FBL_TEST_EMBED_H

#include "core/core.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the hub's stacks measure. */
#define TEST_STACK_BYTES (256u * 1024u)

/* How much more can be mapped (negative: all), and whether the kernel is to look like one before
 * 6.13. */
static long test_bytes_left = -1;
static bool test_is_old_kernel;

__attribute__((unused)) static void *test_mmap(void *at, size_t bytes, int prot, int flags, int fd,
                                               off_t offset)
{
    if (test_bytes_left >= 0 && bytes > (size_t)test_bytes_left) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (test_bytes_left >= 0)
        test_bytes_left -= (long)bytes;
    return mmap(at, bytes, prot, flags, fd, offset);
}

__attribute__((unused)) static int test_madvise(void *at, size_t bytes, int advice)
{
    if (test_is_old_kernel && advice == 102) {
        errno = EINVAL;
        return -1;
    }
    return madvise(at, bytes, advice);
}

#define mmap test_mmap
#define madvise test_madvise
#include "core/stack/space.c"
#include "core/stack/slab.c"
#include "core/stack/stack.c"
#undef mmap
#undef madvise
#include "core/library/slot.c"
#include "core/library/bounds.c"
#include "core/timer.c"
#include "core/library/private.c"
#include "core/library/limit.c"
#include "core/switch/cxx.c"
#include "core/ready.c"
#include "core/waiter.c"
#include "core/fiber.c"
#include "core/switch/guest.c"
#include "core/switch/entry.c"
#include "core/poller.c"
#include "core/fd.c"
#include "core/idle.c"
#include "core/poll/epoll.c"
#include "core/poll/sim.c"
#include "core/hub.c"
#include "core/park.c"

/* ---- checks ---- */

static int test_failures;
static const char *test_name = "";

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s: not true: %s\n", __FILE__, __LINE__, test_name, #condition);        \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

#define CHECK_EQUAL(found, wanted)                                                                 \
    do {                                                                                           \
        long long found_ = (long long)(found), wanted_ = (long long)(wanted);                      \
        if (found_ != wanted_) {                                                                   \
            printf("%s:%d: %s: %s is %lld instead of %lld\n", __FILE__, __LINE__, test_name,       \
                   #found, found_, wanted_);                                                       \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

#define RUN(sentence)                                                                              \
    do {                                                                                           \
        test_name = #sentence;                                                                     \
        sentence();                                                                                \
    } while (0)

static inline int test_end(void)
{
    fflush(stdout);
    return test_failures != 0;
}

/* SEED, or `usual`: the same numbers in each run. Print it where a random test fails. */
static inline uint64_t test_seed(uint64_t usual)
{
    const char *given = getenv("SEED");
    return given != NULL ? strtoull(given, NULL, 10) : usual;
}

/* splitmix64 */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- fibers of C functions ---- */

typedef struct test_fiber test_fiber;
struct test_fiber {
    fbl_fiber core;               /* first: the core's pointer is ours */
    void (*fn)(test_fiber *self);  /* its life */
    void *argument;                /* for fn */
    fbl_fiber *next;              /* who runs after it; NULL: whom the hub chooses */
    int references;                /* held by the hub, or current */
    int error;                     /* what kept it from getting a stack */
};

static fbl_hub test_hub;
static test_fiber test_main;
static test_fiber *test_left;     /* its reference is dropped by who arrives */
static int test_stall_count;      /* calls of fbl_embed_stalled */
static bool (*test_on_stall)(void);
static int test_block_count;      /* calls of fbl_embed_block, less those of unblock */
static int test_interrupt_error;  /* the last error given to fbl_embed_interrupted */
static int test_begin_count, test_end_count; /* calls of fbl_embed_turn_begins and _ends */
static uint64_t (*test_on_begin)(uint64_t timeout_ns);
static void (*test_on_block)(void), (*test_on_unblock)(void); /* the embedder's lock, if any */

static inline void fbl_embed_swap(fbl_fiber *source, fbl_fiber *target)
{
    (void)source;
    CHECK(((test_fiber *)target)->references > 0);
}

static int test_lend_count; /* calls of fbl_embed_lend, less those of unlend */

static void fbl_embed_lend(fbl_fiber *guest)
{
    CHECK(guest == test_hub.current);
    test_lend_count++;
}

static void fbl_embed_unlend(fbl_fiber *guest)
{
    CHECK(guest == test_hub.current);
    test_lend_count--;
}

static fbl_hub *fbl_embed_hub(void) { return &test_hub; }

static int test_stay_count; /* parks after which the same fiber went on */

static inline void fbl_embed_stay(fbl_fiber *fiber)
{
    CHECK(fiber == fiber->hub->current);
    test_stay_count++;
}

static void fbl_embed_fresh(fbl_fiber *fiber)
{
    memset(fbl_stack_embed(fiber->stack), 0, FBL_STACK_EMBED_BYTES);
}

static void test_arrive(void)
{
    if (test_left != NULL)
        test_left->references--;
    test_left = NULL;
}

static fbl_fiber *fbl_embed_run(fbl_fiber *fiber)
{
    test_fiber *self = (test_fiber *)fiber;
    test_arrive();
    self->fn(self);
    fbl_fiber *next = self->next;
    if (next == NULL) {
        fiber->state = FBL_FIBER_DONE;
        next = fbl_hub_next(fiber->hub, true);
    }
    test_left = self;
    return next;
}

static void fbl_embed_hold(fbl_fiber *fiber) { ((test_fiber *)fiber)->references++; }

static void fbl_embed_stillborn(fbl_fiber *fiber, int err)
{
    ((test_fiber *)fiber)->error = err;
    ((test_fiber *)fiber)->references--;
    fbl_fiber_cancel(fiber);
}

/* By default a dead end wakes the main fiber, which then sees FBL_WAKE_THROWN. */
static bool fbl_embed_stalled(fbl_hub *hub, uint64_t *timeout_ns)
{
    (void)timeout_ns;
    test_stall_count++;
    if (test_on_stall != NULL)
        return test_on_stall();
    fbl_wake_fiber(hub->main, FBL_WAKE_THROWN);
    if (hub->main->state == FBL_FIBER_SUSPENDED)
        fbl_ready_fiber(hub->main);
    return true;
}

static uint64_t fbl_embed_turn_begins(fbl_hub *hub, uint64_t timeout_ns)
{
    (void)hub;
    test_begin_count++;
    return test_on_begin != NULL ? test_on_begin(timeout_ns) : timeout_ns;
}

static void fbl_embed_turn_ends(fbl_hub *hub)
{
    (void)hub;
    test_end_count++;
}

static void fbl_embed_block(fbl_hub *hub)
{
    (void)hub;
    test_block_count++;
    if (test_on_block != NULL)
        test_on_block();
}

static fbl_stack *fbl_embed_stack(void) { return test_hub.current->stack; }

static int test_mapped_count;

static void fbl_embed_mapped(fbl_hub *hub)
{
    (void)hub;
    test_mapped_count++;
}

static void fbl_embed_unblock(fbl_hub *hub)
{
    (void)hub;
    if (test_on_unblock != NULL)
        test_on_unblock();
    test_block_count--;
}

static void fbl_embed_interrupted(fbl_hub *hub, int err)
{
    test_interrupt_error = err;
    fbl_wake_fiber(hub->main, FBL_WAKE_THROWN);
}

/* ---- what tests do ---- */

/* A hub of our own for one test, in the world of sim.c at 1 s, or with a real epoll. */
static inline void test_open(bool is_sim)
{
    memset(&test_main, 0, sizeof test_main);
    memset(&test_hub, 0, sizeof test_hub);
    fbl_hub_init(&test_hub, &test_main.core, TEST_STACK_BYTES, FBL_STACK_BYTES_MIN);
    test_main.references = 1;
    test_stall_count = test_interrupt_error = test_stay_count = 0;
    test_on_stall = NULL;
    test_begin_count = test_end_count = 0;
    test_on_begin = NULL;
    test_on_block = test_on_unblock = NULL;
    if (!is_sim)
        return;
    CHECK_EQUAL(fbl_sim_install(&test_hub), 0);
    ((sim_world *)test_hub.poller_data)->now_ns = test_hub.looked_ns = 1000000000u;
}

static inline void test_close(void)
{
    test_arrive();
    CHECK_EQUAL(test_main.references, 1);
    CHECK_EQUAL(test_hub.stacks.live_count, 0);
    CHECK_EQUAL(test_block_count, 0);
    CHECK(fbl_list_is_empty(&test_hub.ready) && fbl_list_is_empty(&test_hub.ahead));
    CHECK(test_hub.fibers.next == &test_main.core.all &&
          test_hub.fibers.prev == &test_main.core.all);
    fbl_sim_remove(&test_hub);
    fbl_hub_close(&test_hub);
}

static inline test_fiber *test_make(test_fiber *fiber, void (*fn)(test_fiber *), void *argument)
{
    *fiber = (test_fiber){.fn = fn, .argument = argument};
    fbl_fiber_init(&fiber->core, &test_hub);
    return fiber;
}

/* Made and listed ready. */
static inline test_fiber *test_spawn(test_fiber *fiber, void (*fn)(test_fiber *), void *argument)
{
    test_make(fiber, fn, argument);
    fbl_ready_fiber(&fiber->core);
    return fiber;
}

static inline void test_sleep_until(uint64_t deadline_ns)
{
    CHECK_EQUAL(fbl_park_wait(&test_hub, deadline_ns), FBL_WAKE_TIMEOUT);
    test_arrive();
}

static inline void test_yield(void)
{
    fbl_yield_wait(&test_hub);
    test_arrive();
}

/* The current fiber leaves for `target`, as fiber_switch in python/passage.c does it. */
static inline int test_switch(fbl_fiber *target)
{
    fbl_fiber *self = test_hub.current;
    int rc = fbl_fiber_prepare(target);
    if (rc < 0)
        return rc;
    if (target->state == FBL_FIBER_PARKED) {
        fbl_wake_fiber(target, FBL_WAKE_SWITCHED);
        target->wake = FBL_WAKE_SWITCHED;
    }
    fbl_ready_remove(target);
    fbl_timer_cancel(&test_hub, &target->timer);
    if (!target->is_held)
        ((test_fiber *)target)->references++;
    test_left = (test_fiber *)self;
    self->state = FBL_FIBER_SUSPENDED;
    fbl_fiber_enter_switch(target);
    test_arrive();
    return 0;
}

#endif
