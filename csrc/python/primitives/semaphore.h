/*
 * semaphore.h: a semaphore's fields, and what derived types use (bounded_type.c, lock_type.c).
 *
 * The idea: a semaphore is a gate (gate.h) that tells its links when a permit is free.
 * An RLock (rlock_type.c) is a gate of its own, and has acquire()'s arguments in common with it.
 */
#ifndef FBL_SEMAPHORE_H
#define FBL_SEMAPHORE_H

#include "python/primitives/gate.h"

typedef struct {
    PyObject_HEAD fbl_gate gate;     /* first after the head: permits and who waits */
    uint64_t holder;    /* serial of the fiber that acquired it last, for reports; 0: nobody */
    PyObject *weakrefs; /* weak references to it */
    PyObject *links; /* owned: list of callbacks for when a permit is free, or NULL; see link.c */
} semaphore_object;

static inline fbl_gate *semaphore_gate(PyObject *self) { return &((semaphore_object *)self)->gate; }

/* What __exit__ answers, when release() has answered this. */
static inline PyObject *semaphore_left(PyObject *answer)
{
    Py_XDECREF(answer);
    return answer == NULL ? NULL : Py_NewRef(Py_None);
}

static PyObject *semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
static int semaphore_init(PyObject *self, PyObject *args, PyObject *kwargs);
static PyObject *semaphore_acquire_wait(fbl_call *call, int blocking, PyObject *timeout);
static PyObject *semaphore_called_acquire_wait(PyObject *self, PyObject *const *args,
                                               Py_ssize_t count, PyObject *names);
static int semaphore_give(PyObject *self);
static PyObject *semaphore_release(PyObject *self, PyObject *unused);
static PyObject *semaphore_locked(PyObject *self, PyObject *unused);
static PyObject *semaphore_enter(PyObject *self, PyObject *unused);
static PyObject *semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t count);
extern PyTypeObject fbl_semaphore_type, fbl_bounded_type, fbl_lock_type;

/* Each derived type lists it, inherited or not, for speed: see QUEUE_HOT_METHODS. */
#define ACQUIRE_METHOD(name, function, doc)                                                        \
    {name, (PyCFunction)(void (*)(void))function, FAST_KEYWORDS, doc}

/* ---- what acquire() is given, RLock's as well ---- */
#define ACQUIRE_USAGE "acquire(blocking=True, timeout=None)"
extern const char fbl_acquire_doc[];
static int acquire_read(const fbl_call *call, PyObject *names, const char *usage,
                        PyObject **timeout);
static int lock_read_timeout(int blocking, PyObject **timeout); /* lock_type.c */

/* ---- who has one, for reports ---- */
extern PyTypeObject fbl_rlock_type, fbl_thread_rlock_type;
static PyObject *rlock_owner(PyObject *self);
static uint64_t semaphore_holder(PyObject *self);

#endif
