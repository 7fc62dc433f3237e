/*
 * core.h: the vocabulary of the native core: every struct, every field, every function, in reading
 * order.
 *
 * What it is: fibers with stacks of their own, and a hub per thread that decides which runs next.
 * Plain C: no file outside python/ knows that Python exists. Whoever embeds the core (CPython in
 * python/embed.c, or a C test) supplies the functions at the end of this file.
 *
 * The idea that keeps it simple: there is one way to block. A fiber registers waiters, parks, and
 * whoever fires first takes all of its other waiters out. And there is no scheduler fiber: the
 * fiber that parks picks the next ready one and switches straight to it, or asks the kernel itself.
 *
 * Invariants: a fiber that has started never leaves its thread. All calls on one hub happen under
 * one lock of the embedder's (the GIL); only fbl_embed_block/unblock let go of it.
 * Names: only functions ending in _wait or _switch may switch; they return in the same fiber.
 * Errors: 0 or a negative errno. The core never prints and never raises.
 * Do not add: anything that only one embedder needs.
 */
#ifndef FBL_CORE_H
#define FBL_CORE_H

#define _GNU_SOURCE 1 /* Linux's own calls; so this file comes before any of the system's */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/heap.h"
#include "core/list.h"

typedef struct fbl_stack fbl_stack;
typedef struct fbl_stack_pool fbl_stack_pool;
typedef struct fbl_slab fbl_slab;
typedef struct fbl_fiber fbl_fiber;
typedef struct fbl_waiter fbl_waiter;
typedef struct fbl_timer fbl_timer;
typedef struct fbl_fd fbl_fd;
typedef struct fbl_fd_watch fbl_fd_watch;
typedef struct fbl_event fbl_event;
typedef struct fbl_poller fbl_poller;
typedef struct fbl_hub fbl_hub;
typedef struct fbl_idle fbl_idle;

#define FBL_NEVER UINT64_MAX /* a deadline that never comes, ns */

/* What only an assertion looks at; nothing in a release build. */
#ifdef NDEBUG
#define fbl_assert_only(statement) (void)0
#else
#define fbl_assert_only(statement) statement
#endif

/* gcc's way to say that AddressSanitizer is on; clang has another. */
#if defined(__has_feature) && !defined(__SANITIZE_ADDRESS__)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#define fbl_likely(condition) __builtin_expect(!!(condition), 1)
#define fbl_unlikely(condition) __builtin_expect(!!(condition), 0)

/* ---- stack.c: what fibers run on ---------------------------------------------------------------
 *
 *   high  +----------------------+  <- base + bytes
 *         |          ...         |  untouched pages cost nothing
 *         | embed area, grows up |  FBL_STACK_EMBED_BYTES for the embedder, while the fiber lives
 *         | fbl_stack           |  this header
 *         +----------------------+  <- fbl_stack_top: the first frame starts here
 *         | C stack, grows down  |
 *         |          ...         |  untouched pages cost nothing
 *         +----------------------+  <- fbl_stack_low
 *         | guard                |  touching it is SIGSEGV, never a neighbour's data
 *   low   +----------------------+  <- base
 *
 * One page holds the first frames, the header, and the first FBL_STACK_NEAR_BYTES of the embed
 * area: all that a shallow fiber touches. Both sides grow away from it.
 */
#define FBL_STACK_NEAR_BYTES 1536u
#define FBL_STACK_EMBED_BYTES (3u * 4096u + FBL_STACK_NEAR_BYTES)
#define FBL_STACK_GUARD_BYTES (64u * 1024u)
#define FBL_STACK_UNIT (64u * 1024u) /* sizes are multiples of it: of every machine's page */
#define FBL_STACK_BYTES_MIN (128u * 1024u)
#define FBL_STACK_BYTES_MAX ((size_t)64 << 30)
#define FBL_STACK_FREE_MAX 64 /* free stacks that a thread's first pool keeps warm */

struct fbl_stack {
    fbl_stack *next; /* the next free one, while in a pool */
    fbl_slab *slab;  /* the mapping that it is part of */
    char *base;       /* its lowest byte, the guard's first */
    size_t bytes;     /* from there to its end, guard included */
};
_Static_assert(sizeof(fbl_stack) % 16 == 0, "the embed area above the header must stay aligned");

