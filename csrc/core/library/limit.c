/*
 * limit.c: libraries that remember in a thread-local variable where the thread's stack ends.
 *
 * Rust's crate `stacker` asks pthread once in each thread, compares the stack pointer with that
 * limit at each level of a recursion, and goes on upon a new stack when little is left. A fiber
 * would be compared with the limit of another stack: of the thread's, of another fiber's, or of one
 * that another fiber's recursion has made since, and has perhaps unmapped.
 *
 * The idea: each fiber has that variable of its own (private.c), and who asks is told of the
 * fiber's stack (bounds.c). No file says where the variable is, so the library shows it: in a
 * lesson, a thread that never asked is told that next to nothing is left. Until it makes a new
 * stack accessible, it changes no thread-local variable but the one.
 *
 *      it asks: pthread_getattr_np     all of its thread-local variables are copied
 *      it remembers                    [ is some | limit | is known ]  what belongs together
 *      it makes a stack: mprotect      all are compared with the copy
 *
 * What is found is believed if the library, once that is taken away from it, asks again and shows
 * the same once more. If it does not, everything stays as it was. What was rejected: to look for
 * the limit and to know how Rust lays out what is beside it, which has changed; and to tell fibers
 * that nothing is left, which makes a new stack at each step (69 s instead of 7, see DESIGN.md).
 *
 * Invariants: one lesson at a time; its functions are in that library's slots only while it lasts.
 * Threads: any; under the embedder's lock. Do not add: which libraries, and how they are provoked.
 */
#include "core/core.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_BYTES_MAX 24          /* three words: a larger variable is another one */
#define LIMIT_LEFT_BYTES 1024       /* less than that is left in a lesson */
#define LIMIT_STACK_BYTES (1 << 20) /* as the lesson says; nobody asks for that */

typedef int limit_asked(pthread_t thread, pthread_attr_t *attributes);
typedef int limit_protected(void *address, size_t bytes, int protection);

/* Both found beyond all slots, as in bounds.c. */
static limit_asked *limit_real_ask;
static limit_protected *limit_real_protect;

/* The lesson. Other threads of the library compare themselves with `learner`, and go by. */
static struct {
    bool is_on;              /* changed under the embedder's lock */
    pthread_t learner;       /* whose calls count; set before the slots are filled */
    bool is_heard;           /* the learner's: it is provoked, and has not asked yet */
    bool is_told;            /* the learner's: it has, and has not made a stack yet */
    fbl_private_block block; /* the library's variables in the learner */
    char *before;            /* a copy of them, from when it asked */
    uintptr_t told;          /* the limit that it was told of */
    size_t offset, bytes;    /* what had changed; 0 bytes: not seen, or not understood */
} limit_lesson;

static bool limit_is_learner(void)
{
    /* SAFE: whoever is not the learner reads an old or a new identity, neither of which is his. */
    return pthread_equal(limit_lesson.learner, pthread_self());
}

/* In the place of pthread_getattr_np. */
static int limit_ask(pthread_t thread, pthread_attr_t *attributes)
{
    int rc = limit_real_ask(thread, attributes);
    if (rc != 0 || !limit_is_learner() || !limit_lesson.is_heard)
        return rc;
    limit_lesson.is_heard = false;
    limit_lesson.is_told = true;
    memcpy(limit_lesson.before, limit_lesson.block.at, limit_lesson.block.bytes);
    /* Not above the stack pointer: before 0.1.21 stacker takes the difference as it is, without its
     * sign. SAFE: an address to compare with. */
    char *here = __builtin_frame_address(0);
    limit_lesson.told = (uintptr_t)here & ~(uintptr_t)(LIMIT_LEFT_BYTES - 1);
    return pthread_attr_setstack(attributes, (char *)limit_lesson.told, LIMIT_STACK_BYTES);
}

/* Is it where the library remembers what it was told? */
static bool limit_is_at(size_t offset)
{
    uintptr_t word;
    memcpy(&word, limit_lesson.block.at + offset, sizeof word);
    return word == limit_lesson.told;
}

/* What has changed since it was told? */
static void limit_compare(void)
{
    const char *now = limit_lesson.block.at, *before = limit_lesson.before;
    size_t first = 0, end = limit_lesson.block.bytes, found = 0, count = 0;
    while (first < end && now[first] == before[first])
        first++;
    while (end > first && now[end - 1] == before[end - 1])
        end--;
    for (size_t i = first & ~(sizeof(uintptr_t) - 1); i < end; i += sizeof(uintptr_t))
        if (i + sizeof(uintptr_t) <= limit_lesson.block.bytes && limit_is_at(i)) {
            found = i;
            count++;
        }
    if (count != 1)
        return;
    /* The limit's own highest bytes are zero, and may have been before. */
    if (end < found + sizeof(uintptr_t))
        end = found + sizeof(uintptr_t);
    first = first < found ? first : found;
    if (end - first > LIMIT_BYTES_MAX)
        return;
    limit_lesson.offset = first;
    limit_lesson.bytes = end - first;
}

