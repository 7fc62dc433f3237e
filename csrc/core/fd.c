/*
 * fd.c: what the hub knows of each file descriptor, and whom it tells.
 *
 * The idea: a descriptor is registered with the kernel once, edge-triggered for both directions,
 * and an edge is remembered as a bit (`ready`) until somebody finds the descriptor empty. A reader
 * tries first when the bit is set and parks at once when it is not (park.c), so in steady
 * request-and-answer traffic a waited read is one system call, with no EAGAIN in between.
 *
 * Two kinds of owner. A socket of ours calls fbl_fd_forget when it closes, so its entry is always
 * true. A descriptor that somebody else owns may have been closed and reused without a word:
 * fbl_fd_foreign_wait registers anew each time, which makes the kernel report what is true now.
 *
 * Invariant: an event whose generation is not the entry's is about an earlier use of the number and
 * is dropped. All readers wait in one list, all writers in another, first come first served; an
 * edge wakes all of them, because one may be killed before it reads. Watches are told as well, and
 * stay; who wants to be told again of what is still true asks for it (fbl_fd_watch_want).
 */
#include "core/core.h"
#include "core/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fd_table_grow(fbl_hub *hub, int fd)
{
    size_t length = hub->fds_length != 0 ? hub->fds_length : 64;
    while (length <= (size_t)fd)
        length *= 2;
    fbl_fd **fds = realloc(hub->fds, length * sizeof *fds);
    if (fds == NULL)
        return -ENOMEM;
    memset(fds + hub->fds_length, 0, (length - hub->fds_length) * sizeof *fds);
    hub->fds = fds;
    hub->fds_length = length;
    return 0;
}

/* The entry of a descriptor, made on first use. It stays until the hub is closed. */
int fbl_fd_get(fbl_hub *hub, int fd, fbl_fd **entry)
{
    if (fd < 0)
        return -EBADF;
    if (fbl_likely((size_t)fd < hub->fds_length && hub->fds[fd] != NULL)) {
        *entry = hub->fds[fd];
        return 0;
    }
    int rc = (size_t)fd < hub->fds_length ? 0 : fd_table_grow(hub, fd);
    if (rc < 0)
        return rc;
    fbl_fd *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return -ENOMEM;
    fresh->fd = fd;
    fresh->ready = FBL_READ | FBL_WRITE; /* unknown: worth a try */
    fresh->unblocking_turn = UINT64_MAX;
    fbl_list_init(&fresh->readers);
    fbl_list_init(&fresh->writers);
    fbl_list_init(&fresh->watches);
    hub->fds[fd] = *entry = fresh;
    return 0;
}

/* Has the poller report it, now if it is ready already. -EPERM: it cannot be polled. */
int fbl_fd_register(fbl_hub *hub, fbl_fd *entry)
{
    int rc = fbl_hub_open(hub);
    if (rc == 0)
        rc = hub->poller->want(hub, entry);
    entry->is_registered = rc == 0;
    return rc;
}

static void fd_wake_all(fbl_link *list, fbl_wake why)
{
    while (!fbl_list_is_empty(list)) {
        fbl_waiter *waiter = fbl_container_of(list->next, fbl_waiter, link);
        if (why == FBL_WAKE_FIRED)
            fbl_waiter_fire(waiter);
        else
            fbl_wake_fiber(waiter->fiber, why);
    }
}

static void fd_tell_watches(fbl_hub *hub, fbl_fd *entry, unsigned ready)
{
    fbl_link *link = entry->watches.next;
    while (link != &entry->watches) {
        fbl_fd_watch *watch = fbl_container_of(link, fbl_fd_watch, link);
        link = link->next;
        if (watch->wanted & ready)
            watch->fire(hub, watch, watch->wanted & ready);
    }
}

/* Each is told once more, finds out what is wrong by trying, and is not to watch who gets the
 * number next. */
static void fd_end_watches(fbl_hub *hub, fbl_fd *entry)
{
    while (!fbl_list_is_empty(&entry->watches)) {
        fbl_fd_watch *watch = fbl_container_of(entry->watches.next, fbl_fd_watch, link);
        fbl_fd_watch_stop(hub, watch);
        watch->fire(hub, watch, watch->wanted);
    }
}

void fbl_fd_event(fbl_hub *hub, const fbl_event *event)
{
    if (event->fd < 0 || (size_t)event->fd >= hub->fds_length)
        return;
    fbl_fd *entry = hub->fds[event->fd];
    if (entry == NULL || entry->generation != event->generation)
        return;
    unsigned ready = event->ready;
    if (ready & FBL_HANGUP)
        entry->is_hungup = true;
    entry->ready |= ready & (FBL_READ | FBL_WRITE);
    if (ready & FBL_READ)
        fd_wake_all(&entry->readers, FBL_WAKE_FIRED);
    if (ready & FBL_WRITE)
        fd_wake_all(&entry->writers, FBL_WAKE_FIRED);
    fd_tell_watches(hub, entry, ready);
}

