/*
 * greenlet_alias.c: what only the package greenlet, served by fibril (fibril/compat/greenlet), asks
 * of the core.
 *
 * The idea: fibril.Fiber and greenlet.greenlet are one type, because both names must pass each
 * other's isinstance and a C extension must find its base. One type has one name. So it is
 * fibril.Fiber until the program imports greenlet, and from then on it has the name by which the
 * program knows it, in reprs, messages and pickles. Two types, one derived from the other, would
 * make main fibers and tasks instances of only one of them; a metaclass would cost every program
 * something that only these want.
 * Do not add: behaviour that fibers have under both names.
 */
#include "python/fiber/record.h"

/* `attributes`: what greenlet has on the type besides, such as greenlet.greenlet.getcurrent. */
static PyObject *module_serve_as_greenlet(PyObject *module, PyObject *attributes)
{
    (void)module;
    if (!PyDict_Check(attributes))
        return errors_refuse(PyExc_TypeError, "the type's attributes must be a dict, not %s",
                             Py_TYPE(attributes)->tp_name);
    if (PyDict_Update(fbl_fiber_type.tp_dict, attributes) < 0)
        return NULL;
    fbl_fiber_type.tp_name = "greenlet.greenlet";
    PyType_Modified(&fbl_fiber_type);
    Py_RETURN_NONE;
}

/* How many native threads use fibers now, each of which has a main fiber. */
static PyObject *module_thread_count(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    long count = 0;
    for (fbl_link *link = fbl_all_threads.next; link != &fbl_all_threads; link = link->next)
        count++;
    return PyLong_FromLong(count);
}

static PyObject *module_trash_nesting(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(fbl_trash_nesting(PyThreadState_Get()));
}
