/*
 * watchdog.c: tells when one fiber keeps its thread from the others for long.
 *
 * The idea: a hub counts its switches, so a thread whose count stands still, and which does not
 * sleep in the poller, is kept by one fiber. One native thread of the process compares the counts a
 * few times in the time that is allowed; it needs the GIL only to report, and sleeps for good while
 * all hubs do. So fibers pay nothing, and hubs a load at the end of each sleep.
 *
 * What is worth a report: somebody else of that thread could have run. It is made in the watching
 * thread while the fiber still goes on, so its stack is there to see. Whoever waits for its user to
 * type is not kept: his time is his own, and a report would come in the middle of his line.
 *
 *   watch_lock   guards the list of threads against the watching one, and all `watch_` fields
 *
 * It is started by the first task, and stops for a fork (which then warns of no thread of ours) and
 * for the interpreter's end.
 * SAFE: switch_count and is_blocked are read without the GIL: they are aligned words, and a value
 * that is old by a moment delays a report. What decides is read again with the GIL.
 * Do not add: anything that a running fiber would have to do.
 */
#include "python/thread/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#define WATCH_LOOKS 4 /* per time that is allowed: a report is late by a quarter at most */
#define WATCH_IDLE_LOOKS 8 /* of sleeping hubs, before the watching thread sleeps for good */
#define WATCH_JOIN_S 1 /* a report that hangs must not keep a fork from happening */
#define WATCH_NS_MIN 1000000u /* between two looks, at least */

bool fbl_watchdog_is_wanted = true; /* the next task to start starts it */
bool fbl_watchdog_is_asleep; /* for good: a hub that goes on must wake it */

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t watch_wake;
static pthread_t watch_thread;
static bool watch_is_running, watch_is_prepared;
static uint64_t watch_generation; /* a watching thread ends when it is another than its own */
static uint64_t watch_limit_ns = 1000000000u; /* 0: off */
static PyInterpreterState *watch_interpreter;

/* ---- looking ---- */

static void watchdog_lock(void) { pthread_mutex_lock(&watch_lock); }
static void watchdog_unlock(void) { pthread_mutex_unlock(&watch_lock); }

static bool watch_is_at_prompt(const fbl_thread *thread)
{
    return terminal_is_waited_for(thread->ts->native_thread_id);
}

/* Has one fiber had the thread for too long? Tells once for each time. Each look at a prompt begins
 * anew: what is typed there may compute for a moment, and then be at the next one. */
static bool watch_is_kept(fbl_thread *thread, uint64_t now_ns)
{
    fbl_watch *watch = &thread->watch;
    uint64_t count = __atomic_load_n(&thread->hub.switch_count, __ATOMIC_RELAXED);
    bool is_new = watch->since_ns == 0;
    bool gave_way = is_new || thread->hub.is_blocked || count != watch->switch_count;
    if (gave_way || watch_is_at_prompt(thread)) {
        *watch = (fbl_watch){count, now_ns, .is_ignored = !gave_way && watch->is_ignored};
        return false;
    }
    if (watch->is_told || watch->is_ignored || now_ns - watch->since_ns < watch_limit_ns)
        return false;
    watch->is_told = true;
    return true;
}

/* The first thread that is kept, or NULL. *is_idle: all hubs sleep. */
static fbl_thread *watch_look(uint64_t now_ns, bool *is_idle)
{
    fbl_thread *kept = NULL;
    *is_idle = true;
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next) {
        fbl_thread *thread = fbl_container_of(link, fbl_thread, threads);
        *is_idle = *is_idle && thread->hub.is_blocked;
        if (kept == NULL && watch_is_kept(thread, now_ns))
            kept = thread;
    }
    return kept;
}

static struct timespec watch_next_look(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t wait_ns = watch_limit_ns / WATCH_LOOKS;
    if (wait_ns < WATCH_NS_MIN)
        wait_ns = WATCH_NS_MIN;
    uint64_t ns = (uint64_t)at.tv_nsec + wait_ns;
    at.tv_sec += (time_t)(ns / 1000000000u);
    at.tv_nsec = (long)(ns % 1000000000u);
    return at;
}

static bool watch_must_stop(uint64_t generation) { return watch_generation != generation; }

