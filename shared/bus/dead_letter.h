/*
 * The dead letter of a message that could not be read or stands in the wrong place: the original key,
 * value and headers, and headers that say where it stood and what is wrong with it: dl_topic,
 * dl_partition, dl_offset, dl_code, dl_error, dl_time (RFC 3339, UTC).
 *
 * Brokers take larger messages than our producer sends, and a dead letter that cannot be sent would stop
 * its partition. So a value is cut to LIMIT_DEAD_VALUE_BYTES, and a key and headers that are together
 * over LIMIT_META_BYTES are left out; dl_cut ("value", "meta" or "both") says so.
 */
#pragma once

#include <stdint.h>

#include "model/message.h"

enum { DEAD_LETTER_HEADERS = 7, DEAD_LETTER_ERROR_BYTES = 512 };

struct dead_letter {
	struct message
		message; /* ready for bus_produce(); points into the original and into this struct */
	struct header headers[MESSAGE_HEADERS_MAX + DEAD_LETTER_HEADERS];
	char partition[16];
	char offset[24];
	char code[64];
	char error[DEAD_LETTER_ERROR_BYTES]; /* longer texts are cut */
	char time[40];
};

/* It goes to the partition that the original has. `code` is for machines ("UNKNOWN_FINGERPRINT"),
 * `error` a sentence for people. Valid as long as `original` and `ret_letter` stay where they are. */
void dead_letter_make(struct dead_letter *ret_letter, const struct message *original,
		      const char *code, const char *error, int64_t now_us);
