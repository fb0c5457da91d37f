#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "attach/agent/memory.h"
#include "base/memory.h"

static const char *const state_names[] = MEMORY_STATES;
static const char *const mark_names[] = MEMORY_MARKS;

/* One load; the first thing that is wrong ends it. */
struct load {
	struct book *book;
	struct buf *error;
};

static int refuse(const struct load *load, const char *what)
{
	buf_printf(load->error, "%s", what);
	return 1;
}

/* NULL: not there, or not a text. */
static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool flag_of(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* Positive: none of these. */
static int choose(const char *text, const char *const *names, size_t n, size_t *ret_choice)
{
	for (size_t i = 0; text && i < n; i++)
		if (strcmp(names[i], text) == 0) {
			*ret_choice = i;
			return 0;
		}
	return 1;
}

static int load_trouble(const json_t *json, struct trouble *trouble)
{
	enum attach_code code;
	const char *name = text_of(json, "code");
	if (!name || attach_code_by_name(name, &code))
		return 1;
	trouble_set(trouble, code, text_of(json, "reason"));
	return 0;
}

static int load_functions(const json_t *json, struct unit *unit)
{
	size_t n = json_array_size(json);
	if (!json_is_array(json) || n > LIMIT_FUNCTIONS_PER_UNIT)
		return 1;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(json, i));
		if (!text || pci_address_parse(text, &unit->functions[i]))
			return 1;
	}
	unit->n = n;
	return 0;
}

static int load_drivers(const json_t *json, struct claim *claim)
{
	if (json_array_size(json) != claim->unit.n || claim->unit.n == 0)
		return 1;
	claim_reset_drivers(claim);
	for (size_t i = 0; i < claim->unit.n; i++) {
		const char *text = json_string_value(json_array_get(json, i));
		if (!text)
			return 1;
		driver_set(claim->drivers[i], text);
	}
	return 0;
}

static int load_mark(const json_t *json, struct claim *claim)
{
	size_t mark = MARK_NONE;
	if (!json_object_get(json, "mark"))
		return 0;
	if (choose(text_of(json, "mark"), mark_names, 3, &mark) ||
	    load_trouble(json_object_get(json, "why"), &claim->trouble))
		return 1;
	claim->mark = (enum claim_mark)mark;
	return 0;
}

static int load_claim(const struct load *load, const json_t *json, struct claim *claim)
{
	const char *gpu_id = text_of(json, "gpu");
	if (!gpu_id)
		return refuse(load, "a GPU has no id");
	claim->gpu_id = memory_strdup(gpu_id);
	if (load_functions(json_object_get(json, "functions"), &claim->unit))
		return refuse(load, "the functions of a GPU are not PCI addresses");
	claim->touched = flag_of(json, "touched");
	claim->lent = flag_of(json, "lent");
	claim->suspect = flag_of(json, "suspect");
	claim->unclean = flag_of(json, "unclean");
	claim->let_go = flag_of(json, "let_go");
	claim->cleaned = flag_of(json, "cleaned");
	claim->tried = claim->touched;
	if (claim->touched && load_drivers(json_object_get(json, "drivers"), claim))
		return refuse(load, "the drivers of a GPU's functions are missing");
	if (!claim->touched && (claim->lent || claim->suspect || claim->unclean))
		return refuse(load, "a GPU that was not touched is marked as used");
	if (load_mark(json, claim))
		return refuse(load, "it does not say why a GPU is marked");
	return 0;
}

