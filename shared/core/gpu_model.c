#include "core/gpu_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void model_table_deinit(struct model_table *table)
{
	for (uint16_t i = 0; i < table->n; i++) {
		free((char *)table->models[i].identity.name);
		free(table->models[i].selectors);
	}
	free(table->models);
	index_deinit(&table->index);
	*table = (struct model_table){ 0 };
}

static uint64_t identity_hash(const struct model_identity *identity)
{
	const uint64_t numbers[] = {
		identity->class_id,
		(uint64_t)identity->vendor_id << 16 | identity->device_id,
		(uint64_t)identity->subsystem_vendor_id << 32 |
			(uint64_t)identity->subsystem_device_id << 8 | identity->has_subsystem,
	};
	uint64_t hash = index_hash(numbers, sizeof(numbers), 0);
	hash = index_hash(identity->name, strlen(identity->name), hash);
	return index_hash(identity->vendor, strlen(identity->vendor), hash);
}

static bool same_identity(const void *context, uint32_t slot, const void *key)
{
	const struct model_table *table = context;
	const struct model_identity *a = &table->models[slot].identity, *b = key;
	return a->class_id == b->class_id && a->vendor_id == b->vendor_id &&
	       a->device_id == b->device_id && a->has_subsystem == b->has_subsystem &&
	       a->subsystem_vendor_id == b->subsystem_vendor_id &&
	       a->subsystem_device_id == b->subsystem_device_id && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->vendor, b->vendor) == 0;
}

uint16_t model_table_find(const struct model_table *table, const struct model_identity *identity)
{
	uint32_t slot =
		index_find(&table->index, identity_hash(identity), same_identity, table, identity);
	return slot == INDEX_NONE ? (uint16_t)MODEL_NONE : (uint16_t)slot;
}

/* A number whose model nothing refers to, or the next one. */
static uint16_t unused_number(struct model_table *table, uint32_t limit, bool *ret_reused)
{
	*ret_reused = false;
	for (uint16_t i = 0; i < table->n; i++) {
		if (table->models[i].refs == 0) {
			*ret_reused = true;
			return i;
		}
	}
	if (table->n >= limit || table->n == MODEL_NONE)
		return MODEL_NONE;
	if (table->n == table->size) {
		table->size = table->size ? table->size * 2 : 4;
		table->models = memory_resize(table->models, table->size, sizeof(*table->models));
	}
	table->models[table->n] = (struct gpu_model){ 0 };
	return table->n++;
}

uint16_t model_table_add(struct model_table *table, const struct model_identity *identity,
			 uint32_t limit, bool *ret_reused)
{
	uint16_t number = unused_number(table, limit, ret_reused);
	if (number == MODEL_NONE)
		return MODEL_NONE;

	struct gpu_model *model = &table->models[number];
	if (*ret_reused) {
		index_remove(&table->index, identity_hash(&model->identity), number);
		free((char *)model->identity.name);
	}
	size_t name_bytes = strlen(identity->name) + 1;
	char *text = memory_alloc(name_bytes + strlen(identity->vendor) + 1);
	model->identity = *identity;
	model->identity.name = strcpy(text, identity->name);
	model->identity.vendor = strcpy(text + name_bytes, identity->vendor);
	index_add(&table->index, identity_hash(identity), number);
	return number;
}

static bool parse_hex4(const char **at, uint16_t *ret_value)
{
	uint16_t value = 0;
	for (int i = 0; i < 4; i++) {
		char c = (*at)[i];
		int digit;
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		value = (uint16_t)(value << 4 | digit);
	}
	*at += 4;
	*ret_value = value;
	return true;
}

bool model_parse_id(const char *text, struct model_identity *ret_identity)
{
	struct model_identity id = { .name = "", .vendor = "" };
	if (!parse_hex4(&text, &id.vendor_id) || *text++ != ':' ||
	    !parse_hex4(&text, &id.device_id))
		return false;
	if (*text == ':') {
		text++;
		if (!parse_hex4(&text, &id.subsystem_vendor_id) || *text++ != ':' ||
		    !parse_hex4(&text, &id.subsystem_device_id))
			return false;
		id.has_subsystem = true;
	}
	if (*text)
		return false;
	*ret_identity = id;
	return true;
}

static char *put_hex4(char *at, uint16_t value)
{
	for (int shift = 12; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[value >> shift & 0xf];
	return at;
}

void model_format_id(const struct model_identity *identity, bool subsystem,
		     char text[MODEL_ID_BYTES])
{
	char *at = put_hex4(text, identity->vendor_id);
	*at++ = ':';
	at = put_hex4(at, identity->device_id);
	if (subsystem && identity->has_subsystem) {
		*at++ = ':';
		at = put_hex4(at, identity->subsystem_vendor_id);
		*at++ = ':';
		at = put_hex4(at, identity->subsystem_device_id);
	}
	*at = '\0';
}