/* The stacks of one size, of one thread. */
struct fbl_stack_pool {
    fbl_stack *free;      /* warm ones, last used first: their pages are in memory */
    size_t free_count;     /* how many of them */
    size_t live_count;     /* stacks that carry a fiber now */
    fbl_stack *surplus;   /* the last given of those beyond the warm ones, or NULL */
    size_t stack_bytes;    /* size of each */
    size_t free_max;       /* how many are kept warm */
    fbl_link slabs;       /* mappings that have room: cold or never used stacks */
    fbl_link dirty;       /* of those, the ones that have pages to give back */
    size_t dirty_count;    /* cold stacks that still have their pages */
    fbl_stack_pool *next; /* the thread's pool of another size, or NULL */
};

void fbl_stack_pool_init(fbl_stack_pool *pool, size_t stack_bytes);
void fbl_stack_pool_clear(fbl_stack_pool *pool);
void fbl_stack_pool_trim(fbl_stack_pool *pool);
bool fbl_stack_pool_clean(fbl_stack_pool *pool);
fbl_stack_pool *fbl_stack_pool_find(fbl_stack_pool *first, size_t stack_bytes);
size_t fbl_stack_round(size_t stack_bytes);
int fbl_stack_take(fbl_stack_pool *pool, unsigned quarters, fbl_stack **stack);
int fbl_stack_take_usual(fbl_hub *hub, fbl_stack **stack);
void fbl_stack_give(fbl_stack *stack);
void fbl_stack_trim(fbl_stack *stack, const void *sp);
void fbl_stack_abandon(fbl_stack *stack);
static inline char *fbl_stack_low(const fbl_stack *stack)
{
    return stack->base + FBL_STACK_GUARD_BYTES;
}
static inline char *fbl_stack_embed(fbl_stack *stack) { return (char *)(stack + 1); }
static inline char *fbl_stack_top(fbl_stack *stack) { return (char *)stack; }
static inline size_t fbl_stack_room(fbl_stack *stack)
{
    return (size_t)(fbl_stack_top(stack) - fbl_stack_low(stack));
}

/* ---- space.c: limits of the address space ----------------------------------------------------
 * Stacks may take so many quarters of it, together with the one that is to be mapped:
 */
#define FBL_QUARTERS_USUAL 1u /* if that is as large as usual */
#define FBL_QUARTERS_EIGHTH 2u /* an eighth of that */
#define FBL_QUARTERS_LEAST 3u /* as small as can be */
#define FBL_QUARTERS_ALL 4u /* as large as its fiber asked for */

size_t fbl_space_left(unsigned quarters);
void fbl_space_take(ptrdiff_t bytes);

/* ---- slab.c: one mapping for many stacks ---------------------------------------------------- */
#define FBL_SLAB_STACKS_MAX 128

struct fbl_slab {
    fbl_link link;        /* in pool->slabs while it has room, else unlisted */
    fbl_stack_pool *pool; /* whose stacks these are */
    char *mapping;         /* what the kernel gave */
    size_t mapping_bytes;  /* all of it */
    char *first;           /* the lowest stack's base */
    uint32_t count;        /* stacks that there is place for */
    uint32_t used_count;   /* those numbered below have been used once: they have their guard */
    uint32_t cold_count;   /* of those, the ones that were given back */
    uint32_t dirty_count;  /* of those, the last so many still have their pages */
    fbl_link dirty;       /* in pool->dirty while there are any, else unlisted */
    uint8_t cold[FBL_SLAB_STACKS_MAX]; /* the numbers of the cold ones */
#if defined(FBL_VALGRIND)
    unsigned memcheck_ids[FBL_SLAB_STACKS_MAX]; /* of those used once: see memcheck.h */
#endif
};

int fbl_slab_take(fbl_stack_pool *pool, unsigned quarters, fbl_stack **stack);
void fbl_slab_give(fbl_stack *stack);
void fbl_slab_clear(fbl_stack_pool *pool);
void fbl_slab_clean(fbl_stack_pool *pool, size_t dirty_max, size_t count_max);

/* ---- slot.c: another function for one library ----------------------------------------------- */
int fbl_slot_exchange(const void *inside, const char *name, void *function, void **former);

/* ---- bounds.c: who asks for the bounds of the stack ----------------------------------------- */
int fbl_bounds_correct(const void *inside);