static int load_assignment(const struct load *load, const json_t *json)
{
	const char *id = text_of(json, "id"), *vm_id = text_of(json, "vm");
	const json_t *gpus = json_object_get(json, "gpus");
	size_t state;
	if (!id || !vm_id || choose(text_of(json, "state"), state_names, 3, &state))
		return refuse(load, "an assignment has no id, VM or state");
	if (!json_is_array(gpus) || json_array_size(gpus) > LIMIT_LIST_ITEMS)
		return refuse(load, "an assignment has no list of GPUs, or too long a one");
	struct assignment *assignment = book_add(load->book, id, vm_id, json_array_size(gpus));
	assignment->state = (enum assignment_state)state;
	assignment->gives_back = flag_of(json, "gives_back");
	assignment->logged.state = memory_strdup(text_of(json, "attach_state"));
	assignment->logged.code = memory_strdup(text_of(json, "attach_code"));
	const json_t *failed = json_object_get(json, "failed");
	if (failed && load_trouble(failed, &assignment->trouble))
		return refuse(load, "it does not say why an assignment failed");
	assignment->failed = failed != NULL;
	for (size_t i = 0; i < assignment->n_claims; i++)
		if (load_claim(load, json_array_get(gpus, i), &assignment->claims[i]))
			return 1;
	return 0;
}

static int load_first_drivers(const struct load *load, json_t *json)
{
	const char *key;
	json_t *value;
	if (!json_is_object(json) || json_object_size(json) > LIMIT_PCI_DEVICES)
		return refuse(load, "the first drivers are missing");
	json_object_foreach(json, key, value)
	{
		struct pci_address address;
		if (!json_is_string(value) || pci_address_parse(key, &address))
			return refuse(load, "a first driver has no PCI address or name");
		book_first_driver_set(load->book, address, json_string_value(value));
	}
	return 0;
}

static int load_place(const struct load *load, const struct memory_place *place, const json_t *json,
		      struct memory_loaded *loaded)
{
	const char *host = text_of(json, "host"), *pool_id = text_of(json, "pool");
	const char *boot_id = text_of(json, "boot");
	const json_t *next = json_object_get(json, "next"), *epoch = json_object_get(json, "epoch");
	if (json_integer_value(json_object_get(json, "version")) != MEMORY_VERSION)
		return refuse(load, "it is of another version");
	if (!host || !pool_id || !boot_id || !json_is_integer(next) || !json_is_integer(epoch))
		return refuse(load, "host, pool, boot or position are missing");
	if (strcmp(host, place->host) != 0 || strcmp(pool_id, place->pool_id) != 0)
		return refuse(load, "it is of another host or pool");
	loaded->next = json_integer_value(next);
	loaded->epoch = json_integer_value(epoch);
	loaded->same_boot = strcmp(boot_id, place->boot_id) == 0;
	if (loaded->next < 0 || loaded->epoch < -1 || loaded->epoch >= loaded->next)
		return refuse(load, "its position in the log cannot be");
	return 0;
}

static int load_all(const struct load *load, const struct memory_place *place, const json_t *json,
		    struct memory_loaded *loaded)
{
	int r = load_place(load, place, json, loaded);
	if (r)
		return r;
	const json_t *assignments = json_object_get(json, "assignments");
	if (!json_is_array(assignments) || json_array_size(assignments) > MEMORY_ASSIGNMENTS_MAX)
		return refuse(load, "the assignments are missing");
	for (size_t i = 0; i < json_array_size(assignments); i++) {
		r = load_assignment(load, json_array_get(assignments, i));
		if (r)
			return r;
	}
	return load_first_drivers(load, json_object_get(json, "first_drivers"));
}

int memory_load(struct book *book, const struct memory_place *place, const char *text, size_t len,
		struct memory_loaded *ret_loaded, struct buf *error)
{
	struct load load = { .book = book, .error = error };
	struct memory_loaded loaded = { 0 };
	if (len > LIMIT_AGENT_FILE_BYTES)
		return refuse(&load, "it is too long");
	json_error_t why;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!json) {
		buf_printf(error, "line %d: %s", why.line, why.text);
		return 1;
	}
	int r = load_all(&load, place, json, &loaded);
	json_decref(json);
	if (r) {
		book_deinit(book);
		return r;
	}
	*ret_loaded = loaded;
	return 0;
}
