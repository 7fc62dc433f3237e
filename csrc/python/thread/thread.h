/*
 * thread.h: what the parts about native threads have of each other, and the storeys above of them.
 *
 * The idea: a fiber knows its thread as a struct (record.h). How a native thread comes to have one,
 * loses it, gets signals and is watched, is here.
 * Do not add: what fibers do.
 */
#ifndef FBL_THREAD_H
#define FBL_THREAD_H

#include "python/task/task.h"

/* ---- thread.c, end.c, fork.c: begun, ended, forked ---- */
static PyObject *fiber_current_switch(void);
static void thread_unwind_at_exit_switch(void);
static int thread_import(void);
static bool thread_may_run(const fbl_thread *thread);
static void thread_close(fbl_thread *thread);
static int thread_watch_end(fbl_thread *thread);
static void thread_throw_to_main(fbl_thread *thread);

/* ---- terminal.c ---- */
static bool terminal_is_waited_for(unsigned long native_id);

/* ---- watchdog.c ---- */
extern bool fbl_watchdog_is_asleep;
static void watchdog_hub_wakes(fbl_hub *hub);
static void watchdog_lock(void);
static void watchdog_unlock(void);

/* ---- signal_wake.c ---- */
static void signal_wake_learn(fbl_thread *thread);
static void signal_wake_begin(fbl_thread *thread);
static void signal_wake_end(fbl_thread *thread);

/* ---- contention.c ---- */
static void contention_import(void);
static void contention_sleep(fbl_thread *thread);
static void contention_wake(fbl_thread *thread, uint64_t asked_ns);
static void contention_after_fork(void);

/* ---- handler.c ---- */
static inline bool handler_stands_for_main(const fbl_thread *thread); /* does who runs? */
static void handlers_end_wait(fbl_thread *thread);

/* ---- overflow.c: who used up its stack is told ---- */
static void overflow_arm(void);

/* ---- signal_stack.c ---- */
static void signal_stack_open(fbl_thread *thread);
static void signal_stack_close(fbl_thread *thread);

#endif
