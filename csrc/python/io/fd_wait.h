/*
 * fd_wait.h: waiting for descriptors, for whatever reads and writes.
 *
 * Callers: the parts of this folder, with the GIL. Do not add: a kind of descriptor.
 */
#ifndef FBL_FD_WAIT_H
#define FBL_FD_WAIT_H

#include "python/fiber/record.h"

/* ---- fd_wait.c: descriptors ---- */
static int fd_wait(fbl_thread *thread, int fd, unsigned direction, uint64_t deadline_ns,
                   bool is_owned);

#endif
