/*
 * turn.c: fibers take turns in a file object.
 *
 * The idea: a table of the objects that somebody is inside of, by address. Usually there is none of
 * this object: to enter is to list it, to leave is to take it out, and nothing is kept beside the
 * object. Who finds it listed waits at its gate, in order. The fiber that is inside may enter
 * again, as close() does to flush.
 *
 * Each who is inside or waits has a reference to the object, so no address is used again while it
 * is listed. In the child of a fork others who were inside are not there any more.
 * Threads: any, with the GIL. Do not add: what is done in a turn.
 */
#include "python/io/stream/stream.h"
#include "python/primitives/gate.h"

#define TURN_FREE_MAX 64

struct stream_turn {
    fbl_link place;          /* in its bucket, or among the free ones */
    PyObject *stream;        /* borrowed: see above */
    const fbl_record *owner; /* who is inside; NULL: it was handed on, and he has not run yet */
    uint32_t depth;          /* how often he has entered */
    uint32_t user_count;     /* who is inside or waits */
    uint32_t closer_count;   /* of these, who is going to close it */
    fbl_gate gate;           /* a permit is the turn */
};

static fbl_link *turn_buckets; /* a power of two of them; see turn_grow */
static size_t turn_bucket_count, turn_count;
static fbl_link turn_free = {&turn_free, &turn_free};
static size_t turn_free_count;

static fbl_link *turn_bucket(const PyObject *stream)
{
    uint64_t key = (uint64_t)(uintptr_t)stream * 0x9e3779b97f4a7c15u;
    return &turn_buckets[(key >> 32) & (turn_bucket_count - 1)];
}

/* Twice as many buckets, at the least 64; -1: no memory. */
static int turn_grow(void)
{
    size_t former_count = turn_bucket_count;
    fbl_link *former = turn_buckets;
    size_t count = former_count == 0 ? 64 : 2 * former_count;
    fbl_link *made = PyMem_RawMalloc(count * sizeof *made);
    if (made == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        fbl_list_init(&made[i]);
    turn_buckets = made;
    turn_bucket_count = count;
    for (size_t i = 0; i < former_count; i++) {
        while (!fbl_list_is_empty(&former[i])) {
            stream_turn *turn = fbl_container_of(former[i].next, stream_turn, place);
            fbl_list_remove(&turn->place);
            fbl_list_append(turn_bucket(turn->stream), &turn->place);
        }
    }
    PyMem_RawFree(former);
    return 0;
}

static stream_turn *turn_find(const PyObject *stream)
{
    if (fbl_unlikely(turn_bucket_count == 0))
        return NULL;
    fbl_link *bucket = turn_bucket(stream);
    for (fbl_link *link = bucket->next; link != bucket; link = link->next) {
        stream_turn *turn = fbl_container_of(link, stream_turn, place);
        if (turn->stream == stream)
            return turn;
    }
    return NULL;
}

static stream_turn *turn_allocate(void)
{
    if (fbl_list_is_empty(&turn_free))
        return PyMem_RawMalloc(sizeof(stream_turn));
    stream_turn *turn = fbl_container_of(turn_free.next, stream_turn, place);
    fbl_list_remove(&turn->place);
    turn_free_count--;
    return turn;
}

/* Lists an object that nobody is inside of. */
static stream_turn *turn_make(PyObject *stream, const fbl_record *owner)
{
    if (fbl_unlikely(turn_count >= turn_bucket_count) && turn_grow() < 0)
        return (stream_turn *)PyErr_NoMemory();
    stream_turn *turn = turn_allocate();
    if (fbl_unlikely(turn == NULL))
        return (stream_turn *)PyErr_NoMemory();
    turn->stream = stream;
    turn->owner = owner;
    turn->depth = turn->user_count = 1;
    turn->closer_count = 0;
    gate_init(&turn->gate, 0);
    fbl_list_append(turn_bucket(stream), &turn->place);
    turn_count++;
    return turn;
}

/* One user less; the last one takes it out. */
static void turn_drop(stream_turn *turn)
{
    if (--turn->user_count > 0)
        return;
    fbl_list_remove(&turn->place);
    turn_count--;
    if (turn_free_count >= TURN_FREE_MAX) {
        PyMem_RawFree(turn);
        return;
    }
    fbl_list_append(&turn_free, &turn->place);
    turn_free_count++;
}

/* Waits at the gate. -1: an exception, and it is not his turn. */
static int turn_take_wait(stream_turn *turn, const fbl_record *self, fbl_call *call)
{
    turn->user_count++;
    if (gate_acquire_wait(&turn->gate, call, 1, Py_None) != PARK_FIRED) {
        turn_drop(turn);
        return -1;
    }
    turn->owner = self;
    turn->depth = 1;
    return 0;
}

/* NULL: an exception, and it is not his turn. */
static stream_turn *turn_enter_wait(fbl_thread *thread, PyObject *stream, fbl_call *call)
{
    const fbl_record *self = thread_current(thread);
    stream_turn *turn = turn_find(stream);
    if (fbl_likely(turn == NULL))
        return turn_make(stream, self);
    if (turn->owner == self) {
        turn->depth++;
        return turn;
    }
    return turn_take_wait(turn, self, call) < 0 ? NULL : turn;
}

static void turn_leave(stream_turn *turn)
{
    if (--turn->depth > 0)
        return;
    turn->owner = NULL;
    if (fbl_unlikely(turn->user_count > 1))
        gate_release(&turn->gate);
    turn_drop(turn);
}

/* To close the object: who waited to read goes behind him. NULL: as above. */
static stream_turn *turn_enter_to_close_wait(fbl_thread *thread, PyObject *stream, fbl_call *call)
{
    stream_turn *turn = turn_find(stream);
    if (turn != NULL)
        turn->closer_count++;
    stream_turn *entered = turn_enter_wait(thread, stream, call);
    if (turn != NULL)
        turn->closer_count--;
    return entered;
}

/* To read: not before somebody who waits to close it. NULL: as above. */
static stream_turn *turn_enter_to_read_wait(fbl_thread *thread, PyObject *stream, fbl_call *call)
{
    stream_turn *turn = turn_enter_wait(thread, stream, call);
    while (turn != NULL && fbl_unlikely(turn->closer_count > 0) && turn->depth == 1) {
        turn_leave(turn);
        turn = turn_enter_wait(thread, stream, call);
    }
    return turn;
}

/* Who is inside; NULL: nobody. */
static const fbl_record *turn_owner(const PyObject *stream)
{
    const stream_turn *turn = turn_find(stream);
    return turn == NULL ? NULL : turn->owner;
}

/* In the child of a fork: only the forking fiber is inside of anything, and nobody waits. */
static void turns_after_fork(const fbl_record *self)
{
    for (size_t i = 0; i < turn_bucket_count; i++) {
        fbl_link *link = turn_buckets[i].next;
        while (link != &turn_buckets[i]) {
            stream_turn *turn = fbl_container_of(link, stream_turn, place);
            link = link->next;
            gate_init(&turn->gate, 0);
            turn->user_count = 1;
            turn->closer_count = 0;
            if (turn->owner == self)
                continue;
            stream_unlock_after_fork(turn->stream);
            turn_drop(turn);
        }
    }
}
