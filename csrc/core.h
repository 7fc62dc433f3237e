/*
 * core.h: the vocabulary of the native core: every struct, every field, every function, in reading
 * order.
 *
 * What it is: fibers with stacks of their own, and a hub per thread that decides which runs next.
 * Plain C: no file outside python/ knows that Python exists. Whoever embeds the core (CPython in
 * python/embed.h, or a C test) supplies the functions at the end of this file.
 *
 * The idea that keeps it simple: there is one way to block. A fiber registers waiters, parks, and
 * whoever fires first takes all of its other waiters out. And there is no scheduler fiber: the
 * fiber that parks picks the next ready one and switches straight to it, or asks the kernel itself.
 *
 * Invariants: a fiber that has started never leaves its thread. All calls on one hub happen under
 * one lock of the embedder's (the GIL); only weft_embed_block/unblock let go of it.
 * Names: only functions ending in _wait or _switch may switch; they return in the same fiber.
 * Errors: 0 or a negative errno. The core never prints and never raises.
 * Do not add: anything that only one embedder needs.
 */
#ifndef WEFT_CORE_H
#define WEFT_CORE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap.h"
#include "list.h"

typedef struct weft_stack weft_stack;
typedef struct weft_stack_pool weft_stack_pool;
typedef struct weft_slab weft_slab;
typedef struct weft_fiber weft_fiber;
typedef struct weft_waiter weft_waiter;
typedef struct weft_timer weft_timer;
typedef struct weft_fd weft_fd;
typedef struct weft_fd_watch weft_fd_watch;
typedef struct weft_event weft_event;
typedef struct weft_poller weft_poller;
typedef struct weft_hub weft_hub;
typedef struct weft_idle weft_idle;

#define WEFT_NEVER UINT64_MAX /* a deadline that never comes, ns */

#define weft_likely(condition) __builtin_expect(!!(condition), 1)
#define weft_unlikely(condition) __builtin_expect(!!(condition), 0)

/* ---- stack.c: what fibers run on ---------------------------------------------------------------
 *
 *   high  +----------------------+  <- base + bytes
 *         |          ...         |  untouched pages cost nothing
 *         | embed area, grows up |  WEFT_STACK_EMBED_BYTES for the embedder, while the fiber lives
 *         | weft_stack           |  this header
 *         +----------------------+  <- weft_stack_top: the first frame starts here
 *         | C stack, grows down  |
 *         |          ...         |  untouched pages cost nothing
 *         +----------------------+  <- weft_stack_low
 *         | guard                |  touching it is SIGSEGV, never a neighbour's data
 *   low   +----------------------+  <- base
 *
 * One page holds the first frames, the header, and the first WEFT_STACK_NEAR_BYTES of the embed
 * area: all that a shallow fiber touches. Both sides grow away from it.
 */
#define WEFT_STACK_NEAR_BYTES 1536u
#define WEFT_STACK_EMBED_BYTES (3u * 4096u + WEFT_STACK_NEAR_BYTES)
#define WEFT_STACK_GUARD_BYTES (64u * 1024u)
#define WEFT_STACK_UNIT (64u * 1024u) /* sizes are multiples of it: of every machine's page */
#define WEFT_STACK_BYTES_MIN (128u * 1024u)
#define WEFT_STACK_BYTES_MAX ((size_t)64 << 30)
#define WEFT_STACK_FREE_MAX 64 /* free stacks that a thread's first pool keeps warm */

struct weft_stack {
    weft_stack *next; /* the next free one, while in a pool */
    weft_slab *slab;  /* the mapping that it is part of */
    char *base;       /* its lowest byte, the guard's first */
    size_t bytes;     /* from there to its end, guard included */
};
_Static_assert(sizeof(weft_stack) % 16 == 0, "the embed area above the header must stay aligned");

/* The stacks of one size, of one thread. */
struct weft_stack_pool {
    weft_stack *free;      /* warm ones, last used first: their pages are in memory */
    size_t free_count;     /* how many of them */
    size_t live_count;     /* stacks that carry a fiber now */
    weft_stack *surplus;   /* the last given of those beyond the warm ones, or NULL */
    size_t stack_bytes;    /* size of each */
    size_t free_max;       /* how many are kept warm */
    weft_link slabs;       /* mappings that have room: cold or never used stacks */
    weft_link dirty;       /* of those, the ones that have pages to give back */
    size_t dirty_count;    /* cold stacks that still have their pages */
    weft_stack_pool *next; /* the thread's pool of another size, or NULL */
};

