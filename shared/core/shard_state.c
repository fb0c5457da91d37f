#include "core/shard_state.h"

#include <stdlib.h>

#include "base/memory.h"
#include "core/shard_internal.h"

struct shard_state *shard_state_new(const struct shard_options *options,
				    const struct catalog *catalog)
{
	struct shard_state *state = memory_zeroed(1, sizeof(*state));
	state->catalog = catalog;
	state->applied = (struct input_positions){ -1, -1 };
	fleet_init(&state->fleet, options->host_timeout_us);
	ledger_init(&state->ledger, &state->fleet, options->remember_us);
	return state;
}

void shard_state_free(struct shard_state *state)
{
	if (!state)
		return;
	ledger_deinit(&state->ledger);
	fleet_deinit(&state->fleet);
	free(state);
}

/* ---- the fleet ---- */

int shard_fold_gpu(struct shard_state *state, const struct gpu_discovered *gpu,
		   const char **ret_error)
{
	return fleet_fold_gpu(&state->fleet, gpu, ret_error);
}

void shard_remove_gpu(struct shard_state *state, const char *gpu_id)
{
	fleet_remove_gpu(&state->fleet, gpu_id);
}

int shard_fold_host(struct shard_state *state, const struct host_seen *host, int64_t seen_at_us,
		    const char **ret_error)
{
	return fleet_fold_host(&state->fleet, host, seen_at_us, ret_error);
}

void shard_remove_host(struct shard_state *state, const char *host)
{
	fleet_remove_host(&state->fleet, host);
}

/* ---- the ledger ---- */

static void raise_applied(struct shard_state *state, struct input_positions applied)
{
	if (state->applied.requests < applied.requests)
		state->applied.requests = applied.requests;
	if (state->applied.attachments < applied.attachments)
		state->applied.attachments = applied.attachments;
}

int shard_fold(struct shard_state *state, const struct record *record, const void *value,
	       size_t len, struct input_positions applied, struct change **ret_change)
{
	int r = ledger_fold(&state->ledger, record, value, len, ret_change);
	if (r == 0)
		raise_applied(state, applied);
	return r;
}

void shard_settle(struct shard_state *state, struct change *change, int64_t revision,
		  ledger_row_fn on_row, void *context)
{
	ledger_settle(&state->ledger, change, revision, on_row, context);
}

struct input_positions shard_applied(const struct shard_state *state)
{
	return state->applied;
}

uint64_t shard_digest(const struct shard_state *state)
{
	return state->ledger.digest;
}

int shard_each_ledger_row(const struct shard_state *state, uint64_t *cursor, size_t max_rows,
			  ledger_row_fn on_row, void *context)
{
	return ledger_each_row(&state->ledger, cursor, max_rows, on_row, context);
}

int shard_load_row(struct shard_state *state, enum ledger_table table, const void *field,
		   size_t field_len, const void *value, size_t value_len,
		   const struct record *record)
{
	return ledger_load_row(&state->ledger, table, field, field_len, value, value_len, record);
}

int shard_load_done(struct shard_state *state, struct input_positions applied)
{
	int r = ledger_load_done(&state->ledger);
	if (r == 0)
		raise_applied(state, applied);
	return r;
}

/* ---- asking ---- */

const struct answer *shard_find_answer(const struct shard_state *state, const char *pool_id,
				       enum record_type request_type, const char *request_id)
{
	/* Only the scratch buffer of keys is written to. */
	struct ledger *ledger = &((struct shard_state *)state)->ledger;
	return ledger_find_answer(ledger, pool_id, request_type, request_id);
}

struct shard_counts shard_counts(const struct shard_state *state)
{
	return (struct shard_counts){
		.hosts = state->fleet.n_hosts,
		.gpus = state->fleet.n_gpus,
		.gpus_assigned = state->fleet.n_held,
		.gpus_quarantined = state->fleet.n_quarantined,
		.hosts_cordoned = state->fleet.n_cordoned,
		.vms = state->ledger.n_holding,
		.answers = state->ledger.n_remembered,
	};
}
