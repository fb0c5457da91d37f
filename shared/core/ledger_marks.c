/*
 * Marks: hosts that are cordoned, GPUs that are in quarantine. Each is the latest record of the log
 * that made it, under the pool that the record names; the fleet is told, so that nothing marked is
 * placed. A mark goes only by a record that takes it back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/gpu_parse.h"
#include "core/id_check.h"
#include "core/ledger.h"

/* ---- keys and slots ---- */

/* What a mark is on. */
struct marked {
	const char *pool_id;
	const char *host;
	uint64_t address; /* FLEET_WHOLE_HOST: the host itself */
};

/* Of a GPU; `host` is room for the host's name. */
static bool parse_gpu(const char *pool_id, const char *gpu_id, char *host, struct marked *ret_on)
{
	uint64_t address;
	if (gpu_id_parse(gpu_id, host, &address) != 0)
		return false;
	*ret_on = (struct marked){ pool_id, host, address };
	return true;
}

static const char *put_key(struct ledger *ledger, const char *pool_id, enum mark_kind kind,
			   const char *id)
{
	struct buf *key = &ledger->scratch;
	buf_clear(key);
	buf_puts(key, pool_id);
	buf_puts(key, kind == MARK_HOST ? "\thost\t" : "\tgpu\t");
	buf_puts(key, id);
	return key->data;
}

/* In ledger->scratch, until the next key is made. */
static const char *key_of(struct ledger *ledger, const struct marked *on)
{
	if (on->address == FLEET_WHOLE_HOST)
		return put_key(ledger, on->pool_id, MARK_HOST, on->host);
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(pci_address_unpack(on->address), address);
	put_key(ledger, on->pool_id, MARK_GPU, on->host);
	buf_putc(&ledger->scratch, '/');
	buf_puts(&ledger->scratch, address);
	return ledger->scratch.data;
}

static bool same_key(const void *context, uint32_t slot, const void *key)
{
	const struct ledger *ledger = context;
	return strcmp(ledger->marks[slot].key, key) == 0;
}

static uint64_t hash_of(const char *key)
{
	return index_hash(key, strlen(key), 0);
}

static uint32_t find(const struct ledger *ledger, const char *key)
{
	return index_find(&ledger->marks_by_key, hash_of(key), same_key, ledger, key);
}

static uint32_t need(struct ledger *ledger, const char *key)
{
	uint32_t slot = find(ledger, key);
	if (slot != INDEX_NONE)
		return slot;
	slot = ledger->vacant_mark;
	if (slot != LEDGER_NONE) {
		ledger->vacant_mark = ledger->marks[slot].next_vacant;
	} else {
		if (ledger->n_marks == ledger->marks_size) {
			ledger->marks_size = ledger->marks_size ? ledger->marks_size * 2 : 16;
			ledger->marks = memory_resize(ledger->marks, ledger->marks_size,
						      sizeof(*ledger->marks));
		}
		slot = ledger->n_marks++;
	}
	ledger->marks[slot] = (struct ledger_mark){ .key = memory_strdup(key) };
	index_add(&ledger->marks_by_key, hash_of(key), slot);
	return slot;
}

void ledger_settle_mark(struct ledger *ledger, uint32_t slot)
{
	struct ledger_mark *mark = &ledger->marks[slot];
	if (mark->answer || mark->settled || mark->pending)
		return;
	index_remove(&ledger->marks_by_key, hash_of(mark->key), slot);
	free(mark->key);
	*mark = (struct ledger_mark){ .next_vacant = ledger->vacant_mark };
	ledger->vacant_mark = slot;
}

void ledger_free_marks(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->n_marks; i++) {
		free(ledger->marks[i].key);
		free(ledger->marks[i].why);
		answer_unref(ledger->marks[i].answer);
		answer_unref(ledger->marks[i].settled);
	}
	free(ledger->marks);
	index_deinit(&ledger->marks_by_key);
}

const struct ledger_mark *ledger_find_mark(struct ledger *ledger, const char *pool_id,
					   enum mark_kind kind, const char *id)
{
	uint32_t slot = find(ledger, put_key(ledger, pool_id, kind, id));
	return slot == INDEX_NONE || !ledger->marks[slot].why ? NULL : &ledger->marks[slot];
}

/* ---- marking ---- */

/* "alice: the fan rattles", "RESET_FAILED" */
static char *phrase(const char *who, const char *reason)
{
	struct buf text = { 0 };
	bool both = who && *who && reason && *reason;
	buf_printf(&text, "%s%s%s", who ? who : "", both ? ": " : "", reason ? reason : "");
	return buf_steal(&text);
}

/* Takes `why`. */
static struct ledger_mark *set(struct ledger *ledger, const struct marked *on, char *why,
			       struct answer *answer)
{
	uint32_t slot = need(ledger, key_of(ledger, on));
	struct ledger_mark *mark = &ledger->marks[slot];
	if (!mark->why)
		fleet_mark(ledger->fleet, on->host, on->address);
	free(mark->why);
	mark->why = why;
	answer_unref(mark->answer);
	mark->answer = answer_ref(answer);
	return mark;
}

static void make(struct ledger *ledger, struct change *change, const struct marked *on, char *why)
{
	struct ledger_mark *mark = set(ledger, on, why, change->answer);
	mark->pending++;
	ledger_add_effect(change, LEDGER_MARKS, (uint32_t)(mark - ledger->marks), ROW_ANSWER);
}