void weft_stack_pool_init(weft_stack_pool *pool, size_t stack_bytes);
void weft_stack_pool_clear(weft_stack_pool *pool);
void weft_stack_pool_trim(weft_stack_pool *pool);
bool weft_stack_pool_clean(weft_stack_pool *pool);
weft_stack_pool *weft_stack_pool_find(weft_stack_pool *first, size_t stack_bytes);
size_t weft_stack_round(size_t stack_bytes);
int weft_stack_take(weft_stack_pool *pool, weft_stack **stack);
void weft_stack_give(weft_stack *stack);
void weft_stack_trim(weft_stack *stack, const void *sp);
static inline char *weft_stack_low(const weft_stack *stack)
{
    return stack->base + WEFT_STACK_GUARD_BYTES;
}
static inline char *weft_stack_embed(weft_stack *stack) { return (char *)(stack + 1); }
static inline char *weft_stack_top(weft_stack *stack) { return (char *)stack; }
static inline size_t weft_stack_room(weft_stack *stack)
{
    return (size_t)(weft_stack_top(stack) - weft_stack_low(stack));
}

/* ---- slab.c: one mapping for many stacks ---------------------------------------------------- */
#define WEFT_SLAB_STACKS_MAX 128

struct weft_slab {
    weft_link link;        /* in pool->slabs while it has room, else unlisted */
    weft_stack_pool *pool; /* whose stacks these are */
    char *mapping;         /* what the kernel gave */
    size_t mapping_bytes;  /* all of it */
    char *first;           /* the lowest stack's base */
    uint32_t count;        /* stacks that there is place for */
    uint32_t used_count;   /* those numbered below have been used once: they have their guard */
    uint32_t cold_count;   /* of those, the ones that were given back */
    uint32_t dirty_count;  /* of those, the last so many still have their pages */
    weft_link dirty;       /* in pool->dirty while there are any, else unlisted */
    uint8_t cold[WEFT_SLAB_STACKS_MAX]; /* the numbers of the cold ones */
#if defined(WEFT_VALGRIND)
    unsigned memcheck_ids[WEFT_SLAB_STACKS_MAX]; /* of those used once: see memcheck.h */
#endif
};

int weft_slab_take(weft_stack_pool *pool, weft_stack **stack);
void weft_slab_give(weft_stack *stack);
void weft_slab_clear(weft_stack_pool *pool);
void weft_slab_clean(weft_stack_pool *pool, size_t dirty_max, size_t count_max);

/* ---- timer.c: deadlines --------------------------------------------------------------------- */
struct weft_timer {
    weft_heap_node node;                        /* its place among the hub's timers */
    uint64_t deadline_ns;                       /* on the hub's clock */
    uint64_t order;                             /* ties fire in the order they were started */
    void (*fire)(weft_hub *hub, weft_timer *t); /* called in dispatch; must not switch */
    bool is_started;                            /* in the heap now */
    bool is_aside;                              /* does not count as something still to happen */
};

void weft_timer_start(weft_hub *hub, weft_timer *timer, uint64_t deadline_ns);
void weft_timer_cancel(weft_hub *hub, weft_timer *timer);
uint64_t weft_timer_next(const weft_hub *hub);
weft_timer *weft_timer_after(const weft_hub *hub, weft_timer *timer);
void weft_timer_fire_due(weft_hub *hub);
void weft_timer_clear(weft_hub *hub);
void weft_timer_set_aside(weft_hub *hub, weft_timer *timer, bool is_aside);

/* ---- waiter.c: the one way to block -----------------------------------------------------------
 * A waiter lives on the C stack of the fiber that parks, for as long as it is parked.
 */
struct weft_waiter {
    weft_link link;    /* in the list of what is awaited; unlisted once fired or cancelled */
    weft_fiber *fiber; /* who waits */
    weft_waiter *next; /* the fiber's next waiter in the same park */
    bool is_fired;     /* what it waited for happened (it was not cancelled) */
};

/* Why a parked fiber goes on. */
typedef enum {
    WEFT_WAKE_NONE = 0, /* not woken: still parked */
    WEFT_WAKE_FIRED,    /* one of its waiters fired, or somebody woke it by name */
    WEFT_WAKE_TIMEOUT,  /* its deadline came first */
    WEFT_WAKE_CLOSED,   /* what it waited on was closed */
    WEFT_WAKE_THROWN,   /* the embedder has an exception for it */
    WEFT_WAKE_SWITCHED, /* somebody switched to it by hand, past the hub */
} weft_wake;

