/*
 * What was last told about each GPU of a host, and so what has to be told now: what is new, what changed,
 * and what is gone. A GPU never leaves the book by being absent: it is told as UNREADABLE, since when,
 * and stays. No IO.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "codec/codec.h"
#include "publish/publisher.h"

struct gpu_entry {
	char *gpu_id;	  /* owned */
	struct buf facts; /* the record without its time: what a change is measured by */
	bool gone;	  /* it was not in the last scan */
	bool seen;	  /* within gpu_book_update() */
	struct announcement announcement; /* the record, as it is or was told */
};

struct gpu_book {
	struct codec *codec; /* borrowed */
	const char *host;    /* borrowed */
	int32_t partition;
	struct gpu_entry **entries; /* owned, also each; never moved or removed */
	size_t n;
	size_t size;
};

void gpu_book_init(struct gpu_book *book, struct codec *codec, const char *host, int32_t partition);
void gpu_book_deinit(struct gpu_book *book);

typedef void (*gpu_book_change_fn)(void *context, struct gpu_entry *entry);

struct gpu_book_scan {
	const struct gpu_discovered *gpus;
	size_t n;
	bool complete; /* a GPU that is not among these is gone */
	bool tell_all; /* also what did not change: the first scan of a process */
	int64_t now_us;
};

/* Takes a scan over and calls `on_change` for each entry whose announcement has to be made. */
void gpu_book_update(struct gpu_book *book, const struct gpu_book_scan *scan,
		     gpu_book_change_fn on_change, void *context);

/* A GPU as it was told before this process started. */
void gpu_book_remember(struct gpu_book *book, const struct gpu_discovered *gpu, bool gone);

/* What is told about an entry; in `arena`. Positive: it cannot be told (too large). */
int gpu_book_record(const struct gpu_book *book, const struct gpu_entry *entry, struct arena *arena,
		    struct gpu_discovered *ret_gpu) MUST_CHECK;
