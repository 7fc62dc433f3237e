/* Who asks for the bounds of its stack is told of the fiber's, if its object was named. */
#include "embed.h"

#include <pthread.h>

static char *told_low;
static size_t told_bytes;

static void ask(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    CHECK_EQUAL(pthread_getattr_np(pthread_self(), &attributes), 0);
    CHECK_EQUAL(pthread_attr_getstack(&attributes, &low, &told_bytes), 0);
    told_low = low;
    pthread_attr_destroy(&attributes);
}

static bool is_told_of_this_stack(void)
{
    char here;
    ask();
    return &here >= told_low && &here < told_low + told_bytes;
}

static void ask_in_fiber(test_fiber *self)
{
    self->error = is_told_of_this_stack() && told_low == fbl_stack_low(self->core.stack) &&
                  told_bytes == fbl_stack_room(self->core.stack);
}

static void *ask_in_thread(void *unused)
{
    (void)unused;
    return is_told_of_this_stack() ? (void *)&told_low : NULL;
}

/* In a fiber, and on the thread's own stack before and afterwards. */
static bool is_told_in_a_fiber(void)
{
    test_fiber fiber;
    test_open(true);
    CHECK(is_told_of_this_stack());
    test_spawn(&fiber, ask_in_fiber, NULL);
    test_yield();
    CHECK(is_told_of_this_stack());
    test_close();
    return fiber.error;
}

static void without_a_word_the_threads_stack_is_told(void) { CHECK(!is_told_in_a_fiber()); }

static void who_is_named_is_told_of_the_fibers_stack(void)
{
    CHECK(fbl_bounds_correct((void *)(uintptr_t)&ask) > 0);
    CHECK(is_told_in_a_fiber());
    CHECK(fbl_bounds_correct((void *)(uintptr_t)&ask) > 0); /* twice is no harm */
    CHECK(is_told_in_a_fiber());
}

static void another_threads_stack_is_that_threads(void)
{
    pthread_t thread;
    void *told = NULL;
    test_open(true);
    CHECK_EQUAL(pthread_create(&thread, NULL, ask_in_thread, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, &told), 0);
    CHECK(told != NULL);
    test_close();
}

static void who_never_asks_is_left_alone(void)
{
    CHECK_EQUAL(fbl_bounds_correct((void *)(uintptr_t)&dl_iterate_phdr), 0); /* the C library */
    CHECK_EQUAL(fbl_bounds_correct((void *)(uintptr_t)16), -ENOENT);
}

int main(void)
{
    RUN(without_a_word_the_threads_stack_is_told);
    RUN(who_is_named_is_told_of_the_fibers_stack);
    RUN(another_threads_stack_is_that_threads);
    RUN(who_never_asks_is_left_alone);
    return test_end();
}