void weft_waiter_add(weft_waiter *waiter, weft_hub *hub, weft_link *list);
void weft_waiter_fire(weft_waiter *waiter);
bool weft_waiter_fire_first(weft_link *list);
bool weft_waiter_is_owner(const weft_waiter *waiter);
weft_wake weft_park_wait(weft_hub *hub, uint64_t deadline_ns);
weft_wake weft_yield_wait(weft_hub *hub);
void weft_wake_fiber(weft_fiber *fiber, weft_wake why);
void weft_ready_fiber(weft_fiber *fiber);
void weft_ready_fiber_at(weft_fiber *fiber, uint64_t deadline_ns);

/* ---- fiber.c: one fiber's life -------------------------------------------------------------- */
typedef enum {
    WEFT_FIBER_NEW = 0,   /* never ran; may be listed ready or have its timer started */
    WEFT_FIBER_RUNNING,   /* its hub's `current` */
    WEFT_FIBER_SUSPENDED, /* left by a switch to somebody named; comes back the same way */
    WEFT_FIBER_PARKED,    /* left through the hub; comes back when woken */
    WEFT_FIBER_DONE,      /* returned; has no stack */
    WEFT_FIBER_LOST,      /* its thread ended or was forked away: can never run again */
} weft_fiber_state;

/* Where a stack goes on. What else the ABI has a call keep lies on that stack. */
typedef struct {
    void *sp; /* stack pointer */
    void *fp; /* frame pointer */
    void *pc; /* program counter */
} weft_context;

struct weft_fiber {
    weft_context context; /* where to go on; meaningful while not running */
    weft_stack *stack; /* NULL for a thread's main fiber, and when NEW or DONE */
    weft_hub *hub; /* the thread it belongs to, for ever once it has started */
    weft_link ready; /* listed in hub->ready from wake to run */
    weft_link all; /* listed in hub->fibers from init to the end, for reports */
    weft_waiter *waiters; /* what it is parked on; NULL when not parked */
    weft_timer timer; /* the deadline of its park, or the start time of a NEW one */
    weft_fiber_state state; /* changed only by fiber.c, waiter.c and weft_hub_abandon */
    weft_wake wake; /* why it was woken; valid from wake until it runs */
    bool is_held; /* the hub, or what it waits on, owns one of the embedder's references */
    bool is_fd_wait; /* parked on a descriptor: the hub, not a primitive, owns the reference */
    const char *verb; /* what it is parked for ("to get from"), for reports; NULL: nothing */
    void *subject; /* what it is parked on, in the embedder's terms; valid while parked */
    int fd; /* the descriptor it is parked on, while is_fd_wait */
    uint32_t stack_units; /* the size of stack it wants, in WEFT_STACK_UNIT; 0: the usual one */
};

void weft_fiber_init(weft_fiber *fiber, weft_hub *hub);
void weft_fiber_move(weft_fiber *fiber, weft_hub *hub);
void weft_fiber_drop(weft_fiber *fiber);
void weft_fiber_cancel(weft_fiber *fiber);
void weft_fiber_lose(weft_fiber *fiber);
void weft_fiber_end_idle(weft_fiber *fiber);
int weft_fiber_prepare(weft_fiber *fiber);
bool weft_fiber_fits(const weft_fiber *fiber);
size_t weft_fiber_stack_bytes(const weft_fiber *fiber);
void weft_fiber_want_stack(weft_fiber *fiber, size_t bytes);
static inline bool weft_fiber_is_ready(const weft_fiber *fiber)
{
    return weft_list_has(&fiber->ready);
}

/* ---- fd.c: what the hub knows of a file descriptor ------------------------------------------ */
#define WEFT_READ 1u /* readable: data, a connection, end of stream, or an error */
#define WEFT_WRITE 2u /* writable, or an error */
#define WEFT_HANGUP 4u /* the peer closed, an error, or urgent data: short reads prove nothing */

struct weft_fd {
    int fd; /* the number, its index in the hub's table */
    uint32_t generation; /* which use of this number: events of an earlier one are stale */
    bool is_registered; /* the poller reports it */
    bool is_hungup; /* WEFT_HANGUP was seen */
    uint8_t ready; /* WEFT_READ | WEFT_WRITE: may be tried; cleared when found empty */
    weft_link readers; /* waiters for WEFT_READ, first come first served */
    weft_link writers; /* waiters for WEFT_WRITE */
    weft_link watches; /* who is told without waiting, see weft_fd_watch */
};

/* Who is told of a descriptor's readiness, and needs no fiber for it. Lives in the embedder's
 * object; told once for each weft_fd_watch_want, so it is the embedder who says how often. */
