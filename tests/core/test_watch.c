/* test_watch.c: being told without waiting: watches, timers that are aside, and turns. */
#include "embed.h"

#include <fcntl.h>
#include <sys/socket.h>

typedef struct {
    fbl_fd_watch core;
    unsigned told; /* all that it was told since it was last asked */
    int count;     /* how often */
    fbl_fd_watch *to_stop; /* whom it stops when it is told, or NULL */
} watch;

static void watch_fire(fbl_hub *hub, fbl_fd_watch *core, unsigned ready)
{
    watch *self = fbl_container_of(core, watch, core);
    self->told |= ready;
    self->count++;
    if (self->to_stop != NULL)
        fbl_fd_watch_stop(hub, self->to_stop);
}

static watch *watch_make(watch *self, int fd, unsigned wanted)
{
    *self = (watch){.core = {.fd = fd, .wanted = wanted, .fire = watch_fire}};
    fbl_list_init(&self->core.link);
    return self;
}

static watch *watch_begin(watch *self, int fd, unsigned wanted)
{
    watch_make(self, fd, wanted);
    CHECK_EQUAL(fbl_fd_watch_start(&test_hub, &self->core), 0);
    return self;
}

static void look(void)
{
    fbl_hub_look_soon(&test_hub);
    test_yield();
}

/* How often it was told since the last time. */
static int times(watch *self)
{
    int count = self->count;
    self->count = 0;
    return count;
}

static void make_pipe(int ends[2]) { CHECK_EQUAL(pipe2(ends, O_NONBLOCK), 0); }

static void put(int fd) { CHECK_EQUAL(write(fd, "x", 1), 1); }

static void close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        fbl_fd_forget(&test_hub, ends[i]);
        close(ends[i]);
    }
}

static void a_watch_is_told_once_for_each_time_it_wants_to_be(void)
{
    int ends[2];
    watch reader;
    test_open(false);
    make_pipe(ends);
    watch_begin(&reader, ends[0], FBL_READ);
    look();
    CHECK_EQUAL(times(&reader), 0);
    put(ends[1]);
    look();
    look();
    CHECK_EQUAL(times(&reader), 1);
    for (int i = 0; i < 3; i++) { /* nobody reads: it stays true */
        CHECK_EQUAL(fbl_fd_watch_want(&test_hub, &reader.core), 0);
        look();
        look();
        CHECK_EQUAL(times(&reader), 1);
    }
    fbl_fd_watch_stop(&test_hub, &reader.core);
    fbl_fd_watch_stop(&test_hub, &reader.core);
    put(ends[1]);
    look();
    CHECK_EQUAL(times(&reader), 0);
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    close_pipe(ends);
    test_close();
}

static void what_is_ready_at_the_start_is_told(void)
{
    int ends[2];
    watch writer, reader;
    test_open(false);
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    watch_begin(&writer, ends[0], FBL_READ | FBL_WRITE);
    watch_begin(&reader, ends[0], FBL_READ);
    look();
    CHECK_EQUAL(writer.told, FBL_WRITE);
    CHECK_EQUAL(times(&reader), 0);
    put(ends[1]);
    look();
    CHECK_EQUAL(writer.told, FBL_READ | FBL_WRITE);
    CHECK_EQUAL(reader.told, FBL_READ);
    fbl_fd_watch_stop(&test_hub, &writer.core);
    fbl_fd_watch_stop(&test_hub, &reader.core);
    close_pipe(ends);
    test_close();
}

static void one_that_is_told_may_stop_itself(void)
{
    int ends[2];
    watch first, second;
    test_open(false);
    make_pipe(ends);
    watch_begin(&first, ends[0], FBL_READ);
    watch_begin(&second, ends[0], FBL_READ);
    first.to_stop = &first.core;
    put(ends[1]);
    look();
    CHECK_EQUAL(times(&first), 1);
    CHECK_EQUAL(times(&second), 1);
    CHECK(!fbl_fd_watch_is_started(&first.core));
    fbl_fd_watch_stop(&test_hub, &second.core);
    close_pipe(ends);
    test_close();
}

static void a_descriptor_that_is_closed_ends_its_watches_and_tells_them(void)
{
    int ends[2];
    watch reader, writer;
    test_open(false);
    make_pipe(ends);
    watch_begin(&reader, ends[0], FBL_READ);
    watch_begin(&writer, ends[0], FBL_WRITE);
    fbl_fd_forget(&test_hub, ends[0]);
    CHECK_EQUAL(reader.told, FBL_READ);
    CHECK_EQUAL(writer.told, FBL_WRITE);
    CHECK(!fbl_fd_watch_is_started(&reader.core) && !fbl_fd_watch_is_started(&writer.core));
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    close_pipe(ends);
    test_close();
}

static void what_is_no_descriptor_is_an_error_and_not_watched(void)
{
    int ends[2];
    watch reader;
    test_open(false);
    make_pipe(ends);
    watch_begin(&reader, ends[0], FBL_READ);
    close(ends[0]); /* behind our back */
    CHECK_EQUAL(fbl_fd_watch_want(&test_hub, &reader.core), -EBADF);
    CHECK(!fbl_fd_watch_is_started(&reader.core));
    CHECK_EQUAL(fbl_fd_watch_start(&test_hub, &reader.core), -EBADF);
    CHECK(!fbl_fd_watch_is_started(&reader.core));
    CHECK_EQUAL(fbl_fd_watch_start(&test_hub, &watch_make(&reader, -1, FBL_READ)->core), -EBADF);
    CHECK_EQUAL(test_hub.fd_waiter_count, 0);
    close(ends[1]);
    test_close();
}

