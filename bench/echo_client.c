/* echo_client.c: the load of the echo benchmark, the same for every server.
 *
 * Usage: echo_client KIND ADDRESS CONNECTIONS SECONDS MESSAGES_MAX SERVER_PID
 *
 * KIND is tcp, udp (connected sockets, one a "connection"; ADDRESS: a port) or unix (a path). Built
 * twice: as echo_client, and with wire_tls.c as echo_client_tls.
 *
 * Ping-pong on each connection: a 64-byte message goes out, and the next one only when the whole
 * echo is back. All connections are made first; then comes a warm-up, a fifth of SECONDS; then the
 * window, which ends after SECONDS or MESSAGES_MAX messages. Every byte of every echo is compared;
 * a message carries its connection's number and its own sequence number, so an echo that is lost,
 * doubled or delivered to somebody else ends the run with an error.
 *
 * The client never sleeps: it asks epoll again and again on a core of its own. On a virtual
 * machine, waking an idle core costs 20-50 us; with one connection, that would be most of what is
 * measured (14 thousand messages/s for C and gevent alike).
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
#include <sys/un.h>
#include <unistd.h>

#include "die.h"
#include "file_limit.h"
#include "pingpong.h"
#include "wire.h"

enum { MESSAGE_BYTES = 64 };

/* 64 bytes on the wire: who sent it, which one it is, and a filling that differs each time. */
struct message {
    uint64_t connection;
    uint64_t sequence;
    uint8_t filling[MESSAGE_BYTES - 16];
};
_Static_assert(sizeof(struct message) == MESSAGE_BYTES, "a message is 64 bytes");

struct connection {
    int fd;
    void *wire;               /* see wire.h */
    unsigned got_bytes;       /* of the echo, so far */
    uint64_t sent_ns;         /* when `sent` left */
    struct message sent;      /* what the echo must equal */
    char echo[MESSAGE_BYTES]; /* what has come back */
};

static void send_next(struct connection *c, uint64_t now)
{
    c->sent.sequence++;
    memset(c->sent.filling, (int)(c->sent.connection + c->sent.sequence), sizeof c->sent.filling);
    c->got_bytes = 0;
    c->sent_ns = now;
    if (wire_send(c->fd, c->wire, &c->sent, MESSAGE_BYTES) != MESSAGE_BYTES)
        die("cannot send a message");
}

/* Returns 1 when the whole echo is here and right, 0 when more must come. */
static int receive_echo(struct connection *c)
{
    size_t rest = MESSAGE_BYTES - c->got_bytes;
    ssize_t got = wire_receive(c->fd, c->wire, c->echo + c->got_bytes, rest);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        die("the server closed a connection");
    c->got_bytes += (unsigned)got;
    if (c->got_bytes < MESSAGE_BYTES)
        return 0;
    errno = 0;
    if (memcmp(c->echo, &c->sent, MESSAGE_BYTES) != 0)
        die("an echo differs from what was sent");
    return 1;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("cannot connect");
    return fd;
}

static int connect_one(const char *kind, const char *address)
{
    if (strcmp(kind, "unix") == 0)
        return connect_unix(address);
    return connect_inet(strcmp(kind, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM, address);
}

static void connect_all(struct connection *all, unsigned count, int poller, char **where)
{
    for (unsigned i = 0; i < count; i++) {
        struct connection *c = &all[i];
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = c};
        c->sent.connection = i;
        c->fd = connect_one(where[0], where[1]);
        c->wire = wire_open(c->fd);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &want) < 0)
            die("epoll_ctl");
    }
}

/* Plays until `end_ns` or `messages_max`; returns how many messages came back. */
static uint64_t play(int poller, uint64_t end_ns, uint64_t messages_max)
{
    uint64_t messages = 0, now;
    do {
        int count = await_answers(poller);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive_echo(c))
                continue;
            now = now_ns(CLOCK_MONOTONIC);
            histogram_add(&latencies, now - c->sent_ns);
            send_next(c, now);
            messages++;
        }
        now = now_ns(CLOCK_MONOTONIC);
    } while (now < end_ns && messages < messages_max);
    return messages;
}

static void measure(int poller, double seconds, uint64_t messages_max, pid_t server)
{
    clockid_t server_clock;
    if (clock_getcpuclockid(server, &server_clock) != 0)
        die("no such server process");
    memset(&latencies, 0, sizeof latencies);
    struct spent from = spent_until_now(server, server_clock);
    uint64_t messages = play(poller, from.wall_ns + (uint64_t)(seconds * 1e9), messages_max);
    print_figures("messages_per_s", messages, from, spent_until_now(server, server_clock));
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fputs("usage: echo_client KIND ADDRESS CONNECTIONS SECONDS MESSAGES_MAX SERVER_PID\n",
              stderr);
        return 2;
    }
    unsigned count = (unsigned)atoi(argv[3]);
    double seconds = atof(argv[4]);
    raise_file_limit();
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc(count, sizeof *all);
    if (poller < 0 || !all)
        die("set-up");
    connect_all(all, count, poller, argv + 1);
    for (unsigned i = 0; i < count; i++)
        send_next(&all[i], now_ns(CLOCK_MONOTONIC));
    play(poller, now_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 2e8), UINT64_MAX);
    measure(poller, seconds, strtoull(argv[5], NULL, 10), atoi(argv[6]));
    free(all);
    return 0;
}