/* ---- timer.c: deadlines --------------------------------------------------------------------- */
struct fbl_timer {
    fbl_heap_node node;                        /* its place among the hub's timers */
    uint64_t deadline_ns;                       /* on the hub's clock */
    uint64_t order;                             /* ties fire in the order they were started */
    void (*fire)(fbl_hub *hub, fbl_timer *t); /* called in dispatch; must not switch */
    bool is_started;                            /* in the heap now */
    bool is_aside;                              /* does not count as something still to happen */
};

void fbl_timer_start(fbl_hub *hub, fbl_timer *timer, uint64_t deadline_ns);
void fbl_timer_cancel(fbl_hub *hub, fbl_timer *timer);
uint64_t fbl_timer_next(const fbl_hub *hub);
fbl_timer *fbl_timer_after(const fbl_hub *hub, fbl_timer *timer);
void fbl_timer_fire_due(fbl_hub *hub);
void fbl_timer_clear(fbl_hub *hub);
void fbl_timer_set_aside(fbl_hub *hub, fbl_timer *timer, bool is_aside);

/* ---- waiter.c: what a parked fiber waits on, and waking it ------------------------------------
 * A waiter lives on the C stack of the fiber that parks, for as long as it is parked.
 */
struct fbl_waiter {
    fbl_link link;    /* in the list of what is awaited; unlisted once fired or cancelled */
    fbl_fiber *fiber; /* who waits */
    fbl_waiter *next; /* the fiber's next waiter in the same park */
    bool is_fired;     /* what it waited for happened (it was not cancelled) */
};

/* Why a parked fiber goes on. */
typedef enum {
    FBL_WAKE_NONE = 0, /* not woken: still parked */
    FBL_WAKE_FIRED,    /* one of its waiters fired, or somebody woke it by name */
    FBL_WAKE_TIMEOUT,  /* its deadline came first */
    FBL_WAKE_CLOSED,   /* what it waited on was closed */
    FBL_WAKE_THROWN,   /* the embedder has an exception for it */
    FBL_WAKE_SWITCHED, /* somebody switched to it by hand, past the hub */
} fbl_wake;

void fbl_waiter_add(fbl_waiter *waiter, fbl_hub *hub, fbl_link *list);
void fbl_waiter_fire(fbl_waiter *waiter);
bool fbl_waiter_fire_first(fbl_link *list);
bool fbl_waiter_is_owner(const fbl_waiter *waiter);
void fbl_wake_fiber(fbl_fiber *fiber, fbl_wake why);
void fbl_ready_fiber(fbl_fiber *fiber);
void fbl_ready_fiber_at(fbl_fiber *fiber, uint64_t deadline_ns);

/* ---- ready.c: who may run, and in which order they do --------------------------------------- */
static inline void fbl_ready_append(fbl_fiber *fiber);
static inline void fbl_ready_remove(fbl_fiber *fiber);
static inline fbl_fiber *fbl_ready_take(fbl_hub *hub);
void fbl_ready_advance(fbl_fiber *fiber, fbl_link *place);

/* ---- fiber.c: one fiber's life -------------------------------------------------------------- */
typedef enum {
    FBL_FIBER_NEW = 0,   /* never ran; may be listed ready or have its timer started */
    FBL_FIBER_RUNNING,   /* its hub's `current` */
    FBL_FIBER_SUSPENDED, /* left by a switch to somebody named; comes back the same way */
    FBL_FIBER_PARKED,    /* left through the hub; comes back when woken */
    FBL_FIBER_DONE,      /* returned; has no stack */
    FBL_FIBER_LOST,      /* its thread ended or was forked away: can never run again */
    FBL_FIBER_GUEST,     /* runs, in a call on the thread's own stack: must not leave; guest.c */
} fbl_fiber_state;

/* Where a stack goes on. What else the ABI has a call keep lies on that stack. */
typedef struct {
    void *sp; /* stack pointer */
    void *fp; /* frame pointer */
    void *pc; /* program counter */
} fbl_context;

