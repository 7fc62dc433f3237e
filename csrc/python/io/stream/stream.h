/*
 * stream.h: what the file objects of `io` need that more than one fiber uses.
 *
 * The idea: a Buffered* of io has a lock that knows native threads only, and a TextIOWrapper has
 * none. So a method of theirs is called in turn (turn.c): who comes while another fiber is inside,
 * parked in the system call beneath, waits for it. The objects and their types stay what they are;
 * only what their methods call is another function (inplace.c), which calls the original.
 *
 *   TextIOWrapper.write    in turn    stream.c
 *     Buffered*.write      in turn    stream.c
 *       FileIO.write       parks      raw.c, and io/file.c beneath
 *
 * Who is struck beneath, by a kill or a Timeout, leaves nothing lost: see kept.c.
 * Threads: any, with the GIL. Do not add: a kind of file.
 */
#ifndef FBL_STREAM_H
#define FBL_STREAM_H

#include "python/fiber/record.h"

/* The types whose methods are called in turn. */
typedef enum {
    STREAM_READER,
    STREAM_WRITER,
    STREAM_RANDOM,
    STREAM_TEXT,
    STREAM_KINDS,
} stream_kind;

/* What a method does, as far as it matters when it is struck beneath. */
typedef enum {
    STREAM_OTHER,
    STREAM_ENDS,       /* close, detach: flushes by a method that is called in turn itself */
    STREAM_WRITES,     /* its argument is written */
    STREAM_READS,      /* its result was read, and is lost if it is not kept */
    STREAM_READS_INTO, /* as many bytes of its argument as its result says */
    STREAM_PEEKS,      /* nothing is used up */
} stream_effect;

typedef struct {
    stream_kind kind;
    const char *name;
    stream_effect effect;
    PyObject *original; /* owned: a descriptor; NULL for __next__, or before it is replaced */
    iternextfunc next;  /* the original of __next__ */
} stream_method;

/* One call of such a method, on the stack of the fiber that makes it. */
typedef struct stream_call {
    struct stream_call *outer; /* what the fiber was in before, or NULL */
    const stream_method *method;
    PyObject *stream;    /* borrowed: the caller's */
    const char *given;   /* what is to be written and not to be lost, or NULL */
    size_t given_bytes;  /* of it */
    size_t taken_bytes;  /* of these the raw file has taken */
    PyObject *struck;    /* owned: what was thrown at the fiber beneath, put aside; or NULL */
} stream_call;

/* Who is in a file object, and who waits for it. */
typedef struct stream_turn stream_turn;

/* ---- turn.c ---- */
static stream_turn *turn_enter_wait(fbl_thread *thread, PyObject *stream, fbl_call *call);
static stream_turn *turn_enter_to_close_wait(fbl_thread *thread, PyObject *stream, fbl_call *call);
static stream_turn *turn_enter_to_read_wait(fbl_thread *thread, PyObject *stream, fbl_call *call);
static void turn_leave(stream_turn *turn);
static const fbl_record *turn_owner(const PyObject *stream);
static void turns_after_fork(const fbl_record *self);

/* ---- inplace.c ---- */
static PyObject *inplace_original(PyTypeObject *type, PyMethodDef *replacement);
static PyObject *inplace_method(PyTypeObject *type, PyMethodDef *replacement);
static PyObject *inplace_function(PyObject *function, PyMethodDef *replacement);
static int inplace_failed(const PyTypeObject *type, const char *name);
static iternextfunc inplace_next(PyTypeObject *type, iternextfunc replacement);
static PyObject *inplace_call(PyObject *original, const fbl_call *call, PyObject *names);

/* ---- kept.c: what was read and not used, or given and not written ---- */
typedef enum {
    KEPT_UNREAD,    /* bytes, at a raw file: its next reads give them first */
    KEPT_AHEAD,     /* str, at a TextIOWrapper: the same */
    KEPT_UNWRITTEN, /* bytes, at a Buffered*: its next call writes them first */
} kept_kind;
extern size_t fbl_kept_count; /* objects that have something; 0: nobody need look */
static PyObject *kept_take(PyObject *owner, kept_kind kind);
static void kept_put_first(PyObject *owner, kept_kind kind, PyObject *data);
static bool stream_strike(fbl_thread *thread, const PyObject *raw);
static void stream_note_written(const fbl_thread *thread, const char *data, size_t bytes);

/* ---- disk.c: files on disks, where they are asked for ---- */
extern bool fbl_disk_is_served; /* every file is */
static Py_ssize_t disk_read_wait(PyObject *self, int fd, char *data, size_t bytes);
static void disk_learn(PyObject *in_pool, PyObject *readinto, PyObject *write);
static Py_ssize_t disk_write_wait(PyObject *self, int fd, char *data, size_t bytes);

/* ---- raw.c ---- */
static int raw_adopt(PyTypeObject *type);
static bool raw_tells_what_it_took(PyObject *raw);
static int raw_closing_fd(PyObject *raw);
static void raw_know_sockets(PyObject *type);

/* ---- stream.c ---- */
static int stream_adopt(PyTypeObject *const types[STREAM_KINDS]);
static bool stream_is_shared(PyObject *object);
static PyObject *stream_original(const stream_method *method, const fbl_call *call,
                                 PyObject *names);

static void stream_unlock_after_fork(PyObject *stream);

/* ---- ahead.c ---- */
static PyObject *ahead_read(const stream_call *self, const fbl_call *call, PyObject *names);

/* ---- builtins.c ---- */
static int builtins_adopt(PyObject *input, PyObject *open);

#endif
