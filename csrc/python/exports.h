/*
 * exports.h: what each part gives to the export table in module.c.
 *
 * The idea: a part defines its functions and types and knows nothing of the module; the table names
 * them and knows nothing else of the part. This is the list of what passes between.
 * Do not add: what one part uses of another (record.h, task.h).
 */
#ifndef FBL_EXPORTS_H
#define FBL_EXPORTS_H

#include "python/fiber/record.h"

extern PyTypeObject fbl_timeout_type, fbl_semaphore_type, fbl_rlock_type, fbl_thread_rlock_type;
extern PyTypeObject fbl_bounded_type, fbl_lock_type, fbl_local_type;
extern PyTypeObject fbl_event_type, fbl_simple_queue_type, fbl_queue_type;
extern PyTypeObject fbl_lifo_queue_type, fbl_priority_queue_type, fbl_channel_type;
extern PyTypeObject fbl_timer_type, fbl_watch_type, fbl_handler_type;

extern PyObject *fbl_hub_class;     /* what get_hub() makes; see set_hub_class */
static PyObject *module_get_hub_if_exists(PyObject *module, PyObject *unused); /* hub_fiber.c */
static PyObject *module_set_hub(PyObject *module, PyObject *hub);

static fbl_fast_function module_spawn, module_spawn_later; /* task_life.c */
static PyObject *module_join_killed(PyObject *module, PyObject *args); /* task_type.c */
static PyObject *module_when_seen(PyObject *module, PyObject *args); /* task_type.c */
static fbl_fast_function module_sleep;                     /* sleep.c */
static PyObject *time_sleep_make(void);
static PyObject *module_wait_idle(PyObject *module, PyObject *args);
static PyObject *module_now(PyObject *module, PyObject *unused); /* clock.c */
static PyObject *module_now_ns(PyObject *module, PyObject *unused);
static PyObject *module_deadline_ns(PyObject *module, PyObject *seconds);
static PyObject *module_sim_install(PyObject *module, PyObject *unused);
static PyObject *module_sim_remove(PyObject *module, PyObject *unused);
static PyObject *module_sim_feed(PyObject *module, PyObject *args);
static fbl_keyword_function module_wait_read, module_wait_write; /* fd_wait.c */
static fbl_keyword_function module_wait_readwrite;
static PyObject *module_may_wait(PyObject *module, PyObject *unused);
static PyObject *module_fd_forget(PyObject *module, PyObject *number);
static PyObject *module_signal_fd(PyObject *module, PyObject *signals); /* signal_wait.c */
static fbl_tuple_function module_read, module_write, module_readv, module_writev; /* file.c */
static fbl_tuple_function module_streams_take_turns, module_raw_files_wait; /* builtins.c */
static fbl_tuple_function module_stream_strike, module_stream_wrote,
    module_stream_keep; /* kept.c */
static PyObject *module_raw_file_methods(PyObject *module, PyObject *args); /* raw.c */
static PyObject *module_raw_file_type(PyObject *module, PyObject *type);
static PyObject *module_serve_disks(PyObject *module, PyObject *unused); /* disk.c */
static PyObject *module_stream_unread(PyObject *module, PyObject *raw);
static PyTypeObject *timeout_type_prepare(void); /* timeout_type.c */
static int hooks_import(void); /* queue_hooks.c */
static PyObject *module_set_queue_classes(PyObject *module, PyObject *args); /* queue_type.c */
static PyObject *module_local_values_of(PyObject *module, PyObject *fiber); /* local_type.c */
static PyObject *module_all_fibers(PyObject *module, PyObject *unused);
static PyObject *module_holder(PyObject *module, PyObject *subject); /* census.c */
static PyObject *module_wait_signal(PyObject *module, PyObject *unused); /* signal_wait.c */
static PyObject *module_signal_handled(PyObject *module, PyObject *unused);
static PyObject *module_after_fork(PyObject *module, PyObject *unused);
static PyObject *module_keep_next_fork(PyObject *module, PyObject *is_wanted); /* fork.c */
static PyObject *module_is_in_handler(PyObject *module, PyObject *unused); /* handler.c */
static PyObject *module_call_in_main(PyObject *module, PyObject *function);
static PyObject *module_watchdog_is_running(PyObject *module, PyObject *unused);
static PyObject *module_watchdog_stop(PyObject *module, PyObject *is_for_good); /* watchdog.c */
static PyObject *module_watchdog_ignore(PyObject *module, PyObject *is_ignored);
static PyObject *module_watchdog_limit(PyObject *module, PyObject *seconds);
static PyObject *module_settrace(PyObject *module, PyObject *callback); /* trace.c */
static PyObject *module_gettrace(PyObject *module, PyObject *unused);
static PyObject *module_watch(PyObject *module, PyObject *callback);
static PyObject *module_slept_ns(PyObject *module, PyObject *unused);
static PyObject *module_was_left_by_hand(PyObject *module, PyObject *fiber);
static PyObject *module_builtin(PyObject *module, PyObject *args); /* builtin.c */
/* greenlet_alias.c */
static PyObject *module_serve_as_greenlet(PyObject *module, PyObject *attributes);
static fbl_fast_function module_on_main_stack; /* main_stack.c */
static PyObject *module_enter_on_main_stack(PyObject *module, PyObject *args); /* library.c */
static PyObject *module_keep_thread_locals(PyObject *module, PyObject *args); /* library.c */
static PyObject *module_tell_threads_apart(PyObject *module, PyObject *function);
static PyObject *module_find_stack_limit(PyObject *module, PyObject *args);
static PyObject *module_follow_stack_limit(PyObject *module, PyObject *args);
static PyObject *module_thread_count(PyObject *module, PyObject *unused);
static PyObject *module_trash_nesting(PyObject *module, PyObject *unused);
static PyObject *socket_methods_make(void);                                 /* socket.c */
static PyObject *module_tls_methods(PyObject *module, PyObject *take_over); /* tls_methods.c */
static PyObject *greenlet_api_make(void);                                   /* greenlet_api.c */
static void debug_learn(void);                                              /* debug.c */

#endif