struct weft_fd_watch {
    weft_link link;   /* in weft_fd.watches while started */
    int fd;           /* what it watches */
    unsigned wanted;  /* WEFT_READ | WEFT_WRITE */
    bool is_aside;    /* does not count as something still to happen */
    void (*fire)(weft_hub *hub, weft_fd_watch *watch, unsigned ready); /* called in dispatch, or by
               weft_fd_forget, which has stopped it; must not switch, nor stop another watch */
};

int weft_fd_watch_start(weft_hub *hub, weft_fd_watch *watch);
int weft_fd_watch_want(weft_hub *hub, weft_fd_watch *watch);
void weft_fd_watch_stop(weft_hub *hub, weft_fd_watch *watch);
void weft_fd_watch_set_aside(weft_hub *hub, weft_fd_watch *watch, bool is_aside);
static inline bool weft_fd_watch_is_started(const weft_fd_watch *watch)
{
    return weft_list_has(&watch->link);
}

int weft_fd_get(weft_hub *hub, int fd, weft_fd **entry);
weft_wake weft_fd_wait(weft_hub *hub, weft_fd *entry, unsigned direction, uint64_t deadline_ns,
                       int *err);
weft_wake weft_fd_wait_foreign(weft_hub *hub, weft_fd *entry, unsigned direction,
                               uint64_t deadline_ns, int *err);
void weft_fd_event(weft_hub *hub, const weft_event *event);
void weft_fd_forget(weft_hub *hub, int fd);
bool weft_fd_is_awaited(const weft_hub *hub);
void weft_fd_renew(weft_hub *hub);
void weft_fd_clear(weft_hub *hub);

/* ---- idle.c: waiting until everybody else waits ----------------------------------------------
 * Lives on the C stack of the fiber that parks, as its waiter does.
 */
struct weft_idle {
    weft_waiter waiter; /* in hub->idle while parked */
    uint64_t cushion_ns; /* for how long it must have been quiet; 0: this moment is enough */
    int priority; /* of equal cushions, the highest is woken first, and alone */
};

weft_link *weft_idle_place(weft_hub *hub, const weft_idle *idle);
weft_wake weft_idle_wait(weft_hub *hub, weft_idle *idle);
uint64_t weft_idle_cushion(weft_hub *hub);
void weft_idle_fire(weft_hub *hub);

/* ---- poll.h: the contract of a poller; poll/ has one file each ------------------------------ */
struct weft_event {
    int fd; /* which */
    uint32_t generation; /* weft_fd.generation when it was registered */
    unsigned ready; /* WEFT_READ | WEFT_WRITE | WEFT_HANGUP */
};

/* ---- hub.c: prepare, block, dispatch -------------------------------------------------------- */
#define WEFT_HUB_BUDGET 64 /* switches between two looks at the kernel, however many are ready */
#define WEFT_HUB_EVENTS 256 /* events taken from the kernel at once */
#define WEFT_HUB_DUE 64 /* timers fired between two such looks, however many are due */

struct weft_hub {
    weft_link ready; /* fibers that may run, first in first out */
    weft_link idle; /* waiters for the moment when there is nothing else to do, see idle.c */
    weft_heap_node *timers; /* root of the started timers */
    uint64_t timer_order; /* next weft_timer.order */
    weft_fiber *current; /* who runs on this thread */
    weft_fiber *main; /* the fiber that the thread itself is */
    weft_link fibers; /* every fiber of this hub that has not ended */
    uint64_t switch_count; /* how many fibers weft_hub_next has chosen */
    uint64_t look_count; /* at that many the kernel is asked, however many are ready */
    uint64_t turn_count; /* how often the kernel was asked */
    uint32_t expected; /* wake-ups promised from outside (native threads, a host): no stall */
    uint32_t timer_count; /* started timers, less those that are aside */
    uint32_t fd_waiter_count; /* fibers parked on file descriptors, and watches */
    int32_t kept_count; /* what else counts as still to happen; less the above that does not */
    bool is_observed; /* the embedder is told of each turn: see weft_embed_turn_begins */
    uint64_t float_modes; /* the thread's at first use; a task starts with them */
    const char *cxx_sign; /* eight bytes, zero but for C++ exceptions in flight; see cxx.h */
    bool is_blocked; /* inside weft_embed_block: others must call poller->wake */
    bool is_open; /* the poller is open (it is opened when first needed) */
    uint64_t (*now)(weft_hub *hub); /* its clock, ns, never backwards */
    uint64_t clock_offset_ns; /* how far the real clock is behind it; 0 unless it was simulated */
    const weft_poller *poller; /* how it asks the kernel */
    int poller_fd; /* the poller's own descriptor, -1 if it has none */
    int wake_fd; /* the poller's way to be woken, -1 if it has none */
    int signal_fds[2]; /* a pipe: any byte written to [1] wakes the poller too; -1: there is none */
    bool wants_signals; /* the poller is to make that pipe when it is opened */
    void *poller_data; /* whatever else the poller needs */
    weft_fd **fds; /* by number; NULL where never used */
    size_t fds_length; /* entries in `fds` */
    size_t stack_bytes; /* of a stack for who wants no other size */
    weft_stack_pool stacks; /* this thread's stacks, of the first usual size; chained: others */
    weft_event events[WEFT_HUB_EVENTS]; /* between block and dispatch */
};

