/* The slots of VMs and requests, their keys, and the queue of what may be forgotten. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/ledger.h"

struct key {
	const char *text;
	size_t len;
};

static bool same_vm(const void *context, uint32_t slot, const void *key)
{
	const struct ledger *ledger = context;
	const struct key *wanted = key;
	const char *text = ledger->vms[slot].key;
	return strncmp(text, wanted->text, wanted->len) == 0 && !text[wanted->len];
}

static bool same_request(const void *context, uint32_t slot, const void *key)
{
	const struct ledger *ledger = context;
	const struct key *wanted = key;
	const char *text = ledger->requests[slot].key;
	return strncmp(text, wanted->text, wanted->len) == 0 && !text[wanted->len];
}

static char *copy_key(const char *key, size_t len)
{
	char *copy = memory_alloc(len + 1);
	memcpy(copy, key, len);
	copy[len] = '\0';
	return copy;
}

uint32_t ledger_vm_slot(const struct ledger *ledger, const char *key, size_t len)
{
	struct key wanted = { key, len };
	return index_find(&ledger->vms_by_key, index_hash(key, len, 0), same_vm, ledger, &wanted);
}

uint32_t ledger_request_slot(const struct ledger *ledger, const char *key, size_t len)
{
	struct key wanted = { key, len };
	return index_find(&ledger->requests_by_key, index_hash(key, len, 0), same_request, ledger,
			  &wanted);
}

uint32_t ledger_need_vm(struct ledger *ledger, const char *key, size_t len)
{
	uint32_t slot = ledger_vm_slot(ledger, key, len);
	if (slot != INDEX_NONE)
		return slot;

	slot = ledger->vacant_vm;
	if (slot != LEDGER_NONE) {
		ledger->vacant_vm = ledger->vms[slot].release;
	} else {
		if (ledger->n_vms == ledger->vms_size) {
			ledger->vms_size = ledger->vms_size ? ledger->vms_size * 2 : 16;
			ledger->vms =
				memory_resize(ledger->vms, ledger->vms_size, sizeof(*ledger->vms));
		}
		slot = ledger->n_vms++;
	}
	ledger->vms[slot] = (struct ledger_vm){ .key = copy_key(key, len),
						.request = LEDGER_NONE,
						.release = LEDGER_NONE };
	index_add(&ledger->vms_by_key, index_hash(key, len, 0), slot);
	return slot;
}

uint32_t ledger_need_request(struct ledger *ledger, const char *key, size_t len)
{
	uint32_t slot = ledger_request_slot(ledger, key, len);
	if (slot != INDEX_NONE)
		return slot;

	slot = ledger->vacant_request;
	if (slot != LEDGER_NONE) {
		ledger->vacant_request = ledger->requests[slot].newer;
	} else {
		if (ledger->n_requests == ledger->requests_size) {
			ledger->requests_size =
				ledger->requests_size ? ledger->requests_size * 2 : 16;
			ledger->requests = memory_resize(ledger->requests, ledger->requests_size,
							 sizeof(*ledger->requests));
		}
		slot = ledger->n_requests++;
	}
	ledger->requests[slot] = (struct ledger_request){ .key = copy_key(key, len),
							  .vm = LEDGER_NONE,
							  .settled_vm = LEDGER_NONE,
							  .older = LEDGER_NONE,
							  .newer = LEDGER_NONE };
	index_add(&ledger->requests_by_key, index_hash(key, len, 0), slot);
	return slot;
}

void ledger_settle_vm(struct ledger *ledger, uint32_t slot)
{
	struct ledger_vm *vm = &ledger->vms[slot];
	if (vm->assignment || vm->settled || vm->pending)
		return;
	index_remove(&ledger->vms_by_key, index_hash(vm->key, strlen(vm->key), 0), slot);
	free(vm->key);
	*vm = (struct ledger_vm){ .release = ledger->vacant_vm };
	ledger->vacant_vm = slot;
}

void ledger_settle_request(struct ledger *ledger, uint32_t slot)
{
	struct ledger_request *request = &ledger->requests[slot];
	if (request->kind != ROW_NONE || request->settled_kind != ROW_NONE || request->pending)
		return;
	index_remove(&ledger->requests_by_key, index_hash(request->key, strlen(request->key), 0),
		     slot);
	free(request->key);
	*request = (struct ledger_request){ .newer = ledger->vacant_request };
	ledger->vacant_request = slot;
}

void ledger_enqueue(struct ledger *ledger, uint32_t slot)
{
	struct ledger_request *request = &ledger->requests[slot];
	request->older = ledger->newest_request;
	request->newer = LEDGER_NONE;
	if (request->older == LEDGER_NONE)
		ledger->oldest_request = slot;
	else
		ledger->requests[request->older].newer = slot;
	ledger->newest_request = slot;
}

void ledger_dequeue(struct ledger *ledger, uint32_t slot)
{
	struct ledger_request *request = &ledger->requests[slot];
	if (request->older == LEDGER_NONE)
		ledger->oldest_request = request->newer;
	else
		ledger->requests[request->older].newer = request->newer;
	if (request->newer == LEDGER_NONE)
		ledger->newest_request = request->older;
	else
		ledger->requests[request->newer].older = request->older;
	request->older = request->newer = LEDGER_NONE;
}

const char *ledger_vm_key(struct ledger *ledger, const char *pool_id, const char *vm_id)
{
	buf_clear(&ledger->scratch);
	buf_puts(&ledger->scratch, pool_id);
	buf_putc(&ledger->scratch, '\t');
	buf_puts(&ledger->scratch, vm_id);
	return ledger->scratch.data;
}

const char *ledger_request_key(struct ledger *ledger, const char *pool_id, const char *type,
			       const char *request_id)
{
	buf_clear(&ledger->scratch);
	buf_puts(&ledger->scratch, pool_id);
	buf_putc(&ledger->scratch, '\t');
	buf_puts(&ledger->scratch, type);
	buf_putc(&ledger->scratch, '\t');
	buf_puts(&ledger->scratch, request_id);
	return ledger->scratch.data;
}
