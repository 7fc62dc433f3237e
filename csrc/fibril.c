/*
 * fibril.c: all parts in order, as one unit: everything may be inlined, and no symbol strays.
 *
 * The order is the order to read in, and arrows go down only: a part knows those above it. The
 * parts before python/ build without Python as well (tests/core does that).
 */
#include "python/fiber/record.h"

/* The core: what a scheduler is, of anything. */
#include "core/switch/enter.h"
#include "core/stack/space.c"
#include "core/stack/slab.c"
#include "core/stack/stack.c"
#include "core/library/slot.c"
#include "core/library/bounds.c"
#include "core/timer.c"
#include "core/library/private.c"
#include "core/library/limit.c"
#include "core/switch/cxx.c"
#include "core/ready.c"
#include "core/waiter.c"
#include "core/fiber.c"
#include "core/switch/guest.c"
#include "core/switch/entry.c"
#include "core/poller.c"
#include "core/fd.c"
#include "core/idle.c"
#include "core/hub.c"
#include "core/park.c"
#include "core/poll/epoll.c"
#include "core/poll/sim.c"

/* What knows Python, a paragraph for each storey: fibers; the hub, which calls back; tasks; what
 * fibers wait for; descriptors; native threads; what tools see; the module. */
#include "python/fiber/errors.c"
#include "python/fiber/arguments.c"
#include "python/fiber/record.c"
#include "python/fiber/passage.c"
#include "python/fiber/interrupt.c"
#include "python/fiber/life.c"
#include "python/fiber/death.c"
#include "python/fiber/context.c"
#include "python/fiber/stack_size.c"
#include "python/fiber/main_stack.c"
#include "python/fiber/trace.c"
#include "python/fiber/fiber_switch.c"
#include "python/fiber/fiber_type.c"

/* Who calls back, and when. */
#include "python/hub/clock.c"
#include "python/hub/sleep.c"
#include "python/hub/timeout_type.c"
#include "python/hub/hub_fiber.c"
#include "python/hub/link.c"
#include "python/hub/notice.c"
#include "python/hub/timer_type.c"
#include "python/hub/watch_type.c"
#include "python/hub/dead_end.c"
#include "python/hub/hub_type.c"

/* A fiber with a result. */
#include "python/task/task_life.c"
#include "python/task/task_tree.c"
#include "python/task/task_repr.c"
#include "python/task/task_type.c"

/* What tasks wait on. */
#include "python/primitives/semaphore_type.c"
#include "python/primitives/rlock_type.c"
#include "python/primitives/bounded_type.c"
#include "python/primitives/lock_type.c"
#include "python/primitives/event_type.c"
#include "python/primitives/local_type.c"
#include "python/primitives/queue/queue_direct.c"
#include "python/primitives/queue/queue_hooks.c"
#include "python/primitives/queue/queue_hooked.c"
#include "python/primitives/queue/queue_type.c"
#include "python/primitives/queue/channel_type.c"

/* Descriptors, sockets and files. */
#include "python/io/fd_wait.c"
#include "python/io/address.c"
#include "python/io/accept.c"
#include "python/io/datagram.c"
#include "python/io/socket.c"
#include "python/io/tls.c"
#include "python/io/tls_methods.c"
#include "python/io/file.c"
#include "python/io/stream/turn.c"
#include "python/io/stream/inplace.c"
#include "python/io/stream/kept.c"
#include "python/io/stream/disk.c"
#include "python/io/stream/raw.c"
#include "python/io/stream/ahead.c"
#include "python/io/stream/stream.c"
#include "python/io/stream/builtins.c"
#include "python/io/signal_wait.c"

/* Native threads: signals, the watchdog, their end. */
#include "python/thread/signal_stack.c"
#include "python/thread/overflow.c"
#include "python/thread/signal_wake.c"
#include "python/thread/contention.c"
#include "python/thread/handler.c"
#include "python/thread/terminal.c"
#include "python/thread/watchdog.c"
#include "python/thread/end.c"
#include "python/thread/fork.c"
#include "python/thread/thread.c"

/* What tools see. */
#include "python/inspect/census.c"
#include "python/inspect/debug.c"

#include "python/builtin.c"
#include "python/embed.c"
#include "python/library.c"
#include "python/greenlet_api.c"
#include "python/greenlet_alias.c"
#include "python/module.c"
