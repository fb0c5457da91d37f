#include "sample_records.h"

#include <stdio.h>
#include <string.h>

struct filler {
	enum sample sample;
	struct arena *arena;
	unsigned n; /* values so far, so that neighbours differ */
};

static const char *text(struct filler *filler, const char *name)
{
	switch (filler->sample) {
	case SAMPLE_EMPTY:
		return "";
	case SAMPLE_SMALL:
		return arena_printf(filler->arena, "%.3s%u", name, filler->n++);
	default:
		return arena_printf(filler->arena, "%s %u: \"\\\t é \u20ac \U0001F5A5 \U0010FFFD",
				    name, filler->n++);
	}
}

static int64_t number(struct filler *filler)
{
	if (filler->sample == SAMPLE_EMPTY)
		return 0;
	if (filler->sample == SAMPLE_SMALL)
		return filler->n++;
	return filler->n++ % 2 ? INT64_MAX : INT64_MIN;
}

static void fill(struct filler *filler, const struct record_info *info, char *body);

static void fill_list(struct filler *filler, const struct field *field, char *body)
{
	static const size_t counts[SAMPLES] = { 0, 1, 3 };
	size_t n = counts[filler->sample];
	size_t size = field->item ? field->item->size : sizeof(const char *);
	char *items = arena_array(filler->arena, n, size);
	for (size_t i = 0; i < n; i++) {
		void *item = items + i * size;
		if (field->item)
			fill(filler, field->item, item);
		else
			*(const char **)item = text(filler, field->name);
	}
	*(void **)(void *)(body + field->offset) = items;
	*(size_t *)(void *)(body + field->count_offset) = n;
}

static void fill(struct filler *filler, const struct record_info *info, char *body)
{
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		void *member = body + field->offset;
		bool absent = field->optional && filler->sample == SAMPLE_EMPTY;
		switch (field->type) {
		case FIELD_STRING:
			*(const char **)member = absent ? NULL : text(filler, field->name);
			break;
		case FIELD_LONG:
		case FIELD_TIME:
			*(int64_t *)member = absent ? ABSENT : number(filler);
			break;
		case FIELD_BOOLEAN:
			*(int64_t *)member = absent ? ABSENT : (int64_t)(filler->n++ % 2);
			break;
		case FIELD_STRINGS:
		case FIELD_RECORDS:
			fill_list(filler, field, body);
			break;
		}
	}
}

struct record sample_record(enum record_type type, enum sample sample, struct arena *arena)
{
	struct record record = { .type = type };
	struct filler filler = { .sample = sample, .arena = arena };
	fill(&filler, record_info(type), record_body(&record));
	return record;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same(const struct record_info *info, const char *a, const char *b);

static bool same_list(const struct field *field, const char *a, const char *b)
{
	const char *left = *(const char *const *)(const void *)(a + field->offset);
	const char *right = *(const char *const *)(const void *)(b + field->offset);
	size_t n = *(const size_t *)(const void *)(a + field->count_offset);
	if (n != *(const size_t *)(const void *)(b + field->count_offset))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (field->item) {
			if (!same(field->item, left + i * field->item->size,
				  right + i * field->item->size))
				return false;
		} else if (!same_text(((const char *const *)(const void *)left)[i],
				      ((const char *const *)(const void *)right)[i])) {
			return false;
		}
	}
	return true;
}

static bool same_field(const struct field *field, const char *a, const char *b)
{
	switch (field->type) {
	case FIELD_STRING:
		return same_text(*(const char *const *)(const void *)(a + field->offset),
				 *(const char *const *)(const void *)(b + field->offset));
	case FIELD_LONG:
	case FIELD_TIME:
	case FIELD_BOOLEAN:
		return *(const int64_t *)(const void *)(a + field->offset) ==
		       *(const int64_t *)(const void *)(b + field->offset);
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		break;
	}
	return same_list(field, a, b);
}

static bool same(const struct record_info *info, const char *a, const char *b)
{
	for (size_t i = 0; i < info->n_fields; i++) {
		if (!same_field(&info->fields[i], a, b)) {
			fprintf(stderr, "%s.%s differs\n", info->name, info->fields[i].name);
			return false;
		}
	}
	return true;
}

bool records_equal(const struct record *a, const struct record *b)
{
	return a->type == b->type &&
	       same(record_info(a->type), record_body_const(a), record_body_const(b));
}
