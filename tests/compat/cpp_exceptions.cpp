/*
 * cpp_exceptions.cpp: C++ code that calls Python in the middle of an exception: in a catch block,
 * and in a destructor while the stack is being unwound. The callee may switch fibers, as any may.
 */
#include <greenlet/greenlet.h>

#include <exception>
#include <stdexcept>

namespace {

struct numbered : std::exception {
    explicit numbered(long number) : number(number) {}
    long number;
};

/* What the exception being handled is; -1: none is, -2: it is none of ours. */
long handled_number()
{
    if (!std::current_exception())
        return -1;
    try {
        throw;
    } catch (const numbered &error) {
        return error.number;
    } catch (...) {
        return -2;
    }
}

/* in_catch(number, call): the numbers of what is handled before and after call(), in a catch block
 * of exception `number`, and what escapes when that is thrown on. */
PyObject *in_catch(PyObject *, PyObject *args)
{
    long number, before = 0, after = 0;
    PyObject *call, *result = nullptr;
    if (!PyArg_ParseTuple(args, "lO", &number, &call))
        return nullptr;
    try {
        try {
            throw numbered(number);
        } catch (const numbered &) {
            before = handled_number();
            result = PyObject_CallNoArgs(call);
            after = handled_number();
            throw;
        }
    } catch (const numbered &error) {
        if (result == nullptr)
            return nullptr;
        return Py_BuildValue("(lllN)", before, after, error.number, result);
    }
}

struct caller {
    PyObject *call;
    PyObject *&result;
    int &before, &after;
    ~caller()
    {
        before = std::uncaught_exceptions();
        result = PyObject_CallNoArgs(call);
        after = std::uncaught_exceptions();
    }
};

/* while_unwinding(call): how many exceptions are on their way before and after call(), which a
 * destructor makes while one is. */
PyObject *while_unwinding(PyObject *, PyObject *call)
{
    int before = -1, after = -1;
    PyObject *result = nullptr;
    try {
        caller last{call, result, before, after};
        throw numbered(1);
    } catch (const numbered &) {
        if (result == nullptr)
            return nullptr;
        return Py_BuildValue("(iiN)", before, after, result);
    }
}

/* in_flight(): (number of the exception being handled, how many are on their way) */
PyObject *in_flight(PyObject *, PyObject *)
{
    return Py_BuildValue("(li)", handled_number(), std::uncaught_exceptions());
}

/* catch_around(fiber): switches to a fiber inside try; what it caught, or None. */
PyObject *catch_around(PyObject *, PyObject *fiber)
{
    try {
        return PyGreenlet_Switch((PyGreenlet *)fiber, nullptr, nullptr);
    } catch (...) {
        return PyUnicode_FromString("an exception came through from another stack");
    }
}

/* throw_out(): lets an exception escape into the interpreter, which must end the process. */
PyObject *throw_out(PyObject *, PyObject *) { throw std::runtime_error("nobody catches this"); }

PyMethodDef methods[] = {
    {"in_catch", in_catch, METH_VARARGS, nullptr},
    {"while_unwinding", while_unwinding, METH_O, nullptr},
    {"in_flight", in_flight, METH_NOARGS, nullptr},
    {"catch_around", catch_around, METH_O, nullptr},
    {"throw_out", throw_out, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "cpp_exceptions", nullptr, -1,     methods,
                          nullptr,               nullptr,          nullptr, nullptr};

} // namespace

PyMODINIT_FUNC PyInit_cpp_exceptions(void)
{
    PyGreenlet_Import();
    return _PyGreenlet_API == nullptr ? nullptr : PyModule_Create(&definition);
}
