/*
 * uring.c: what poll cannot tell of: reading and writing files on disks, fsync, open.
 *
 * The idea: such a call is handed to the kernel through a ring (io_uring), and goes on there while
 * others run; that some have ended, the poller tells, as the ring is a descriptor like another. So
 * one thread has as many under way as fibers wait, and none of them costs a thread.
 *
 * A ring is made for a hub that needs one, if the kernel allows it: before Linux 5.6, in most
 * containers, and where it is forbidden, it does not, and whoever asks is told to do it otherwise.
 *
 *   orders:   [ tail | array of numbers ] -> 64 bytes each       this file writes
 *   answers:  [ head, tail | 16 bytes each ]                     the kernel writes, this file reads
 *
 * Both are memory that is shared with the kernel. The structs below are the kernel's (they are in
 * no header of older systems); what they point to must stay until the answer has come.
 * Callers: the thread of the hub. Do not add: who waits, and what for.
 */
#include "core/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_ORDERS 256
#define RING_SETUP 425 /* numbers of system calls, the same on every machine */
#define RING_ENTER 426
#define RING_SINGLE_MMAP 1u /* features */
#define RING_NODROP 2u
#define RING_CUR_POS 8u
#define RING_AT_ORDERS 0x10000000

typedef struct {
    uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
    uint64_t address;
} ring_order_offsets;

typedef struct {
    uint32_t head, tail, mask, entries, overflow, answers, flags, reserved;
    uint64_t address;
} ring_answer_offsets;

typedef struct {
    uint32_t order_count, answer_count, flags, cpu, idle_ms, features, shared, reserved[3];
    ring_order_offsets orders;
    ring_answer_offsets answers;
} ring_parameters;

typedef struct {
    uint8_t kind, flags;
    uint16_t priority;
    int32_t fd;
    uint64_t offset, address;
    uint32_t length, more;
    uint64_t call;
    uint64_t rest[3];
} ring_order;

typedef struct {
    uint64_t call;
    int32_t result;
    uint32_t flags;
} ring_answer;

_Static_assert(sizeof(ring_parameters) == 120, "the kernel's io_uring_params");
_Static_assert(sizeof(ring_order) == 64, "the kernel's io_uring_sqe");
_Static_assert(sizeof(ring_answer) == 16, "the kernel's io_uring_cqe");

struct fbl_ring {
    int fd;
    fbl_fd_watch watch;  /* tells that there are answers */
    fbl_link calls;      /* under way: ordered, and without an answer */
    uint32_t under_way;  /* how many */
    char *shared;        /* both queues */
    size_t shared_bytes;
    ring_order *orders;
    size_t orders_bytes;
    ring_parameters parameters;
};

static bool ring_is_refused; /* by the kernel, for this process: nobody asks again */

static uint32_t *ring_word(const fbl_ring *ring, uint32_t offset)
{
    return (uint32_t *)(ring->shared + offset);
}

static void ring_free(fbl_ring *ring)
{
    if (ring->orders != NULL)
        munmap(ring->orders, ring->orders_bytes);
    if (ring->shared != NULL)
        munmap(ring->shared, ring->shared_bytes);
    if (ring->fd >= 0)
        (void)close(ring->fd);
    free(ring);
}

static void ring_settle(fbl_ring_call *call, int32_t result)
{
    fbl_list_remove(&call->place);
    call->result = result;
    call->is_done = true;
    while (fbl_waiter_fire_first(&call->waiters))
        ;
}

/* At the end of the hub, and in the child of a fork, which has its parent's: answers to what is
 * under way are read by the parent only. Those who go on in the child are to do it otherwise; whose
 * stacks are lost, nobody looks for. */
static void ring_close(fbl_hub *hub, bool fibers_go_on)
{
    fbl_ring *ring = hub->ring;
    hub->ring = NULL;
    while (fibers_go_on && !fbl_list_is_empty(&ring->calls))
        ring_settle(fbl_container_of(ring->calls.next, fbl_ring_call, place), -EAGAIN);
    fbl_fd_watch_stop(hub, &ring->watch);
    ring_free(ring);
}

/* ---- answers ---- */

/* Tells who waits. Called by the poller's report of the ring's descriptor. */
static void ring_take_answers(fbl_hub *hub, fbl_fd_watch *watch, unsigned ready)
{
    (void)ready;
    fbl_ring *ring = fbl_container_of(watch, fbl_ring, watch);
    const ring_answer_offsets *at = &ring->parameters.answers;
    const ring_answer *answers = (const ring_answer *)(ring->shared + at->answers);
    uint32_t head = *ring_word(ring, at->head);
    while (head != __atomic_load_n(ring_word(ring, at->tail), __ATOMIC_ACQUIRE)) {
        const ring_answer *answer = &answers[head & *ring_word(ring, at->mask)];
        fbl_ring_call *call = (fbl_ring_call *)(uintptr_t)answer->call;
        int32_t result = answer->result;
        head++;
        __atomic_store_n(ring_word(ring, at->head), head, __ATOMIC_RELEASE);
        ring->under_way--;
        hub->expected--;
        ring_settle(call, result);
    }
}

