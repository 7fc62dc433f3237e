/* accept_server.c: the limit of the accept benchmark: accept4 and close, an epoll loop in plain C.
 *
 * Usage: accept_server            (prints the port it listens on, then serves until killed)
 *
 * The listener is edge-triggered, and emptied each time. Nothing else may be added here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "die.h"
#include "listen.h"

int main(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC), listener = listen_on_any_port();
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll");
    for (;;) {
        int fd;
        if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR)
            die("epoll_wait");
        while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
            close(fd);
        if (errno != EAGAIN)
            die("accept4");
    }
}
