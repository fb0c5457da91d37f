/*
 * The ledger as rows: settling a change, the digest over all settled rows, writing rows out and
 * reading them in. The forms of the rows stand in shard_state.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/ledger.h"

enum { PREFIX_BYTES = 44 }; /* two signed 64-bit numbers, blank and colon */

/* ---- row values ---- */

static char *put_number(char *at, int64_t number)
{
	char digits[20];
	int n = 0;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	do
		digits[n++] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*at++ = '-';
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

/* "REVISION DECIDED_AT:" */
static size_t put_prefix(char prefix[PREFIX_BYTES], const struct answer *answer)
{
	char *at = put_number(prefix, answer->revision);
	*at++ = ' ';
	at = put_number(at, answer->decided_at);
	*at++ = ':';
	return (size_t)(at - prefix);
}

static const char *parse_number(const char *at, const char *end, int64_t *ret_number)
{
	uint64_t number = 0;
	const char *first = at;
	for (; at < end && *at >= '0' && *at <= '9' && at - first < 18; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	if (at == first)
		return NULL;
	*ret_number = (int64_t)number;
	return at;
}

/* Where the framed record starts; NULL: not of this form. Times before 1970 are malformed. */
static const char *parse_prefix(const char *value, size_t len, int64_t *ret_revision,
				int64_t *ret_decided_at)
{
	const char *end = value + len;
	const char *at = parse_number(value, end, ret_revision);
	if (!at || at == end || *at++ != ' ')
		return NULL;
	at = parse_number(at, end, ret_decided_at);
	if (!at || at == end || *at++ != ':')
		return NULL;
	return at;
}

const void *ledger_row_record(const void *value, size_t len, size_t *ret_record_len)
{
	int64_t revision, decided_at;
	const char *record = parse_prefix(value, len, &revision, &decided_at);
	if (!record)
		return NULL;
	*ret_record_len = len - (size_t)(record - (const char *)value);
	return record;
}

/* ---- hashes of rows ---- */

static uint64_t field_hash(enum ledger_table table, const char *field)
{
	return index_hash(field, strlen(field), (uint64_t)table + 1);
}

static uint64_t answer_row_hash(enum ledger_table table, const char *field,
				const struct answer *answer)
{
	char prefix[PREFIX_BYTES];
	size_t len = put_prefix(prefix, answer);
	uint64_t hash = index_hash(prefix, len, field_hash(table, field));
	return index_hash(answer->value, answer->len, hash);
}

static const char *alias_text(const struct ledger *ledger, uint32_t vm)
{
	return strchr(ledger->vms[vm].key, '\t') + 1;
}

static uint64_t alias_row_hash(const struct ledger *ledger, const char *field, uint32_t vm)
{
	const char *text = alias_text(ledger, vm);
	return index_hash(text, strlen(text), ~field_hash(LEDGER_REQUESTS, field));
}

/* ---- telling rows ---- */

static void tell_answer(struct buf *row, enum ledger_table table, const char *field,
			const struct answer *answer, ledger_row_fn on_row, void *context)
{
	char prefix[PREFIX_BYTES];
	buf_clear(row);
	buf_append(row, prefix, put_prefix(prefix, answer));
	buf_append(row, answer->value, answer->len);
	on_row(context, table, field, strlen(field), row->data, row->len);
}

static void tell_alias(const struct ledger *ledger, struct buf *row, const char *field, uint32_t vm,
		       ledger_row_fn on_row, void *context)
{
	buf_clear(row);
	buf_putc(row, '>');
	buf_puts(row, alias_text(ledger, vm));
	on_row(context, LEDGER_REQUESTS, field, strlen(field), row->data, row->len);
}

/* ---- settling ---- */

static void settle_vm(struct ledger *ledger, const struct effect *effect, ledger_row_fn on_row,
		      void *context)
{
	struct ledger_vm *vm = &ledger->vms[effect->slot];
	if (vm->settled)
		ledger->digest -= vm->settled_hash;
	else if (effect->kind == ROW_NONE)
		on_row = NULL; /* never shown, nothing to take back */
	answer_unref(vm->settled);
	vm->settled = NULL;

	if (effect->kind == ROW_ANSWER) {
		vm->settled = answer_ref(effect->answer);
		vm->settled_hash = answer_row_hash(LEDGER_VMS, vm->key, vm->settled);
		ledger->digest += vm->settled_hash;
		if (on_row)
			tell_answer(&ledger->row, LEDGER_VMS, vm->key, vm->settled, on_row,
				    context);
	} else if (on_row) {
		on_row(context, LEDGER_VMS, vm->key, strlen(vm->key), NULL, 0);
	}
	vm->pending--;
	ledger_settle_vm(ledger, effect->slot);
}

static void settle_request(struct ledger *ledger, const struct effect *effect, ledger_row_fn on_row,
			   void *context)
{
	struct ledger_request *request = &ledger->requests[effect->slot];
	if (request->settled_kind != ROW_NONE)
		ledger->digest -= request->settled_hash;
	else if (effect->kind == ROW_NONE)
		on_row = NULL;
	answer_unref(request->settled);
	request->settled = NULL;
	request->settled_kind = effect->kind;
	request->settled_vm = effect->vm;

	switch ((enum row_kind)effect->kind) {
	case ROW_ANSWER:
		request->settled = answer_ref(effect->answer);
		request->settled_hash =
			answer_row_hash(LEDGER_REQUESTS, request->key, request->settled);
		ledger->digest += request->settled_hash;
		if (on_row)
			tell_answer(&ledger->row, LEDGER_REQUESTS, request->key, request->settled,
				    on_row, context);
		break;
	case ROW_ALIAS:
		request->settled_hash = alias_row_hash(ledger, request->key, effect->vm);
		ledger->digest += request->settled_hash;
		if (on_row)
			tell_alias(ledger, &ledger->row, request->key, effect->vm, on_row, context);
		break;
	case ROW_NONE:
		if (on_row)
			on_row(context, LEDGER_REQUESTS, request->key, strlen(request->key), NULL,
			       0);
		break;
	}
	request->pending--;
	ledger_settle_request(ledger, effect->slot);
}

static void settle_mark(struct ledger *ledger, const struct effect *effect, ledger_row_fn on_row,
			void *context)
{
	struct ledger_mark *mark = &ledger->marks[effect->slot];
	if (mark->settled)
		ledger->digest -= mark->settled_hash;
	else if (effect->kind == ROW_NONE)
		on_row = NULL;
	answer_unref(steal(&mark->settled));

	if (effect->kind == ROW_ANSWER) {
		mark->settled = answer_ref(effect->answer);
		mark->settled_hash = answer_row_hash(LEDGER_MARKS, mark->key, mark->settled);
		ledger->digest += mark->settled_hash;
		if (on_row)
			tell_answer(&ledger->row, LEDGER_MARKS, mark->key, mark->settled, on_row,
				    context);
	} else if (on_row) {
		on_row(context, LEDGER_MARKS, mark->key, strlen(mark->key), NULL, 0);
	}
	mark->pending--;
	ledger_settle_mark(ledger, effect->slot);
}

void ledger_settle(struct ledger *ledger, struct change *change, int64_t revision,
		   ledger_row_fn on_row, void *context)
{
	change->answer->revision = revision;
	for (size_t i = 0; i < change->n; i++) {
		const struct effect *effect = &change->effects[i];
		if (effect->table == LEDGER_VMS)
			settle_vm(ledger, effect, on_row, context);
		else if (effect->table == LEDGER_REQUESTS)
			settle_request(ledger, effect, on_row, context);
		else
			settle_mark(ledger, effect, on_row, context);
	}
	change_free(change);
}

/* ---- a checkpoint: writing ---- */

static void tell_request(const struct ledger *ledger, struct buf *row,
			 const struct ledger_request *request, ledger_row_fn on_row, void *context)
{
	if (request->settled_kind == ROW_ALIAS)
		tell_alias(ledger, row, request->key, request->settled_vm, on_row, context);
	else
		tell_answer(row, LEDGER_REQUESTS, request->key, request->settled, on_row, context);
}

/* False: the slot has no row. */
static bool tell_row(const struct ledger *ledger, enum ledger_table table, uint32_t slot,
		     struct buf *row, ledger_row_fn on_row, void *context)
{
	switch (table) {
	case LEDGER_VMS: {
		const struct ledger_vm *vm = &ledger->vms[slot];
		if (vm->settled)
			tell_answer(row, table, vm->key, vm->settled, on_row, context);
		return vm->settled;
	}
	case LEDGER_REQUESTS: {
		const struct ledger_request *request = &ledger->requests[slot];
		if (request->settled_kind != ROW_NONE)
			tell_request(ledger, row, request, on_row, context);
		return request->settled_kind != ROW_NONE;
	}
	case LEDGER_MARKS: {
		const struct ledger_mark *mark = &ledger->marks[slot];
		if (mark->settled)
			tell_answer(row, table, mark->key, mark->settled, on_row, context);
		return mark->settled;
	}
	}
	return false;
}

/* The cursor: the table in the upper half, the next slot in the lower one. */
int ledger_each_row(const struct ledger *ledger, uint64_t *cursor, size_t max_rows,
		    ledger_row_fn on_row, void *context)
{
	cleanup(buf_deinit) struct buf row = { 0 };
	const uint32_t slots[] = { [LEDGER_VMS] = ledger->n_vms,
				   [LEDGER_REQUESTS] = ledger->n_requests,
				   [LEDGER_MARKS] = ledger->n_marks };
	uint32_t table = (uint32_t)(*cursor >> 32), slot = (uint32_t)*cursor;
	size_t n = 0;

	for (;; table++, slot = 0) {
		for (; slot < slots[table] && n < max_rows; slot++)
			n += tell_row(ledger, table, slot, &row, on_row, context);
		if (slot < slots[table] || table == LEDGER_MARKS)
			break;
	}
	*cursor = (uint64_t)table << 32 | slot;
	return slot < slots[table];
}

/* ---- a checkpoint: reading ---- */

static size_t count_tabs(const char *field, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		n += field[i] == '\t';
	return n;
}

static struct answer *load_answer(struct ledger *ledger, const char *value, size_t len,
				  const struct record *record)
{
	int64_t revision, decided_at;
	const char *framed = parse_prefix(value, len, &revision, &decided_at);
	if (!framed || !record)
		return NULL;
	struct answer *answer =
		answer_new(record->type, decided_at, framed, len - (size_t)(framed - value));
	answer->revision = revision;
	if (ledger->newest < decided_at)
		ledger->newest = decided_at;
	return answer;
}

static int load_vm(struct ledger *ledger, const char *field, size_t field_len, const char *value,
		   size_t value_len, const struct record *record)
{
	if (!record || record->type != RECORD_GPU_ASSIGNED)
		return 1;
	const struct gpu_assigned *assigned = &record->gpu_assigned;
	ledger_vm_key(ledger, assigned->pool_id, assigned->vm_id);
	if (ledger->scratch.len != field_len || memcmp(ledger->scratch.data, field, field_len) != 0)
		return 1;

	uint32_t slot = ledger_need_vm(ledger, field, field_len);
	struct ledger_vm *vm = &ledger->vms[slot];
	struct answer *answer = vm->settled ? NULL : load_answer(ledger, value, value_len, record);
	if (!answer)
		return 1;
	if (ledger_hold(ledger, slot, assigned) != 0) {
		answer_unref(answer);
		return 1;
	}
	vm = &ledger->vms[slot];
	vm->answer = answer;
	vm->settled = answer_ref(answer);
	vm->settled_hash = answer_row_hash(LEDGER_VMS, vm->key, answer);
	ledger->digest += vm->settled_hash;
	return 0;
}

/* An alias may come before its VM: then the VM's slot waits for its row. */
static int load_alias(struct ledger *ledger, struct ledger_request *request, const char *vm_id,
		      size_t vm_id_len)
{
	size_t pool_len = strcspn(request->key, "\t");
	buf_clear(&ledger->scratch);
	buf_append(&ledger->scratch, request->key, pool_len + 1);
	buf_append(&ledger->scratch, vm_id, vm_id_len);
	uint32_t slot = ledger_need_vm(ledger, ledger->scratch.data, ledger->scratch.len);

	struct ledger_vm *vm = &ledger->vms[slot];
	bool release = strncmp(request->key + pool_len, "\tVmReleased\t", 12) == 0;
	if (!release && strncmp(request->key + pool_len, "\tVmRequested\t", 13) != 0)
		return 1;
	uint32_t *alias = release ? &vm->release : &vm->request;
	if (*alias != LEDGER_NONE)
		return 1;
	*alias = (uint32_t)(request - ledger->requests);
	request->vm = request->settled_vm = slot;
	request->kind = request->settled_kind = ROW_ALIAS;
	request->settled_hash = alias_row_hash(ledger, request->key, slot);
	return 0;
}

static int load_request(struct ledger *ledger, const char *field, size_t field_len,
			const char *value, size_t value_len, const struct record *record)
{
	if (count_tabs(field, field_len) != 2)
		return 1;
	uint32_t slot = ledger_need_request(ledger, field, field_len);
	struct ledger_request *request = &ledger->requests[slot];
	if (request->kind != ROW_NONE)
		return 1;

	if (value_len > 1 && value[0] == '>') {
		if (memchr(value, '\0', value_len) || memchr(value, '\t', value_len) ||
		    load_alias(ledger, request, value + 1, value_len - 1) != 0)
			return 1;
	} else {
		struct answer *answer = load_answer(ledger, value, value_len, record);
		if (!answer)
			return 1;
		request->answer = answer;
		request->settled = answer_ref(answer);
		request->kind = request->settled_kind = ROW_ANSWER;
		request->settled_hash = answer_row_hash(LEDGER_REQUESTS, request->key, answer);
	}
	ledger->digest += request->settled_hash;
	ledger->n_remembered++;
	return 0;
}

static int load_mark(struct ledger *ledger, const char *field, size_t field_len, const char *value,
		     size_t value_len, const struct record *record)
{
	struct answer *answer = load_answer(ledger, value, value_len, record);
	uint32_t slot;
	int r = answer ? ledger_load_mark(ledger, field, field_len, answer, record, &slot) : 1;
	if (r == 0) {
		struct ledger_mark *mark = &ledger->marks[slot];
		mark->settled = answer_ref(answer);
		mark->settled_hash = answer_row_hash(LEDGER_MARKS, mark->key, answer);
		ledger->digest += mark->settled_hash;
	}
	answer_unref(answer);
	return r;
}

int ledger_load_row(struct ledger *ledger, enum ledger_table table, const void *field,
		    size_t field_len, const void *value, size_t value_len,
		    const struct record *record)
{
	if (memchr(field, '\0', field_len))
		return 1;
	switch (table) {
	case LEDGER_VMS:
		return load_vm(ledger, field, field_len, value, value_len, record);
	case LEDGER_REQUESTS:
		return load_request(ledger, field, field_len, value, value_len, record);
	case LEDGER_MARKS:
		return load_mark(ledger, field, field_len, value, value_len, record);
	}
	return 1;
}

struct queued {
	int64_t revision;
	uint32_t slot;
};

static int by_revision(const void *left, const void *right)
{
	const struct queued *a = left, *b = right;
	return (a->revision > b->revision) - (a->revision < b->revision);
}

/* The queue of what may be forgotten is in the order of the log, which is that of the revisions. */
static void rebuild_queue(struct ledger *ledger)
{
	size_t n = 0;
	struct queued *queued = memory_alloc((ledger->n_requests + 1) * sizeof(*queued));
	for (uint32_t slot = 0; slot < ledger->n_requests; slot++)
		if (ledger->requests[slot].kind == ROW_ANSWER)
			queued[n++] =
				(struct queued){ ledger->requests[slot].answer->revision, slot };
	qsort(queued, n, sizeof(*queued), by_revision);
	for (size_t i = 0; i < n; i++)
		ledger_enqueue(ledger, queued[i].slot);
	free(queued);
}

/* Every VM with GPUs has the request that it is the answer to, and no alias points to anything else. */
int ledger_load_done(struct ledger *ledger)
{
	for (uint32_t slot = 0; slot < ledger->n_vms; slot++) {
		const struct ledger_vm *vm = &ledger->vms[slot];
		if (!vm->assignment || vm->request == LEDGER_NONE)
			return 1;
		const char *request_id = strrchr(ledger->requests[vm->request].key, '\t') + 1;
		if (strcmp(request_id, vm->assignment->request_id) != 0)
			return 1;
		const char *release_id = vm->assignment->release_request_id;
		if ((release_id && *release_id) != (vm->release != LEDGER_NONE))
			return 1;
	}
	rebuild_queue(ledger);
	return 0;
}