struct fbl_fiber {
    fbl_context context; /* where to go on; meaningful while not running */
    fbl_stack *stack; /* NULL for a thread's main fiber, and when NEW or DONE */
    fbl_hub *hub; /* the thread it belongs to, for ever once it has started */
    fbl_link ready; /* listed in hub->ready from wake to run */
    fbl_link all; /* listed in hub->fibers from init to the end, for reports */
    fbl_waiter *waiters; /* what it is parked on; NULL when not parked */
    fbl_timer timer; /* the deadline of its park, or the start time of a NEW one */
    fbl_fiber_state state; /* changed by who enters or leaves it, and by who ends it */
    fbl_wake wake; /* why it was woken; valid from wake until it runs */
    bool is_held; /* the hub, or what it waits on, owns one of the embedder's references */
    bool is_fd_wait; /* parked on a descriptor: the hub, not a primitive, owns the reference */
    const char *verb; /* what it is parked for ("to get from"), for reports; NULL: nothing */
    void *subject; /* what it is parked on, in the embedder's terms; valid while parked */
    int fd; /* the descriptor it is parked on, while is_fd_wait */
    uint32_t stack_units; /* the size of stack it wants, in FBL_STACK_UNIT; 0: the usual one */
    fbl_link ahead; /* in hub->ahead, beside hub->ready, if it may overtake; see ready.c */
};

void fbl_fiber_init(fbl_fiber *fiber, fbl_hub *hub);
void fbl_fiber_move(fbl_fiber *fiber, fbl_hub *hub);
void fbl_fiber_drop(fbl_fiber *fiber);
void fbl_fiber_cancel(fbl_fiber *fiber);
void fbl_fiber_lose(fbl_fiber *fiber);
void fbl_fiber_end_idle(fbl_fiber *fiber);
int fbl_fiber_prepare(fbl_fiber *fiber);
bool fbl_fiber_fits(const fbl_fiber *fiber);
size_t fbl_fiber_stack_bytes(const fbl_fiber *fiber);
void fbl_fiber_want_stack(fbl_fiber *fiber, size_t bytes);
static inline bool fbl_fiber_is_ready(const fbl_fiber *fiber)
{
    return fbl_list_has(&fiber->ready);
}
static inline bool fbl_fiber_is_running(const fbl_fiber *fiber)
{
    return fiber->state == FBL_FIBER_RUNNING || fiber->state == FBL_FIBER_GUEST;
}

/* ---- guest.c: a call on the thread's own stack ---------------------------------------------- */
bool fbl_guest_is_home(const fbl_hub *hub);
void fbl_guest_call(fbl_hub *hub, void (*fn)(void *), void *argument);

/* ---- entry.c: functions of a library that are always called on the thread's own stack ------- */
#define FBL_ENTRIES_MAX 256 /* as many as switch/ has code for */

int fbl_entry_replace(void **table, size_t count);

/* ---- fd.c: what the hub knows of a file descriptor ------------------------------------------ */
#define FBL_READ 1u /* readable: data, a connection, end of stream, or an error */
#define FBL_WRITE 2u /* writable, or an error */
#define FBL_HANGUP 4u /* the peer closed, an error, or urgent data: short reads prove nothing */

struct fbl_fd {
    int fd; /* the number, its index in the hub's table */
    uint32_t generation; /* which use of this number: events of an earlier one are stale */
    bool is_registered; /* the poller reports it */
    bool is_hungup; /* FBL_HANGUP was seen */
    uint8_t ready; /* FBL_READ | FBL_WRITE: may be tried; cleared when found empty */
    uint64_t
        unblocking_turn; /* in that turn of the hub it was seen to be O_NONBLOCK; the embedder's */
    fbl_link readers; /* waiters for FBL_READ, first come first served */
    fbl_link writers; /* waiters for FBL_WRITE */
    fbl_link watches; /* who is told without waiting, see fbl_fd_watch */
};

/* Who is told of a descriptor's readiness, and needs no fiber for it. Lives in the embedder's
 * object; told once for each fbl_fd_watch_want, so it is the embedder who says how often. */
struct fbl_fd_watch {
    fbl_link link; /* in fbl_fd.watches while started */
    int fd; /* what it watches */
    unsigned wanted; /* FBL_READ | FBL_WRITE */
    bool is_aside; /* does not count as something still to happen */
    void (*fire)(fbl_hub *hub, fbl_fd_watch *watch, unsigned ready); /* called in dispatch, or by
               fbl_fd_forget, which has stopped it; must not switch, nor stop another watch */
};

