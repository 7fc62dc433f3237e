/*
 * fd_wait.h: waiting for descriptors, for whatever reads and writes.
 *
 * Callers: the parts of this folder, with the GIL. Do not add: a kind of descriptor.
 */
#ifndef FBL_FD_WAIT_H
#define FBL_FD_WAIT_H

#include "python/fiber/record.h"

#include <sys/uio.h>

/* Above this many bytes a copy takes longer than handing the GIL over and back. */
#define FD_GIL_BYTES 65536

/* ---- fd_wait.c: descriptors ---- */

/* What to wait for. */
typedef struct {
    fbl_thread *thread;
    int fd;
    unsigned direction; /* FBL_READ | FBL_WRITE */
    bool is_owned; /* its close calls fd_forget, and the caller has just found it empty */
} fd_wish;

static int fd_wait(const fd_wish *wish, uint64_t deadline_ns);
static int fd_try_wait(const fd_wish *wish, uint64_t deadline_ns, int *err);
static void fd_forget(int fd);
static bool fd_is_ready(int fd, unsigned direction);
static void fd_put_off(fbl_thread *thread, bool is_signalled);

/* ---- file.c: what descriptors are read and written by ---- */
static Py_ssize_t file_transfer_wait(int fd, unsigned direction, struct iovec *parts, int count);
static ssize_t file_now(int fd, unsigned direction, char *data, size_t bytes);

#endif
