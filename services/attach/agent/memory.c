#include "attach/agent/memory.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/memory.h"

static const char *const state_names[] = MEMORY_STATES;
static const char *const mark_names[] = MEMORY_MARKS;

/* Texts are UTF-8: those of the log are checked by its codec, the others by trouble_set and driver_set. */
static void put(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static void put_flag(json_t *object, const char *key, bool flag)
{
	if (flag)
		json_object_set_new(object, key, json_true());
}

static void put_trouble(json_t *object, const char *key, const struct trouble *trouble)
{
	json_t *json = json_object();
	put(json, "code", attach_code_name(trouble->code));
	put(json, "reason", trouble->reason);
	json_object_set_new(object, key, json);
}

static json_t *address_json(struct pci_address address)
{
	char text[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(address, text);
	return json_string(text);
}

static json_t *claim_json(const struct claim *claim)
{
	json_t *json = json_object();
	put(json, "gpu", claim->gpu_id);
	json_t *functions = json_array();
	for (size_t i = 0; i < claim->unit.n; i++)
		json_array_append_new(functions, address_json(claim->unit.functions[i]));
	json_object_set_new(json, "functions", functions);
	put_flag(json, "touched", claim->touched);
	put_flag(json, "lent", claim->lent);
	put_flag(json, "suspect", claim->suspect);
	put_flag(json, "unclean", claim->unclean);
	put_flag(json, "let_go", claim->let_go);
	put_flag(json, "cleaned", claim->cleaned);
	if (claim->mark) {
		put(json, "mark", mark_names[claim->mark]);
		put_trouble(json, "why", &claim->trouble);
	}
	if (claim->touched) {
		json_t *drivers = json_array();
		for (size_t i = 0; i < claim->unit.n; i++)
			json_array_append_new(drivers, json_string(claim->drivers[i]));
		json_object_set_new(json, "drivers", drivers);
	}
	return json;
}

static json_t *assignment_json(const struct assignment *assignment)
{
	json_t *json = json_object();
	put(json, "id", assignment->id);
	put(json, "vm", assignment->vm_id);
	put(json, "state", state_names[assignment->state]);
	put_flag(json, "gives_back", assignment->gives_back);
	put(json, "attach_state", assignment->logged.state);
	put(json, "attach_code", assignment->logged.code);
	if (assignment->failed)
		put_trouble(json, "failed", &assignment->trouble);
	json_t *claims = json_array();
	for (size_t i = 0; i < assignment->n_claims; i++)
		json_array_append_new(claims, claim_json(&assignment->claims[i]));
	json_object_set_new(json, "gpus", claims);
	return json;
}

static json_t *drivers_json(const struct book *book)
{
	json_t *json = json_object();
	for (size_t i = 0; i < book->n_drivers; i++) {
		char text[PCI_ADDRESS_TEXT_BYTES];
		pci_address_format(book->drivers[i].address, text);
		put(json, text, book->drivers[i].driver);
	}
	return json;
}

void memory_save(const struct book *book, const struct memory_place *place, struct buf *out)
{
	json_t *json = json_object();
	json_object_set_new(json, "version", json_integer(MEMORY_VERSION));
	put(json, "host", place->host);
	put(json, "pool", place->pool_id);
	put(json, "boot", place->boot_id);
	json_object_set_new(json, "next", json_integer(place->next));
	json_object_set_new(json, "epoch", json_integer(place->epoch));
	json_t *assignments = json_array();
	for (size_t i = 0; i < book->n; i++)
		json_array_append_new(assignments, assignment_json(book->assignments[i]));
	json_object_set_new(json, "assignments", assignments);
	json_object_set_new(json, "first_drivers", drivers_json(book));
	char *text = json_dumps(json, JSON_INDENT(1));
	json_decref(json);
	if (!text)
		memory_exhausted();
	buf_puts(out, text);
	free(text);
}
