/* test_private.c: thread-local variables that each fiber has of its own, as a new thread would. */
#include "embed.h"

#include <pthread.h>

static test_fiber fibers[4];

/* This program's own stand in for a library's. */
static __thread long kept_number = 7;         /* .tdata */
static __thread const char *kept_text = NULL; /* .tbss */
static __thread long shared_number = 5;

/* Where a variable is in the program's block, which is the first. */
static size_t offset_of(void *variable)
{
    private_index index = {1, 0};
    return (size_t)((char *)variable - (char *)__tls_get_addr(&index));
}

static void keep(void *variable, size_t bytes)
{
    int rc = fbl_private_add(NULL, offset_of(variable), bytes, false);
    CHECK_EQUAL(rc, bytes);
    fbl_cxx_watch(&test_hub);
}

static void what_is_not_there_cannot_be_kept(void)
{
    CHECK_EQUAL(fbl_private_add("/no/such/library", 0, 0, false), -ENOENT);
    CHECK_EQUAL(fbl_private_add(NULL, 1u << 20, 8, false), -ENODATA);
    CHECK_EQUAL(fbl_private_add(NULL, 0, 1u << 20, false), -ENODATA);
    CHECK(!fbl_private_is_wanted());
}

static void use(test_fiber *self)
{
    long number = 100 + (long)(self - fibers);
    CHECK_EQUAL(kept_number, 7);
    CHECK(kept_text == NULL);
    for (int turn = 0; turn < 5; turn++) {
        kept_number = number + turn;
        kept_text = self->argument;
        shared_number = number;
        test_yield();
        CHECK_EQUAL(kept_number, number + turn);
        CHECK(kept_text == self->argument);
    }
    self->error++; /* and ends with something there */
}

static void each_fiber_has_its_own(void)
{
    test_open(true);
    keep(&kept_number, sizeof kept_number);
    keep(&kept_text, sizeof kept_text);
    keep(&kept_number, sizeof kept_number); /* again: it is there */
    CHECK_EQUAL(private_range_count, 2);
    kept_number = 1;
    kept_text = "main";
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], use, i % 2 ? "odd" : "even");
    for (int turn = 0; turn < 8; turn++)
        test_yield();
    CHECK_EQUAL(kept_number, 1);
    CHECK(kept_text != NULL && strcmp(kept_text, "main") == 0);
    CHECK_EQUAL(shared_number, 102);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(fibers[i].error, 1);
    kept_number = 7;
    kept_text = NULL;
    test_close();
}

static void find_nothing(test_fiber *self)
{
    CHECK_EQUAL(kept_number, 7);
    CHECK(kept_text == NULL);
    kept_number = 50;
    kept_text = "left behind";
    self->error++;
}

/* The second begins on the stack of the first, without a switch. */
static void what_a_fiber_leaves_at_its_end_is_not_the_next_ones(void)
{
    test_open(true);
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], find_nothing, NULL);
    test_yield();
    CHECK_EQUAL(fibers[0].error + fibers[1].error + fibers[2].error, 3);
    CHECK_EQUAL(kept_number, 7);
    test_close();
}

static void wait_untouched(test_fiber *self)
{
    test_yield();
    CHECK_EQUAL(kept_number, 7);
    self->error++;
}

static void who_has_nothing_there_finds_the_beginning(void)
{
    test_open(true);
    test_spawn(&fibers[0], wait_untouched, NULL);
    test_spawn(&fibers[1], use, "other");
    for (int turn = 0; turn < 8; turn++)
        test_yield();
    CHECK_EQUAL(fibers[0].error + fibers[1].error, 2);
    test_close();
}

static void *in_another_thread(void *argument)
{
    (void)argument;
    each_fiber_has_its_own();
    what_a_fiber_leaves_at_its_end_is_not_the_next_ones();
    return NULL;
}

static void another_thread_has_others(void)
{
    pthread_t thread;
    kept_number = 3;
    CHECK_EQUAL(pthread_create(&thread, NULL, in_another_thread, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(kept_number, 3);
    kept_number = 7;
}

static void more_than_fibers_can_keep_is_refused(void)
{
    static __thread char large[FBL_PRIVATE_BYTES_MAX];
    large[0] = 1;
    CHECK_EQUAL(fbl_private_add(NULL, offset_of(large), sizeof large, false), -E2BIG);
    int rc = 0;
    for (size_t i = 0; i < FBL_PRIVATE_RANGES_MAX && rc >= 0; i++)
        rc = fbl_private_add(NULL, offset_of(large) + i, 1, false);
    CHECK_EQUAL(rc, -E2BIG);
}

int main(void)
{
    RUN(what_is_not_there_cannot_be_kept);
    RUN(each_fiber_has_its_own);
    RUN(what_a_fiber_leaves_at_its_end_is_not_the_next_ones);
    RUN(who_has_nothing_there_finds_the_beginning);
    RUN(another_thread_has_others);
    RUN(more_than_fibers_can_keep_is_refused);
    return test_end();
}
