/*
 * fork.c: what becomes of fibers in the child of a fork.
 *
 * The idea: only the forking native thread exists there, and of its fibers the forking one goes on
 * (POSIX says so of threads). Programs that know greenlets find those that were left by hand, too,
 * as with greenlet. All others are lost: their frames may be looked at, and nothing runs them.
 * A fork that is told to keep them (fork_keeps) leaves the thread as it is, with another poller.
 * Callers: Python's hook, with the GIL.
 */
#include "python/hub/hub.h"
#include "python/io/stream/stream.h"
#include "python/thread/thread.h"

/* Would greenlet have it in the child? Who waits for the hub stays behind: what it waits for does.
 */
static bool record_is_kept_over_fork(const fbl_record *record)
{
    bool is_plain = record->body == fiber_body || record->is_main;
    bool is_left_by_hand = record->core.state == FBL_FIBER_SUSPENDED && !record->core.is_held;
    return is_plain && (is_left_by_hand || record->core.state == FBL_FIBER_NEW);
}

/* Takes the fibers that the child keeps out of the hub's list. */
static void thread_set_aside_kept(fbl_thread *thread, fbl_link *kept)
{
    fbl_link *link = thread->hub.fibers.next;
    while (fbl_knows_greenlets && link != &thread->hub.fibers) {
        fbl_fiber *fiber = fbl_container_of(link, fbl_fiber, all);
        link = link->next;
        if (!record_is_kept_over_fork((fbl_record *)fiber))
            continue;
        fbl_list_remove(&fiber->all);
        fbl_list_append(kept, &fiber->all);
    }
}

/* The forking thread's hub begins anew, without those who stayed in the parent. */
static void thread_abandon_others(fbl_thread *thread)
{
    fbl_link kept;
    fbl_list_init(&kept);
    thread_set_aside_kept(thread, &kept);
    fbl_hub_abandon(&thread->hub, thread->hub.current);
    while (!fbl_list_is_empty(&kept)) {
        fbl_link *link = kept.next;
        fbl_list_remove(link);
        fbl_list_append(&thread->hub.fibers, link);
    }
}

static bool fork_keeps; /* the next fork's child keeps all fibers of the forking thread */

/* The forking thread goes on as it is. false: that was not wanted, or no descriptor is left for a
 * poller. */
static bool thread_is_kept(fbl_thread *thread)
{
    return fork_keeps && thread != NULL && fbl_hub_renew(&thread->hub) == 0;
}

/* Of a native thread that stayed in the parent. */
static void thread_lose(fbl_thread *thread)
{
    fbl_hub_abandon(&thread->hub, NULL);
    Py_CLEAR(thread->callbacks);
    thread->batch = NULL;
    thread->hub_fiber = NULL; /* its object leaks with its frames, like any lost fiber's */
    notices_release(thread);
    thread->is_closed = true;
    thread->is_keyed = false;
    fbl_list_remove(&thread->threads);
}

static void thread_begin_anew(fbl_thread *thread)
{
    turns_after_fork(thread_current(thread));
    thread_abandon_others(thread);
    Py_CLEAR(thread->callbacks);
    thread->batch = NULL;
    if (thread->hub_fiber != thread_current(thread))
        thread->hub_fiber = NULL; /* likewise */
}

/* In the child of a fork only the forking fiber goes on (POSIX), and what greenlet would keep if
 * the program knows fibers by that name. Other threads do not exist. Were all of them kept? */
static bool thread_after_fork(void)
{
    fbl_thread *own = fbl_this_thread;
    bool is_kept = thread_is_kept(own);
    fork_keeps = false;
    contention_after_fork();
    if (own == NULL)
        turns_after_fork(NULL);
    else
        signal_wake_learn(own); /* it is the main thread now */
    if (own != NULL && !is_kept)
        thread_begin_anew(own);
    fbl_link *link = fbl_all_threads.next;
    while (link != &fbl_all_threads) {
        fbl_thread *thread = fbl_container_of(link, fbl_thread, threads);
        link = link->next;
        if (thread != own)
            thread_lose(thread);
    }
    return is_kept;
}

static PyObject *module_after_fork(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(thread_after_fork());
}

static PyObject *module_keep_next_fork(PyObject *module, PyObject *is_wanted)
{
    (void)module;
    int truth = PyObject_IsTrue(is_wanted);
    if (truth < 0)
        return NULL;
    fork_keeps = truth;
    Py_RETURN_NONE;
}
