/*
 * exports.h: what each part gives to the export table in module.c.
 *
 * The idea: a part defines its functions and types and knows nothing of the module; the table names
 * them and knows nothing else of the part. This is the list of what passes between.
 * Do not add: what one part uses of another (thread.h, task.h).
 */
#ifndef WEFT_EXPORTS_H
#define WEFT_EXPORTS_H

#include "thread.h"

extern PyTypeObject weft_timeout_type, weft_semaphore_type, weft_rlock_type;
extern PyTypeObject weft_bounded_type, weft_lock_type, weft_local_type;
extern PyTypeObject weft_event_type, weft_simple_queue_type, weft_queue_type;
extern PyTypeObject weft_lifo_queue_type, weft_priority_queue_type, weft_channel_type;
extern PyTypeObject weft_timer_type, weft_watch_type;

extern PyObject *weft_hub_class;     /* what get_hub() makes; see set_hub_class */
extern PyObject *weft_timeout_class; /* weft.timeout.Timeout; see set_timeout_class */

/* What METH_FASTCALL | METH_KEYWORDS and METH_VARARGS | METH_KEYWORDS functions look like. */
typedef PyObject *weft_fast_function(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
typedef PyObject *weft_keyword_function(PyObject *, PyObject *, PyObject *);

static weft_fast_function module_spawn, module_spawn_later; /* task_life.c */
static weft_fast_function module_sleep;                     /* wait.c */
static PyObject *module_wait_idle(PyObject *module, PyObject *args);
static PyObject *module_now(PyObject *module, PyObject *unused); /* world.c */
static PyObject *module_now_ns(PyObject *module, PyObject *unused);
static PyObject *module_deadline_ns(PyObject *module, PyObject *seconds);
static PyObject *module_sim_install(PyObject *module, PyObject *unused);
static PyObject *module_sim_remove(PyObject *module, PyObject *unused);
static PyObject *module_sim_feed(PyObject *module, PyObject *args);
static weft_keyword_function module_wait_read, module_wait_write; /* fd_type.c */
static PyObject *module_fd_forget(PyObject *module, PyObject *number);
static PyTypeObject *timeout_type_prepare(void); /* timeout_type.c */
static int hooks_import(void); /* queue_hooks.c */
static PyObject *module_set_queue_classes(PyObject *module, PyObject *args); /* queue_type.c */
static PyObject *rlock_owner(PyObject *self);         /* lock_type.c */
static uint64_t semaphore_holder(PyObject *self);
static PyObject *module_local_values_of(PyObject *module, PyObject *fiber); /* local_type.c */
static PyObject *module_all_fibers(PyObject *module, PyObject *unused);
static PyObject *module_holder(PyObject *module, PyObject *subject); /* census.c */
static PyObject *module_watchdog_stop(PyObject *module, PyObject *is_for_good); /* watchdog.c */
static PyObject *module_watchdog_ignore(PyObject *module, PyObject *is_ignored);
static PyObject *module_watchdog_limit(PyObject *module, PyObject *seconds);
static PyObject *module_settrace(PyObject *module, PyObject *callback); /* trace.c */
static PyObject *module_gettrace(PyObject *module, PyObject *unused);
static PyObject *module_watch(PyObject *module, PyObject *callback);
static PyObject *module_slept_ns(PyObject *module, PyObject *unused);
static PyObject *module_was_left_by_hand(PyObject *module, PyObject *fiber);
static PyObject *module_serve_as_greenlet(PyObject *module, PyObject *attributes); /* alias.c */
static PyObject *module_thread_count(PyObject *module, PyObject *unused);
static PyObject *module_trash_nesting(PyObject *module, PyObject *unused);
static PyObject *socket_methods_make(void);                                 /* socket_type.c */
static PyObject *greenlet_api_make(void);                                   /* greenlet_api.c */
static void debug_learn(void);                                              /* debug.c */

#endif
