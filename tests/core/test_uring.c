/* test_uring.c: calls that the kernel goes on with while others run. */
#include "embed.h"

#include <fcntl.h>
#include <sys/wait.h>

#define READERS 300 /* more than a ring takes at once */

/* Asks and waits; -EBUSY: it was not handed over. */
static int32_t ask(fbl_ring_kind kind, int fd, const void *address, uint32_t length, uint32_t more)
{
    uint64_t offset = kind == FBL_RING_FSYNC ? 0 : FBL_RING_POSITION;
    fbl_ring_order order = {kind, fd, offset, address, length, more};
    fbl_ring_call call;
    int rc = fbl_ring_submit(&test_hub, &order, &call);
    if (rc < 0)
        return rc;
    while (!call.is_done) {
        fbl_waiter waiter = {0};
        fbl_waiter_add(&waiter, &test_hub, &call.waiters);
        fbl_park_wait(&test_hub, FBL_NEVER);
    }
    return call.result;
}

static int ends[2];
static int read_count, refused_count, lost_count;

static void read_one(test_fiber *self)
{
    (void)self;
    char byte = 0;
    int32_t got = ask(FBL_RING_READ, ends[0], &byte, 1, 0);
    refused_count += got == -EBUSY;
    lost_count += got == -EAGAIN;
    read_count += got == 1 && byte == 'x';
}

static void those_who_wait_are_woken_by_the_answers(void)
{
    static test_fiber readers[READERS];
    test_open(false);
    CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < READERS; i++)
        test_spawn(&readers[i], read_one, NULL);
    test_yield();
    CHECK_EQUAL(read_count, 0);
    CHECK_EQUAL(test_hub.expected + (uint32_t)refused_count, READERS);
    for (int i = 0; i < READERS; i++)
        CHECK_EQUAL(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10000 && test_hub.expected > 0; i++)
        test_sleep_until(fbl_hub_now(&test_hub) + 100000);
    CHECK_EQUAL(read_count + refused_count, READERS);
    CHECK_EQUAL(test_hub.expected, 0);
    close(ends[0]);
    close(ends[1]);
    test_close();
}

static void files_are_opened_written_and_synced(void)
{
    char path[] = "/tmp/test_uring_XXXXXX", text[6] = {0};
    test_open(false);
    close(mkstemp(path));
    int fd = ask(FBL_RING_OPENAT, AT_FDCWD, path, 0600, O_RDWR | O_CLOEXEC);
    CHECK_EQUAL(ask(FBL_RING_OPENAT, AT_FDCWD, "/no/such", 0, O_RDONLY), -ENOENT);
    CHECK(fd >= 0);
    CHECK_EQUAL(ask(FBL_RING_WRITE, fd, "hello", 5, 0), 5);
    CHECK_EQUAL(ask(FBL_RING_FSYNC, fd, NULL, 0, 1), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 5);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(ask(FBL_RING_READ, fd, text, 2, 0), 2);
    CHECK_EQUAL(ask(FBL_RING_READ, fd, text + 2, 4, 0), 3);
    CHECK_EQUAL(strcmp(text, "hello"), 0);
    close(fd);
    unlink(path);
    test_close();
}

/* The child lets go of its parent's, which goes on. */
static void a_child_makes_one_of_its_own(void)
{
    static test_fiber reader;
    test_open(false);
    read_count = 0;
    CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    test_spawn(&reader, read_one, NULL);
    test_yield();
    pid_t pid = fork();
    if (pid == 0) {
        fbl_hub_abandon(&test_hub, test_hub.current);
        bool is_new = test_hub.ring == NULL && fbl_ring_is_there(&test_hub);
        _exit(is_new ? 0 : 1);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10000 && test_hub.expected > 0; i++)
        test_sleep_until(fbl_hub_now(&test_hub) + 100000);
    CHECK_EQUAL(read_count, 1);
    close(ends[0]);
    close(ends[1]);
    test_close();
}

/* Those who go on there are told that their parent has the answer, and it has. */
static void a_child_whose_fibers_go_on_is_to_do_it_otherwise(void)
{
    static test_fiber reader;
    test_open(false);
    read_count = lost_count = 0;
    CHECK_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    test_spawn(&reader, read_one, NULL);
    test_yield();
    pid_t pid = fork();
    if (pid == 0) {
        int rc = fbl_hub_renew(&test_hub);
        test_yield();
        _exit(rc == 0 && lost_count == 1 && test_hub.expected == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10000 && test_hub.expected > 0; i++)
        test_sleep_until(fbl_hub_now(&test_hub) + 100000);
    CHECK_EQUAL(read_count, 1);
    CHECK_EQUAL(lost_count, 0);
    close(ends[0]);
    close(ends[1]);
    test_close();
}

static void a_simulated_world_has_none(void)
{
    test_open(true);
    CHECK(!fbl_ring_is_there(&test_hub));
    test_close();
}

int main(void)
{
    test_open(false);
    bool is_there = fbl_ring_is_there(&test_hub);
    test_close();
    if (!is_there)
        return 77; /* this kernel, or this container, does not allow it */
    RUN(those_who_wait_are_woken_by_the_answers);
    RUN(files_are_opened_written_and_synced);
    RUN(a_child_makes_one_of_its_own);
    RUN(a_child_whose_fibers_go_on_is_to_do_it_otherwise);
    RUN(a_simulated_world_has_none);
    return test_end();
}
