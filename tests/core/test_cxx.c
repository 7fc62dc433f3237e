/* test_cxx.c: exceptions of C++ in flight stay with their fiber, whenever C++ is loaded. */
#include "embed.h"

#define FIBERS 3

static test_fiber fibers[FIBERS];

static bool is_quiet(void)
{
    return cxx_get_globals == NULL ||
           (cxx_get_globals()->caught == NULL && cxx_get_globals()->uncaught == 0);
}

static void yield_twice(test_fiber *self)
{
    (void)self;
    CHECK(is_quiet());
    test_yield();
    CHECK(is_quiet());
    test_yield();
}

static void without_the_library_switches_watch_for_it(void)
{
    CHECK(cxx_get_globals == NULL);
    test_open(true);
    const char *sign = test_hub.cxx_sign;
    CHECK(sign != cxx_nothing);
    CHECK(fbl_cxx_is_quiet(&test_hub));
    test_spawn(&fibers[0], yield_twice, NULL);
    test_yield();
    CHECK(test_hub.cxx_sign == sign);
    CHECK(dlopen("libBrokenLocale.so.1", RTLD_LAZY) != NULL); /* any that nobody has loaded yet */
    CHECK(!fbl_cxx_is_quiet(&test_hub));
    test_yield();
    CHECK(test_hub.cxx_sign != sign);
    CHECK(fbl_cxx_is_quiet(&test_hub));
    test_yield();
    test_close();
}

/* As a catch block, or a destructor while unwinding, that switches. */
static void be_in_flight(test_fiber *self)
{
    cxx_globals mine = {.caught = (char *)self->argument, .uncaught = 0};
    cxx_globals on_its_way = {.caught = NULL, .uncaught = 1 + (unsigned)(self - fibers)};
    for (int i = 0; i < 4; i++) {
        CHECK(is_quiet());
        cxx_globals wanted = i % 2 ? on_its_way : mine;
        *cxx_get_globals() = wanted;
        test_yield();
        CHECK(cxx_get_globals()->caught == wanted.caught);
        CHECK_EQUAL(cxx_get_globals()->uncaught, wanted.uncaught);
        *cxx_get_globals() = (cxx_globals){0};
    }
}

static void with_it_each_fiber_has_its_own(void)
{
    static char exceptions[FIBERS];
    for (int i = 0; i < FIBERS; i++)
        test_spawn(&fibers[i], be_in_flight, exceptions + i);
    for (int i = 0; i < 6; i++) {
        CHECK(is_quiet());
        test_yield();
    }
    for (int i = 0; i < FIBERS; i++)
        CHECK_EQUAL(fibers[i].core.state, FBL_FIBER_DONE);
}

static void it_is_noticed_when_it_is_loaded(void)
{
    test_open(true);
    CHECK(cxx_get_globals == NULL);
    if (dlopen("libstdc++.so.6", RTLD_LAZY) != NULL) {
        with_it_each_fiber_has_its_own();
        CHECK(cxx_get_globals != NULL);
    }
    test_close();
}

static void a_hub_that_comes_later_knows_it(void)
{
    test_open(true);
    CHECK(test_hub.cxx_sign == (const char *)cxx_get_globals() + 2);
    with_it_each_fiber_has_its_own();
    test_close();
}

static void the_sign_shows_every_exception(void)
{
    test_open(true);
    cxx_globals *globals = cxx_get_globals();
    static const uintptr_t places[] = {0x10000, 0x12345670, 0x7fffffff0000, (uintptr_t)-16};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        globals->caught = (void *)places[i];
        CHECK(!fbl_cxx_is_quiet(&test_hub));
    }
    *globals = (cxx_globals){.uncaught = 1};
    CHECK(!fbl_cxx_is_quiet(&test_hub));
    *globals = (cxx_globals){0};
    CHECK(fbl_cxx_is_quiet(&test_hub));
    test_close();
}

int main(void)
{
#if !defined(__GLIBC__)
    /* Where there is no other library either, musl's list ends with the kernel's own, which nobody
     * can keep; a Python has at least _core. */
    printf("no C++ is here for this C library\n");
    return 77;
#endif
    /* The sanitizers bring it along: then it is there from the start. */
    if (dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD) == NULL) {
        RUN(without_the_library_switches_watch_for_it);
        RUN(it_is_noticed_when_it_is_loaded);
    }
    if (dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD) == NULL) {
        printf("libstdc++ is not installed\n");
        return test_failures ? 1 : 77;
    }
    RUN(a_hub_that_comes_later_knows_it);
    RUN(the_sign_shows_every_exception);
    return test_end();
}
