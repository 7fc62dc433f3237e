/*
 * census.c: which fibers there are, and who has what others wait for: for reports.
 *
 * The idea: every fiber that has not ended is in its hub's list. An RLock knows its owner, and a
 * task is its own. A semaphore notes who acquired it last, by the serial number of the fiber: a
 * number costs a store, keeps nobody alive, and cannot be mistaken for a later fiber's; here it is
 * looked for among all fibers there are.
 * Threads: any: all lists change with the GIL only.
 * Do not add: anything that a running program needs. It is slow.
 */
#include "python/primitives/semaphore.h"
#include "python/task/task.h"

/* Borrowed; NULL: it has ended. */
static PyObject *fiber_find(uint64_t serial)
{
    for (fbl_link *t = fbl_all_threads.next; t != &fbl_all_threads; t = t->next) {
        fbl_link *fibers = &fbl_container_of(t, fbl_thread, threads)->hub.fibers;
        for (fbl_link *link = fibers->next; link != fibers; link = link->next) {
            fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, all);
            if (record->serial == serial)
                return record->self;
        }
    }
    return NULL;
}

/* The fiber that `subject` waits for, or None: nobody, or nobody knows; or False: it has ended. */
static PyObject *module_holder(PyObject *module, PyObject *subject)
{
    (void)module;
    if (PyObject_TypeCheck(subject, &fbl_task_type))
        return Py_NewRef(subject);
    if (PyObject_TypeCheck(subject, &fbl_thread_rlock_type)) {
        PyObject *owner = rlock_owner(subject);
        return Py_NewRef(owner != NULL ? owner : Py_None);
    }
    uint64_t serial = 0;
    if (PyObject_TypeCheck(subject, &fbl_semaphore_type))
        serial = semaphore_holder(subject);
    if (serial == 0)
        Py_RETURN_NONE;
    PyObject *fiber = fiber_find(serial);
    return Py_NewRef(fiber != NULL ? fiber : Py_False);
}

static const char *fiber_state_text(const fbl_fiber *fiber)
{
    static const char *const texts[] = {
        [FBL_FIBER_NEW] = "new",        [FBL_FIBER_RUNNING] = "running",
        [FBL_FIBER_SUSPENDED] = "left", [FBL_FIBER_PARKED] = "parked",
        [FBL_FIBER_DONE] = "ended",     [FBL_FIBER_LOST] = "lost",
        [FBL_FIBER_GUEST] = "running",
    };
    bool is_new = fiber->state == FBL_FIBER_NEW;
    return fbl_fiber_is_ready(fiber) && !is_new ? "ready" : texts[fiber->state];
}

static int census_append(PyObject *list, const fbl_thread *thread, fbl_record *record)
{
    /* SAFE: the list has a fiber until its memory is freed; one that is being destroyed has no
     * references left, and must not get one. */
    if (Py_REFCNT(record->self) == 0 || thread->is_closed || record_is_dead(record))
        return 0; /* one that has ended is listed while the hub runs on its stack */
    fbl_fiber *fiber = &record->core;
    bool is_waiting = fiber->state == FBL_FIBER_PARKED && fiber->verb != NULL;
    PyObject *subject = is_waiting && fiber->subject != NULL ? fiber->subject : Py_None;
    PyObject *entry =
        Py_BuildValue("(kOszO)", thread->ts->thread_id, record->self, fiber_state_text(fiber),
                      is_waiting ? fiber->verb : NULL, subject);
    int rc = entry == NULL ? -1 : PyList_Append(list, entry);
    Py_XDECREF(entry);
    return rc;
}

/* A list of (native thread, fiber, state, verb, subject) for every fiber of the process. */
static PyObject *module_all_fibers(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    for (fbl_link *t = fbl_all_threads.next; t != &fbl_all_threads; t = t->next) {
        fbl_thread *thread = fbl_container_of(t, fbl_thread, threads);
        fbl_link *fibers = &thread->hub.fibers;
        for (fbl_link *link = fibers->next; list != NULL && link != fibers; link = link->next) {
            fbl_record *record = (fbl_record *)fbl_container_of(link, fbl_fiber, all);
            if (census_append(list, thread, record) < 0)
                Py_CLEAR(list);
            if (list == NULL)
                break;
        }
    }
    return list;
}
