/*
 * record.c: what fibril keeps of a fiber beside the object that Python sees.
 *
 * The idea: the record is everything but the 40 bytes that Python sees. Records are recycled
 * through a free list, so creating a fiber is two cheap allocations.
 * Callers: with the GIL. Do not add: what a fiber does.
 */
#include "python/fiber/record.h"

__thread fbl_thread *fbl_this_thread;
fbl_link fbl_all_threads = {&fbl_all_threads, &fbl_all_threads};
bool fbl_knows_greenlets;

#define FREE_RECORDS_MAX 256
static fbl_record *free_records; /* chained through `thread`; the GIL is its lock */
static int free_record_count;

static uint64_t record_serial; /* of the newest record; under the GIL */

static fbl_record *record_make(PyObject *self, fbl_thread *thread)
{
    fbl_record *record = free_records;
    if (record != NULL) {
        free_records = (fbl_record *)record->thread;
        free_record_count--;
    } else {
        record = PyMem_Malloc(sizeof *record);
        if (record == NULL)
            return (fbl_record *)PyErr_NoMemory();
    }
    memset(record, 0, sizeof *record);
    record->thread = thread;
    record->self = self;
    record->serial = ++record_serial;
    thread->record_count++;
    ((fbl_fiber_object *)self)->record = record;
    return record;
}

static void record_free(fbl_record *record)
{
    fbl_thread *thread = record->thread;
    if (--thread->record_count == 0 && thread->is_closed)
        PyMem_RawFree(thread);
    if (free_record_count < FREE_RECORDS_MAX) {
        record->thread = (fbl_thread *)free_records;
        free_records = record;
        free_record_count++;
    } else {
        PyMem_Free(record);
    }
}

/* What it was called with, and what it was to meet. An exception that travels is kept. */
static void record_release_arguments(fbl_record *record)
{
    PyObject *travelling = PyErr_GetRaisedException();
    Py_CLEAR(record->args);
    Py_CLEAR(record->kwargs);
    Py_CLEAR(record->thrown);
    PyErr_SetRaisedException(travelling);
}

/* What a fiber lets go of when it ends, when `run` has returned or was never called. */
static void record_release(fbl_record *record)
{
    PyObject *travelling = PyErr_GetRaisedException();
    Py_CLEAR(record->run);
    PyErr_SetRaisedException(travelling);
    record_release_arguments(record);
}
