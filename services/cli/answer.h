/*
 * What a record of `answers` means to somebody who waits for the answer to a request of his. Pure.
 *
 * The same answer may be told again, and as it is by then: whoever sent a VmRequested twice may hear
 * only that the GPUs were given and have been released since. That is an answer, too.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/record.h"

enum answer_kind {
	ANSWER_OTHER,		 /* to somebody else */
	ANSWER_GRANTED,		 /* VmRequested: the VM has the GPUs */
	ANSWER_GRANTED_RELEASED, /* VmRequested: it had them, and has given them back since */
	ANSWER_RELEASING,	 /* VmReleased: under way; another answer follows */
	ANSWER_ATTACH_FAILED,	 /* VmRequested: it had them, but they could not be handed over */
	ANSWER_DONE,	/* released, marked, nothing to do, or a migration that is allowed */
	ANSWER_REFUSED, /* rejected, or a migration that is not allowed */
};

enum answer_kind answer_kind(const struct record *request, const struct record *answer);

/* NULL, or what the answer is about when it is not what `request` is about ("VM vm-7", in `arena`): the
 * request's id was used before, and is answered as it was then. */
const char *answer_to_another(const struct record *request, const struct record *answer,
			      struct arena *arena);

/* For people: several lines. */
void answer_describe(const struct record *answer, enum answer_kind kind, struct buf *out);
