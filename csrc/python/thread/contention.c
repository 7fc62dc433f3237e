/*
 * contention.c: a hub that wakes beside a native thread that computes gets the GIL back soon.
 *
 * The idea: who computes gives the GIL away when somebody has asked for it for as long as the
 * interpreter's switch interval says: 5 ms, where an answer takes 0.05. The hub cannot ask sooner;
 * but how long is read when the wait begins, by who waits. So a hub that has had to wait shortens
 * the interval while it sleeps, and puts it back when it has the GIL. While nobody computes beside
 * it, nothing is touched.
 *
 * Invariants: the program's interval is in place whenever no hub of that kind sleeps. If the
 * program sets one meanwhile, that stays. All of this is under the GIL.
 * Callers: embed.c, on the hub's own thread. Do not add: other reasons to change the interval.
 */
#include "python/thread/thread.h"

/* Somebody computes if it has taken that long to get the GIL; with a short interval:
 * this long. */
#define CONTENTION_NS 1000000u
#define CONTENTION_EASED_NS 25000u
#define CONTENTION_INTERVAL_S 3e-5
#define CONTENTION_SLEEPS 64 /* so many in a row without a wait, and nobody does any more */

static PyObject *contention_get, *contention_set; /* sys.getswitchinterval, sys.setswitchinterval */
static double contention_former_s; /* the program's, while any hub sleeps with the short one */
static unsigned contention_sleeping; /* how many do */

static void contention_import(void)
{
    contention_get = Py_XNewRef(PySys_GetObject("getswitchinterval"));
    contention_set = Py_XNewRef(PySys_GetObject("setswitchinterval"));
}

/* -1: it cannot be told. No exception. */
static double contention_interval(void)
{
    PyObject *seconds = contention_get == NULL ? NULL : PyObject_CallNoArgs(contention_get);
    double value = seconds == NULL ? -1 : PyFloat_AsDouble(seconds);
    Py_XDECREF(seconds);
    PyErr_Clear();
    return value;
}

static void contention_change(double seconds)
{
    PyObject *argument = PyFloat_FromDouble(seconds + 1e-7); /* it is cut to whole microseconds */
    PyObject *done = NULL;
    if (argument != NULL && contention_set != NULL)
        done = PyObject_CallOneArg(contention_set, argument);
    Py_XDECREF(argument);
    Py_XDECREF(done);
    PyErr_Clear();
}

/* About to give the GIL away. */
static void contention_sleep(fbl_thread *thread)
{
    if (fbl_likely(thread->contended_sleeps == 0))
        return;
    if (contention_sleeping == 0) {
        contention_former_s = contention_interval();
        if (contention_former_s <= CONTENTION_INTERVAL_S)
            return; /* the program's is as short */
        contention_change(CONTENTION_INTERVAL_S);
    }
    contention_sleeping++;
    thread->is_contention_eased = true;
}

static void contention_put_back(void)
{
    double now_s = contention_interval();
    if (now_s > CONTENTION_INTERVAL_S * 0.9 && now_s < CONTENTION_INTERVAL_S * 1.1)
        contention_change(contention_former_s); /* else the program has set another */
}

/* The GIL is back, which was asked for at that time. */
static void contention_wake(fbl_thread *thread, uint64_t asked_ns)
{
    uint64_t waited_ns = fbl_hub_now(&thread->hub) - asked_ns;
    bool is_eased = thread->is_contention_eased;
    thread->is_contention_eased = false;
    if (is_eased && --contention_sleeping == 0)
        contention_put_back();
    if (fbl_unlikely(waited_ns > (is_eased ? CONTENTION_EASED_NS : CONTENTION_NS)))
        thread->contended_sleeps = CONTENTION_SLEEPS;
    else if (thread->contended_sleeps > 0)
        thread->contended_sleeps--;
}

/* In a forked child: those who slept stayed in the parent. */
static void contention_after_fork(void)
{
    if (contention_sleeping == 0)
        return;
    contention_sleeping = 0;
    contention_put_back();
}
