/*
 * signal_wait.h: telling whoever waits for signals. Callers: who calls handlers, with the GIL.
 *
 * Do not add: other ways to wait.
 */
#ifndef FBL_SIGNAL_WAIT_H
#define FBL_SIGNAL_WAIT_H

#include "python/fiber/record.h"

static void signal_tell(fbl_thread *thread);

#endif
