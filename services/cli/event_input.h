/*
 * The JSON objects that a person or script gives to `publish`: one object, an array of them, or one
 * after the other (JSON lines). Mistakes are described with the place where they are. Pure, besides
 * reading the file.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

/* Positive: not such a text, the sentence is in `error`. `ret_items` is a JSON array, owned by the caller. */
int event_input_parse(const char *text, size_t len, json_t **ret_items,
		      struct buf *error) MUST_CHECK;

/* A whole file, or standard input for "-". Positive: not readable, the sentence is in `error`. */
int event_input_read(const char *path, struct buf *ret_text, struct buf *error) MUST_CHECK;
