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

#include <poll.h>
#include <stdio.h>
#include <string.h>
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

/* The value of a digit; 16: it is none. */
static unsigned digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0');
    return digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a') + 10 : 16;
}

/* Reads a number, behind blanks; returns what is behind it, NULL if there is none. The C library's
 * functions for that would tie what is built on a newer system to it (glibc 2.38). */
static const char *number_read(const char *text, unsigned base, uint64_t *value)
{
    while (text != NULL && *text == ' ')
        text++;
    if (text == NULL || digit_value(*text) >= base)
        return NULL;
    if (base == 16 && text[0] == '0' && text[1] == 'x')
        text += 2;
    for (*value = 0; digit_value(*text) < base; text++)
        *value = *value * base + digit_value(*text);
    return text;
}

/* A line begins with the call's number and its arguments, or says "running". */
static terminal_call terminal_call_of(unsigned long native_id)
{
    terminal_call none = {.number = -1}, call = none;
    char line[256];
    FILE *file = terminal_open(native_id, "syscall");
    if (file == NULL)
        return none;
    uint64_t number = 0;
    const char *rest = number_read(fgets(line, sizeof line, file), 10, &number);
    rest = number_read(rest, 16, &call.args[0]);
    rest = number_read(rest, 16, &call.args[1]);
    fclose(file);
    call.number = (long)number;
    return rest == NULL ? none : call;
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
        uint64_t fd = 0, events = 0;
        const char *fd_at = strstr(line, "tfd:"), *events_at = strstr(line, "events:");
        is_found = fd_at != NULL && events_at != NULL &&
                   number_read(fd_at + strlen("tfd:"), 10, &fd) != NULL &&
                   number_read(events_at + strlen("events:"), 16, &events) != NULL &&
                   (events & POLLIN) != 0 && isatty((int)fd);
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
