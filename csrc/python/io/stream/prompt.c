/*
 * prompt.c: print() in one turn, and input() that lets others run.
 *
 * The idea: print writes its text, and then the end of the line: in one turn of the file's both, or
 * who waits for his turn would write between them. input() at a terminal reads by the C library,
 * which knows no fibers; what reads instead is a function in Python (fibril._io.prompt), which is
 * given the original.
 * Threads: any. Do not add: what a prompt looks like.
 */
#include "python/io/stream/stream.h"

static PyObject *prompt_print_original, *prompt_input_original;
static PyObject *prompt_read_line; /* called with the original, and input()'s arguments */

/* Where print() writes, as far as it is a file object that fibers take turns in. Borrowed. */
static PyObject *prompt_file(const fbl_call *call, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    PyObject *file = NULL;
    for (Py_ssize_t i = 0; i < named; i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), "file") == 0)
            file = call->args[call->count - named + i];
    if (file == NULL || file == Py_None)
        file = PySys_GetObject("stdout");
    return file != NULL && stream_is_shared(file) ? file : NULL;
}

/* Functions are called with their module as self, and the original has it already. */
static PyObject *prompt_original(PyObject *original, const fbl_call *call, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    return PyObject_Vectorcall(original, call->args, (size_t)(call->count - named), names);
}

static PyObject *prompt_print(PyObject *module, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    fbl_call call = {module, args, vector_length(count, names), NULL};
    PyObject *file = prompt_file(&call, names);
    fbl_thread *thread = file == NULL ? NULL : fbl_this_thread;
    if (thread == NULL)
        return prompt_original(prompt_print_original, &call, names);
    Py_INCREF(file);
    stream_turn *turn = turn_enter_wait(thread, file, &call);
    PyObject *answer = NULL;
    if (turn != NULL) {
        answer = prompt_original(prompt_print_original, &call, names);
        turn_leave(turn);
    }
    Py_DECREF(file);
    return answer;
}

static PyObject *prompt_input(PyObject *module, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    (void)module;
    if (names != NULL || count > 1)
        return PyObject_Vectorcall(prompt_input_original, args, (size_t)count, names);
    return PyObject_CallFunctionObjArgs(prompt_read_line, prompt_input_original,
                                        count == 1 ? args[0] : NULL, NULL);
}

static PyMethodDef prompt_methods[] = {
    {"print", (PyCFunction)(void (*)(void))prompt_print, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"input", (PyCFunction)(void (*)(void))prompt_input, METH_FASTCALL | METH_KEYWORDS, NULL},
};

/* A function that a program has replaced by one of its own stays that. -1: an exception. */
static int prompt_adopt(PyObject *read_line)
{
    PyObject *builtins = prompt_read_line == NULL ? PyEval_GetBuiltins() : NULL;
    if (builtins == NULL)
        return 0;
    PyObject *print = PyDict_GetItemString(builtins, "print");
    PyObject *input = PyDict_GetItemString(builtins, "input");
    prompt_read_line = Py_NewRef(read_line);
    if (print != NULL)
        prompt_print_original = inplace_function(print, &prompt_methods[0]);
    if (input != NULL && !PyErr_Occurred())
        prompt_input_original = inplace_function(input, &prompt_methods[1]);
    return PyErr_Occurred() ? -1 : 0;
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
    PyObject *read_line;
    if (!PyArg_ParseTuple(args, "O!O:raw_files_wait", &PyType_Type, &type, &read_line) ||
        raw_adopt(type) < 0 || prompt_adopt(read_line) < 0)
        return NULL;
    Py_RETURN_NONE;
}
