/*
 * hub.h: what the hub's parts have of each other, and the storeys above of them.
 *
 * The idea: the core's hub (core/hub.c) decides who runs. Here is what it is to Python: an object
 * that calls back, timers and watches that do, timeouts, and callbacks that others link.
 * Do not add: what only the table in module.c names (exports.h).
 */
#ifndef FBL_HUB_H
#define FBL_HUB_H

#include "python/fiber/record.h"

/* ---- hub_fiber.c: the fiber that runs callbacks ---- */
static int hub_call_soon(fbl_thread *thread, PyObject *fn, PyObject *args);
static int hub_take_back(PyObject *fn, const PyObject *self);
static void hub_wake(fbl_record *record);
static bool hub_consult(fbl_thread *thread, const char *method);
static fbl_record *hub_body(fbl_record *record);

/* ---- hub_type.c: the outside's view ---- */
extern PyTypeObject fbl_hub_type;
static PyObject *hub_throw(PyObject *self, PyObject *args);

/* ---- dead_end.c: nothing can happen in any thread ---- */
extern const char fbl_dead_end_doc[];
static PyObject *hub_is_dead_end(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* ---- notice.c: what timers and watches that call back have in common ---- */
typedef struct {
    PyObject_HEAD PyObject *hub; /* owned: whose turn it is told in */
    PyObject *callback; /* owned: called with what it is told; NULL once cleared */
    fbl_link told;     /* in thread.told from being told to the call */
    uint64_t round;     /* thread.told_round when it was listed: later ones wait for the next */
    unsigned ready;     /* what the callback will be told */
} notice;

static inline notice *notice_of(PyObject *self) { return (notice *)self; }
static fbl_hub *notice_hub(PyObject *self);
static void notice_tell(notice *self, unsigned ready);
static void notice_forget(notice *self);
static void notices_call(fbl_thread *thread);
static void notices_release(fbl_thread *thread);
static PyObject *notice_new(PyTypeObject *type, PyObject *hub, PyObject *callback);
static PyObject *notice_get_pending(PyObject *self, void *unused);
static int notice_traverse(PyObject *self, visitproc visit, void *arg);
static int notice_clear(PyObject *self);
static void notice_free(PyObject *self);
static int notice_ref(PyObject *value);
static int notice_may_start(PyObject *self);
static PyObject *notice_started(PyObject *self);

/* ---- timeout_type.c ---- */
extern PyTypeObject fbl_timeout_type;
static void timeouts_release(fbl_thread *thread);
static int timeouts_append(const fbl_thread *thread, PyObject *list);
static bool timeout_take_over(PyObject *object, uint64_t *deadline_ns);

/* ---- link.c: callbacks that are told when something is ready ---- */
extern const char fbl_link_add_doc[], fbl_link_remove_doc[], fbl_link_count_doc[];
typedef bool link_question(PyObject *self);
static PyObject *link_add(PyObject **links, PyObject *self, PyObject *callback,
                          link_question *is_ready);
static PyObject *link_remove(PyObject **links, PyObject *self, PyObject *callback);
static int link_tell_all(PyObject **links, PyObject *self);
static int links_make(PyObject **links);
static PyObject *link_count(PyObject *links, Py_ssize_t waiting_count);
static PyObject *link_get_hub(PyObject *self, void *unused);
#define FBL_HUB_DOC                                                                                \
    "The hub of the thread that asks, as any may use it; None as long as nobody has waited."

/* ---- sleep.c ---- */
extern PyObject *fbl_may_give_way; /* a function; see set_may_give_way */
static PyObject *sleep_now_wait(fbl_thread *thread);

#endif
