#include "codec/schema_shape.h"

#include <errno.h>

/* A record whose shape is being made or is done: what a recursive schema refers back to. */
struct known {
	const struct known *next;
	avro_schema_t schema;
	const struct shape *shape;
};

struct maker {
	struct arena *arena;
	const struct known *records;
};

static int make(struct maker *maker, avro_schema_t schema, const struct shape **ret_shape);

static int make_children(struct maker *maker, struct shape *shape, size_t n,
			 avro_schema_t (*child)(avro_schema_t schema, int i), avro_schema_t schema)
{
	shape->n = n;
	shape->children = arena_array(maker->arena, n, sizeof(*shape->children));
	for (size_t i = 0; i < n; i++) {
		int r = make(maker, child(schema, (int)i), &shape->children[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static avro_schema_t items_of(avro_schema_t schema, int i)
{
	(void)i;
	return avro_schema_array_items(schema);
}

static avro_schema_t values_of(avro_schema_t schema, int i)
{
	(void)i;
	return avro_schema_map_values(schema);
}

static avro_schema_t branch_of(avro_schema_t schema, int i)
{
	return avro_schema_union_branch(schema, i);
}

static avro_schema_t field_of(avro_schema_t schema, int i)
{
	return avro_schema_record_field_get_by_index(schema, i);
}

static int make_record(struct maker *maker, avro_schema_t schema, struct shape *shape)
{
	struct known *known = arena_alloc(maker->arena, sizeof(*known));
	*known = (struct known){ .next = maker->records, .schema = schema, .shape = shape };
	maker->records = known;
	return make_children(maker, shape, avro_schema_record_size(schema), field_of, schema);
}

static int make_link(struct maker *maker, avro_schema_t schema, const struct shape **ret_shape)
{
	avro_schema_t target = avro_schema_link_target(schema);
	for (const struct known *known = maker->records; known; known = known->next) {
		if (known->schema == target) {
			*ret_shape = known->shape;
			return 0;
		}
	}
	return make(maker, target, ret_shape);
}

static int make(struct maker *maker, avro_schema_t schema, const struct shape **ret_shape)
{
	if (avro_typeof(schema) == AVRO_LINK)
		return make_link(maker, schema, ret_shape);

	struct shape *shape = arena_alloc(maker->arena, sizeof(*shape));
	int r = 0;
	switch (avro_typeof(schema)) {
	case AVRO_NULL:
		shape->type = SHAPE_NULL;
		break;
	case AVRO_BOOLEAN:
		shape->type = SHAPE_BOOLEAN;
		break;
	case AVRO_INT32:
		shape->type = SHAPE_INT;
		break;
	case AVRO_INT64:
		shape->type = SHAPE_LONG;
		break;
	case AVRO_FLOAT:
		shape->type = SHAPE_FLOAT;
		break;
	case AVRO_DOUBLE:
		shape->type = SHAPE_DOUBLE;
		break;
	case AVRO_BYTES:
		shape->type = SHAPE_BYTES;
		break;
	case AVRO_STRING:
		shape->type = SHAPE_STRING;
		break;
	case AVRO_FIXED:
		shape->type = SHAPE_FIXED;
		shape->n = (size_t)avro_schema_fixed_size(schema);
		break;
	case AVRO_ENUM:
		shape->type = SHAPE_ENUM;
		shape->n = (size_t)avro_schema_enum_number_of_symbols(schema);
		break;
	case AVRO_ARRAY:
		shape->type = SHAPE_ARRAY;
		r = make_children(maker, shape, 1, items_of, schema);
		break;
	case AVRO_MAP:
		shape->type = SHAPE_MAP;
		r = make_children(maker, shape, 1, values_of, schema);
		break;
	case AVRO_UNION:
		shape->type = SHAPE_UNION;
		r = make_children(maker, shape, avro_schema_union_size(schema), branch_of, schema);
		break;
	case AVRO_RECORD:
		shape->type = SHAPE_RECORD;
		r = make_record(maker, schema, shape);
		break;
	default:
		r = -EINVAL;
		break;
	}
	if (r < 0)
		return r;
	*ret_shape = shape;
	return 0;
}

int schema_shape(avro_schema_t schema, struct arena *arena, const struct shape **ret_shape)
{
	struct maker maker = { .arena = arena };
	return make(&maker, schema, ret_shape);
}
