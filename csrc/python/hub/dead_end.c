/*
 * dead_end.c: when nothing can happen any more, in any native thread of the process.
 *
 * The idea: a hub that has nobody ready and nothing under way sleeps on while another native thread
 * runs Python, because that one could set an event. Where all the others are hubs that found the
 * same, none of them can. A hub that looks notes at which of its switches that was; the note holds
 * until it switches again, or somebody is ready there. Whoever finds that all the others have such
 * a note tells them all: each raises LoopExit in its own main fiber, if it still holds then.
 *
 * Invariant: a look is one step under the GIL, in which no thread can start, end, or set an event;
 * so nothing here runs Python. (In Python it was a race: another thread may run between any two
 * instructions.) Threads that are idle, such as workers without work, have no hub.
 * Do not add: what a dead end is told as, which is fibril._hub.report.
 */
#include "python/hub/hub.h"

const char fbl_dead_end_doc[] =
    "is_dead_end($self, tell, count, lost, idle, starting, /)\n--\n\nDo all native threads wait in "
    "vain, now that this one has nothing to do? count() says how many\nwere started, of which "
    "`lost` do not exist; sets of those that are idle, and of those that are\nnot counted yet. "
    "tell: if so, every hub is told.\n\nSwitches: never. Threads: owner.";

/* A mark of this moment, which is another one as soon as anybody runs there. */
static uint64_t dead_end_mark(const fbl_thread *thread) { return thread->hub.switch_count + 1; }

static bool dead_end_is_seen(const fbl_thread *thread)
{
    return thread->vain_at == dead_end_mark(thread) && fbl_hub_is_idle(&thread->hub);
}

static Py_ssize_t dead_end_count(void)
{
    Py_ssize_t count = 0;
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        count += dead_end_is_seen(fbl_container_of(link, fbl_thread, threads));
    return count;
}

/* Wakes the other hubs that have seen it, and has them look again. */
static void dead_end_tell(const fbl_thread *self)
{
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next) {
        fbl_thread *thread = fbl_container_of(link, fbl_thread, threads);
        if (thread == self || !dead_end_is_seen(thread))
            continue;
        thread->told_at = thread->vain_at;
        fbl_hub_notify(&thread->hub);
    }
}

static PyObject *hub_is_dead_end(PyObject *self, PyObject *const *args, Py_ssize_t arg_count)
{
    fbl_thread *thread = record_of(self)->thread;
    if (arg_count != 5 || !PyAnySet_CheckExact(args[3]) || !PyAnySet_CheckExact(args[4]))
        return errors_refuse(PyExc_TypeError,
                             "is_dead_end() takes tell, count, lost, and two sets.");
    int tell = PyObject_IsTrue(args[0]);
    Py_ssize_t lost = PyLong_AsSsize_t(args[2]);
    if (tell < 0 || (lost == -1 && PyErr_Occurred()))
        return NULL;
    thread->vain_at = dead_end_mark(thread);
    if (thread->told_at == thread->vain_at)
        return PyBool_FromLong(fbl_hub_is_idle(&thread->hub));
    PyObject *started = PyObject_CallNoArgs(args[1]); /* the interpreter's own: runs no Python */
    Py_ssize_t busy = started == NULL ? -1 : PyLong_AsSsize_t(started);
    Py_XDECREF(started);
    if (busy == -1 && PyErr_Occurred())
        return NULL;
    busy += 1 - lost - PySet_GET_SIZE(args[3]) + PySet_GET_SIZE(args[4]);
    bool is_dead_end = busy <= dead_end_count();
    if (is_dead_end && tell)
        dead_end_tell(thread);
    return PyBool_FromLong(is_dead_end);
}
