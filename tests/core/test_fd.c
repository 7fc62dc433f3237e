/* test_fd.c: waiting for file descriptors, with a real epoll on pipes and socket pairs. */
#include "embed.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define MANY 600

static test_fiber fibers[MANY];

typedef struct {
    int fd;
    unsigned direction;
    bool is_foreign;
    uint64_t deadline_ns;
    fbl_wake why; /* how the wait ended */
    int err;       /* what kept it from beginning */
} wait_call;

static wait_call calls[MANY];

static fbl_fd *entry_of(int fd)
{
    fbl_fd *entry = NULL;
    CHECK_EQUAL(fbl_fd_get(&test_hub, fd, &entry), 0);
    return entry;
}

static void wait_for_fd(test_fiber *self)
{
    wait_call *call = self->argument;
    fbl_fd *entry = entry_of(call->fd);
    entry->ready &= (uint8_t)~call->direction; /* as who has just found it empty */
    if (call->is_foreign)
        call->why =
            fbl_fd_foreign_wait(&test_hub, entry, call->direction, call->deadline_ns, &call->err);
    else
        call->why = fbl_fd_wait(&test_hub, entry, call->direction, call->deadline_ns, &call->err);
    test_arrive();
    CHECK(!self->core.is_fd_wait);
}

/* The number-th fiber begins to wait; it is parked, or has ended, when this returns. */
static wait_call *begin(int number, int fd, unsigned direction)
{
    calls[number] = (wait_call){.fd = fd, .direction = direction, .deadline_ns = FBL_NEVER};
    test_spawn(&fibers[number], wait_for_fd, &calls[number]);
    test_yield();
    return &calls[number];
}

static wait_call *begin_foreign(int number, int fd, unsigned direction)
{
    calls[number] =
        (wait_call){.fd = fd, .direction = direction, .deadline_ns = FBL_NEVER, .is_foreign = true};
    test_spawn(&fibers[number], wait_for_fd, &calls[number]);
    test_yield();
    return &calls[number];
}

static bool is_parked(int number) { return fibers[number].core.state == FBL_FIBER_PARKED; }

/* Lets the kernel tell what it knows now, and runs whom that wakes. */
static void look(void)
{
    for (int turn = 0; turn < 4; turn++) {
        fbl_hub_look_soon(&test_hub);
        test_yield();
    }
}

static void make_pipe(int ends[2]) { CHECK_EQUAL(pipe2(ends, O_NONBLOCK), 0); }

static void make_sockets(int ends[2])
{
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
}

static void put(int fd, const char *text)
{
    CHECK_EQUAL(write(fd, text, strlen(text)), strlen(text));
}

static void take_all(int fd)
{
    char buffer[4096];
    while (read(fd, buffer, sizeof buffer) > 0)
        ;
}

static void fill(int fd)
{
    static const char buffer[65536];
    while (write(fd, buffer, sizeof buffer) > 0 || write(fd, buffer, 1) > 0)
        ;
    CHECK_EQUAL(errno, EAGAIN);
}

static void close_ours(int fd)
{
    fbl_fd_forget(&test_hub, fd);
    close(fd);
}

