/* Who has a lock of flock()? */
#pragma once

#include "base/buf.h"

/* Appends ": pid 812 (gpubus-attach)" for the process that has locked the file behind `fd`; nothing when that is
 * not known. */
void lock_holder_describe(const char *proc_dir, int fd, struct buf *out);
