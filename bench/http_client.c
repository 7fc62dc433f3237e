/* http_client.c: the load of the benchmark of HTTP servers, the same for every server.
 *
 * Usage: http_client PORT CONNECTIONS SECONDS SERVER_PID
 *
 * Each connection is kept, and asks for the same page again and again, the next time when the whole
 * answer is here. Then comes a warm-up, a fifth of SECONDS; then the window. Every answer is looked
 * at: its status, how long its Content-Length says that it is, and its body; a server that answers
 * in another way ends the run with an error. The client never sleeps, as echo_client does not.
 *
 * Prints one JSON object: rate, latency percentiles, and what the server spent (spent.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "die.h"
#include "file_limit.h"
#include "pingpong.h"

enum { ANSWER_BYTES_MAX = 4096 };
static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char BODY[] = "Hello, world!";

struct connection {
    int fd;
    unsigned got_bytes; /* of the answer, so far */
    uint64_t sent_ns;   /* when the request left */
    char answer[ANSWER_BYTES_MAX + 1];
};

static void send_next(struct connection *c, uint64_t now)
{
    c->got_bytes = 0;
    c->sent_ns = now;
    if (send(c->fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) != sizeof REQUEST - 1)
        die("cannot send a request");
}

/* Is the answer whole, and the one that was wanted? */
static int is_whole(struct connection *c)
{
    c->answer[c->got_bytes] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end)
        return 0;
    char *length = strcasestr(c->answer, "\r\ncontent-length:");
    errno = 0;
    if (strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0 || !length || length > end)
        die("an answer without a status of 200, or without a length");
    if ((size_t)atoi(length + 17) != sizeof BODY - 1)
        die("an answer of another length");
    size_t rest = c->got_bytes - (size_t)(end + 4 - c->answer);
    if (rest < sizeof BODY - 1)
        return 0;
    if (rest > sizeof BODY - 1 || memcmp(end + 4, BODY, rest) != 0)
        die("an answer with another body");
    return 1;
}

static int receive_answer(struct connection *c)
{
    size_t rest = ANSWER_BYTES_MAX - c->got_bytes;
    ssize_t got = recv(c->fd, c->answer + c->got_bytes, rest, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        die("the server closed a connection");
    c->got_bytes += (unsigned)got;
    return is_whole(c);
}

static void connect_all(struct connection *all, unsigned count, int poller, const char *port)
{
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].fd = connect_inet(SOCK_STREAM, port);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, all[i].fd, &want) < 0)
            die("epoll_ctl");
    }
}

/* Plays until `end_ns`; returns how many answers came. */
static uint64_t play(int poller, uint64_t end_ns)
{
    uint64_t answers = 0, now;
    do {
        int count = await_answers(poller);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive_answer(c))
                continue;
            now = now_ns(CLOCK_MONOTONIC);
            histogram_add(&latencies, now - c->sent_ns);
            send_next(c, now);
            answers++;
        }
        now = now_ns(CLOCK_MONOTONIC);
    } while (now < end_ns);
    return answers;
}

static void measure(int poller, double seconds, pid_t server)
{
    clockid_t server_clock;
    if (clock_getcpuclockid(server, &server_clock) != 0)
        die("no such server process");
    memset(&latencies, 0, sizeof latencies);
    struct spent from = spent_until_now(server, server_clock);
    uint64_t answers = play(poller, from.wall_ns + (uint64_t)(seconds * 1e9));
    print_figures("requests_per_s", answers, from, spent_until_now(server, server_clock));
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: http_client PORT CONNECTIONS SECONDS SERVER_PID\n", stderr);
        return 2;
    }
    unsigned count = (unsigned)atoi(argv[2]);
    double seconds = atof(argv[3]);
    raise_file_limit();
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc(count, sizeof *all);
    if (poller < 0 || !all)
        die("set-up");
    connect_all(all, count, poller, argv[1]);
    for (unsigned i = 0; i < count; i++)
        send_next(&all[i], now_ns(CLOCK_MONOTONIC));
    play(poller, now_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 2e8));
    measure(poller, seconds, atoi(argv[4]));
    free(all);
    return 0;
}
