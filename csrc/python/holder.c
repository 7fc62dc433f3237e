/*
 * holder.c: who has what others wait for, for reports.
 *
 * The idea: an RLock knows its owner, and a task is its own. A semaphore notes who acquired it
 * last, by the serial number of the fiber: a number costs a store, keeps nobody alive, and cannot
 * be mistaken for a later fiber's. The report then looks for it among all fibers there are.
 * Threads: any. Slow: not for the running of programs.
 */
#include "exports.h"
#include "task.h"

/* Borrowed; NULL: it has ended. */
static PyObject *fiber_find(uint64_t serial)
{
    for (weft_link *t = weft_all_threads.next; t != &weft_all_threads; t = t->next) {
        weft_link *fibers = &weft_container_of(t, weft_thread, threads)->hub.fibers;
        for (weft_link *link = fibers->next; link != fibers; link = link->next) {
            weft_record *record = (weft_record *)weft_container_of(link, weft_fiber, all);
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
    if (PyObject_TypeCheck(subject, &weft_task_type))
        return Py_NewRef(subject);
    if (PyObject_TypeCheck(subject, &weft_rlock_type)) {
        PyObject *owner = rlock_owner(subject);
        return Py_NewRef(owner != NULL ? owner : Py_None);
    }
    uint64_t serial = 0;
    if (PyObject_TypeCheck(subject, &weft_semaphore_type))
        serial = semaphore_holder(subject);
    if (serial == 0)
        Py_RETURN_NONE;
    PyObject *fiber = fiber_find(serial);
    return Py_NewRef(fiber != NULL ? fiber : Py_False);
}
