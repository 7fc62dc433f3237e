/*
 * stream.c: the methods of io's Buffered* and TextIOWrapper, each called in turn.
 *
 * The idea: one function for all of them: wait for the turn, write what was kept, call the
 * original, keep what it would lose. What differs is in a table, a line for each method: its type,
 * its name, and its effect. CPython gives a function no way to know by which name it was called, so
 * each line makes one, of one call.
 *
 * A signal handler that is called amid such a method, by the fiber that is inside, meets the
 * original's own lock, as without us: RuntimeError("reentrant call"). Where that fiber is parked,
 * the handler has a fiber of its own and waits for its turn.
 * Threads: any. Do not add: files that wait; they are raw.c's.
 */
#include "python/io/fd_wait.h"
#include "python/io/stream/stream.h"

static PyTypeObject *stream_types[STREAM_KINDS];

/* The line of each method: kind, name, effect. */
#define STREAM_BUFFERED(X, KIND)                                                                   \
    X(KIND, close, STREAM_ENDS)                                                                    \
    X(KIND, detach, STREAM_OTHER)                                                                  \
    X(KIND, flush, STREAM_OTHER)                                                                   \
    X(KIND, seek, STREAM_OTHER)                                                                    \
    X(KIND, tell, STREAM_OTHER)                                                                    \
    X(KIND, truncate, STREAM_OTHER)
#define STREAM_READABLE(X, KIND)                                                                   \
    X(KIND, read, STREAM_READS)                                                                    \
    X(KIND, read1, STREAM_READS)                                                                   \
    X(KIND, readline, STREAM_READS)                                                                \
    X(KIND, readinto, STREAM_READS_INTO)                                                           \
    X(KIND, readinto1, STREAM_READS_INTO)                                                          \
    X(KIND, peek, STREAM_PEEKS)
#define STREAM_METHODS(X)                                                                          \
    STREAM_BUFFERED(X, STREAM_READER)                                                              \
    STREAM_READABLE(X, STREAM_READER)                                                              \
    STREAM_BUFFERED(X, STREAM_WRITER)                                                              \
    X(STREAM_WRITER, write, STREAM_WRITES)                                                         \
    STREAM_BUFFERED(X, STREAM_RANDOM)                                                              \
    STREAM_READABLE(X, STREAM_RANDOM)                                                              \
    X(STREAM_RANDOM, write, STREAM_WRITES)                                                         \
    STREAM_BUFFERED(X, STREAM_TEXT)                                                                \
    X(STREAM_TEXT, read, STREAM_READS)                                                             \
    X(STREAM_TEXT, readline, STREAM_READS)                                                         \
    X(STREAM_TEXT, write, STREAM_WRITES)                                                           \
    X(STREAM_TEXT, reconfigure, STREAM_OTHER)

#define STREAM_PLACE(kind, name, effect) PLACE_##kind##_##name,
enum { STREAM_METHODS(STREAM_PLACE) STREAM_METHOD_COUNT };

#define STREAM_LINE(kind, name, effect) {kind, #name, effect, NULL, NULL},
static stream_method stream_methods[] = {STREAM_METHODS(STREAM_LINE)};

/* __next__, which is a slot. */
static stream_method stream_nexts[STREAM_KINDS] = {
    [STREAM_READER] = {STREAM_READER, "__next__", STREAM_READS, NULL, NULL},
    [STREAM_RANDOM] = {STREAM_RANDOM, "__next__", STREAM_READS, NULL, NULL},
    [STREAM_TEXT] = {STREAM_TEXT, "__next__", STREAM_READS, NULL, NULL},
};

static PyObject *stream_original(const stream_method *method, const fbl_call *call, PyObject *names)
{
    return method->next != NULL ? method->next(call->self)
                                : inplace_call(method->original, call, names);
}

/* ---- writing, so that nothing is lost ---- */