static void data_wakes_the_reader_and_stays_remembered(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    wait_call *call = begin(0, ends[0], FBL_READ);
    look();
    CHECK(is_parked(0));
    CHECK_EQUAL(test_hub.fd_waiter_count, 1);
    put(ends[1], "x");
    look();
    CHECK_EQUAL(call->why, FBL_WAKE_FIRED);
    CHECK_EQUAL(entry_of(ends[0])->ready, FBL_READ | FBL_WRITE);
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    /* Not found empty since: the next wait returns at once. */
    int err = 0;
    CHECK_EQUAL(fbl_fd_wait(&test_hub, entry_of(ends[0]), FBL_READ, FBL_NEVER, &err),
                FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void each_new_edge_is_told_once(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    for (int turn = 0; turn < 50; turn++) {
        wait_call *call = begin(0, ends[0], FBL_READ);
        look();
        CHECK(is_parked(0));
        put(ends[1], "ping");
        look();
        CHECK_EQUAL(call->why, FBL_WAKE_FIRED);
        take_all(ends[0]);
    }
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void room_wakes_the_writer_and_not_the_reader(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    fill(ends[0]);
    wait_call *writer = begin(0, ends[0], FBL_WRITE);
    begin(1, ends[0], FBL_READ);
    look();
    CHECK(is_parked(0) && is_parked(1));
    take_all(ends[1]);
    look();
    CHECK_EQUAL(writer->why, FBL_WAKE_FIRED);
    CHECK(is_parked(1));
    put(ends[1], "x");
    look();
    CHECK_EQUAL(calls[1].why, FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void one_wait_may_be_for_both_directions(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    fill(ends[0]);
    for (int turn = 0; turn < 4; turn++) {
        wait_call *call = turn % 2 == 1 ? begin_foreign(0, ends[0], FBL_READ | FBL_WRITE)
                                        : begin(0, ends[0], FBL_READ | FBL_WRITE);
        look();
        CHECK(is_parked(0));
        CHECK_EQUAL(test_hub.fd_waiter_count, 1);
        if (turn < 2)
            put(ends[1], "x");
        else
            take_all(ends[1]);
        look();
        CHECK_EQUAL(call->why, FBL_WAKE_FIRED);
        CHECK(fbl_list_is_empty(&entry_of(ends[0])->readers));
        CHECK(fbl_list_is_empty(&entry_of(ends[0])->writers));
        take_all(ends[0]);
        fill(ends[0]);
    }
    begin(0, ends[0], FBL_READ | FBL_WRITE);
    close_ours(ends[0]);
    look();
    CHECK_EQUAL(calls[0].why, FBL_WAKE_CLOSED);
    close_ours(ends[1]);
    test_close();
}

/* One of them may be killed before it reads: so an edge wakes all. */
static void an_edge_wakes_all_readers_in_order(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    for (int i = 0; i < 5; i++)
        begin(i, ends[0], FBL_READ);
    CHECK_EQUAL(test_hub.fd_waiter_count, 5);
    put(ends[1], "x");
    look();
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(calls[i].why, FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void a_closed_peer_wakes_both_directions_and_is_a_hang_up(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    fill(ends[0]);
    begin(0, ends[0], FBL_READ);
    begin(1, ends[0], FBL_WRITE);
    look();
    CHECK(!entry_of(ends[0])->is_hungup);
    close(ends[1]);
    look();
    CHECK_EQUAL(calls[0].why, FBL_WAKE_FIRED);
    CHECK_EQUAL(calls[1].why, FBL_WAKE_FIRED);
    CHECK(entry_of(ends[0])->is_hungup);
    close_ours(ends[0]);
    test_close();
}

static void a_pipe_without_reader_wakes_its_writer(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    fill(ends[1]);
    wait_call *writer = begin(0, ends[1], FBL_WRITE);
    look();
    CHECK(is_parked(0));
    close(ends[0]);
    look();
    CHECK_EQUAL(writer->why, FBL_WAKE_FIRED);
    CHECK(entry_of(ends[1])->is_hungup);
    close_ours(ends[1]);
    test_close();
}

static void a_half_closed_stream_is_readable_and_hung_up(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    wait_call *reader = begin(0, ends[0], FBL_READ);
    shutdown(ends[1], SHUT_WR);
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    CHECK(entry_of(ends[0])->is_hungup);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void forget_wakes_all_with_closed(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    fill(ends[0]);
    begin(0, ends[0], FBL_READ);
    begin(1, ends[0], FBL_WRITE);
    begin(2, ends[0], FBL_READ);
    uint32_t generation = entry_of(ends[0])->generation;
    close_ours(ends[0]);
    CHECK(entry_of(ends[0])->generation != generation);
    look();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(calls[i].why, FBL_WAKE_CLOSED);
    close_ours(ends[1]);
    test_close();
}

/* The number is used again at once: nothing of the former use is believed. */
static void a_reused_number_starts_afresh(void)
{
    int ends[2], again[2];
    test_open(false);
    make_sockets(ends);
    begin(0, ends[0], FBL_READ);
    close_ours(ends[0]);
    close_ours(ends[1]);
    make_sockets(again);
    CHECK_EQUAL(again[0], ends[0]);
    wait_call *reader = begin(1, again[0], FBL_READ);
    look();
    CHECK(is_parked(1));
    CHECK(!entry_of(again[0])->is_hungup);
    put(again[1], "x");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    CHECK_EQUAL(calls[0].why, FBL_WAKE_CLOSED);
    close_ours(again[0]);
    close_ours(again[1]);
    test_close();
}

static void an_event_of_an_earlier_use_is_dropped(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    begin(0, ends[0], FBL_READ);
    put(ends[1], "x");
    int count = test_hub.poller->wait(&test_hub, 0);
    CHECK_EQUAL(count, 1);
    fbl_fd_forget(&test_hub, ends[0]); /* between the kernel's answer and its use */
    test_yield();
    CHECK_EQUAL(calls[0].why, FBL_WAKE_CLOSED);
    take_all(ends[0]);
    wait_call *reader = begin(1, ends[0], FBL_READ);
    fbl_hub_dispatch(&test_hub, count);
    test_yield();
    CHECK(is_parked(1));
    put(ends[1], "y");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void a_foreign_descriptor_may_be_closed_and_reused_behind_our_back(void)
{
    int ends[2], again[2];
    test_open(false);
    make_pipe(ends);
    wait_call *reader = begin_foreign(0, ends[0], FBL_READ);
    put(ends[1], "x");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    close(ends[0]);
    close(ends[1]);
    make_pipe(again);
    CHECK_EQUAL(again[0], ends[0]);
    reader = begin_foreign(1, again[0], FBL_READ);
    look();
    CHECK(is_parked(1));
    put(again[1], "x");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    close_ours(again[0]);
    close_ours(again[1]);
    test_close();
}

/* A duplicate keeps the former file open, so the kernel has it registered under the number. */
static void a_foreign_number_may_be_duplicated_over(void)
{
    int first[2], second[2];
    test_open(false);
    make_pipe(first);
    make_pipe(second);
    begin_foreign(0, first[0], FBL_READ);
    put(first[1], "x");
    look();
    int kept = dup(first[0]);
    CHECK_EQUAL(dup2(second[0], first[0]), first[0]);
    wait_call *reader = begin_foreign(1, first[0], FBL_READ);
    put(first[1], "y"); /* about the duplicate, whose number nobody waits for */
    look();
    put(second[1], "z");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    int all[] = {first[0], first[1], second[0], second[1], kept};
    for (int i = 0; i < 5; i++)
        close_ours(all[i]);
    test_close();
}

static void a_foreign_descriptor_that_is_ready_already_is_told_so(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    put(ends[1], "x");
    for (int turn = 0; turn < 3; turn++) {
        wait_call *reader = begin_foreign(0, ends[0], FBL_READ);
        look();
        CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    }
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void what_the_kernel_knows_already_is_registered_anew(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    begin(0, ends[0], FBL_READ);
    entry_of(ends[0])->is_registered = false; /* EEXIST awaits */
    wait_call *reader = begin(1, ends[0], FBL_READ);
    put(ends[1], "x");
    look();
    CHECK_EQUAL(calls[0].why, FBL_WAKE_FIRED);
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void a_regular_file_is_always_ready(void)
{
    test_open(false);
    FILE *file = tmpfile();
    CHECK(file != NULL);
    wait_call *ours = begin(0, fileno(file), FBL_READ);
    wait_call *foreign = begin_foreign(1, fileno(file), FBL_WRITE);
    CHECK_EQUAL(ours->why, FBL_WAKE_FIRED);
    CHECK_EQUAL(foreign->why, FBL_WAKE_FIRED);
    CHECK_EQUAL(ours->err, 0);
    fbl_fd_forget(&test_hub, fileno(file));
    fclose(file);
    test_close();
}

static void what_is_not_open_is_an_error_and_nobody_parks(void)
{
    fbl_fd *entry = NULL;
    test_open(false);
    CHECK_EQUAL(fbl_fd_get(&test_hub, -1, &entry), -EBADF);
    wait_call *ours = begin(0, 900, FBL_READ);
    wait_call *foreign = begin_foreign(1, 901, FBL_WRITE);
    CHECK_EQUAL(ours->why, FBL_WAKE_NONE);
    CHECK_EQUAL(ours->err, -EBADF);
    CHECK_EQUAL(foreign->err, -EBADF);
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    fbl_fd_forget(&test_hub, 900);
    fbl_fd_forget(&test_hub, 12345678);
    fbl_fd_forget(&test_hub, -1);
    test_close();
}

static void the_deadline_ends_a_wait_and_leaves_no_waiter(void)
{
    int ends[2];
    test_open(false);
    make_pipe(ends);
    uint64_t now_ns = test_hub.now(&test_hub);
    calls[0] = (wait_call){.fd = ends[0], .direction = FBL_READ, .deadline_ns = now_ns + 1000};
    test_spawn(&fibers[0], wait_for_fd, &calls[0]);
    test_sleep_until(now_ns + 2000000);
    CHECK_EQUAL(calls[0].why, FBL_WAKE_TIMEOUT);
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    CHECK(fbl_list_is_empty(&entry_of(ends[0])->readers));
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

static void more_events_than_fit_at_once_wake_all(void)
{
    static int ends[MANY][2];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = limit.rlim_cur < 2 * MANY + 50 ? (int)(limit.rlim_cur - 50) / 2 : MANY;
    test_open(false);
    for (int i = 0; i < count; i++) {
        make_pipe(ends[i]);
        begin(i, ends[i][0], FBL_READ);
    }
    for (int i = 0; i < count; i++)
        put(ends[i][1], "x");
    look();
    look();
    for (int i = 0; i < count; i++) {
        CHECK_EQUAL(calls[i].why, FBL_WAKE_FIRED);
        close_ours(ends[i][0]);
        close_ours(ends[i][1]);
    }
    test_close();
}

/* ---- other threads, signals, fork ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void unlock_all(void) { pthread_mutex_unlock(&lock); }
static void lock_all(void) { pthread_mutex_lock(&lock); }

/* Gets the lock only when the hub sleeps. */
static void *wake_main(void *unused)
{
    (void)unused;
    lock_all();
    CHECK(test_hub.is_blocked);
    fbl_wake_fiber(&test_main.core, FBL_WAKE_FIRED);
    unlock_all();
    return NULL;
}

static void another_thread_wakes_a_sleeping_hub(void)
{
    test_open(false);
    lock_all();
    test_on_block = unlock_all;
    test_on_unblock = lock_all;
    test_hub.expected = 1;
    for (int turn = 0; turn < 100; turn++) {
        pthread_t other;
        CHECK_EQUAL(pthread_create(&other, NULL, wake_main, NULL), 0);
        CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_FIRED);
        pthread_join(other, NULL);
    }
    unlock_all();
    CHECK_EQUAL(test_stall_count, 0);
    test_close();
}

static void on_signal(int number) { (void)number; }

static bool is_interrupted;
static pthread_t main_thread;

/* Again and again, because the first may come before the hub sleeps. */
static void *interrupt_main(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&is_interrupted, __ATOMIC_ACQUIRE)) {
        pthread_kill(main_thread, SIGUSR1);
        usleep(1000);
    }
    return NULL;
}

static void a_signal_interrupts_the_sleep_and_is_told(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    test_open(false);
    main_thread = pthread_self();
    is_interrupted = false;
    pthread_t other;
    test_hub.expected = 1;
    CHECK_EQUAL(pthread_create(&other, NULL, interrupt_main, NULL), 0);
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    __atomic_store_n(&is_interrupted, true, __ATOMIC_RELEASE);
    CHECK_EQUAL(test_interrupt_error, -EINTR);
    pthread_join(other, NULL);
    signal(SIGUSR1, SIG_DFL);
    test_close();
}

/* What the child does with descriptors must not reach the parent's epoll, which it shares. */
static void the_child_of_a_fork_leaves_the_parents_poller_alone(void)
{
    int ends[2];
    test_open(false);
    make_sockets(ends);
    wait_call *reader = begin(0, ends[0], FBL_READ);
    look();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        fbl_hub_abandon(&test_hub, test_hub.current);
        fbl_fd_forget(&test_hub, ends[0]);
        wait_call *again = begin(1, ends[1], FBL_READ);
        put(ends[0], "from the child");
        look();
        CHECK_EQUAL(again->why, FBL_WAKE_FIRED);
        close(ends[0]);
        close(ends[1]);
        fflush(stdout);
        _exit(test_failures != 0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQUAL(status, 0);
    look();
    CHECK(is_parked(0));
    put(ends[1], "x");
    look();
    CHECK_EQUAL(reader->why, FBL_WAKE_FIRED);
    close_ours(ends[0]);
    close_ours(ends[1]);
    test_close();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(data_wakes_the_reader_and_stays_remembered);
    RUN(each_new_edge_is_told_once);
    RUN(room_wakes_the_writer_and_not_the_reader);
    RUN(one_wait_may_be_for_both_directions);
    RUN(an_edge_wakes_all_readers_in_order);
    RUN(a_closed_peer_wakes_both_directions_and_is_a_hang_up);
    RUN(a_pipe_without_reader_wakes_its_writer);
    RUN(a_half_closed_stream_is_readable_and_hung_up);
    RUN(forget_wakes_all_with_closed);
    RUN(a_reused_number_starts_afresh);
    RUN(an_event_of_an_earlier_use_is_dropped);
    RUN(a_foreign_descriptor_may_be_closed_and_reused_behind_our_back);
    RUN(a_foreign_number_may_be_duplicated_over);
    RUN(a_foreign_descriptor_that_is_ready_already_is_told_so);
    RUN(what_the_kernel_knows_already_is_registered_anew);
    RUN(a_regular_file_is_always_ready);
    RUN(what_is_not_open_is_an_error_and_nobody_parks);
    RUN(the_deadline_ends_a_wait_and_leaves_no_waiter);
    RUN(more_events_than_fit_at_once_wake_all);
    RUN(another_thread_wakes_a_sleeping_hub);
    RUN(a_signal_interrupts_the_sleep_and_is_told);
    RUN(the_child_of_a_fork_leaves_the_parents_poller_alone);
    return test_end();
}