int fbl_fd_watch_start(fbl_hub *hub, fbl_fd_watch *watch);
int fbl_fd_watch_want(fbl_hub *hub, fbl_fd_watch *watch);
void fbl_fd_watch_stop(fbl_hub *hub, fbl_fd_watch *watch);
void fbl_fd_watch_set_aside(fbl_hub *hub, fbl_fd_watch *watch, bool is_aside);
static inline bool fbl_fd_watch_is_started(const fbl_fd_watch *watch)
{
    return fbl_list_has(&watch->link);
}

int fbl_fd_get(fbl_hub *hub, int fd, fbl_fd **entry);
int fbl_fd_register(fbl_hub *hub, fbl_fd *entry);
void fbl_fd_event(fbl_hub *hub, const fbl_event *event);
void fbl_fd_forget(fbl_hub *hub, int fd);
bool fbl_fd_is_awaited(const fbl_hub *hub);
void fbl_fd_renew(fbl_hub *hub);
void fbl_fd_clear(fbl_hub *hub);

/* ---- idle.c: the moment when everybody waits --------------------------------------------------
 * Lives on the C stack of the fiber that parks, as its waiter does.
 */
struct fbl_idle {
    fbl_waiter waiter; /* in hub->idle while parked */
    uint64_t cushion_ns; /* for how long it must have been quiet; 0: this moment is enough */
    int priority; /* of equal cushions, the highest is woken first, and alone */
};

fbl_link *fbl_idle_place(fbl_hub *hub, const fbl_idle *idle);
uint64_t fbl_idle_cushion(fbl_hub *hub);
void fbl_idle_fire(fbl_hub *hub);

/* ---- poller.h: the contract of a poller; poll/ has one file each ---------------------------- */
struct fbl_event {
    int fd; /* which */
    uint32_t generation; /* fbl_fd.generation when it was registered */
    unsigned ready; /* FBL_READ | FBL_WRITE | FBL_HANGUP */
};

/* ---- hub.c: prepare, block, dispatch -------------------------------------------------------- */
#define FBL_HUB_BUDGET 64 /* switches between two looks at the kernel, however many are ready */
#define FBL_HUB_LATE_NS 5000000 /* time between two looks, however few switches it is */
#define FBL_HUB_STEP 16 /* switches between two glances at the clock for that, usually */
#define FBL_HUB_EVENTS 256 /* events taken from the kernel at once */
#define FBL_HUB_DUE 64 /* timers fired between two such looks, however many are due */
#define FBL_PRIVATE_RANGES_MAX 64 /* thread-local variables that fibers keep, see private.c */
#define FBL_PRIVATE_BYTES_MAX 1024 /* of all of them; on the stack of a fiber that has some */

struct fbl_hub {
    fbl_link ready; /* fibers that may run, first in first out */
    fbl_link ahead; /* those of them that may overtake, see ready.c; mostly empty */
    fbl_fiber *current; /* who runs on this thread */
    uint64_t switch_count; /* how many fibers fbl_hub_next has chosen */
    uint64_t glance_count; /* at that many the clock is glanced at; never above look_count */
    bool is_looking; /* the kernel and the timers are asked, and others are ready meanwhile */
    bool is_laden; /* who was ready took long, lately: looks are by the clock */
    fbl_link idle; /* waiters for the moment when there is nothing else to do, see idle.c */
    fbl_heap_node *timers; /* root of the started timers */
    uint64_t timer_order; /* next fbl_timer.order */
    fbl_fiber *main; /* the fiber that the thread itself is */
    fbl_link fibers; /* every fiber of this hub that has not ended */
    uint64_t look_count; /* at that many the kernel is asked, however many are ready */
    uint64_t looked_ns; /* when the kernel was asked last; by fbl_hub_glance */
    uint64_t chosen_ns; /* when a fiber was chosen that others may be ahead of; by fbl_hub_glance */
    uint64_t ahead_until_ns; /* for so long, those ahead may go on */
    bool was_ahead; /* the last choice from two queues was one of `ahead` */
    uint64_t turn_count; /* how often the kernel was asked */
    uint32_t expected; /* wake-ups promised from outside (native threads, a host): no stall */
    uint32_t timer_count; /* started timers, less those that are aside */
    uint32_t fd_waiter_count; /* fibers parked on file descriptors, and watches */
    int32_t kept_count; /* what else counts as still to happen; less the above that does not */
    bool is_observed; /* the embedder is told of each turn: see fbl_embed_turn_begins */
    uint64_t float_modes; /* the thread's at first use; a task starts with them */
    const char *cxx_sign; /* eight bytes, zero but for what each fiber keeps itself; see cxx.h */
    bool is_choosing; /* inside fbl_hub_next, where nobody may switch; for assertions only */
    bool is_lent; /* a call of `current`'s runs on the main fiber's stack, see guest.c */
    bool is_blocked; /* inside fbl_embed_block: others must call poller->wake */
    bool is_open; /* the poller is open (it is opened when first needed) */
    uint64_t (*now)(fbl_hub *hub); /* its clock, ns, never backwards */
    uint64_t clock_offset_ns; /* how far the real clock is behind it; 0 unless it was simulated */
    const fbl_poller *poller; /* how it asks the kernel */
    int poller_fd; /* the poller's own descriptor, -1 if it has none */
    int wake_fd; /* the poller's way to be woken, -1 if it has none */
    int signal_fds[2]; /* a pipe: any byte written to [1] wakes the poller too; -1: there is none */
    bool wants_signals; /* the poller is to make that pipe when it is opened */
    void *poller_data; /* whatever else the poller needs */
    int eagerness; /* the poller's: it looks again before it sleeps if this is not negative */
    fbl_fd **fds; /* by number; NULL where never used */
    size_t fds_length; /* entries in `fds` */
    size_t stack_bytes; /* of a stack for who wants no other size */
    size_t stack_bytes_least; /* to that it may shrink, where address space is short */
    bool is_short; /* it has: such stacks are in use */
    fbl_stack_pool stacks; /* this thread's stacks, of the first usual size; chained: others */
    uint32_t private_count; /* so many of private.c's ranges have been found in this thread */
    char *privates[FBL_PRIVATE_RANGES_MAX]; /* where they are */
    fbl_event events[FBL_HUB_EVENTS]; /* between block and dispatch */
};