/* Positive: there is none. */
static int take_back(struct ledger *ledger, struct change *change, const struct marked *on)
{
	uint32_t slot = find(ledger, key_of(ledger, on));
	struct ledger_mark *mark = slot == INDEX_NONE ? NULL : &ledger->marks[slot];
	if (!mark || !mark->why)
		return 1;
	free(steal(&mark->why));
	answer_unref(steal(&mark->answer));
	fleet_unmark(ledger->fleet, on->host, on->address);
	mark->pending++;
	ledger_add_effect(change, LEDGER_MARKS, slot, ROW_NONE);
	return 0;
}

bool ledger_holds_all(const struct ledger *ledger, const struct assignment *assignment,
		      const struct quarantined_gpu *gpus, size_t n)
{
	const char *name = ledger->fleet->hosts[assignment->host].name;
	for (size_t i = 0; i < n; i++) {
		char host[LIMIT_ID_BYTES + 1];
		uint64_t address;
		if (gpu_id_parse(gpus[i].gpu_id, host, &address) != 0 || strcmp(host, name) != 0)
			return false;
		uint32_t k = 0;
		while (k < assignment->n && assignment->gpus[k].address != address)
			k++;
		if (k == assignment->n)
			return false;
	}
	return true;
}

void ledger_quarantine(struct ledger *ledger, struct change *change, const char *pool_id,
		       const struct quarantined_gpu *gpus, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char host[LIMIT_ID_BYTES + 1];
		struct marked on;
		if (parse_gpu(pool_id, gpus[i].gpu_id, host, &on))
			make(ledger, change, &on, phrase(gpus[i].code, gpus[i].reason));
	}
}

int ledger_mark_host(struct ledger *ledger, struct change *change, const struct host_marked *marked)
{
	const struct marked on = { marked->pool_id, marked->host, FLEET_WHOLE_HOST };
	if (id_problem(marked->host))
		return 1;
	if (strcmp(marked->mark, "OPEN") == 0)
		return take_back(ledger, change, &on);
	if (strcmp(marked->mark, "CORDONED") != 0)
		return 1;
	make(ledger, change, &on, phrase(marked->actor, marked->reason));
	return 0;
}

int ledger_mark_gpu(struct ledger *ledger, struct change *change, const struct gpu_marked *marked)
{
	char host[LIMIT_ID_BYTES + 1];
	struct marked on;
	if (!parse_gpu(marked->pool_id, marked->gpu_id, host, &on))
		return 1;
	if (strcmp(marked->mark, "RETURNED") == 0)
		return take_back(ledger, change, &on);
	if (strcmp(marked->mark, "QUARANTINED") != 0)
		return 1;
	make(ledger, change, &on, phrase(marked->actor, marked->reason));
	return 0;
}

/* ---- a checkpoint: reading ---- */

static bool is_key_of(struct ledger *ledger, const struct marked *on, const char *field, size_t len)
{
	const char *key = key_of(ledger, on);
	return ledger->scratch.len == len && memcmp(key, field, len) == 0;
}

static char *find_in_list(struct ledger *ledger, const char *pool_id,
			  const struct quarantined_gpu *list, size_t n, const char *field,
			  size_t len, char *host, struct marked *ret_on)
{
	for (size_t i = 0; i < n; i++)
		if (parse_gpu(pool_id, list[i].gpu_id, host, ret_on) &&
		    is_key_of(ledger, ret_on, field, len))
			return phrase(list[i].code, list[i].reason);
	return NULL;
}

/* Why, when the record makes the mark of this key; else NULL. */
static char *find_why(struct ledger *ledger, const struct record *record, const char *field,
		      size_t len, char *host, struct marked *ret_on)
{
	const struct host_marked *cordoned = &record->host_marked;
	const struct gpu_marked *taken = &record->gpu_marked;
	const struct gpu_released *released = &record->gpu_released;
	const struct gpu_assigned *assigned = &record->gpu_assigned;

	switch (record->type) {
	case RECORD_HOST_MARKED:
		*ret_on = (struct marked){ cordoned->pool_id, cordoned->host, FLEET_WHOLE_HOST };
		if (strcmp(cordoned->mark, "CORDONED") != 0 || id_problem(cordoned->host) ||
		    !is_key_of(ledger, ret_on, field, len))
			return NULL;
		return phrase(cordoned->actor, cordoned->reason);
	case RECORD_GPU_MARKED:
		if (strcmp(taken->mark, "QUARANTINED") != 0 ||
		    !parse_gpu(taken->pool_id, taken->gpu_id, host, ret_on) ||
		    !is_key_of(ledger, ret_on, field, len))
			return NULL;
		return phrase(taken->actor, taken->reason);
	case RECORD_GPU_RELEASED:
		return find_in_list(ledger, released->pool_id, released->quarantined,
				    released->n_quarantined, field, len, host, ret_on);
	case RECORD_GPU_ASSIGNED:
		return find_in_list(ledger, assigned->pool_id, assigned->quarantined,
				    assigned->n_quarantined, field, len, host, ret_on);
	default:
		return NULL;
	}
}

int ledger_load_mark(struct ledger *ledger, const char *field, size_t len, struct answer *answer,
		     const struct record *record, uint32_t *ret_slot)
{
	char host[LIMIT_ID_BYTES + 1];
	struct marked on;
	char *why = find_why(ledger, record, field, len, host, &on);
	if (!why || find(ledger, key_of(ledger, &on)) != INDEX_NONE) {
		free(why);
		return 1;
	}
	struct ledger_mark *mark = set(ledger, &on, why, answer);
	*ret_slot = (uint32_t)(mark - ledger->marks);
	return 0;
}
