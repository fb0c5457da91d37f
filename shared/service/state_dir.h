/*
 * What a service on a host remembers across restarts: a directory that one process at a time has, files in
 * it that a crash leaves old or new but never torn, and the pool that the host belongs to (another is refused
 * until somebody says that the host moves). Blocks on the disk; call it off the loop.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Makes DIR with its parents, and takes it for this process alone; the lock lasts as long as the process.
 * Positive: another process has it, or it cannot be made; a sentence in `error`. */
int state_dir_take(const char *dir, struct buf *error) MUST_CHECK;

/*
 * Remembers in `host_dir` (made here; its parent is there) that the host belongs to `pool_id`. Only with
 * `move` may that be another pool than before. Positive: it is another, or the directory cannot be read or
 * written; a sentence in `error`.
 */
int pool_claim(const char *host_dir, const char *host, const char *pool_id, bool move,
	       struct buf *error) MUST_CHECK;

/* The pool that is remembered there, which the caller frees; NULL: none. Negative: -errno. */
int pool_claimed(const char *host_dir, char **ret_pool) MUST_CHECK;

/* Replaces the file at `path` in one step, so that a crash leaves the old or the new; on the disk when it
 * returns. Negative: -errno. */
int state_file_write(const char *path, const char *text, size_t len) MUST_CHECK;
