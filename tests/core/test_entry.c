/* test_entry.c: functions of a table are called on the thread's own stack, with all arguments. */
#include "embed.h"

#include <pthread.h>
#include <stdarg.h>

static test_fiber fibers[3];
static char *thread_low, *thread_top;

static bool is_on_thread_stack(void)
{
    char probe[16] __attribute__((aligned(16)));
    volatile uintptr_t at = (uintptr_t)probe;
    CHECK_EQUAL(at % 16, 0);
    return (char *)at > thread_low && (char *)at < thread_top;
}

typedef struct {
    long numbers[4]; /* more than registers take */
} large;

static long weigh(long a, long b, large c, long d)
{
    CHECK(is_on_thread_stack());
    return a + 2 * b + 3 * c.numbers[0] + 4 * c.numbers[3] + 5 * d;
}

static double scale(long a, double b, float c, long d, double e)
{
    CHECK(is_on_thread_stack());
    return (double)a * b + (double)c * (double)d - e;
}

static long sum(long count, ...)
{
    CHECK(is_on_thread_stack());
    va_list arguments;
    va_start(arguments, count);
    double total = 0;
    for (long i = 0; i < count; i++)
        total += i % 2 ? va_arg(arguments, double) : (double)va_arg(arguments, long);
    va_end(arguments);
    return (long)total;
}

static struct {
    void *reserved;
    long (*weigh)(long, long, large, long);
    double (*scale)(long, double, float, long, double);
    long (*sum)(long, ...);
} table = {NULL, weigh, scale, sum};

static void call_all(void)
{
    CHECK_EQUAL(table.weigh(1, 2, (large){{3, 0, 0, 4}}, 5), 55);
    CHECK_EQUAL(table.scale(3, 1.5, 0.25f, 8, 0.5) * 10, 60);
    CHECK_EQUAL(table.sum(5, 1L, 2.0, 3L, 4.0, 5L), 15);
    CHECK_EQUAL(table.sum(13, 1L, 2., 3L, 4., 5L, 6., 7L, 8., 9L, 0., 11L, 2., 13L), 71);
}

static void call_from_a_fiber(test_fiber *self)
{
    for (int turn = 0; turn < 3; turn++) {
        CHECK(!is_on_thread_stack());
        call_all();
        CHECK_EQUAL(self->core.state, FBL_FIBER_RUNNING);
        test_yield();
    }
    self->error++;
}

static void functions_of_a_table_run_on_the_threads_own_stack(void)
{
    test_open(true);
    call_all();
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], call_from_a_fiber, NULL);
    for (int turn = 0; turn < 5; turn++)
        test_yield();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(fibers[i].error, 1);
    CHECK_EQUAL(test_lend_count, 0);
    test_close();
}

static void each_is_replaced_once(void)
{
    void **entries = (void **)&table;
    void *former[4];
    memcpy(former, entries, sizeof former);
    CHECK_EQUAL(fbl_entry_replace(entries, 4), 0);
    CHECK(entries[0] == NULL);
    CHECK(memcmp(former, entries, sizeof former) == 0);
    CHECK_EQUAL(entry_count, 3);
}

static void more_than_there_is_code_for_are_refused(void)
{
    static void *many[FBL_ENTRIES_MAX];
    for (size_t i = 0; i < FBL_ENTRIES_MAX; i++)
        many[i] = (void *)weigh;
    CHECK_EQUAL(fbl_entry_replace(many, FBL_ENTRIES_MAX), -E2BIG);
    CHECK(many[FBL_ENTRIES_MAX - 1] == (void *)weigh);
    long (*last)(long, long, large, long);
    memcpy(&last, &many[FBL_ENTRIES_MAX - 4], sizeof last);
    CHECK_EQUAL(last(1, 2, (large){{3, 0, 0, 4}}, 5), 55);
}

int main(void)
{
    pthread_attr_t attr;
    void *low;
    size_t bytes;
    CHECK_EQUAL(pthread_getattr_np(pthread_self(), &attr), 0);
    pthread_attr_getstack(&attr, &low, &bytes);
    pthread_attr_destroy(&attr);
    thread_low = low;
    thread_top = thread_low + bytes;
    CHECK_EQUAL(fbl_entry_replace((void **)&table, 4), 0);
    RUN(functions_of_a_table_run_on_the_threads_own_stack);
    RUN(each_is_replaced_once);
    RUN(more_than_there_is_code_for_are_refused);
    return test_end();
}
