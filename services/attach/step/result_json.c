#include <string.h>

#include "attach/step/json_fields.h"
#include "attach/step/step_json.h"
#include "base/memory.h"
#include "pci/device.h"

static const char *const outcome_names[] = {
	[STEP_DONE] = "done",
	[STEP_WAIT] = "wait",
	[STEP_FAILED] = "failed",
	[STEP_STUCK] = "stuck",
};

static const char *const presence_names[] = {
	[VM_UNKNOWN] = "unknown",
	[VM_ABSENT] = "absent",
	[VM_RUNNING] = "running",
};

static int find_name(const char *const *names, int n, const char *text)
{
	int i = 0;
	while (i < n && strcmp(text, names[i]) != 0)
		i++;
	return i;
}

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *text_json(const char *text)
{
	char clean[UNIT_REASON_BYTES];
	pci_copy_text(clean, sizeof(clean), text);
	return json_string(clean);
}

static json_t *facts_json(const struct unit_facts *facts)
{
	json_t *object = json_object(), *functions = json_array();
	for (size_t i = 0; i < facts->n; i++) {
		json_t *function = json_object();
		json_object_set_new(function, "present", json_boolean(facts->functions[i].present));
		json_object_set_new(function, "driver", text_json(facts->functions[i].driver));
		json_array_append_new(functions, function);
	}
	json_object_set_new(object, "functions", functions);
	json_object_set_new(object, "vm", json_string(presence_names[facts->vm]));
	json_object_set_new(object, "plugged", json_integer((json_int_t)facts->n_plugged));
	if (*facts->vm_reason)
		json_object_set_new(object, "vm_reason", text_json(facts->vm_reason));
	return object;
}

void step_result_to_json(const struct step_result *result, struct buf *out)
{
	json_t *object = json_object();
	json_object_set_new(object, "outcome", json_string(outcome_names[result->outcome]));
	if (result->outcome != STEP_DONE) {
		json_object_set_new(object, "code", json_string(attach_code_name(result->code)));
		json_object_set_new(object, "reason", text_json(result->reason));
	}
	if (result->not_put_back)
		json_object_set_new(object, "not_put_back", json_true());
	if (result->facts.n)
		json_object_set_new(object, "facts", facts_json(&result->facts));
	char *text = json_dumps(object, JSON_COMPACT);
	buf_puts(out, text);
	buf_putc(out, '\n');
	free(text);
	json_decref(object);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_outcome(const json_t *object, struct step_result *result, struct buf *error)
{
	char name[16];
	int r = json_fields_text(object, "outcome", true, name, sizeof(name), error);
	if (r)
		return r;
	/* Whoever can still speak is not stuck. */
	int outcome = find_name(outcome_names, STEP_STUCK, name);
	if (outcome == STEP_STUCK) {
		buf_printf(error, "there is no outcome \"%s\"", name);
		return 1;
	}
	result->outcome = (enum step_outcome)outcome;
	return 0;
}

static int read_why(const json_t *object, struct step_result *result, struct buf *error)
{
	bool required = result->outcome != STEP_DONE;
	char name[64];
	int r = json_fields_text(object, "code", required, name, sizeof(name), error);
	if (r == 0)
		r = json_fields_text(object, "reason", required, result->reason,
				     sizeof(result->reason), error);
	if (r == 0)
		r = json_fields_bool(object, "not_put_back", false, &result->not_put_back, error);
	if (r || !required)
		return r;
	if (attach_code_by_name(name, &result->code) == 0)
		return 0;
	buf_printf(error, "there is no code \"%s\"", name);
	return 1;
}

static int read_functions(const json_t *object, struct unit_facts *facts, struct buf *error)
{
	const json_t *list;
	int r = json_fields_list(object, "functions", 1, LIMIT_FUNCTIONS_PER_UNIT, &list, error);
	for (facts->n = 0; r == 0 && facts->n < json_array_size(list); facts->n++) {
		struct function_facts *function = &facts->functions[facts->n];
		const json_t *item = json_array_get(list, facts->n);
		r = json_fields_bool(item, "present", true, &function->present, error);
		if (r == 0)
			r = json_fields_text(item, "driver", true, function->driver,
					     sizeof(function->driver), error);
	}
	return r;
}

static int read_facts(const json_t *object, struct unit_facts *facts, struct buf *error)
{
	const json_t *found = json_object_get(object, "facts");
	char vm[16];
	if (!json_is_object(found)) {
		buf_puts(error, "\"facts\" are missing");
		return 1;
	}
	int r = read_functions(found, facts, error);
	if (r == 0)
		r = json_fields_text(found, "vm", true, vm, sizeof(vm), error);
	if (r == 0)
		r = json_fields_text(found, "vm_reason", false, facts->vm_reason,
				     sizeof(facts->vm_reason), error);
	if (r)
		return r;

	const int n_names = sizeof(presence_names) / sizeof(*presence_names);
	int presence = find_name(presence_names, n_names, vm);
	json_int_t plugged = json_integer_value(json_object_get(found, "plugged"));
	if (presence == n_names || plugged < 0 || plugged > (json_int_t)facts->n) {
		buf_puts(error, presence == n_names ? "\"vm\" is not unknown, absent or running"
						    : "\"plugged\" is more than the unit has");
		return 1;
	}
	facts->vm = (enum vm_presence)presence;
	facts->n_plugged = (size_t)plugged;
	return 0;
}

int step_result_from_json(const char *text, size_t len, enum step_verb verb,
			  struct step_result *ret_result, struct buf *error)
{
	cleanup(json_decrefp) json_t *object = NULL;
	cleanup(freep) struct step_result *result = memory_zeroed(1, sizeof(*result));
	int r = json_fields_load(text, len, &object, error);
	if (r == 0)
		r = read_outcome(object, result, error);
	if (r == 0)
		r = read_why(object, result, error);
	if (r == 0 && verb == STEP_LOOK && result->outcome == STEP_DONE)
		r = read_facts(object, &result->facts, error);
	if (r)
		return r;
	*ret_result = *result;
	return 0;
}