static bool watch_all_sleep(void)
{
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next) {
        fbl_hub *hub = &fbl_container_of(link, fbl_thread, threads)->hub;
        if (!__atomic_load_n(&hub->is_blocked, __ATOMIC_SEQ_CST))
            return false;
    }
    return true;
}

/* Sleeps until a hub goes on, or the limit is changed. Says first that it will, and looks then: a
 * hub says first that it goes on, and looks then (watchdog_hub_wakes). So one sees the other. */
static void watch_sleep_for_good(uint64_t generation)
{
    __atomic_store_n(&fbl_watchdog_is_asleep, true, __ATOMIC_SEQ_CST);
    bool is_needed = watch_limit_ns != 0 && !watch_all_sleep();
    while (!is_needed && !watch_must_stop(generation) &&
           __atomic_load_n(&fbl_watchdog_is_asleep, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&watch_wake, &watch_lock);
    __atomic_store_n(&fbl_watchdog_is_asleep, false, __ATOMIC_SEQ_CST);
}

/* Sleeps until the next look; for good if nothing has happened for long. With the lock. Returns for
 * how many looks nothing has happened. */
static uint32_t watch_sleep(uint32_t idle_count, uint64_t generation)
{
    struct timespec at = watch_next_look();
    if (idle_count >= WATCH_IDLE_LOOKS || watch_limit_ns == 0) {
        watch_sleep_for_good(generation);
        return 0;
    }
    pthread_cond_timedwait(&watch_wake, &watch_lock, &at);
    return idle_count;
}

static __attribute__((noinline)) void watchdog_rouse(void)
{
    watchdog_lock();
    __atomic_store_n(&fbl_watchdog_is_asleep, false, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&watch_wake);
    watchdog_unlock();
}

/* A hub goes on after a sleep, and the watching thread may be asleep for good. */
static void watchdog_hub_wakes(fbl_hub *hub)
{
    __atomic_store_n(&hub->is_blocked, false, __ATOMIC_SEQ_CST);
    if (fbl_unlikely(__atomic_load_n(&fbl_watchdog_is_asleep, __ATOMIC_SEQ_CST)))
        watchdog_rouse();
}

/* ---- reporting: with the GIL, without the lock ---- */

/* Does the thread still exist, in the same fiber, while somebody else could run? */
static bool watch_is_worth_telling(const fbl_thread *kept, uint64_t switch_count)
{
    bool is_there = false;
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        is_there = is_there || fbl_container_of(link, fbl_thread, threads) == kept;
    if (!is_there || kept->hub.switch_count != switch_count || kept->hub.is_blocked ||
        watch_is_at_prompt(kept))
        return false;
    const fbl_hub *hub = &kept->hub;
    return !fbl_list_is_empty(&hub->ready) || hub->fd_waiter_count > 0 ||
           fbl_timer_next(hub) <= hub->now((fbl_hub *)hub);
}

/* Calls fibril._hub.watchdog.tell(hub, fiber, native thread, seconds). */
static void watch_tell(fbl_thread *kept, uint64_t kept_ns)
{
    PyObject *hub = kept->hub_fiber != NULL ? kept->hub_fiber->self : Py_None;
    PyObject *fiber = thread_current(kept)->self;
    PyObject *module = PyImport_ImportModule("fibril._hub.watchdog");
    PyObject *done = module == NULL
                         ? NULL
                         : PyObject_CallMethod(module, "tell", "OOkd", hub, fiber,
                                               kept->ts->thread_id, (double)kept_ns / 1e9);
    if (done == NULL)
        PyErr_WriteUnraisable(module);
    Py_XDECREF(done);
    Py_XDECREF(module);
}

/* SAFE: a thread state of this thread's own, made and deleted here. The interpreter is alive: its
 * end waits for this thread first (watchdog_stop). */
static void watch_report(fbl_thread *kept, uint64_t switch_count, uint64_t kept_ns)
{
    PyThreadState *ts = PyThreadState_New(watch_interpreter);
    if (ts == NULL)
        return; /* no memory: this report is lost */
    PyEval_AcquireThread(ts);
    if (watch_is_worth_telling(kept, switch_count))
        watch_tell(kept, kept_ns);
    PyThreadState_Clear(ts);
    PyThreadState_DeleteCurrent();
}

/* With the lock, which is let go of for a report. Returns whether all hubs sleep. */
static bool watch_turn(void)
{
    bool is_idle;
    uint64_t now_ns = fbl_clock_ns();
    fbl_thread *kept = watch_look(now_ns, &is_idle);
    if (kept == NULL)
        return is_idle;
    fbl_watch watch = kept->watch;
    watchdog_unlock();
    watch_report(kept, watch.switch_count, now_ns - watch.since_ns);
    watchdog_lock();
    return false;
}

static void *watch_run(void *generation_number)
{
    uint64_t generation = (uint64_t)(uintptr_t)generation_number;
    uint32_t idle_count = 0;
    watchdog_lock();
    for (;;) {
        idle_count = watch_sleep(idle_count, generation);
        if (watch_must_stop(generation))
            break;
        idle_count = watch_turn() ? idle_count + 1 : 0;
    }
    watchdog_unlock();
    return NULL;
}

/* ---- starting and stopping: with the GIL ---- */

static void watch_prepare(void)
{
    pthread_condattr_t by_clock;
    if (watch_is_prepared)
        return;
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&watch_wake, &by_clock);
    pthread_condattr_destroy(&by_clock);
    watch_is_prepared = true;
}

