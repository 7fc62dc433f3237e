/* test_epoll.c: the wait is as long as it was told, also where epoll_pwait2 is refused. */
#include "embed.h"

#include <sys/prctl.h>

#define NS_PER_MS 1000000u

/* Of <linux/filter.h> and <linux/seccomp.h>, which musl's compiler does not see. */
#define LOAD_WORD 0x20
#define JUMP_IF_EQUAL 0x15
#define RETURN 0x06
#define REFUSE 0x00050000u
#define KILL 0x80000000u
#define ALLOW 0x7fff0000u
#define FILTER 2

typedef struct {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t operand;
} instruction;

/* From now on epoll_pwait2 gives this verdict in the whole process. */
static int judge(uint32_t verdict)
{
    instruction program[] = {
        {LOAD_WORD, 0, 0, 0}, /* the call's number */
        {JUMP_IF_EQUAL, 0, 1, EPOLL_PWAIT2},
        {RETURN, 0, 0, verdict},
        {RETURN, 0, 0, ALLOW},
    };
    struct {
        unsigned short length;
        instruction *program;
    } filter = {4, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, FILTER, &filter, 0, 0);
}

/* None may be shorter than it was told. */
static void wait_some_times(void)
{
    const uint64_t timeouts_ns[] = {1, 300000, NS_PER_MS, 19 * NS_PER_MS / 10};
    struct epoll_event events[FBL_HUB_EVENTS];
    for (unsigned i = 0; i < sizeof timeouts_ns / sizeof timeouts_ns[0]; i++) {
        uint64_t before_ns = fbl_hub_now(&test_hub);
        CHECK_EQUAL(epoll_wait_ns(test_hub.poller_fd, events, timeouts_ns[i]), 0);
        CHECK(fbl_hub_now(&test_hub) - before_ns >= timeouts_ns[i]);
    }
    uint64_t deadline_ns = test_hub.now(&test_hub) + 23 * NS_PER_MS / 10;
    test_sleep_until(deadline_ns);
    CHECK(test_hub.now(&test_hub) >= deadline_ns);
}

static void a_wait_ends_no_earlier_than_it_was_told(void)
{
    test_open(false);
    CHECK_EQUAL(fbl_hub_open(&test_hub), 0);
    wait_some_times();
    test_close();
}

/* One wait that is over at once, as another thread's wake-up does. */
static void wait_briefly(void)
{
    test_hub.poller->wake(&test_hub);
    CHECK_EQUAL(test_hub.poller->wait(&test_hub, NS_PER_MS), 0);
}

static void wait_long(void)
{
    uint64_t before_ns = fbl_hub_now(&test_hub);
    CHECK_EQUAL(test_hub.poller->wait(&test_hub, NS_PER_MS), 0);
    CHECK(fbl_hub_now(&test_hub) - before_ns >= NS_PER_MS);
    CHECK_EQUAL(test_hub.eagerness, -EPOLL_BRIEF_SLEEPS);
}

static void who_slept_briefly_for_long_enough_looks_before_he_sleeps(void)
{
    test_open(false);
    CHECK_EQUAL(fbl_hub_open(&test_hub), 0);
    wait_long(); /* eager, and in vain */
    for (int i = 0; i < 1000 && test_hub.eagerness < 0; i++)
        wait_briefly(); /* some may be late, on a busy machine */
    CHECK_EQUAL(test_hub.eagerness, 0);
    wait_briefly(); /* found by looking */
    CHECK_EQUAL(test_hub.eagerness, 0);
    wait_long();
    test_close();
}

static void milliseconds_are_rounded_up(void)
{
    CHECK_EQUAL(epoll_timeout_ms(1), 1);
    CHECK_EQUAL(epoll_timeout_ms(NS_PER_MS), 1);
    CHECK_EQUAL(epoll_timeout_ms(NS_PER_MS + 1), 2);
    CHECK_EQUAL(epoll_timeout_ms((uint64_t)INT32_MAX * NS_PER_MS), INT32_MAX);
    CHECK_EQUAL(epoll_timeout_ms(FBL_NEVER - 1), INT32_MAX);
}

/* In a process of its own: a filter is for life. The second kills who asks again. */
static void wait_refused(uint32_t error)
{
    epoll_is_coarse = false;
    test_open(false);
    CHECK_EQUAL(fbl_hub_open(&test_hub), 0);
    if (judge(REFUSE | error) < 0)
        _exit(77);
    wait_some_times();
    CHECK(epoll_is_coarse);
    CHECK_EQUAL(judge(KILL), 0);
    wait_some_times();
    test_close();
    _exit(test_end());
}

static bool has_no_filters;

static void wait_refused_in_child(uint32_t error)
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        wait_refused(error);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    has_no_filters = WIFEXITED(status) && WEXITSTATUS(status) == 77;
    CHECK(has_no_filters || status == 0);
}

static void an_older_kernel_is_asked_once_and_then_waits_in_milliseconds(void)
{
    wait_refused_in_child(ENOSYS);
}

static void a_sandbox_that_refuses_is_asked_once_and_then_waits_in_milliseconds(void)
{
    wait_refused_in_child(EPERM);
}

int main(void)
{
    RUN(a_wait_ends_no_earlier_than_it_was_told);
    RUN(who_slept_briefly_for_long_enough_looks_before_he_sleeps);
    RUN(milliseconds_are_rounded_up);
    RUN(an_older_kernel_is_asked_once_and_then_waits_in_milliseconds);
    RUN(a_sandbox_that_refuses_is_asked_once_and_then_waits_in_milliseconds);
    if (has_no_filters && test_failures == 0) {
        printf("what the kernel refuses is not shown: no filters of system calls here\n");
        return 77;
    }
    return test_end();
}
