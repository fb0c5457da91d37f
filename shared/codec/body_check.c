#include "codec/body_check.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/utf8.h"

struct check {
	const unsigned char *at;
	const unsigned char *end;
	/* Items that all lists together may still have. Items of nothing (null, an empty record) cost no
	 * bytes, so the bytes left alone would not bound them. */
	size_t items_left;
	int depth;
	const char *why;
};

static bool refuse(struct check *check, const char *why)
{
	check->why = why;
	return false;
}

static size_t bytes_left(const struct check *check)
{
	return (size_t)(check->end - check->at);
}

/* A zig-zag varint of at most ten bytes that fits 64 bits. */
static bool take_long(struct check *check, int64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; check->at < check->end; shift += 7) {
		unsigned char byte = *check->at++;
		if (shift == 63 && byte > 1)
			return refuse(check, "has a number of more than 64 bits");
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret_value = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
			return true;
		}
	}
	return refuse(check, "ends within a number");
}

static bool take_int(struct check *check)
{
	int64_t value;
	if (!take_long(check, &value))
		return false;
	if (value < INT32_MIN || value > INT32_MAX)
		return refuse(check, "has an int of more than 32 bits");
	return true;
}

static bool take_bytes(struct check *check, size_t n)
{
	if (n > bytes_left(check))
		return refuse(check, "ends within a value");
	check->at += n;
	return true;
}

/* A length and as many bytes. */
static bool take_block(struct check *check, bool is_text)
{
	int64_t len;
	if (!take_long(check, &len))
		return false;
	if (len < 0 || (uint64_t)len > bytes_left(check))
		return refuse(check, "has a length that goes beyond its end");
	if (is_text && !utf8_is_text(check->at, (size_t)len))
		return refuse(check, "has text that is not UTF-8, or a NUL in it");
	check->at += len;
	return true;
}

/* An enum symbol or a union branch. */
static bool take_choice(struct check *check, size_t n, size_t *ret_choice)
{
	int64_t choice;
	if (!take_long(check, &choice))
		return false;
	if (choice < 0 || (uint64_t)choice >= n)
		return refuse(check, "chooses a union branch or an enum symbol that is not there");
	*ret_choice = (size_t)choice;
	return true;
}

static bool take_value(struct check *check, const struct shape *shape);

static bool take_items(struct check *check, const struct shape *item, bool is_map, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (is_map && !take_block(check, true))
			return false;
		if (!take_value(check, item))
			return false;
	}
	return true;
}

/* Blocks of items up to an empty one; a negative count is followed by the size of the block. */
static bool take_list(struct check *check, const struct shape *item, bool is_map)
{
	uint64_t total = 0;
	for (;;) {
		int64_t count, size = 0;
		if (!take_long(check, &count))
			return false;
		if (count == 0)
			return true;

		bool has_size = count < 0;
		uint64_t n = has_size ? -(uint64_t)count : (uint64_t)count;
		if (has_size && !take_long(check, &size))
			return false;
		if (size < 0 || (uint64_t)size > bytes_left(check))
			return refuse(check, "has a block size that goes beyond its end");
		if (n > LIMIT_LIST_ITEMS || total + n > LIMIT_LIST_ITEMS || n > check->items_left)
			return refuse(check, "has a list with too many items");
		total += n;
		check->items_left -= (size_t)n;

		const unsigned char *start = check->at;
		if (!take_items(check, item, is_map, n))
			return false;
		if (has_size && check->at - start != size)
			return refuse(check, "has a block whose size is not that of its items");
	}
}

static bool take_fields(struct check *check, const struct shape *shape)
{
	for (size_t i = 0; i < shape->n; i++)
		if (!take_value(check, shape->children[i]))
			return false;
	return true;
}

static bool take_boolean(struct check *check)
{
	if (!take_bytes(check, 1))
		return false;
	if (check->at[-1] > 1)
		return refuse(check, "has a boolean that is neither 0 nor 1");
	return true;
}

/* What holds other values. */
static bool take_compound(struct check *check, const struct shape *shape)
{
	size_t branch;
	bool ok;
	if (check->depth == LIMIT_NESTING)
		return refuse(check, "is nested too deeply");
	check->depth++;
	if (shape->type == SHAPE_RECORD)
		ok = take_fields(check, shape);
	else if (shape->type == SHAPE_UNION)
		ok = take_choice(check, shape->n, &branch) &&
		     take_value(check, shape->children[branch]);
	else
		ok = take_list(check, shape->children[0], shape->type == SHAPE_MAP);
	check->depth--;
	return ok;
}

static bool take_value(struct check *check, const struct shape *shape)
{
	int64_t number;
	size_t choice;
	switch (shape->type) {
	case SHAPE_NULL:
		return true;
	case SHAPE_BOOLEAN:
		return take_boolean(check);
	case SHAPE_INT:
		return take_int(check);
	case SHAPE_LONG:
		return take_long(check, &number);
	case SHAPE_FLOAT:
		return take_bytes(check, 4);
	case SHAPE_DOUBLE:
		return take_bytes(check, 8);
	case SHAPE_BYTES:
		return take_block(check, false);
	case SHAPE_STRING:
		return take_block(check, true);
	case SHAPE_FIXED:
		return take_bytes(check, shape->n);
	case SHAPE_ENUM:
		return take_choice(check, shape->n, &choice);
	case SHAPE_ARRAY:
	case SHAPE_MAP:
	case SHAPE_UNION:
	case SHAPE_RECORD:
		return take_compound(check, shape);
	}
	return refuse(check, "has a type that is not known");
}

int body_check(const struct shape *shape, const void *data, size_t len, const char **ret_why)
{
	struct check check = {
		.at = data,
		.end = (const unsigned char *)data + len,
		.items_left = len,
	};
	bool ok = take_value(&check, shape);
	if (ok && check.at != check.end)
		ok = refuse(&check, "goes on behind its last field");
	if (!ok)
		*ret_why = check.why;
	return ok ? 0 : 1;
}
