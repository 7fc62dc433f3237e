/* pingpong.h: what clients have in common that ask again when an answer is here.
 *
 * They never sleep: see echo_client.c. Each counts latencies between the two ends of a window, and
 * prints one JSON object. One thread; one poller.
 */
#ifndef BENCH_PINGPONG_H
#define BENCH_PINGPONG_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "die.h"
#include "histogram.h"
#include "spent.h"

enum { EVENTS_MAX = 1024 };
static const uint64_t PATIENCE_NS = 5000000000u;

/* What is counted between the two ends of the window. */
static struct histogram latencies;
static struct epoll_event events[EVENTS_MAX];

static int connect_inet(int type, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("cannot connect");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Spins until answers are here; returns on how many connections. */
static int await_answers(int poller)
{
    uint64_t give_up_ns = now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_MAX, 0);
        if (count > 0)
            return count;
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        errno = 0;
        if (now_ns(CLOCK_MONOTONIC) > give_up_ns)
            die("no answer in 5 seconds");
    }
}

/* `rate`: the figure's name, "messages_per_s" for example. */
static void print_figures(const char *rate, uint64_t answers, struct spent from, struct spent to)
{
    double wall_ns = (double)(to.wall_ns - from.wall_ns), count = (double)answers;
    double server_ns = (double)(to.server_ns - from.server_ns);
    printf("{\"%s\": %.1f, \"server_cpu_us\": %.4f, \"server_busy_percent\": %.2f, "
           "\"starved_percent\": %.2f, \"p50_us\": %.2f, \"p99_us\": %.2f}\n",
           rate, count / wall_ns * 1e9, server_ns / count / 1e3, 100 * server_ns / wall_ns,
           100 * (double)(to.starved_ns - from.starved_ns) / wall_ns,
           histogram_percentile(&latencies, 50) / 1e3, histogram_percentile(&latencies, 99) / 1e3);
}

#endif
