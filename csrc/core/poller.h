/*
 * poller.h: the contract of a poller: how a hub asks the kernel what is ready.
 *
 * Six calls. A poller keeps no policy: it does not know fibers, timers or waiters. Readiness is
 * reported edge-wise: once when it becomes true, and again after `want`. Reporting too often is
 * harmless (the operation is tried and finds nothing); reporting too seldom is a hang.
 *
 *   open    make the kernel object; hub->poller_fd, wake_fd and signal_fds are its to set
 *   close   give it back; after a fork also, where it must not disturb the parent's
 *   want    report this descriptor's readiness for both directions, now if it is ready already
 *   forget  never report it again (called while the descriptor is still open)
 *   wait    block up to timeout_ns (0: do not block, FBL_NEVER: for ever), fill hub->events,
 *           return how many. Runs without the embedder's lock: touches hub->events and its own
 *           data only
 *   wake    make a running or coming `wait` return at once; any thread may call it
 *
 * A new poller is one more file in poll/ without conditionals, and a word to fbl_hub_init.
 */
#ifndef FBL_POLLER_H
#define FBL_POLLER_H

#include "core/core.h"

struct fbl_poller {
    const char *name;
    int (*open)(fbl_hub *hub);
    void (*close)(fbl_hub *hub);
    int (*want)(fbl_hub *hub, fbl_fd *entry);
    void (*forget)(fbl_hub *hub, fbl_fd *entry);
    int (*wait)(fbl_hub *hub, uint64_t timeout_ns);
    void (*wake)(fbl_hub *hub);
};

#endif