static bool stream_tells_what_it_took(PyObject *stream)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *raw = PyObject_GetAttrString(stream, "raw");
    bool does_tell = raw != NULL && raw_tells_what_it_took(raw);
    Py_XDECREF(raw);
    PyErr_SetRaisedException(exception);
    return does_tell;
}

/* The original, of bytes of which what was not taken is kept if something is thrown beneath. */
static PyObject *stream_write_bytes(stream_call *self, PyObject *bytes)
{
    const stream_method *write =
        &stream_methods[self->method->kind == STREAM_RANDOM ? PLACE_STREAM_RANDOM_write
                                                            : PLACE_STREAM_WRITER_write];
    self->given = PyBytes_AS_STRING(bytes);
    self->given_bytes = (size_t)PyBytes_GET_SIZE(bytes);
    self->taken_bytes = 0;
    PyObject *answer = stream_original(write, &(fbl_call){self->stream, &bytes, 1, NULL}, NULL);
    self->given = NULL;
    if (answer != NULL || PyErr_ExceptionMatches(PyExc_OSError) ||
        !stream_tells_what_it_took(self->stream))
        return answer;
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *rest = PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes) + self->taken_bytes,
                                               (Py_ssize_t)(self->given_bytes - self->taken_bytes));
    if (rest != NULL)
        kept_put_first(self->stream, KEPT_UNWRITTEN, rest);
    Py_XDECREF(rest);
    PyErr_SetRaisedException(exception);
    return NULL;
}