void fbl_hub_init(fbl_hub *hub, fbl_fiber *main, size_t stack_bytes, size_t stack_bytes_least);
void fbl_hub_close(fbl_hub *hub);
int fbl_hub_open(fbl_hub *hub);
uint64_t fbl_hub_prepare(fbl_hub *hub);
bool fbl_hub_is_idle(const fbl_hub *hub);
int fbl_hub_block(fbl_hub *hub, uint64_t timeout_ns);
void fbl_hub_dispatch(fbl_hub *hub, int count);
fbl_fiber *fbl_hub_next(fbl_hub *hub, bool is_end);
void fbl_hub_look_soon(fbl_hub *hub);
uint64_t fbl_clock_ns(void);
uint64_t fbl_hub_now(fbl_hub *hub);
uint64_t fbl_hub_glance(fbl_hub *hub);
uint64_t fbl_hub_deadline(fbl_hub *hub, double seconds);
void fbl_hub_notify(fbl_hub *hub);
void fbl_hub_trim(fbl_hub *hub);
int fbl_hub_renew(fbl_hub *hub);
void fbl_hub_abandon(fbl_hub *hub, fbl_fiber *survivor);
extern const fbl_poller fbl_poller_epoll; /* the default */
extern const fbl_poller fbl_poller_sim; /* tests: a clock that jumps, readiness by order */
int fbl_sim_install(fbl_hub *hub);
void fbl_sim_remove(fbl_hub *hub);
int fbl_sim_feed(fbl_hub *hub, int fd, unsigned ready);

/* ---- park.c: the one way to block ----------------------------------------------------------- */
fbl_wake fbl_park_wait(fbl_hub *hub, uint64_t deadline_ns);
fbl_wake fbl_yield_wait(fbl_hub *hub);
fbl_wake fbl_fd_wait(fbl_hub *hub, fbl_fd *entry, unsigned direction, uint64_t deadline_ns,
                     int *err);
fbl_wake fbl_fd_foreign_wait(fbl_hub *hub, fbl_fd *entry, unsigned direction, uint64_t deadline_ns,
                             int *err);
fbl_wake fbl_idle_wait(fbl_hub *hub, fbl_idle *idle);

/* ---- cxx.c: exceptions of C++ in flight, and what else a fiber keeps when it leaves --------- */
void fbl_cxx_watch(fbl_hub *hub);
void fbl_cxx_enter_switch(fbl_fiber *target);
void fbl_cxx_forget(fbl_hub *hub);

/* ---- private.c: thread-local variables of libraries that each fiber has of its own ----------- */