/* ---- making one ---- */

static void *ring_map(const fbl_ring *ring, size_t bytes, off_t place)
{
    void *at =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, place);
    return at == MAP_FAILED ? NULL : at;
}

static int ring_map_all(fbl_ring *ring)
{
    const ring_parameters *parameters = &ring->parameters;
    size_t first = parameters->orders.array + parameters->order_count * sizeof(uint32_t);
    size_t second = parameters->answers.answers + parameters->answer_count * sizeof(ring_answer);
    ring->shared_bytes = first > second ? first : second;
    ring->orders_bytes = parameters->order_count * sizeof(ring_order);
    ring->shared = ring_map(ring, ring->shared_bytes, 0);
    ring->orders = ring_map(ring, ring->orders_bytes, RING_AT_ORDERS);
    return ring->shared == NULL || ring->orders == NULL ? -ENOMEM : 0;
}

static int ring_set_up(fbl_hub *hub, fbl_ring *ring)
{
    const uint32_t needed = RING_SINGLE_MMAP | RING_NODROP | RING_CUR_POS;
    ring->fd = (int)syscall(RING_SETUP, RING_ORDERS, &ring->parameters);
    if (ring->fd < 0)
        return -errno;
    if ((ring->parameters.features & needed) != needed)
        return -ENOSYS;
    int rc = ring_map_all(ring);
    if (rc < 0)
        return rc;
    ring->watch = (fbl_fd_watch){.fd = ring->fd, .wanted = FBL_READ, .is_aside = true};
    ring->watch.fire = ring_take_answers;
    fbl_list_init(&ring->watch.link);
    fbl_list_init(&ring->calls);
    fbl_fd_forget(hub, ring->fd); /* what the number was before */
    return fbl_fd_watch_start(hub, &ring->watch);
}

/* NULL: there is none, and *err says why. */
static fbl_ring *ring_get(fbl_hub *hub, int *err)
{
    *err = -ENOSYS;
    if (hub->ring != NULL)
        return hub->ring;
    if (ring_is_refused || hub->poller != &fbl_poller_epoll)
        return NULL;
    fbl_ring *ring = calloc(1, sizeof *ring);
    *err = ring == NULL ? -ENOMEM : ring_set_up(hub, ring);
    if (*err == 0) {
        hub->close_ring = ring_close;
        return hub->ring = ring;
    }
    ring_is_refused = *err != -ENOMEM && *err != -EMFILE && *err != -ENFILE;
    if (ring != NULL)
        ring_free(ring);
    return NULL;
}

/* Made now, if need be. */
bool fbl_ring_is_there(fbl_hub *hub)
{
    int err;
    return ring_get(hub, &err) != NULL;
}

/* ---- orders ---- */

/* Hands an order to the kernel; the call's waiters are fired when it is done. Negative: it was not
 * handed over, and is to be done otherwise. */
int fbl_ring_submit(fbl_hub *hub, const fbl_ring_order *order, fbl_ring_call *call)
{
    int err;
    fbl_ring *ring = ring_get(hub, &err);
    if (ring == NULL)
        return err;
    if (ring->under_way >= RING_ORDERS || !fbl_fd_watch_is_started(&ring->watch))
        return -EBUSY;
    const ring_order_offsets *at = &ring->parameters.orders;
    uint32_t tail = *ring_word(ring, at->tail);
    uint32_t place = tail & *ring_word(ring, at->mask);
    ring->orders[place] = (ring_order){.kind = (uint8_t)order->kind,
                                       .fd = order->fd,
                                       .offset = order->offset,
                                       .address = (uint64_t)(uintptr_t)order->address,
                                       .length = order->length,
                                       .more = order->more,
                                       .call = (uint64_t)(uintptr_t)call};
    ring_word(ring, at->array)[place] = place;
    *call = (fbl_ring_call){.is_done = false};
    fbl_list_init(&call->waiters);
    __atomic_store_n(ring_word(ring, at->tail), tail + 1, __ATOMIC_RELEASE);
    if (syscall(RING_ENTER, ring->fd, 1, 0, 0, NULL, 0) != 1) {
        err = -errno;
        __atomic_store_n(ring_word(ring, at->tail), tail, __ATOMIC_RELEASE); /* not taken */
        return err;
    }
    fbl_list_append(&ring->calls, &call->place);
    ring->under_way++;
    hub->expected++;
    return 0;
}