/* Writes what was kept. -1: an exception. */
static int stream_write_kept(stream_call *self)
{
    if (fbl_likely(fbl_kept_count == 0) || self->method->kind == STREAM_TEXT ||
        self->method->kind == STREAM_READER || self->method->effect == STREAM_ENDS)
        return 0;
    PyObject *kept = kept_take(self->stream, KEPT_UNWRITTEN);
    if (kept == NULL)
        return 0;
    PyObject *answer = stream_write_bytes(self, kept);
    Py_DECREF(kept);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Is it what a TextIOWrapper gives, of which some was accepted by earlier calls? */
static bool stream_is_given_by_text(const stream_call *self, const fbl_call *call)
{
    return self->method->effect == STREAM_WRITES && self->method->kind != STREAM_TEXT &&
           self->outer != NULL && self->outer->method->kind == STREAM_TEXT && call->count == 1 &&
           PyBytes_CheckExact(call->args[0]);
}

/* ---- reading, so that nothing is lost ---- */

/* What a read that was struck has got all the same goes back. */
static void stream_unread(const stream_call *self, const fbl_call *call, PyObject *result)
{
    PyObject *data = NULL;
    bool is_text = self->method->kind == STREAM_TEXT;
    if (self->method->effect == STREAM_READS && result != NULL && result != Py_None)
        data = Py_NewRef(result);
    if (self->method->effect == STREAM_READS_INTO && result != NULL && result != Py_None)
        data = PyBytes_FromObject(call->args[0]);
    if (data != NULL && self->method->effect == STREAM_READS_INTO)
        _PyBytes_Resize(&data, PyLong_AsSsize_t(result));
    PyObject *owner =
        is_text ? Py_NewRef(self->stream) : PyObject_GetAttrString(self->stream, "raw");
    if (data != NULL && owner != NULL)
        kept_put_first(owner, is_text ? KEPT_AHEAD : KEPT_UNREAD, data);
    Py_XDECREF(owner);
    Py_XDECREF(data);
    PyErr_Clear(); /* what is raised is what struck */
}

/* Beneath a TextIOWrapper's readline a read that was struck answers as at the end of the file: it
 * returns what it has, and the exception is for it to raise. */
static bool stream_is_for_text(const stream_call *self)
{
    return self->outer != NULL && self->outer->method->kind == STREAM_TEXT &&
           self->outer->method->effect == STREAM_READS && strcmp(self->method->name, "read1") == 0;
}

/* `result` is stolen. */
static PyObject *stream_struck(stream_call *self, const fbl_call *call, PyObject *result)
{
    stream_unread(self, call, result);
    Py_XDECREF(result);
    PyObject *struck = self->struck;
    self->struck = NULL;
    if (stream_is_for_text(self)) {
        self->outer->struck = struck;
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    PyErr_SetRaisedException(struck);
    return NULL;
}

/* ---- a call ---- */

/* In its turn. */
static PyObject *stream_do(stream_call *self, const fbl_call *call, PyObject *names)
{
    if (stream_write_kept(self) < 0)
        return NULL;
    if (fbl_unlikely(stream_is_given_by_text(self, call)))
        return stream_write_bytes(self, call->args[0]);
    if (fbl_unlikely(fbl_kept_count > 0) && self->method->kind == STREAM_TEXT &&
        self->method->effect == STREAM_READS)
        return ahead_read(self, call, names);
    return stream_original(self->method, call, names);
}

/* A file that is closed while another fiber waits to read from it: that one gets EBADF, or he who
 * closes would wait for it as long. */
static void stream_end_reader(PyObject *stream)
{
    const fbl_record *owner = turn_owner(stream);
    const stream_call *inside = owner == NULL ? NULL : owner->stream;
    if (inside == NULL || owner == (const fbl_record *)fbl_this_thread->hub.current ||
        inside->method->kind == STREAM_TEXT || inside->method->effect < STREAM_READS)
        return;
    PyObject *raw = PyObject_GetAttrString(inside->stream, "raw");
    int fd = raw == NULL ? -1 : raw_closing_fd(raw);
    if (fd >= 0)
        fd_forget(fd);
    Py_XDECREF(raw);
    PyErr_Clear();
}

/* NULL: an exception. */
static stream_turn *stream_enter_wait(fbl_thread *thread, const stream_method *method,
                                      fbl_call *call)
{
    if (method->effect >= STREAM_READS)
        return turn_enter_to_read_wait(thread, call->self, call);
    if (method->effect != STREAM_ENDS)
        return turn_enter_wait(thread, call->self, call);
    stream_end_reader(call->self);
    return turn_enter_to_close_wait(thread, call->self, call);
}

static PyObject *stream_call_wait(const stream_method *method, fbl_call *call, PyObject *names)
{
    fbl_thread *thread = thread_get();
    if (fbl_unlikely(thread == NULL)) { /* the interpreter shuts down: nobody else comes */
        PyErr_Clear();
        return stream_original(method, call, names);
    }
    stream_turn *turn = stream_enter_wait(thread, method, call);
    if (fbl_unlikely(turn == NULL))
        return NULL;
    fbl_record *record = thread_current(thread);
    stream_call self = {record->stream, method, call->self, NULL, 0, 0, NULL};
    record->stream = &self; /* SAFE: taken back below, before this frame goes */
    PyObject *result = stream_do(&self, call, names);
    if (fbl_unlikely(self.struck != NULL))
        result = stream_struck(&self, call, result);
    record->stream = self.outer;
    turn_leave(turn);
    return result;
}

#define STREAM_FUNCTION(kind, name, effect)                                                        \
    static PyObject *kind##_##name(PyObject *self, PyObject *const *args, Py_ssize_t count,        \
                                   PyObject *names)                                                \
    {                                                                                              \
        fbl_call call = {self, args, vector_length(count, names), NULL};                           \
        return stream_call_wait(&stream_methods[PLACE_##kind##_##name], &call, names);             \
    }
STREAM_METHODS(STREAM_FUNCTION)

#define STREAM_DEFINITION(kind, name, effect)                                                      \
    {#name, (PyCFunction)(void (*)(void))kind##_##name, METH_FASTCALL | METH_KEYWORDS, NULL},
static PyMethodDef stream_definitions[] = {STREAM_METHODS(STREAM_DEFINITION)};

static PyObject *stream_next_wait(stream_kind kind, PyObject *self)
{
    fbl_call call = {self, NULL, 0, NULL};
    return stream_call_wait(&stream_nexts[kind], &call, NULL);
}

static PyObject *stream_reader_next(PyObject *self)
{
    return stream_next_wait(STREAM_READER, self);
}
static PyObject *stream_random_next(PyObject *self)
{
    return stream_next_wait(STREAM_RANDOM, self);
}
static PyObject *stream_text_next(PyObject *self) { return stream_next_wait(STREAM_TEXT, self); }

/* ---- in the child of a fork ---- */

/* CPython's buffered object (Modules/_io/bufferedio.c), as far as its lock. */
typedef struct {
    PyObject_HEAD PyObject *raw;
    int ok, is_detached, is_readable, is_writable;
    char is_finalizing;
    int has_fast_closed_checks;
    off_t abs_pos;
    char *buffer;
    off_t pos, raw_pos, read_end, write_pos, write_end;
    PyThread_type_lock lock;
    volatile unsigned long owner;
    Py_ssize_t buffer_size;
} stream_buffered;

static bool stream_knows_lock; /* an object was looked at, and is laid out so */

/* Who was inside is not there any more, and cannot give the lock back.
 * SAFE: the struct is the one that was looked at; this thread is the only one. */
static void stream_unlock_after_fork(PyObject *stream)
{
    stream_buffered *head = (stream_buffered *)stream;
    if (!stream_knows_lock || PyObject_TypeCheck(stream, stream_types[STREAM_TEXT]) ||
        head->owner == 0)
        return;
    head->owner = 0;
    PyThread_release_lock(head->lock);
}

/* Looks at an object with a buffer of an odd size. -1: an exception. */
static int stream_learn_lock(PyTypeObject *const types[STREAM_KINDS])
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *raw = io == NULL ? NULL : PyObject_CallMethod(io, "BytesIO", NULL);
    PyObject *made = raw == NULL
                         ? NULL
                         : PyObject_CallFunction((PyObject *)types[STREAM_WRITER], "Oi", raw, 4321);
    const stream_buffered *head = (const stream_buffered *)made;
    if (made != NULL)
        stream_knows_lock = (size_t)types[STREAM_WRITER]->tp_basicsize >= sizeof *head &&
                            head->raw == raw && head->owner == 0 && head->buffer_size == 4321 &&
                            head->lock != NULL;
    Py_XDECREF(made);
    Py_XDECREF(raw);
    Py_XDECREF(io);
    return made == NULL ? -1 : 0;
}

/* ---- putting them in place ---- */

static bool stream_is_shared(PyObject *object)
{
    for (int kind = 0; kind < STREAM_KINDS; kind++)
        if (stream_types[kind] != NULL && PyObject_TypeCheck(object, stream_types[kind]))
            return true;
    return false;
}

/* -1: an exception. */
static int stream_adopt(PyTypeObject *const types[STREAM_KINDS])
{
    static const iternextfunc nexts[] = {
        [STREAM_READER] = stream_reader_next,
        [STREAM_RANDOM] = stream_random_next,
        [STREAM_TEXT] = stream_text_next,
    };
    if (stream_types[0] != NULL)
        return 0;
    if (stream_learn_lock(types) < 0)
        return -1;
    for (int i = 0; i < STREAM_METHOD_COUNT; i++) {
        stream_method *method = &stream_methods[i];
        method->original = inplace_method(types[method->kind], &stream_definitions[i]);
        if (method->original == NULL)
            return inplace_failed(types[method->kind], method->name);
    }
    for (int kind = 0; kind < STREAM_KINDS; kind++) {
        if (nexts[kind] != NULL)
            stream_nexts[kind].next = inplace_next(types[kind], nexts[kind]);
        stream_types[kind] = (PyTypeObject *)Py_NewRef(types[kind]);
    }
    return 0;
}
