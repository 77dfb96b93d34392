/*
 * op_stream.h - what the operations on streams share.
 */
#ifndef TEST_REFMODEL_OP_STREAM_H
#define TEST_REFMODEL_OP_STREAM_H

#include "test/refmodel/refmodel.h"

/* A stream that reads bytes, or wide characters; NULL: none. */
struct streampair *stream_of(struct actor *a, uint32_t arg, bool wide);
/* Compares feof and ferror.  False: the store has failed, and the pair is closed. */
bool stream_state(struct actor *a, struct streampair *s, int error_m);
void stream_turn(struct streampair *s);

#endif
