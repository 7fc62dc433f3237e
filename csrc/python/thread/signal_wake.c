/*
 * signal_wake.c: a signal wakes the main thread's hub, whenever it comes and whoever gets it.
 *
 * The idea: Python's handlers run in the main thread, between two instructions. A signal that comes
 * after the last instruction and before the hub sleeps would be noticed at the next event, which
 * may never come; and one that another native thread gets does not interrupt the sleep at all.
 * CPython can write a byte to a descriptor at each signal (signal.set_wakeup_fd). So while the main
 * thread's hub sleeps that is a pipe of its poller's, and what came before is looked for when the
 * pipe is in place. That costs two exchanges of a number; before 3.13, two small system calls.
 *
 * A program that has set a descriptor of its own keeps it: asyncio's is in our poller anyway, and
 * any other still has the interrupted system call. Whether it is free again is seen only by trying.
 *
 * SAFE: nobody sees the number meanwhile: only the main thread may ask for it, and it sleeps.
 * Do not add: handlers. The hub has no signal of its own.
 */
#include "python/thread/thread.h"

#include <sys/syscall.h>
#include <unistd.h>

#define TRY_AGAIN_AFTER 256 /* sleeps, while the program has a descriptor of its own */

/* Is this the thread that Python's handlers run in? Asked when it is new, and in a forked child. */
static void signal_wake_learn(fbl_thread *thread)
{
    thread->hub.wants_signals = getpid() == (pid_t)syscall(SYS_gettid);
    thread->has_wakeup_fd = false;
}

/* Handlers of what has come run now; what one raises is the main fiber's. */
static void signal_wake_handle(fbl_thread *thread)
{
    if (PyErr_CheckSignals() < 0)
        thread_throw_to_main(thread);
}

/* The program's own descriptor was out of its place for a moment: what came then goes to it. */
static void signal_wake_hand_on(const fbl_hub *hub, int former)
{
    char numbers[64];
    (void)fbl_set_wakeup_fd(former);
    ssize_t count = read(hub->signal_fds[0], numbers, sizeof numbers);
    if (count > 0)
        (void)!write(former, numbers, (size_t)count);
}

/* The hub is about to sleep; who is woken from here on makes that end at once. */
static void signal_wake_begin(fbl_thread *thread)
{
    static unsigned sleeps_left; /* until it is tried again */
    int fd = thread->hub.signal_fds[1];
    if (fd >= 0 && (sleeps_left == 0 || --sleeps_left == 0)) { /* -1: it is a simulated world */
        int former = fbl_set_wakeup_fd(fd);
        thread->has_wakeup_fd = former == -1;
        sleeps_left = former == -1 ? 0 : TRY_AGAIN_AFTER;
        if (former >= 0)
            signal_wake_hand_on(&thread->hub, former);
    }
    signal_wake_handle(thread);
}

/* It slept. */
static void signal_wake_end(fbl_thread *thread)
{
    if (thread->has_wakeup_fd)
        (void)fbl_set_wakeup_fd(-1);
    thread->has_wakeup_fd = false;
    signal_wake_handle(thread);
}