void weft_hub_init(weft_hub *hub, weft_fiber *main, size_t stack_bytes);
void weft_hub_close(weft_hub *hub);
int weft_hub_open(weft_hub *hub);
uint64_t weft_hub_prepare(weft_hub *hub);
bool weft_hub_is_idle(const weft_hub *hub);
int weft_hub_block(weft_hub *hub, uint64_t timeout_ns);
void weft_hub_dispatch(weft_hub *hub, int count);
weft_fiber *weft_hub_next(weft_hub *hub, bool is_end);
uint64_t weft_hub_now(weft_hub *hub);
uint64_t weft_hub_deadline(weft_hub *hub, double seconds);
void weft_hub_notify(weft_hub *hub);
void weft_hub_trim(weft_hub *hub);
void weft_hub_abandon(weft_hub *hub, weft_fiber *survivor);
extern const weft_poller weft_poller_epoll; /* the default */
extern const weft_poller weft_poller_sim; /* tests: a clock that jumps, readiness by order */
int weft_sim_install(weft_hub *hub);
void weft_sim_remove(weft_hub *hub);
int weft_sim_feed(weft_hub *hub, int fd, unsigned ready);

/* ---- cxx.c: exceptions of C++ in flight ---------------------------------------------------- */
void weft_cxx_watch(weft_hub *hub);
void weft_cxx_enter_switch(weft_fiber *target);

/* ---- what the embedder supplies ------------------------------------------------------------- */

/* Just before the stacks are swapped: keep `source`'s share of the embedder's state, bring in
 * `target`'s. `source` may be DONE: then there is nothing to keep. Must not switch or allocate. */
static inline void weft_embed_swap(weft_fiber *source, weft_fiber *target);

/* A fiber parked and is the next to run itself: nothing is switched. */
static inline void weft_embed_stay(weft_fiber *fiber);

/* A fiber got its stack and will start: lay out its share of the embedder's state. */
static void weft_embed_fresh(weft_fiber *fiber);

/* The fiber's whole life, on its own stack. Returns who runs next, which may be NEW: it then takes
 * over this stack. The fiber is DONE and nobody comes back. */
static weft_fiber *weft_embed_run(weft_fiber *fiber);

/* The hub, or what the fiber waits on, now owns a reference to the fiber. Taken back silently when
 * the fiber becomes current: being current is a reference too, and the one becomes the other. */
static void weft_embed_hold(weft_fiber *fiber);

/* A fiber that must run cannot get a stack (-ENOMEM). The embedder ends it, or wakes somebody. */
static void weft_embed_stillborn(weft_fiber *fiber, int err);

/* Nothing is ready and nothing that counts can become ready. True: look again, for somebody was
 * made ready, or something that counts was started. False: sleep all the same (the embedder knows
 * of a reason to hope, such as signal handlers). */
static bool weft_embed_stalled(weft_hub *hub);

/* While hub->is_observed: a turn begins. May make somebody ready. Returns for how long may
 * be slept, no longer than timeout_ns. */
static uint64_t weft_embed_turn_begins(weft_hub *hub, uint64_t timeout_ns);

/* The same turn ends: the kernel was asked, and who was to be woken is ready. */
static void weft_embed_turn_ends(weft_hub *hub);

/* Around the only blocking call; another thread may use the hub between the two. */
static void weft_embed_block(weft_hub *hub);
static void weft_embed_unblock(weft_hub *hub);

/* The blocking call was interrupted by a signal (-EINTR), or failed otherwise. May make somebody
 * ready (the main fiber, with KeyboardInterrupt). */
static void weft_embed_interrupted(weft_hub *hub, int err);

#endif