static int watch_begin(void)
{
    sigset_t all, former;
    watch_prepare();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former); /* signals are for the program's threads */
    int err = pthread_create(&watch_thread, NULL, watch_run, (void *)(uintptr_t)watch_generation);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return err;
}

/* Called by the first task. Without a thread for it there is no watching; nothing else suffers. */
static __attribute__((noinline)) void watchdog_start(void)
{
    fbl_watchdog_is_wanted = false;
    if (watch_is_running || watch_limit_ns == 0)
        return;
    watch_interpreter = PyInterpreterState_Get();
    watch_is_running = watch_begin() == 0;
}

static void watchdog_stop(void)
{
    if (!watch_is_running)
        return;
    watch_is_running = false;
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += WATCH_JOIN_S;
    Py_BEGIN_ALLOW_THREADS watchdog_lock();
    watch_generation++;
    pthread_cond_signal(&watch_wake);
    watchdog_unlock();
    if (pthread_timedjoin_np(watch_thread, NULL, &limit) != 0)
        pthread_detach(watch_thread);
    Py_END_ALLOW_THREADS
}

static PyObject *module_watchdog_is_running(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(watch_is_running);
}

static PyObject *module_watchdog_stop(PyObject *module, PyObject *is_for_good)
{
    (void)module;
    watchdog_stop();
    fbl_watchdog_is_wanted = is_for_good != Py_True;
    Py_RETURN_NONE;
}

/* The current fiber is not told of, whether or not it was, until it gives way. */
static PyObject *module_watchdog_ignore(PyObject *module, PyObject *is_ignored)
{
    (void)module;
    fbl_thread *thread = thread_get();
    int flag = thread == NULL ? -1 : PyObject_IsTrue(is_ignored);
    if (flag < 0)
        return NULL;
    watchdog_lock();
    thread->watch = (fbl_watch){thread->hub.switch_count, fbl_clock_ns(), .is_ignored = flag};
    watchdog_unlock();
    Py_RETURN_NONE;
}

/* Sets the seconds that a fiber may keep its thread; 0: no watching. Returns the former ones. */
static PyObject *module_watchdog_limit(PyObject *module, PyObject *seconds)
{
    (void)module;
    double former = (double)watch_limit_ns / 1e9;
    double value = seconds == Py_None ? former : PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred())
        return NULL;
    if (!(value >= 0 && value < 1e9)) {
        return errors_refuse(PyExc_ValueError,
                             "cannot watch for %R seconds: give a number of seconds, or 0 for no "
                             "watching.",
                             seconds);
    }
    watchdog_lock();
    watch_limit_ns = (uint64_t)(value * 1e9);
    watchdog_unlock();
    if (watch_is_running)
        watchdog_rouse();
    fbl_watchdog_is_wanted = !watch_is_running;
    return PyFloat_FromDouble(former);
}
