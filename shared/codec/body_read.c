#include "codec/body_read.h"

#include <string.h>

struct reading {
	const unsigned char *at;
	struct arena *arena;
};

static int64_t get_long(struct reading *reading)
{
	uint64_t value = 0;
	unsigned char byte;
	unsigned shift = 0;
	do {
		byte = *reading->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Items of the next block; 0: the list has ended. */
static size_t get_block(struct reading *reading)
{
	int64_t count = get_long(reading);
	if (count >= 0)
		return (size_t)count;
	get_long(reading); /* the size of the block */
	return (size_t)-count;
}

static const char *get_text(struct reading *reading)
{
	size_t len = (size_t)get_long(reading);
	const char *text = arena_strndup(reading->arena, (const char *)reading->at, len);
	reading->at += len;
	return text;
}

/* Steps into a union. */
static const struct shape *resolve(struct reading *reading, const struct shape *shape)
{
	while (shape->type == SHAPE_UNION)
		shape = shape->children[get_long(reading)];
	return shape;
}

/* ---- what the record does not have --------------------------------------------------------- */

static void skip(struct reading *reading, const struct shape *shape);

static void skip_list(struct reading *reading, const struct shape *shape)
{
	size_t n;
	while ((n = get_block(reading)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (shape->type == SHAPE_MAP) {
				size_t len = (size_t)get_long(reading);
				reading->at += len;
			}
			skip(reading, shape->children[0]);
		}
	}
}

static void skip(struct reading *reading, const struct shape *shape)
{
	shape = resolve(reading, shape);
	switch (shape->type) {
	case SHAPE_NULL:
	case SHAPE_UNION:
		break;
	case SHAPE_BOOLEAN:
		reading->at += 1;
		break;
	case SHAPE_INT:
	case SHAPE_LONG:
	case SHAPE_ENUM:
		get_long(reading);
		break;
	case SHAPE_FLOAT:
		reading->at += 4;
		break;
	case SHAPE_DOUBLE:
		reading->at += 8;
		break;
	case SHAPE_BYTES:
	case SHAPE_STRING: {
		size_t len = (size_t)get_long(reading);
		reading->at += len;
		break;
	}
	case SHAPE_FIXED:
		reading->at += shape->n;
		break;
	case SHAPE_ARRAY:
	case SHAPE_MAP:
		skip_list(reading, shape);
		break;
	case SHAPE_RECORD:
		for (size_t i = 0; i < shape->n; i++)
			skip(reading, shape->children[i]);
		break;
	}
}

/* ---- what it has --------------------------------------------------------------------------- */

static void read_record(struct reading *reading, const struct record_plan *plan, char *record);

static void read_item(struct reading *reading, const struct field_plan *plan,
		      const struct shape *shape, char *item)
{
	if (plan->item) {
		read_record(reading, plan->item, item);
		return;
	}
	shape = resolve(reading, shape);
	*(const char **)(void *)item = shape->type == SHAPE_NULL ? "" : get_text(reading);
}

/* A list may come in several blocks, nearly all come in one. Room doubles, so that a list in many small
 * blocks takes no more memory than twice its size. */
static void read_list(struct reading *reading, const struct field *field,
		      const struct field_plan *plan, const struct shape *shape, char *record)
{
	size_t size = plan->item ? plan->item->info->size : sizeof(const char *);
	size_t total = 0, room = 0, n;
	char *items = NULL;
	while ((n = get_block(reading)) > 0) {
		if (total + n > room) {
			room = total + n > 2 * room ? total + n : 2 * room;
			char *more = arena_array(reading->arena, room, size);
			if (total)
				memcpy(more, items, total * size);
			items = more;
		}
		for (; n > 0; n--, total++)
			read_item(reading, plan, shape->children[0], items + total * size);
	}
	*(void **)(void *)(record + field->offset) = items;
	*(size_t *)(void *)(record + field->count_offset) = total;
}

static void set_missing(const struct field *field, const struct field_plan *plan, char *record)
{
	void *member = record + field->offset;
	switch (field->type) {
	case FIELD_STRING:
		*(const char **)member = plan->text;
		break;
	case FIELD_LONG:
	case FIELD_TIME:
	case FIELD_BOOLEAN:
		*(int64_t *)member = plan->number;
		break;
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		*(void **)member = NULL;
		*(size_t *)(void *)(record + field->count_offset) = 0;
		break;
	}
}

static void read_field(struct reading *reading, const struct field *field,
		       const struct field_plan *plan, char *record)
{
	void *member = record + field->offset;
	const struct shape *shape = resolve(reading, plan->shape);
	if (shape->type == SHAPE_NULL) {
		set_missing(field, plan, record);
		return;
	}
	switch (field->type) {
	case FIELD_STRING:
		*(const char **)member = get_text(reading);
		break;
	case FIELD_LONG:
	case FIELD_TIME:
		*(int64_t *)member = get_long(reading);
		break;
	case FIELD_BOOLEAN:
		*(int64_t *)member = *reading->at++;
		break;
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		read_list(reading, field, plan, shape, record);
		break;
	}
}

static void read_record(struct reading *reading, const struct record_plan *plan, char *record)
{
	for (size_t i = 0; i < plan->shape->n; i++) {
		int row = plan->rows[i];
		if (row < 0)
			skip(reading, plan->shape->children[i]);
		else
			read_field(reading, &plan->info->fields[row], &plan->fields[row], record);
	}
	for (size_t i = 0; i < plan->info->n_fields; i++)
		if (plan->fields[i].position < 0)
			set_missing(&plan->info->fields[i], &plan->fields[i], record);
}

void body_read(const struct record_plan *plan, const void *body, struct arena *arena, void *record)
{
	struct reading reading = { .at = body, .arena = arena };
	read_record(&reading, plan, record);
}
