/* wire.h: how the echo client's bytes travel once it is connected: plainly, or through TLS.
 *
 * One file per way, of which a program takes one: wire_plain.c, wire_tls.c. Sockets are blocking
 * until wire_open, and both ways of receiving answer EAGAIN instead of waiting.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stddef.h>
#include <sys/types.h>

void *wire_open(int fd); /* after connect(); what the other two are given */
ssize_t wire_send(int fd, void *wire, const void *data, size_t bytes);
ssize_t wire_receive(int fd, void *wire, void *data, size_t bytes);

#endif
