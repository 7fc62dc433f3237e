/*
 * terminal.c: whether a native thread waits for its user to type.
 *
 * The idea: the kernel tells which system call a thread is in, with the arguments, and whoever
 * prompts is in one that names a terminal: it reads it, or it waits in poll, select or epoll until
 * there is something to read (readline, IPython, the interactive interpreter since 3.13). So it
 * need not be known what prompts, and whoever is stuck in anything else is not taken for one.
 * A process may always ask that of its own threads; the rights to trace are not needed.
 *
 * Where nobody can be asked (a kernel without that file), nobody waits for a terminal.
 * SAFE: the thread goes on while it is looked at. So its memory is copied by the kernel, which says
 * so when it is gone; and an answer that is old by a moment is what every look from outside is.
 * Callers: the watchdog's thread, without the GIL or with it.
 * Do not add: programs that prompt, by name.
 */
#include "python/thread/thread.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux has it from 5.11 on, the headers of C libraries later; the number is every machine's. */
#define TERMINAL_EPOLL_PWAIT2 441

/* Newer machines have only the calls with a mask of signals. */
#ifndef SYS_poll
#define SYS_poll (-2)
#define SYS_select (-3)
#define SYS_epoll_wait (-4)
#endif

#define TERMINAL_POLLED_MAX 64 /* descriptors that are looked at, of those one poll waits for */

/* A system call that a thread is in; `number` is -1 outside of any. */
typedef struct {
    long number;
    uint64_t args[2];
} terminal_call;

static FILE *terminal_open(unsigned long native_id, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%lu/%s", native_id, name);
    return fopen(path, "re");
}

static terminal_call terminal_call_of(unsigned long native_id)
{
    terminal_call call = {.number = -1};
    FILE *file = terminal_open(native_id, "syscall");
    if (file == NULL)
        return call;
    if (fscanf(file, "%ld %" SCNx64 " %" SCNx64, &call.number, &call.args[0], &call.args[1]) != 3)
        call.number = -1; /* it says "running" */
    fclose(file);
    return call;
}

/* Copies from where any thread of this process may be changing it; false: it is not there. */
static bool terminal_copy(void *target, uint64_t source, size_t size)
{
    struct iovec to = {target, size};
    struct iovec from = {(void *)(uintptr_t)source, size};
    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)size;
}

static bool terminal_is_polled(uint64_t polled, uint64_t count)
{
    struct pollfd fds[TERMINAL_POLLED_MAX];
    count = count < TERMINAL_POLLED_MAX ? count : TERMINAL_POLLED_MAX;
    if (!terminal_copy(fds, polled, (size_t)count * sizeof *fds))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if ((fds[i].events & POLLIN) && isatty(fds[i].fd))
            return true;
    }
    return false;
}

static bool terminal_is_selected(uint64_t count, uint64_t readers)
{
    fd_set fds;
    count = count < FD_SETSIZE ? count : FD_SETSIZE;
    FD_ZERO(&fds);
    if (readers == 0 || !terminal_copy(&fds, readers, (size_t)(count + 7) / 8))
        return false;
    for (int fd = 0; fd < (int)count; fd++) {
        if (FD_ISSET(fd, &fds) && isatty(fd))
            return true;
    }
    return false;
}

/* An epoll instance lists what it watches, one a line: "tfd:        0 events:       19 …". */
static bool terminal_is_watched(unsigned long native_id, int epoll_fd)
{
    char name[32], line[256];
    snprintf(name, sizeof name, "fdinfo/%d", epoll_fd);
    FILE *file = terminal_open(native_id, name);
    bool is_found = false;
    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        int fd;
        unsigned events;
        is_found = sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 &&
                   (events & POLLIN) != 0 && isatty(fd);
    }
    if (file != NULL)
        fclose(file);
    return is_found;
}

/* Is this thread of the process in a system call that ends when somebody types? Where none of the
 * usual three descriptors is a terminal, nobody is asked: a server opens no files for it. */
static bool terminal_is_waited_for(unsigned long native_id)
{
    if (!isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO) && !isatty(STDERR_FILENO))
        return false;
    terminal_call call = terminal_call_of(native_id);
    switch (call.number) {
    case SYS_read:
    case SYS_readv: return isatty((int)call.args[0]);
    case SYS_poll:
    case SYS_ppoll: return terminal_is_polled(call.args[0], call.args[1]);
    case SYS_select:
    case SYS_pselect6: return terminal_is_selected(call.args[0], call.args[1]);
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case TERMINAL_EPOLL_PWAIT2: return terminal_is_watched(native_id, (int)call.args[0]);
    default: return false;
    }
}
