/*
 * weft.c: all parts in order, as one unit: everything may be inlined, and no symbol strays.
 *
 * The order is the order to read in, and arrows go down only: a part knows those above it. The
 * parts before python/ build without Python as well (tests/core does that).
 */
#define _GNU_SOURCE 1

#include "python/thread.h"

#include "enter.h"
#include "slab.c"
#include "stack.c"
#include "timer.c"
#include "cxx.c"
#include "waiter.c"
#include "fiber.c"
#include "fd.c"
#include "poll/epoll.c"
#include "poll/sim.c"
#include "hub.c"

#include "python/errors.c"
#include "python/wait.c"
#include "python/signal_stack.c"
#include "python/thread.c"
#include "python/embed.c"
#include "python/passage.c"
#include "python/life.c"
#include "python/fiber_switch.c"
#include "python/death.c"
#include "python/stack_size.c"
#include "python/trace.c"
#include "python/context.c"
#include "python/fiber_type.c"
#include "python/task_life.c"
#include "python/task_tree.c"
#include "python/task_type.c"
#include "python/hub_type.c"
#include "python/timeout_type.c"
#include "python/link.c"
#include "python/lock_type.c"
#include "python/event_type.c"
#include "python/queue_direct.c"
#include "python/queue_hooks.c"
#include "python/queue_hooked.c"
#include "python/queue_type.c"
#include "python/channel_type.c"
#include "python/fd_type.c"
#include "python/socket_type.c"
#include "python/greenlet_api.c"
#include "python/alias.c"
#include "python/debug.c"
#include "python/module.c"
