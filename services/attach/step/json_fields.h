/* The fields of a JSON object, read with sentences for what is wrong. Positive: `error` has one. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* The one object that the text is; the caller owns it. */
int json_fields_load(const char *text, size_t len, json_t **ret_object,
		     struct buf *error) MUST_CHECK;
/* `size` bytes at `text`, its NUL included; longer is an error. Absent: "" unless `required`. */
int json_fields_text(const json_t *object, const char *name, bool required, char *text, size_t size,
		     struct buf *error) MUST_CHECK;
/* Absent: false unless `required`. */
int json_fields_bool(const json_t *object, const char *name, bool required, bool *ret_value,
		     struct buf *error) MUST_CHECK;
int json_fields_list(const json_t *object, const char *name, size_t min, size_t max,
		     const json_t **ret_list, struct buf *error) MUST_CHECK;
