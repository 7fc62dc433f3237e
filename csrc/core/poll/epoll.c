/*
 * epoll.c: the default poller: Linux epoll, edge-triggered, each descriptor registered once.
 *
 * Edge-triggered for both directions from the start: the alternative, changing the mask at each
 * wait, costs a system call per wait. EPOLLRDHUP and EPOLLPRI are asked for because they tell when
 * a short read does not prove that a stream is empty (end of stream, urgent mark).
 *
 * The event carries descriptor and generation, so a late event of a closed descriptor is
 * recognised. An eventfd, registered like any other under descriptor -1, lets other threads wake
 * the wait; a pipe under -2 lets a signal, whose handler can write but one byte.
 *
 * Fork: the child shares the parent's epoll instance. close() only closes the descriptor: removing
 * registrations through it would take them from the parent.
 */
#include "core/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EPOLL_MASK (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

static uint64_t epoll_key(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

#define KEY_WAKE -1
#define KEY_SIGNAL -2

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void epoll_close(fbl_hub *hub)
{
    fd_close(&hub->signal_fds[0]);
    fd_close(&hub->signal_fds[1]);
    fd_close(&hub->wake_fd);
    fd_close(&hub->poller_fd);
}

/* What is left in the pipe is reported again: no edges here. */
static int epoll_open_signals(fbl_hub *hub)
{
    if (pipe2(hub->signal_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = epoll_key(KEY_SIGNAL, 0)};
    return epoll_ctl(hub->poller_fd, EPOLL_CTL_ADD, hub->signal_fds[0], &event);
}

static int epoll_open(fbl_hub *hub)
{
    int err;
    hub->poller_fd = epoll_create1(EPOLL_CLOEXEC);
    if (hub->poller_fd < 0)
        return -errno;
    hub->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hub->wake_fd < 0)
        goto error;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = epoll_key(KEY_WAKE, 0)};
    if (epoll_ctl(hub->poller_fd, EPOLL_CTL_ADD, hub->wake_fd, &event) < 0)
        goto error;
    if (hub->wants_signals && epoll_open_signals(hub) < 0)
        goto error;
    return 0;
error:
    err = -errno;
    epoll_close(hub);
    return err;
}

/* A descriptor may have been closed and opened again without our knowing: the kernel then has
 * forgotten it (ENOENT), or knows it from elsewhere (EEXIST). The other call is right then. */
static int epoll_want(fbl_hub *hub, fbl_fd *entry)
{
    struct epoll_event event = {.events = EPOLL_MASK,
                                .data.u64 = epoll_key(entry->fd, entry->generation)};
    int first = entry->is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int second = entry->is_registered ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int expected = entry->is_registered ? ENOENT : EEXIST;
    if (epoll_ctl(hub->poller_fd, first, entry->fd, &event) == 0)
        return 0;
    if (errno == expected && epoll_ctl(hub->poller_fd, second, entry->fd, &event) == 0)
        return 0;
    return -errno;
}

static void epoll_forget(fbl_hub *hub, fbl_fd *entry)
{
    struct epoll_event unused = {0};
    (void)epoll_ctl(hub->poller_fd, EPOLL_CTL_DEL, entry->fd, &unused);
}

static unsigned epoll_readiness(uint32_t events)
{
    unsigned ready = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
        ready |= FBL_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= FBL_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
        ready |= FBL_HANGUP;
    return ready;
}

/* epoll_pwait2 takes nanoseconds. Linux has it from 5.11 on, glibc from 2.35 and musl not, so it is
 * called by its number, which is the same on every machine. */
#define EPOLL_PWAIT2 441

/* It was refused: by an older kernel (ENOSYS), or by a sandbox that does not know it (EPERM; the
 * kernel's own epoll never says that). It will be again. Any thread sets it, none clears it. */
static bool epoll_is_coarse;

/* Rounded up, because a wait that ends early is one more turn of the hub, and so on in turns. */
static int epoll_timeout_ms(uint64_t timeout_ns)
{
    uint64_t timeout_ms = timeout_ns / 1000000u + (timeout_ns % 1000000u != 0);
    return timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
}

