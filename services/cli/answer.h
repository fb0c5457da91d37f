/*
 * What a record of `answers` means to somebody who waits for the answer to a request of his. Pure.
 *
 * The same answer may be told again, and as it is by then: whoever sent a VmRequested twice may hear
 * only that the GPUs were given and have been released since. That is an answer, too.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "model/record.h"

enum answer_kind {
	ANSWER_OTHER,		 /* to somebody else */
	ANSWER_GRANTED,		 /* VmRequested: the VM has the GPUs */
	ANSWER_GRANTED_RELEASED, /* VmRequested: it had them, and has given them back since */
	ANSWER_RELEASING,	 /* VmReleased: under way; another answer follows */
	ANSWER_DONE,		 /* released, nothing to do, or a migration that is allowed */
	ANSWER_REFUSED,		 /* rejected, or a migration that is not allowed */
};

enum answer_kind answer_kind(const struct record *request, const struct record *answer);

/* For people: several lines. */
void answer_describe(const struct record *answer, enum answer_kind kind, struct buf *out);
