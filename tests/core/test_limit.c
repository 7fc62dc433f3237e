/* test_limit.c: where a library remembers the end of the stack is found, or nothing is done. */
#include "embed.h"

#include <pthread.h>

/* This program's own stand in for a library's, with neighbours on both sides. Two layouts that
 * Rust has had. */
static __thread struct {
    long before;
    unsigned char is_known_before;
    size_t is_some;
    char *limit;
    unsigned char is_known;
    unsigned char after;
} remembered;

typedef enum { NOWADAYS, FORMERLY, NEVER, ONCE, TOO_LARGE, ELSEWHERE } manner;
static manner how;
static int ask_count;
static __thread bool has_asked;
static __thread long far_away[64]; /* another variable, of which the middle is used */

static size_t offset_of(const void *variable)
{
    fbl_private_block block;
    CHECK_EQUAL(fbl_private_look(NULL, &block), 0);
    return (size_t)((const char *)variable - block.at);
}

static char *ask(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes;
    CHECK_EQUAL(pthread_getattr_np(pthread_self(), &attributes), 0);
    CHECK_EQUAL(pthread_attr_getstack(&attributes, &low, &bytes), 0);
    pthread_attr_destroy(&attributes);
    ask_count++;
    return low;
}

static void remember(void)
{
    unsigned char *is_known = how == FORMERLY ? &remembered.is_known_before : &remembered.is_known;
    if (*is_known || (how == ONCE && has_asked))
        return;
    remembered.before++; /* before it asks, so it does not show */
    char *limit = ask();
    has_asked = how == ONCE;
    remembered.limit = how == ELSEWHERE ? limit - 16 : limit;
    remembered.is_some = 1;
    *is_known = 1;
    if (how == TOO_LARGE)
        far_away[32]++;
}

/* What is left of the stack; if it is little, a new one is made, and left at once. */
static size_t left(void)
{
    remembered.after++;
    if (how == NEVER)
        return 0;
    remember();
    size_t bytes = (size_t)((char *)__builtin_frame_address(0) - remembered.limit);
    if (bytes < 16384) {
        char *limit = remembered.limit,
             *made = test_mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK_EQUAL(mprotect(made, 65536, PROT_READ | PROT_WRITE), 0);
        remembered.limit = made;
        remembered.after++;
        remembered.limit = limit;
        munmap(made, 65536);
    }
    return bytes;
}

static void provoke(void *argument)
{
    CHECK(argument == &how);
    (void)left();
}

static struct {
    size_t offset; /* out: what was found */
    int rc;        /* out: of what length, or an error */
    size_t left;   /* out: afterwards, in the same thread */
} lesson;

static void *learn(void *unused)
{
    (void)unused;
    memset(&remembered, 0, sizeof remembered);
    lesson.rc = fbl_limit_find(NULL, provoke, &how, &lesson.offset);
    lesson.left = left();
    return NULL;
}

static void learn_in_thread(manner chosen)
{
    pthread_t thread;
    how = chosen;
    ask_count = 0;
    CHECK_EQUAL(pthread_create(&thread, NULL, learn, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

static void it_shows_the_variable_and_nothing_beside_it(void)
{
    learn_in_thread(NOWADAYS);
    CHECK_EQUAL(lesson.rc, 17);
    CHECK_EQUAL(lesson.offset, offset_of(&remembered.is_some));
    learn_in_thread(FORMERLY);
    CHECK_EQUAL(lesson.rc, 24);
    CHECK_EQUAL(lesson.offset, offset_of(&remembered.is_known_before));
}

static void afterwards_it_asks_anew_and_is_told_the_truth(void)
{
    learn_in_thread(NOWADAYS);
    CHECK_EQUAL(ask_count, 3);
    CHECK(lesson.left > 16384);
}

static void who_shows_nothing_or_something_else_is_left_alone(void)
{
    static const manner others[] = {NEVER, ONCE, TOO_LARGE, ELSEWHERE};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        learn_in_thread(others[i]);
        CHECK_EQUAL(lesson.rc, -ENODATA);
    }
    CHECK_EQUAL(fbl_limit_find("/no/such/library", provoke, &how, &lesson.offset), -ENOENT);
}

static void who_knows_already_is_not_told_again(void)
{
    how = NOWADAYS;
    size_t before = left();
    CHECK_EQUAL(fbl_limit_find(NULL, provoke, &how, &lesson.offset), -ENODATA);
    CHECK_EQUAL(left(), before);
    memset(&remembered, 0, sizeof remembered);
}

static void provoke_another(void *unused)
{
    (void)unused;
    lesson.rc = fbl_limit_find(NULL, provoke, &how, &lesson.offset);
}

static void there_is_one_lesson_at_a_time(void)
{
    size_t offset;
    how = NOWADAYS;
    CHECK_EQUAL(fbl_limit_find(NULL, provoke_another, NULL, &offset), -ENODATA);
    CHECK_EQUAL(lesson.rc, -EBUSY);
}

static test_fiber fibers[3];

static bool knows_this_stack(const test_fiber *self)
{
    (void)left();
    return remembered.limit == fbl_stack_low(self->core.stack);
}

static void look_as_guest(void *argument)
{
    test_fiber *self = argument;
    if (knows_this_stack(self))
        self->error = -100;
}

static void look(test_fiber *self)
{
    for (int turn = 0; turn < 3; turn++) {
        self->error += knows_this_stack(self);
        fbl_guest_call(&test_hub, look_as_guest, self);
        self->error += knows_this_stack(self);
        test_yield();
    }
}

static void each_fiber_finds_the_end_of_its_own_stack(void)
{
    learn_in_thread(NOWADAYS);
    CHECK_EQUAL(fbl_limit_follow("/no/such/library", lesson.offset, 17), -ENOENT);
    CHECK_EQUAL(fbl_limit_follow(NULL, lesson.offset, (size_t)lesson.rc), 17);
    test_open(true);
    fbl_cxx_watch(&test_hub);
    (void)left();
    char *of_main = remembered.limit;
    for (int i = 0; i < 3; i++)
        test_spawn(&fibers[i], look, NULL);
    for (int turn = 0; turn < 5; turn++)
        test_yield();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(fibers[i].error, 6);
    CHECK(remembered.limit == of_main);
    test_close();
}

/* clang's sanitizers answer mprotect in the executable: it has no slot for it. */
static bool has_slots(void)
{
    void *former = NULL, *own = (void *)(uintptr_t)mprotect;
    int count = fbl_slot_exchange(&how, "mprotect", own, &former);
    return count > 0 && fbl_slot_exchange(&how, "mprotect", former, &own) == count;
}

int main(void)
{
    if (!has_slots())
        return 77;
    RUN(it_shows_the_variable_and_nothing_beside_it);
    RUN(afterwards_it_asks_anew_and_is_told_the_truth);
    RUN(who_shows_nothing_or_something_else_is_left_alone);
    RUN(who_knows_already_is_not_told_again);
    RUN(there_is_one_lesson_at_a_time);
    RUN(each_fiber_finds_the_end_of_its_own_stack);
    return test_end();
}
