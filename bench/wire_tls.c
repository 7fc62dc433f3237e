/* wire_tls.c: bytes through OpenSSL, as the system has it. Whose certificate it is is not asked. */
#define _GNU_SOURCE
#include "wire.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>

#include "die.h"

static SSL_CTX *context;

void *wire_open(int fd)
{
    if (context == NULL) {
        context = SSL_CTX_new(TLS_client_method());
        signal(SIGPIPE, SIG_IGN);
    }
    SSL *wire = context == NULL ? NULL : SSL_new(context);
    errno = 0;
    if (wire == NULL || SSL_set_fd(wire, fd) != 1 || SSL_connect(wire) != 1)
        die("cannot shake hands");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl");
    return wire;
}

static ssize_t answer(SSL *wire, int rc)
{
    if (rc > 0)
        return rc;
    int error = SSL_get_error(wire, rc);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

ssize_t wire_send(int fd, void *wire, const void *data, size_t bytes)
{
    (void)fd;
    return answer(wire, SSL_write(wire, data, (int)bytes));
}

ssize_t wire_receive(int fd, void *wire, void *data, size_t bytes)
{
    (void)fd;
    return answer(wire, SSL_read(wire, data, (int)bytes));
}
