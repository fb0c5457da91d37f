#include "attach/step/step_json.h"

#include <string.h>

#include "attach/step/json_fields.h"

/* Takes over `object`. */
static void append_line(json_t *object, struct buf *out)
{
	char *text = json_dumps(object, JSON_COMPACT);
	buf_puts(out, text);
	buf_putc(out, '\n');
	free(text);
	json_decref(object);
}

void step_to_json(const struct step *step, struct buf *out)
{
	json_t *object = json_object(), *functions = json_array(), *drivers = json_array();
	for (size_t i = 0; i < step->unit.n; i++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		pci_address_format(step->unit.functions[i], address);
		json_array_append_new(functions, json_string(address));
		/* A name that is no UTF-8 cannot be asked for: the kernel chooses. */
		json_t *driver = json_string(step->drivers[i]);
		json_array_append_new(drivers, driver ? driver : json_string("?"));
	}
	json_object_set_new(object, "step", json_string(step_verb_name(step->verb)));
	json_object_set_new(object, "functions", functions);
	if (step->vm_id)
		json_object_set_new(object, "vm", json_string(step->vm_id));
	if (step->verb == STEP_GIVE_BACK)
		json_object_set(object, "drivers", drivers);
	json_decref(drivers);
	append_line(object, out);
}

static int refuse_unknown(const json_t *object, struct buf *error)
{
	static const char *const known[] = { "step", "functions", "vm", "drivers" };
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)object, name, value)
	{
		size_t i = 0;
		while (i < sizeof(known) / sizeof(*known) && strcmp(name, known[i]) != 0)
			i++;
		if (i < sizeof(known) / sizeof(*known))
			continue;
		buf_printf(error,
			   "\"%.64s\" is no part of a step: those are step, functions, vm and "
			   "drivers",
			   name);
		return 1;
	}
	return 0;
}

static int read_verb(const json_t *object, enum step_verb *ret_verb, struct buf *error)
{
	char name[16];
	int r = json_fields_text(object, "step", true, name, sizeof(name), error);
	if (r)
		return r;
	for (int verb = 0; verb < STEP_VERBS; verb++)
		if (strcmp(name, step_verb_name((enum step_verb)verb)) == 0) {
			*ret_verb = (enum step_verb)verb;
			return 0;
		}
	buf_printf(error,
		   "there is no step \"%s\": it is look, bind, plug, unplug, clean or give-back",
		   name);
	return 1;
}

static int read_functions(const json_t *object, struct unit *unit, struct buf *error)
{
	const json_t *list;
	int r = json_fields_list(object, "functions", 1, LIMIT_FUNCTIONS_PER_UNIT, &list, error);
	if (r)
		return r;
	for (unit->n = 0; unit->n < json_array_size(list); unit->n++) {
		const char *text = json_string_value(json_array_get(list, unit->n));
		if (text && pci_address_parse(text, &unit->functions[unit->n]) == 0)
			continue;
		buf_printf(error, "\"functions\": %s%.32s%s is no PCI address like 0000:01:00.0",
			   text ? "\"" : "", text ? text : "an item", text ? "\"" : "");
		return 1;
	}
	return 0;
}

static int read_drivers(const json_t *object, struct step *step, struct buf *error)
{
	const json_t *list;
	int r = json_fields_list(object, "drivers", step->unit.n, step->unit.n, &list, error);
	if (r)
		return r;
	for (size_t i = 0; i < step->unit.n; i++) {
		const json_t *item = json_array_get(list, i);
		size_t len = json_string_length(item);
		/* A name is written into sysfs and becomes a part of paths. */
		if (!json_is_string(item) || len >= UNIT_DRIVER_BYTES ||
		    strpbrk(json_string_value(item), "/\n")) {
			buf_puts(error, "\"drivers\": an item is no driver's name, \"\" (none) or "
					"\"?\" (the kernel chooses)");
			return 1;
		}
		memcpy(step->drivers[i], json_string_value(item), len + 1);
	}
	return 0;
}

static int read_vm(const json_t *object, struct arena *arena, struct step *step, struct buf *error)
{
	char vm_id[LIMIT_ID_BYTES + 1];
	bool required = step->verb == STEP_PLUG || step->verb == STEP_UNPLUG;
	int r = json_fields_text(object, "vm", required, vm_id, sizeof(vm_id), error);
	if (r)
		return r;
	if (required && !*vm_id) {
		buf_puts(error, "\"vm\" is empty");
		return 1;
	}
	step->vm_id = *vm_id ? arena_strdup(arena, vm_id) : NULL;
	return 0;
}

int step_from_json(const char *text, size_t len, struct arena *arena, struct step *ret_step,
		   struct buf *error)
{
	cleanup(json_decrefp) json_t *object = NULL;
	struct step step = { 0 };
	int r = json_fields_load(text, len, &object, error);
	if (r == 0)
		r = refuse_unknown(object, error);
	if (r == 0)
		r = read_verb(object, &step.verb, error);
	if (r == 0)
		r = read_functions(object, &step.unit, error);
	if (r == 0)
		r = read_vm(object, arena, &step, error);
	if (r == 0 && (step.verb == STEP_GIVE_BACK || json_object_get(object, "drivers")))
		r = read_drivers(object, &step, error);
	if (r)
		return r;
	*ret_step = step;
	return 0;
}