/* The descriptor is about to be closed (or is new, whatever its number was before). */
void fbl_fd_forget(fbl_hub *hub, int fd)
{
    if (fd < 0 || (size_t)fd >= hub->fds_length || hub->fds[fd] == NULL)
        return;
    fbl_fd *entry = hub->fds[fd];
    if (entry->is_registered)
        hub->poller->forget(hub, entry);
    entry->is_registered = false;
    entry->is_hungup = false;
    entry->ready = FBL_READ | FBL_WRITE;
    entry->unblocking_turn = UINT64_MAX;
    entry->generation++;
    fd_wake_all(&entry->readers, FBL_WAKE_CLOSED);
    fd_wake_all(&entry->writers, FBL_WAKE_CLOSED);
    fd_end_watches(hub, entry);
}

static bool fd_entry_is_awaited(const fbl_fd *entry)
{
    return !fbl_list_is_empty(&entry->readers) || !fbl_list_is_empty(&entry->writers) ||
           !fbl_list_is_empty(&entry->watches);
}

/* Does a fiber wait for a descriptor, or anybody watch one? A fiber that was woken, and has not run
 * yet, does not. */
bool fbl_fd_is_awaited(const fbl_hub *hub)
{
    for (size_t i = 0; i < hub->fds_length; i++)
        if (hub->fds[i] != NULL && fd_entry_is_awaited(hub->fds[i]))
            return true;
    return false;
}

static void fd_renew(fbl_hub *hub, fbl_fd *entry)
{
    entry->is_registered = entry->is_hungup = false;
    entry->ready = FBL_READ | FBL_WRITE;
    entry->generation++;
    int rc = fd_entry_is_awaited(entry) ? fbl_fd_register(hub, entry) : 0;
    if (rc == 0)
        return;
    fbl_wake why = rc == -EPERM ? FBL_WAKE_FIRED : FBL_WAKE_CLOSED;
    fd_wake_all(&entry->readers, why);
    fd_wake_all(&entry->writers, why);
    if (rc == -EPERM)
        fd_tell_watches(hub, entry, FBL_READ | FBL_WRITE);
    else
        fd_end_watches(hub, entry);
}

/* From now on another poller serves the hub: nothing is registered with it, and nothing that was
 * remembered is true. Who waits is registered anew; where that fails, as for one that was closed.
 */
void fbl_fd_renew(fbl_hub *hub)
{
    for (size_t i = 0; i < hub->fds_length; i++)
        if (hub->fds[i] != NULL)
            fd_renew(hub, hub->fds[i]);
}

static void fd_drop_watches(fbl_hub *hub, fbl_fd *entry)
{
    while (entry != NULL && !fbl_list_is_empty(&entry->watches))
        fbl_fd_watch_stop(hub, fbl_container_of(entry->watches.next, fbl_fd_watch, link));
}

/* The hub is closing: the table goes. Nobody waits any more, and nobody watches. */
void fbl_fd_clear(fbl_hub *hub)
{
    for (size_t i = 0; i < hub->fds_length; i++) {
        fd_drop_watches(hub, hub->fds[i]);
        free(hub->fds[i]);
    }
    free(hub->fds);
    hub->fds = NULL;
    hub->fds_length = 0;
}

/* ---- watches ---- */

/* Begins to watch; what is ready already is told at the next look at the kernel. */
int fbl_fd_watch_start(fbl_hub *hub, fbl_fd_watch *watch)
{
    assert(watch->fire != NULL && !fbl_fd_watch_is_started(watch));
    fbl_fd *entry;
    int rc = fbl_fd_get(hub, watch->fd, &entry);
    if (rc < 0)
        return rc;
    fbl_list_append(&entry->watches, &watch->link);
    hub->fd_waiter_count++;
    hub->kept_count -= watch->is_aside;
    return fbl_fd_watch_want(hub, watch);
}

/* Tell again of what is ready now. What cannot be polled (a regular file, -EPERM) is told at once.
 * What is no descriptor any more is an error, and watched no longer. */
int fbl_fd_watch_want(fbl_hub *hub, fbl_fd_watch *watch)
{
    int rc = fbl_fd_register(hub, hub->fds[watch->fd]);
    if (rc == -EPERM)
        watch->fire(hub, watch, watch->wanted);
    else if (rc < 0)
        fbl_fd_watch_stop(hub, watch);
    return rc == -EPERM ? 0 : rc;
}

void fbl_fd_watch_stop(fbl_hub *hub, fbl_fd_watch *watch)
{
    if (!fbl_fd_watch_is_started(watch))
        return;
    fbl_list_remove(&watch->link);
    hub->fd_waiter_count--;
    hub->kept_count += watch->is_aside;
}

/* Whether the hub, with nothing else to do, still waits for this one. */
void fbl_fd_watch_set_aside(fbl_hub *hub, fbl_fd_watch *watch, bool is_aside)
{
    if (fbl_fd_watch_is_started(watch))
        hub->kept_count += (int32_t)watch->is_aside - (int32_t)is_aside;
    watch->is_aside = is_aside;
}
