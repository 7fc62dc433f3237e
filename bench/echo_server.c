/* echo_server.c: the limit of the echo benchmark, an epoll loop in plain C.
 *
 * Usage: echo_server            (prints the port it listens on, then serves until killed)
 *
 * What a careful C programmer would write for one core: one thread, non-blocking sockets, each
 * registered once, edge-triggered. A read that does not fill the buffer means "drained", so an
 * ordinary message costs one recv and one send, and no recv that ends in EAGAIN.
 *
 * A client that does not read what it is sent is dropped: there is no output buffer, because a
 * ping-pong of 64 bytes never needs one. Nothing else may be added here; it must stay the floor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "die.h"
#include "file_limit.h"
#include "listen.h"

enum { EVENTS_MAX = 1024, BUFFER_BYTES = 4096 };

static int poller;

static void watch(int fd, unsigned events)
{
    struct epoll_event want = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want) < 0)
        die("epoll_ctl");
}

static void accept_all(int listener)
{
    int on = 1;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0)
            die("accept4");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
}

static void echo(int fd)
{
    char buffer[BUFFER_BYTES];
    ssize_t got;
    do {
        got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || send(fd, buffer, (size_t)got, MSG_NOSIGNAL) != got) {
            close(fd);
            return;
        }
    } while (got == (ssize_t)sizeof buffer);
}

int main(void)
{
    struct epoll_event events[EVENTS_MAX];
    raise_file_limit();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll_create1");
    int listener = listen_on_any_port();
    watch(listener, EPOLLIN | EPOLLET);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else
                echo(events[i].data.fd);
        }
    }
}