static int epoll_wait_ns(int epoll_fd, struct epoll_event *events, uint64_t timeout_ns)
{
    if (timeout_ns == 0 || timeout_ns == FBL_NEVER)
        return epoll_wait(epoll_fd, events, FBL_HUB_EVENTS, timeout_ns == 0 ? 0 : -1);
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    if (!__atomic_load_n(&epoll_is_coarse, __ATOMIC_RELAXED)) {
        long count = syscall(EPOLL_PWAIT2, epoll_fd, events, FBL_HUB_EVENTS, &timeout, NULL, 0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)count;
        __atomic_store_n(&epoll_is_coarse, true, __ATOMIC_RELAXED);
    }
    return epoll_wait(epoll_fd, events, FBL_HUB_EVENTS, epoll_timeout_ms(timeout_ns));
}

/* For how long the poller looks again and again before it sleeps. To be woken takes 5 to 50 us.
 * Eager is who has just slept for less than that: there is a peer that answers at once. */
#define EPOLL_LOOKS_NS 12000u
#define EPOLL_BRIEF_NS 30000u

/* Who has looked in vain, or slept for long, is not eager before so many brief sleeps: where the
 * peer needs this core, looking only keeps it from answering. */
#define EPOLL_BRIEF_SLEEPS 16

static int epoll_look(fbl_hub *hub, struct epoll_event *events)
{
    uint64_t until_ns = fbl_clock_ns() + EPOLL_LOOKS_NS;
    int count;
    do
        count = epoll_wait(hub->poller_fd, events, FBL_HUB_EVENTS, 0);
    while (count == 0 && fbl_clock_ns() < until_ns);
    if (count == 0)
        hub->eagerness = -EPOLL_BRIEF_SLEEPS;
    return count;
}

/* Looks before it sleeps, if that has been worth it. */
static int epoll_sleep(fbl_hub *hub, struct epoll_event *events, uint64_t timeout_ns)
{
    if (hub->eagerness >= 0 && timeout_ns > EPOLL_LOOKS_NS) {
        int count = epoll_look(hub, events);
        if (count != 0)
            return count;
        timeout_ns -= timeout_ns == FBL_NEVER ? 0 : EPOLL_LOOKS_NS;
    }
    uint64_t since_ns = fbl_clock_ns();
    int count = epoll_wait_ns(hub->poller_fd, events, timeout_ns);
    if (fbl_clock_ns() - since_ns > EPOLL_BRIEF_NS)
        hub->eagerness = -EPOLL_BRIEF_SLEEPS;
    else if (hub->eagerness < 0)
        hub->eagerness++;
    return count;
}

static int epoll_wait_events(fbl_hub *hub, uint64_t timeout_ns)
{
    struct epoll_event raw[FBL_HUB_EVENTS];
    int count =
        timeout_ns == 0 ? epoll_wait_ns(hub->poller_fd, raw, 0) : epoll_sleep(hub, raw, timeout_ns);
    if (count < 0)
        return -errno;
    int kept = 0;
    for (int i = 0; i < count; i++) {
        int fd = (int)(uint32_t)raw[i].data.u64;
        if (fd < 0) {
            char unused[64];
            int source = fd == KEY_WAKE ? hub->wake_fd : hub->signal_fds[0];
            (void)!read(source, unused, sizeof unused);
            continue;
        }
        hub->events[kept++] = (fbl_event){.fd = fd,
                                          .generation = (uint32_t)(raw[i].data.u64 >> 32),
                                          .ready = epoll_readiness(raw[i].events)};
    }
    return kept;
}

static void epoll_wake(fbl_hub *hub)
{
    uint64_t one = 1;
    (void)!write(hub->wake_fd, &one, sizeof one);
}

const fbl_poller fbl_poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .want = epoll_want,
    .forget = epoll_forget,
    .wait = epoll_wait_events,
    .wake = epoll_wake,
};
