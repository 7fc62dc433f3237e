/* connect_client.c: the load of the accept benchmark: connects, is closed, connects again.
 *
 * Usage: connect_client PORT CONNECTIONS SECONDS SERVER_PID
 *
 * So many connections are under way at once, none blocking. One is done when the server has closed
 * it, without a byte; another takes its place. The client never sleeps, as echo_client does not.
 *
 * Prints one JSON object: connections per second, and what the server spent (spent.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "die.h"
#include "file_limit.h"
#include "spent.h"

enum { EVENTS_MAX = 1024 };
static const uint64_t PATIENCE_NS = 5000000000u;

static struct sockaddr_in server;
static int poller;

static void connect_one(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event want = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die("cannot connect");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want) < 0)
        die("epoll_ctl");
}

static void check_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
    if (got != 0)
        die(got < 0 ? "a connection failed" : "the server has said something");
    close(fd);
}

/* Until `end_ns`; how many connections were made and closed. */
static uint64_t play(uint64_t end_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t done = 0, now = now_ns(CLOCK_MONOTONIC), last_ns = now;
    while (now < end_ns) {
        int count = epoll_wait(poller, events, EVENTS_MAX, 0);
        for (int i = 0; i < count; i++) {
            check_end(events[i].data.fd);
            connect_one();
        }
        now = now_ns(CLOCK_MONOTONIC);
        if (count > 0) {
            done += (unsigned)count;
            last_ns = now;
        }
        if (now - last_ns > PATIENCE_NS)
            die("no connection in 5 seconds");
    }
    return done;
}

int main(int argc, char **argv)
{
    clockid_t server_clock;
    if (argc != 5) {
        fputs("usage: connect_client PORT CONNECTIONS SECONDS SERVER_PID\n", stderr);
        return 2;
    }
    double seconds = atof(argv[3]);
    pid_t pid = atoi(argv[4]);
    server = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    raise_file_limit();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0 || clock_getcpuclockid(pid, &server_clock) != 0)
        die("set-up");
    for (int i = 0; i < atoi(argv[2]); i++)
        connect_one();
    play(now_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 2e8));
    struct spent from = spent_until_now(pid, server_clock);
    double done = (double)play(from.wall_ns + (uint64_t)(seconds * 1e9));
    struct spent to = spent_until_now(pid, server_clock);
    double wall_ns = (double)(to.wall_ns - from.wall_ns);
    printf("{\"connections_per_s\": %.1f, \"server_cpu_us\": %.4f, \"server_busy_percent\": %.2f, "
           "\"starved_percent\": %.2f}\n",
           done / wall_ns * 1e9, (double)(to.server_ns - from.server_ns) / done / 1e3,
           100 * (double)(to.server_ns - from.server_ns) / wall_ns,
           100 * (double)(to.starved_ns - from.starved_ns) / wall_ns);
    return 0;
}