/* In the place of mprotect. */
static int limit_protect(void *address, size_t bytes, int protection)
{
    if (limit_is_learner() && limit_lesson.is_told) {
        limit_lesson.is_told = false;
        limit_compare();
    }
    return limit_real_protect(address, bytes, protection);
}

/* One lesson: returns how many bytes have shown themselves. */
static size_t limit_hear(void (*provoke)(void *), void *argument)
{
    limit_lesson.bytes = 0;
    limit_lesson.is_heard = true;
    provoke(argument);
    limit_lesson.is_heard = limit_lesson.is_told = false;
    return limit_lesson.bytes;
}

/* The same twice, from the same beginning, or 0. */
static size_t limit_learn(void (*provoke)(void *), void *argument)
{
    size_t bytes = limit_hear(provoke, argument), offset = limit_lesson.offset;
    if (bytes == 0)
        return 0;
    fbl_private_reset(&limit_lesson.block, offset, bytes);
    bool is_same = limit_hear(provoke, argument) == bytes && limit_lesson.offset == offset;
    fbl_private_reset(&limit_lesson.block, offset, bytes);
    return is_same ? bytes : 0;
}

/* The same, with our functions in the library's slots; or an error. */
static int limit_learn_in_slots(void (*provoke)(void *), void *argument)
{
    const void *inside = limit_lesson.block.inside;
    void *former_ask = NULL, *former_protect = NULL;
    size_t bytes = 0;
    int rc =
        fbl_slot_exchange(inside, "pthread_getattr_np", (void *)(uintptr_t)limit_ask, &former_ask);
    if (rc > 0)
        rc = fbl_slot_exchange(inside, "mprotect", (void *)(uintptr_t)limit_protect,
                               &former_protect);
    if (rc > 0)
        bytes = limit_learn(provoke, argument);
    if (former_protect != NULL)
        (void)fbl_slot_exchange(inside, "mprotect", former_protect, &former_protect);
    if (former_ask != NULL)
        (void)fbl_slot_exchange(inside, "pthread_getattr_np", former_ask, &former_ask);
    return rc < 0 ? rc : (bytes == 0 ? -ENODATA : (int)bytes);
}

/* Finds where the loaded library at `path` remembers the limit, if provoke(argument) makes it do so
 * when it is called in a thread that has none. Such is the calling thread, which has to end soon:
 * if nothing is found, it may go on believing that nothing is left. Returns how many bytes,
 * and where, or -ENOENT: it is not loaded; -ENODATA: it does nothing of the kind; -EBUSY: another
 * lesson is going on. */
int fbl_limit_find(const char *path, void (*provoke)(void *), void *argument, size_t *offset)
{
    if (limit_lesson.is_on)
        return -EBUSY;
    *(void **)&limit_real_ask = dlsym(RTLD_NEXT, "pthread_getattr_np");
    *(void **)&limit_real_protect = dlsym(RTLD_NEXT, "mprotect");
    if (limit_real_ask == NULL || limit_real_protect == NULL)
        return -ENOSYS;
    int rc = fbl_private_look(path, &limit_lesson.block);
    if (rc < 0)
        return rc;
    limit_lesson.before = malloc(limit_lesson.block.bytes);
    if (limit_lesson.before == NULL)
        return -ENOMEM;
    limit_lesson.learner = pthread_self();
    limit_lesson.is_on = true;
    rc = limit_learn_in_slots(provoke, argument);
    limit_lesson.is_on = false;
    free(limit_lesson.before);
    *offset = limit_lesson.offset;
    return rc;
}

/* From now on each fiber has the limit that was found of its own, and is told of its own stack.
 * Returns how many bytes, or an error as from fbl_private_add. */
int fbl_limit_follow(const char *path, size_t offset, size_t bytes)
{
    fbl_private_block block;
    int rc = fbl_private_look(path, &block);
    if (rc < 0)
        return rc;
    int kept = fbl_private_add(path, offset, bytes, true);
    rc = kept < 0 ? kept : fbl_bounds_correct(block.inside);
    return rc < 0 ? rc : kept;
}
