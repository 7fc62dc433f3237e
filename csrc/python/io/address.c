/*
 * address.c: socket addresses as the kernel has them, and as Python has.
 *
 * The idea: the standard library makes and reads all of them; these are the usual ones, which would
 * cost as much as the call that they are for. Whatever else there is, is left to it.
 * Callers: accept.c and datagram.c, with the GIL. Do not add: names of hosts.
 */
#include "python/io/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

static PyObject *address_inet(const struct sockaddr_in *address)
{
    const unsigned char *part = (const unsigned char *)&address->sin_addr;
    return Py_BuildValue("(Ni)",
                         PyUnicode_FromFormat("%d.%d.%d.%d", part[0], part[1], part[2], part[3]),
                         ntohs(address->sin_port));
}

static PyObject *address_inet6(const struct sockaddr_in6 *address)
{
    char text[INET6_ADDRSTRLEN];
    if (inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text) == NULL)
        return errors_os(-errno);
    return Py_BuildValue("(siII)", text, ntohs(address->sin6_port), ntohl(address->sin6_flowinfo),
                         address->sin6_scope_id);
}

static PyObject *address_unix(const struct sockaddr_un *address, socklen_t length)
{
    size_t size = length - offsetof(struct sockaddr_un, sun_path);
    if (length <= offsetof(struct sockaddr_un, sun_path))
        return PyUnicode_FromString("");
    if (address->sun_path[0] == 0) /* Linux's abstract names are bytes */
        return PyBytes_FromStringAndSize(address->sun_path, (Py_ssize_t)size);
    return PyUnicode_DecodeFSDefaultAndSize(address->sun_path,
                                            (Py_ssize_t)strnlen(address->sun_path, size));
}

/* As the standard library spells it; None for a family that it must spell itself, and where there
 * is none: of a peer that is known. */
static PyObject *address_make(const struct sockaddr_storage *address, socklen_t length)
{
    if (length == 0)
        Py_RETURN_NONE;
    if (address->ss_family == AF_INET)
        return address_inet((const struct sockaddr_in *)address);
    if (address->ss_family == AF_INET6)
        return address_inet6((const struct sockaddr_in6 *)address);
    if (address->ss_family == AF_UNIX)
        return address_unix((const struct sockaddr_un *)address, length);
    Py_RETURN_NONE;
}

static bool address_is_known(int family)
{
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/* ---- reading what Python gives ---- */

/* A number from 0 to `most`; -1: it is another, or no number. No exception. */
static int64_t address_number(PyObject *number, int64_t most)
{
    if (!PyLong_CheckExact(number))
        return -1;
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    return overflow == 0 && value >= 0 && value <= most ? value : -1;
}

/* (host, port) of numeric IPv4, the usual one. 0: it is something else, for others to read. */
static socklen_t address_read(PyObject *given, int family, struct sockaddr_storage *address)
{
    if (family != AF_INET || !PyTuple_CheckExact(given) || PyTuple_GET_SIZE(given) != 2)
        return 0;
    PyObject *host = PyTuple_GET_ITEM(given, 0);
    int64_t port = address_number(PyTuple_GET_ITEM(given, 1), UINT16_MAX);
    if (port < 0 || !PyUnicode_CheckExact(host) || !PyUnicode_IS_COMPACT_ASCII(host))
        return 0;
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const char *text = (const char *)PyUnicode_1BYTE_DATA(host);
    if (strlen(text) != (size_t)PyUnicode_GET_LENGTH(host) ||
        inet_pton(AF_INET, text, &inet.sin_addr) != 1)
        return 0;
    memcpy(address, &inet, sizeof inet);
    return sizeof inet;
}
