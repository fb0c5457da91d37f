/*
 * Logs what is new in a text of lines, one for each thing ("vm-1 r-1/1 ATTACHED"), and what is no longer
 * in it. Indented lines are details of the line above. Not thread-safe.
 */
#pragma once

#include "base/buf.h"

struct change_log {
	struct buf last; /* the text as it was told */
};

void change_log_deinit(struct change_log *log);
/* Takes the content of `text`, which is empty afterwards. A thing is known by the first `key_words` words of
 * its line. Returns how many lines it has logged. */
size_t change_log_tell(struct change_log *log, struct buf *text, unsigned key_words);