/* A library's thread-local variables. */
typedef struct {
    const void *inside; /* an address of the library's */
    char *at; /* where the thread has them that asked for this */
    size_t bytes; /* how many */
    const char *image; /* what they begin as */
    size_t image_bytes; /* so many of them; the rest is zeros */
} fbl_private_block;

int fbl_private_add(const char *path, size_t offset, size_t bytes, bool is_limit);
int fbl_private_look(const char *path, fbl_private_block *block);
void fbl_private_reset(const fbl_private_block *block, size_t offset, size_t bytes);
bool fbl_private_is_wanted(void);
bool fbl_private_has_limit(void);
bool fbl_private_is_laden(fbl_hub *hub);
uint32_t fbl_private_take(fbl_hub *hub, char *place);
void fbl_private_give(fbl_hub *hub, const char *place, uint32_t count);
uint32_t fbl_private_take_limits(fbl_hub *hub, char *place);
void fbl_private_give_limits(fbl_hub *hub, const char *place, uint32_t count);

/* ---- limit.c: libraries that remember where the thread's stack ends -------------------------- */
int fbl_limit_find(const char *path, void (*provoke)(void *), void *argument, size_t *offset);
int fbl_limit_follow(const char *path, size_t offset, size_t bytes);

/* ---- what the embedder supplies ------------------------------------------------------------- */

/* Just before the stacks are swapped: keep `source`'s share of the embedder's state, bring in
 * `target`'s. `source` may be DONE: then there is nothing to keep. Must not switch or allocate. */
static inline void fbl_embed_swap(fbl_fiber *source, fbl_fiber *target);

/* A call of the current fiber's begins, or ends, on the main fiber's stack: what the embedder knows
 * of the stack changes. Possibly without the embedder's lock. */
static void fbl_embed_lend(fbl_fiber *guest);
static void fbl_embed_unlend(fbl_fiber *guest);

/* The hub of the calling thread, or NULL. Possibly without the embedder's lock. */
static fbl_hub *fbl_embed_hub(void);

/* A fiber parked and is the next to run itself: nothing is switched. */
static inline void fbl_embed_stay(fbl_fiber *fiber);

/* A fiber got its stack and will start: lay out its share of the embedder's state. */
static void fbl_embed_fresh(fbl_fiber *fiber);

/* The fiber's whole life, on its own stack. Returns who runs next, which may be NEW: it then takes
 * over this stack. The fiber is DONE and nobody comes back. */
static fbl_fiber *fbl_embed_run(fbl_fiber *fiber);

/* The hub, or what the fiber waits on, now owns a reference to the fiber. Taken back silently when
 * the fiber becomes current: being current is a reference too, and the one becomes the other. */
static void fbl_embed_hold(fbl_fiber *fiber);

/* A fiber that must run cannot get a stack (-ENOMEM). The embedder ends it, or wakes somebody. */
static void fbl_embed_stillborn(fbl_fiber *fiber, int err);

/* Nothing is ready and nothing that counts can become ready. True: look again, for somebody was
 * made ready, or something that counts was started. False: sleep all the same (the embedder knows
 * of a reason to hope, such as signal handlers), for as long as it may have lowered. */
static bool fbl_embed_stalled(fbl_hub *hub, uint64_t *timeout_ns);

/* While hub->is_observed: a turn begins. May make somebody ready. Returns for how long may
 * be slept, no longer than timeout_ns. */
static uint64_t fbl_embed_turn_begins(fbl_hub *hub, uint64_t timeout_ns);

/* The same turn ends: the kernel was asked, and who was to be woken is ready. */
static void fbl_embed_turn_ends(fbl_hub *hub);

/* The stack of the fiber that runs on this native thread; NULL: its main fiber does, or none. Any
 * thread may ask, with the embedder's lock or without. */
static fbl_stack *fbl_embed_stack(void);

/* More memory was mapped for stacks. Must not switch; whoever is current may have half a stack. */
static void fbl_embed_mapped(fbl_hub *hub);

/* Around the only blocking call; another thread may use the hub between the two. */
static void fbl_embed_block(fbl_hub *hub);
static void fbl_embed_unblock(fbl_hub *hub);

/* The blocking call was interrupted by a signal (-EINTR), or failed otherwise. May make somebody
 * ready (the main fiber, with KeyboardInterrupt). */
static void fbl_embed_interrupted(fbl_hub *hub, int err);

#endif
