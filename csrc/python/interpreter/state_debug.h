/*
 * state_debug.h: where a reader of raw memory finds a fiber's Python frames, per CPython version.
 *
 * The idea: debug.c exports numbers, and these are the ones that differ between versions: how to
 * get from a parked share, or from the thread state, to the innermost frame, and from a frame to
 * its code and to the instruction it is at. All of them lie in parts of CPython's structs that no
 * patch release has moved.
 * Included by debug.c only. Do not add: anything that the engine itself needs.
 */
#ifndef FBL_STATE_DEBUG_H
#define FBL_STATE_DEBUG_H

#include "python/interpreter/state.h"

#define STATE_DEBUG_NO_CFRAME UINT64_MAX /* the head is the frame itself */

#if PY_VERSION_HEX < 0x030D0000
#define STATE_DEBUG_SHARE_HEAD offsetof(version_state, cframe)
#define STATE_DEBUG_THREAD_HEAD offsetof(PyThreadState, cframe)
#define STATE_DEBUG_CFRAME_FRAME offsetof(_PyCFrame, current_frame)
#define STATE_DEBUG_FRAME_CODE offsetof(_PyInterpreterFrame, f_code)
#define STATE_DEBUG_FRAME_INSTRUCTION offsetof(_PyInterpreterFrame, prev_instr)
#else
#define STATE_DEBUG_SHARE_HEAD offsetof(version_state, frame)
#define STATE_DEBUG_THREAD_HEAD offsetof(PyThreadState, current_frame)
#define STATE_DEBUG_CFRAME_FRAME STATE_DEBUG_NO_CFRAME
#define STATE_DEBUG_FRAME_CODE offsetof(_PyInterpreterFrame, f_executable)
#define STATE_DEBUG_FRAME_INSTRUCTION offsetof(_PyInterpreterFrame, instr_ptr)
#endif

/* Frames of this owner or above are an eval loop's entry, not a function. */
#define STATE_DEBUG_OWNER_ENTRY (FRAME_OWNED_BY_FRAME_OBJECT + 1)

#endif