static void a_regular_file_is_told_at_once(void)
{
    watch reader;
    test_open(false);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    watch_begin(&reader, fd, FBL_READ);
    CHECK_EQUAL(times(&reader), 1);
    CHECK_EQUAL(fbl_fd_watch_want(&test_hub, &reader.core), 0);
    CHECK_EQUAL(times(&reader), 1);
    fbl_fd_watch_stop(&test_hub, &reader.core);
    close(fd);
    test_close();
}

static void watches_end_with_the_hub_and_with_a_fork(void)
{
    int ends[2];
    watch reader, writer;
    test_open(false);
    make_pipe(ends);
    watch_begin(&reader, ends[0], FBL_READ);
    fbl_fd_watch_set_aside(&test_hub, &reader.core, true);
    fbl_hub_abandon(&test_hub, test_hub.current);
    CHECK(!fbl_fd_watch_is_started(&reader.core));
    CHECK_EQUAL((int)test_hub.fd_waiter_count + test_hub.kept_count, 0);
    watch_begin(&writer, ends[1], FBL_WRITE);
    look();
    CHECK_EQUAL(times(&writer), 1);
    test_close();
    CHECK(!fbl_fd_watch_is_started(&writer.core));
    close(ends[0]);
    close(ends[1]);
}

/* ---- what keeps the hub going ---- */

static void timer_fire(fbl_hub *hub, fbl_timer *timer)
{
    (void)hub;
    (void)timer;
}

static void park(void)
{
    CHECK_EQUAL(fbl_park_wait(&test_hub, FBL_NEVER), FBL_WAKE_THROWN);
    test_arrive();
}

static void timers_that_are_aside_do_not_keep_a_dead_end_away(void)
{
    fbl_timer timer = {.fire = timer_fire};
    test_open(true);
    fbl_timer_start(&test_hub, &timer, 2000000000u);
    CHECK(!fbl_hub_is_idle(&test_hub));
    fbl_timer_set_aside(&test_hub, &timer, true);
    CHECK(fbl_hub_is_idle(&test_hub));
    park();
    CHECK_EQUAL(test_stall_count, 1);
    CHECK(timer.is_started);
    fbl_timer_set_aside(&test_hub, &timer, false);
    CHECK(!fbl_hub_is_idle(&test_hub));
    fbl_timer_set_aside(&test_hub, &timer, true);
    test_sleep_until(3000000000u); /* it fires all the same */
    CHECK(!timer.is_started);
    CHECK_EQUAL(test_hub.timer_count, 0);
    fbl_timer_start(&test_hub, &timer, 4000000000u);
    fbl_timer_cancel(&test_hub, &timer);
    CHECK_EQUAL(test_hub.timer_count, 0);
    test_close();
}

static void a_watch_keeps_a_dead_end_away_unless_it_is_aside(void)
{
    int ends[2];
    watch reader;
    test_open(false);
    make_pipe(ends);
    watch_begin(&reader, ends[0], FBL_READ);
    CHECK(!fbl_hub_is_idle(&test_hub));
    fbl_fd_watch_set_aside(&test_hub, &reader.core, true);
    CHECK(fbl_hub_is_idle(&test_hub));
    park();
    fbl_fd_watch_set_aside(&test_hub, &reader.core, false);
    CHECK(!fbl_hub_is_idle(&test_hub));
    fbl_fd_watch_stop(&test_hub, &reader.core);
    CHECK(fbl_hub_is_idle(&test_hub));
    CHECK_EQUAL(test_hub.kept_count, 0);
    close_pipe(ends);
    test_close();
}

/* ---- turns ---- */

static test_fiber made;

static void nothing(test_fiber *self) { (void)self; }

/* The first turn makes somebody ready, who must run before the hub sleeps. */
static uint64_t make_one_ready(uint64_t timeout_ns)
{
    if (test_begin_count > 1)
        return timeout_ns;
    test_spawn(&made, nothing, NULL);
    return 0;
}

static void who_observes_turns_is_asked_around_each_look_at_the_kernel(void)
{
    test_open(true);
    test_sleep_until(2000000000u);
    CHECK_EQUAL(test_begin_count, 0);
    CHECK_EQUAL(test_hub.turn_count, 2); /* the sleep, and what is due after it */
    test_hub.is_observed = true;
    test_on_begin = make_one_ready;
    fbl_wake why = fbl_park_wait(&test_hub, 3000000000u);
    test_arrive();
    CHECK_EQUAL(why, FBL_WAKE_TIMEOUT);
    CHECK_EQUAL(made.core.state, FBL_FIBER_DONE);
    CHECK_EQUAL(test_begin_count, 3);
    CHECK_EQUAL(test_end_count, 3);
    CHECK_EQUAL(test_stall_count, 0);
    test_hub.is_observed = false;
    test_close();
}

int main(void)
{
    RUN(a_watch_is_told_once_for_each_time_it_wants_to_be);
    RUN(what_is_ready_at_the_start_is_told);
    RUN(one_that_is_told_may_stop_itself);
    RUN(a_descriptor_that_is_closed_ends_its_watches_and_tells_them);
    RUN(what_is_no_descriptor_is_an_error_and_not_watched);
    RUN(a_regular_file_is_told_at_once);
    RUN(watches_end_with_the_hub_and_with_a_fork);
    RUN(timers_that_are_aside_do_not_keep_a_dead_end_away);
    RUN(a_watch_keeps_a_dead_end_away_unless_it_is_aside);
    RUN(who_observes_turns_is_asked_around_each_look_at_the_kernel);
    return test_end();
}
