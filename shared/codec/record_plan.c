#include "codec/record_plan.h"

#include <errno.h>
#include <stdbool.h>

#include "base/log.h"

/* What the item of a list, the value of an optional field, or a plain field has to be. */
static bool is_readable_as(enum field_type type, const struct shape *shape)
{
	if (shape->type == SHAPE_UNION) {
		for (size_t i = 0; i < shape->n; i++)
			if (shape->children[i]->type != SHAPE_NULL &&
			    !is_readable_as(type, shape->children[i]))
				return false;
		return true;
	}
	switch (type) {
	case FIELD_STRING:
		return shape->type == SHAPE_STRING;
	case FIELD_LONG:
	case FIELD_TIME:
		return shape->type == SHAPE_INT || shape->type == SHAPE_LONG;
	case FIELD_BOOLEAN:
		return shape->type == SHAPE_BOOLEAN;
	case FIELD_STRINGS:
		return shape->type == SHAPE_ARRAY &&
		       is_readable_as(FIELD_STRING, shape->children[0]);
	case FIELD_RECORDS:
		return shape->type == SHAPE_ARRAY && shape->children[0]->type == SHAPE_RECORD;
	}
	return false;
}

/* The list in a field that may be a list or null. */
static int find_list(avro_schema_t *schema, const struct shape **shape)
{
	if ((*shape)->type == SHAPE_ARRAY)
		return 0;
	for (size_t i = 0; i < (*shape)->n; i++) {
		if ((*shape)->children[i]->type == SHAPE_ARRAY) {
			*schema = avro_schema_union_branch(*schema, (int)i);
			*shape = (*shape)->children[i];
			return 0;
		}
	}
	return -EINVAL;
}

static int plan_items(const struct field *field, avro_schema_t schema, const struct shape *shape,
		      const struct schema_version *defaults, struct arena *arena,
		      struct field_plan *plan)
{
	int r = find_list(&schema, &shape);
	if (r < 0)
		return r;
	avro_schema_t item = avro_schema_array_items(schema);
	if (avro_typeof(item) == AVRO_LINK)
		item = avro_schema_link_target(item);
	return record_plan_read(field->item, item, shape->children[0], defaults, arena,
				&plan->item);
}

int record_plan_read(const struct record_info *info, avro_schema_t schema,
		     const struct shape *shape, const struct schema_version *defaults,
		     struct arena *arena, const struct record_plan **ret_plan)
{
	struct record_plan *plan = arena_alloc(arena, sizeof(*plan));
	struct field_plan *fields = arena_array(arena, info->n_fields, sizeof(*fields));

	int *rows = arena_array(arena, shape->n, sizeof(*rows));
	for (size_t i = 0; i < shape->n; i++)
		rows[i] = -1;

	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		const struct schema_default *fallback =
			schema_default_of(defaults, info->name, field->name);
		fields[i].number = field->optional ? ABSENT : 0;
		fields[i].text = field->optional ? NULL : "";
		if (fallback && !field->optional) {
			fields[i].text = fallback->text ? fallback->text : "";
			fields[i].number = fallback->number;
		}

		fields[i].position = avro_schema_record_field_get_index(schema, field->name);
		if (fields[i].position < 0)
			continue;
		const struct shape *field_shape = shape->children[fields[i].position];
		fields[i].shape = field_shape;
		rows[fields[i].position] = (int)i;
		if (!is_readable_as(field->type, field_shape)) {
			log_error("schema of %s: the type of %s cannot be read", info->name,
				  field->name);
			return -EINVAL;
		}
		if (field->type == FIELD_RECORDS) {
			avro_schema_t field_schema =
				avro_schema_record_field_get_by_index(schema, fields[i].position);
			int r = plan_items(field, field_schema, field_shape, defaults, arena,
					   &fields[i]);
			if (r < 0)
				return r;
		}
	}

	*plan = (struct record_plan){
		.info = info, .fields = fields, .shape = shape, .rows = rows
	};
	*ret_plan = plan;
	return 0;
}

static bool is_written_as(const struct field *field, const struct shape *shape)
{
	if (field->optional) {
		if (shape->type != SHAPE_UNION || shape->n != OPTIONAL_BRANCHES ||
		    shape->children[NULL_BRANCH]->type != SHAPE_NULL)
			return false;
		shape = shape->children[VALUE_BRANCH];
	}
	return shape->type != SHAPE_UNION && shape->type != SHAPE_INT &&
	       is_readable_as(field->type, shape);
}

int record_plan_check_write(const struct record_plan *plan, const struct shape *shape)
{
	const struct record_info *info = plan->info;
	if (shape->n != info->n_fields) {
		log_error("schema of %s has %zu fields, its table %zu", info->name, shape->n,
			  info->n_fields);
		return -EINVAL;
	}
	for (size_t i = 0; i < info->n_fields; i++) {
		int position = plan->fields[i].position;
		if (position < 0 || !is_written_as(&info->fields[i], shape->children[position])) {
			log_error("schema of %s: %s is not what its table says", info->name,
				  info->fields[i].name);
			return -EINVAL;
		}
		if (plan->fields[i].item) {
			int r = record_plan_check_write(plan->fields[i].item,
							shape->children[position]->children[0]);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
