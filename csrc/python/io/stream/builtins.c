/*
 * builtins.c: print() in one turn; input() and open() that let others run.
 *
 * The idea: print writes its text, and then the end of the line: in one turn of the file's both, or
 * who waits for his turn would write between them. input() at a terminal reads by the C library,
 * which knows no fibers, and open() of a named pipe waits for its other end. These two are done by
 * functions in Python (fibril._io.prompt, fibril._io.disk), which are given the original; for any
 * other file open() calls the original itself, so that errors and warnings look as ever.
 * Threads: any. Do not add: what a prompt looks like.
 */
#include "python/io/stream/stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The functions, in place of which ours are called. */
enum { BUILTIN_PRINT, BUILTIN_INPUT, BUILTIN_OPEN, BUILTIN_COUNT };
static PyObject *builtin_originals[BUILTIN_COUNT];
static PyObject *builtin_helpers[BUILTIN_COUNT]; /* in Python; called with the original as well */

/* An argument that was given by name, or NULL. Borrowed. */
static PyObject *call_named(const fbl_call *call, PyObject *names, const char *name)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < named; i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), name) == 0)
            return call->args[call->count - named + i];
    return NULL;
}

/* Functions have their module as self; the original has it already. */
static PyObject *builtin_original(int which, const fbl_call *call, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    return PyObject_Vectorcall(builtin_originals[which], call->args, (size_t)(call->count - named),
                               names);
}

static PyObject *builtin_helper(int which, const fbl_call *call, PyObject *names)
{
    fbl_call longer = {builtin_originals[which], call->args, call->count, NULL};
    return inplace_call(builtin_helpers[which], &longer, names);
}

/* ---- print ---- */

/* Where print() writes, as far as it is a file object that fibers take turns in. Borrowed. */
static PyObject *print_file(const fbl_call *call, PyObject *names)
{
    PyObject *file = call_named(call, names, "file");
    if (file == NULL || file == Py_None)
        file = PySys_GetObject("stdout");
    return file != NULL && stream_is_shared(file) ? file : NULL;
}

static PyObject *builtin_print(PyObject *module, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    fbl_call call = {module, args, vector_length(count, names), NULL};
    PyObject *file = print_file(&call, names);
    fbl_thread *thread = file == NULL ? NULL : fbl_this_thread;
    if (thread == NULL)
        return builtin_original(BUILTIN_PRINT, &call, names);
    Py_INCREF(file);
    stream_turn *turn = turn_enter_wait(thread, file, &call);
    PyObject *answer = NULL;
    if (turn != NULL) {
        answer = builtin_original(BUILTIN_PRINT, &call, names);
        turn_leave(turn);
    }
    Py_DECREF(file);
    return answer;
}

/* ---- input ---- */

static PyObject *builtin_input(PyObject *module, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    fbl_call call = {module, args, vector_length(count, names), NULL};
    if (names != NULL || count > 1)
        return builtin_original(BUILTIN_INPUT, &call, names);
    return builtin_helper(BUILTIN_INPUT, &call, names);
}

/* ---- open ---- */

/* Without libc, whose function has got another name in glibc 2.33.
 * SAFE: on the machines that there are (64 bits), its struct is the kernel's. */
static bool open_is_pipe(PyObject *path)
{
    PyObject *bytes = NULL;
    struct stat status;
    bool is_pipe = false;
    if (PyUnicode_FSConverter(path, &bytes))
        is_pipe = syscall(SYS_newfstatat, AT_FDCWD, PyBytes_AS_STRING(bytes), &status, 0) == 0 &&
                  S_ISFIFO(status.st_mode);
    Py_XDECREF(bytes);
    PyErr_Clear(); /* the original will say what is wrong */
    return is_pipe;
}

static PyObject *builtin_open(PyObject *module, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    fbl_call call = {module, args, vector_length(count, names), NULL};
    PyObject *path = count > 0 ? args[0] : call_named(&call, names, "file");
    if (path == NULL || PyLong_Check(path) || (!fbl_disk_is_served && !open_is_pipe(path)))
        return builtin_original(BUILTIN_OPEN, &call, names);
    return builtin_helper(BUILTIN_OPEN, &call, names);
}

#define BUILTIN(name)                                                                              \
    {#name, (PyCFunction)(void (*)(void))builtin_##name, METH_FASTCALL | METH_KEYWORDS, NULL}

static PyMethodDef builtin_methods[] = {BUILTIN(print), BUILTIN(input), BUILTIN(open)};

/* A function that a program has replaced by one of its own stays that. -1: an exception. */
static int builtins_adopt(PyObject *input, PyObject *open)
{
    PyObject *builtins = builtin_helpers[BUILTIN_INPUT] == NULL ? PyEval_GetBuiltins() : NULL;
    if (builtins == NULL)
        return 0;
    builtin_helpers[BUILTIN_INPUT] = Py_NewRef(input);
    builtin_helpers[BUILTIN_OPEN] = Py_NewRef(open);
    for (int i = 0; i < BUILTIN_COUNT; i++) {
        PyObject *function = PyDict_GetItemString(builtins, builtin_methods[i].ml_name);
        if (function != NULL)
            builtin_originals[i] = inplace_function(function, &builtin_methods[i]);
        if (PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* ---- what Python calls ---- */

static PyObject *module_streams_take_turns(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *types[STREAM_KINDS];
    PyObject *sockets;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O:streams_take_turns", &PyType_Type, &types[STREAM_READER],
                          &PyType_Type, &types[STREAM_WRITER], &PyType_Type, &types[STREAM_RANDOM],
                          &PyType_Type, &types[STREAM_TEXT], &sockets) ||
        stream_adopt(types) < 0)
        return NULL;
    raw_know_sockets(sockets);
    Py_RETURN_NONE;
}

static PyObject *module_raw_files_wait(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *type;
    PyObject *input, *open;
    if (!PyArg_ParseTuple(args, "O!OO:raw_files_wait", &PyType_Type, &type, &input, &open) ||
        raw_adopt(type) < 0 || builtins_adopt(input, open) < 0)
        return NULL;
    Py_RETURN_NONE;
}
