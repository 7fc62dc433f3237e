/*
 * ready.c: who may run, and in which order they do.
 *
 * The idea: whoever is made ready goes to the end of hub->ready, and the first runs. That alone
 * would let two hundred who compute hold up one for whom a byte has come. So those whom the world
 * outside wakes (the kernel, a timer, another native thread) are in a second queue as well,
 * hub->ahead, and where it holds anybody the two are served in turn:
 *
 *   ready:   h1  h2  h3  h4  w1  w2        everybody, in the order in which they came
 *   ahead:   w1  w2                        some of them
 *   run:     w1  h1  w2  h2  h3  h4
 *
 * The turn that is not theirs is given to the first of all, whoever that is. So everybody moves up
 * with every second choice at least, and nobody starves, however many the world wakes; and who
 * gives way still comes after all that were ready then. Turns are no measure where one takes 20 ms
 * and another 20 us: those ahead may go on for as long as the last of the others took, by a clock
 * too coarse to see the quick ones. Who is to be the next at all is put first in both.
 *
 * Invariant: who is in hub->ahead is in hub->ready.
 * Callers: waiter.c, park.c, hub.c, and who takes a fiber out of the hub's hands; the hub's own
 * thread, or any with the embedder's lock. Do not add: priorities.
 */
#include "core/warm.h"

/* The next choice is one of those ahead: the others have had their turns since the last look. */
static void ready_begin_ahead(fbl_hub *hub)
{
    hub->was_ahead = false;
    hub->chosen_ns = hub->looked_ns;
}

static __attribute__((noinline)) void ready_put_ahead(fbl_fiber *fiber)
{
    fbl_hub *hub = fiber->hub;
    if (fbl_list_is_empty(&hub->ahead))
        ready_begin_ahead(hub);
    fbl_list_append(&hub->ahead, &fiber->ahead);
}

static inline void fbl_ready_append(fbl_fiber *fiber)
{
    fbl_hub *hub = fiber->hub;
    assert(!fbl_fiber_is_ready(fiber)); /* those behind it would be lost */
    fbl_list_append(&hub->ready, &fiber->ready);
    if (fbl_unlikely(hub->is_looking || fbl_embed_hub() != hub))
        ready_put_ahead(fiber); /* it was no fiber of this hub that has done it */
    if (fbl_unlikely(hub->is_blocked))
        fbl_hub_notify(hub);
}

/* Takes it out, if it is in. */
static inline void fbl_ready_remove(fbl_fiber *fiber)
{
    fbl_list_remove(&fiber->ready);
    fbl_list_remove(&fiber->ahead);
}

/* Has a ready fiber run right after the one whose `ready` is `place`, which is to be the next
 * itself; first, for its hub's. */
void fbl_ready_advance(fbl_fiber *fiber, fbl_link *place)
{
    fbl_hub *hub = fiber->hub;
    assert(fbl_fiber_is_ready(fiber));
    assert(place == &hub->ready || (place != &fiber->ready && fbl_list_has(place)));
    fbl_ready_remove(fiber);
    if (fbl_list_is_empty(&hub->ahead))
        ready_begin_ahead(hub);
    fbl_list_prepend(place, &fiber->ready);
    fbl_link *ahead = &hub->ahead;
    if (place != &hub->ready) {
        ahead = &fbl_container_of(place, fbl_fiber, ready)->ahead;
        if (!fbl_list_has(ahead))
            fbl_list_prepend(&hub->ahead, ahead);
    }
    fbl_list_prepend(ahead, &fiber->ahead);
}

/* Whose turn is it, of the two queues? Where nobody computes the clock tells nothing. */
static bool ready_is_turn_ahead(fbl_hub *hub)
{
    uint64_t now_ns = hub->is_laden ? fbl_hub_glance(hub) : hub->looked_ns;
    if (!hub->was_ahead)
        hub->ahead_until_ns = now_ns + (now_ns - hub->chosen_ns);
    else if (now_ns >= hub->ahead_until_ns) {
        hub->chosen_ns = now_ns;
        return false;
    }
    return true;
}

static fbl_fiber *ready_of(fbl_link *link) { return fbl_container_of(link, fbl_fiber, ready); }
static fbl_fiber *ahead_of(fbl_link *link) { return fbl_container_of(link, fbl_fiber, ahead); }

/* The one who was chosen has left both queues; the two that are chosen next are warmed. */
static void ready_warm_in_turn(fbl_hub *hub)
{
    if (!fbl_warm_is_worth(hub) || fbl_list_is_empty(&hub->ahead))
        return;
    const fbl_fiber *first = ready_of(hub->ready.next), *ahead = ahead_of(hub->ahead.next);
    fbl_warm_stack(hub->was_ahead ? first : ahead);
    fbl_warm_fiber(hub->was_ahead ? ahead : first);
}

static __attribute__((noinline)) void ready_warm(fbl_hub *hub)
{
    fbl_link *next = hub->ready.next;
    if (next == &hub->ready || next->next == &hub->ready)
        return;
    fbl_warm_stack(ready_of(next));
    fbl_warm_fiber(ready_of(next->next));
}

static __attribute__((noinline)) fbl_fiber *ready_take_in_turn(fbl_hub *hub)
{
    hub->was_ahead = ready_is_turn_ahead(hub);
    fbl_fiber *fiber = hub->was_ahead ? ahead_of(hub->ahead.next) : ready_of(hub->ready.next);
    fbl_ready_remove(fiber);
    ready_warm_in_turn(hub);
    return fiber;
}

/* Takes the next one out. Somebody is ready. */
static inline fbl_fiber *fbl_ready_take(fbl_hub *hub)
{
    if (fbl_unlikely(!fbl_list_is_empty(&hub->ahead)))
        return ready_take_in_turn(hub);
    fbl_fiber *fiber = ready_of(hub->ready.next);
    fbl_list_remove(&fiber->ready);
    if (fbl_unlikely(fbl_warm_is_worth(hub)))
        ready_warm(hub);
    return fiber;
}
