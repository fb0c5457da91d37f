#include "cli/answer.h"

#include <string.h>

#include "cli/table.h"

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* "REQUEST/ATTEMPT": is it an assignment of this request? */
static bool assignment_is_of(const char *assignment_id, const char *request_id)
{
	size_t len = strlen(request_id);
	return strncmp(assignment_id, request_id, len) == 0 && assignment_id[len] == '/' &&
	       assignment_id[len + 1] &&
	       strspn(assignment_id + len + 1, "0123456789") == strlen(assignment_id + len + 1);
}

static enum answer_kind kind_of_assigned(const struct record *request,
					 const struct gpu_assigned *assigned)
{
	const char *request_id = record_request_id(request);

	if (request->type == RECORD_VM_REQUESTED && same(assigned->request_id, request_id))
		return ANSWER_GRANTED;
	if (request->type == RECORD_VM_RELEASED && same(assigned->release_request_id, request_id))
		return ANSWER_RELEASING;
	return ANSWER_OTHER;
}

static enum answer_kind kind_of_released(const struct record *request,
					 const struct gpu_released *released)
{
	const char *request_id = record_request_id(request);

	if (request->type == RECORD_VM_RELEASED && same(released->request_id, request_id))
		return ANSWER_DONE;
	if (request->type == RECORD_VM_REQUESTED &&
	    assignment_is_of(released->assignment_id, request_id))
		return same(released->code, "ATTACH_FAILED") ? ANSWER_ATTACH_FAILED
							     : ANSWER_GRANTED_RELEASED;
	return ANSWER_OTHER;
}

enum answer_kind answer_kind(const struct record *request, const struct record *answer)
{
	const char *request_id = record_request_id(request);
	const char *request_type = record_info(request->type)->name;

	if (!same(record_pool_id(answer), record_pool_id(request)))
		return ANSWER_OTHER;
	switch (answer->type) {
	case RECORD_GPU_ASSIGNED:
		return kind_of_assigned(request, &answer->gpu_assigned);
	case RECORD_GPU_RELEASED:
		return kind_of_released(request, &answer->gpu_released);
	case RECORD_REQUEST_REJECTED:
		return same(answer->request_rejected.request_id, request_id) &&
				       same(answer->request_rejected.request_type, request_type)
			       ? ANSWER_REFUSED
			       : ANSWER_OTHER;
	case RECORD_REQUEST_COMPLETED:
		return same(answer->request_completed.request_id, request_id) &&
				       same(answer->request_completed.request_type, request_type)
			       ? ANSWER_DONE
			       : ANSWER_OTHER;
	case RECORD_MIGRATION_VERDICT:
		if (request->type != RECORD_MIGRATION_CHECK ||
		    !same(answer->migration_verdict.request_id, request_id))
			return ANSWER_OTHER;
		return answer->migration_verdict.allowed > 0 ? ANSWER_DONE : ANSWER_REFUSED;
	case RECORD_HOST_MARKED:
	case RECORD_GPU_MARKED:
		return request->type == RECORD_OPERATOR_COMMAND &&
				       same(record_request_id(answer), request_id)
			       ? ANSWER_DONE
			       : ANSWER_OTHER;
	default:
		return ANSWER_OTHER;
	}
}

/* The mark that a command leads to. */
static const char *mark_of(const char *command)
{
	static const struct {
		const char *command, *mark;
	} marks[] = {
		{ "CORDON_HOST", "CORDONED" },
		{ "UNCORDON_HOST", "OPEN" },
		{ "QUARANTINE_GPU", "QUARANTINED" },
		{ "RETURN_GPU", "RETURNED" },
	};
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (strcmp(marks[i].command, command) == 0)
			return marks[i].mark;
	return "";
}

const char *answer_to_another(const struct record *request, const struct record *answer,
			      struct arena *arena)
{
	const struct operator_command *command = &request->operator_command;
	const struct host_marked *host = &answer->host_marked;
	const struct gpu_marked *gpu = &answer->gpu_marked;
	const char *vm_id = record_vm_id(answer);

	if (answer->type == RECORD_HOST_MARKED)
		return same(host->host, command->host) &&
				       same(host->mark, mark_of(command->command))
			       ? NULL
			       : arena_printf(arena, "host %s, %s", host->host, host->mark);
	if (answer->type == RECORD_GPU_MARKED)
		return same(gpu->gpu_id, command->gpu_id) &&
				       same(gpu->mark, mark_of(command->command))
			       ? NULL
			       : arena_printf(arena, "GPU %s, %s", gpu->gpu_id, gpu->mark);
	return !*vm_id || strcmp(vm_id, record_vm_id(request)) == 0
		       ? NULL
		       : arena_printf(arena, "VM %s", vm_id);
}

/* ---- for people -------------------------------------------------------------------------------- */

static void put_gpus(const struct assigned_gpu *gpus, size_t n, struct buf *out)
{
	static const char *const titles[] = { "  ADDRESS", "MODEL", "VENDOR",
					      "GROUP",	   "NUMA",  "UNIT" };
	struct table table;
	struct arena arena;

	arena_init(&arena);
	table_init(&table, titles, 6);
	for (size_t i = 0; i < n; i++) {
		const struct assigned_gpu *gpu = &gpus[i];
		struct buf unit = { 0 };
		for (size_t f = 0; f < gpu->n_functions; f++)
			buf_printf(&unit, "%s%s", f ? " " : "", gpu->functions[f]);
		const char *cells[] = {
			arena_printf(&arena, "  %s", gpu->pci_address),
			gpu->name,
			gpu->vendor,
			gpu->iommu_group == ABSENT
				? "-"
				: arena_printf(&arena, "%lld", (long long)gpu->iommu_group),
			gpu->numa_node == ABSENT
				? "-"
				: arena_printf(&arena, "%lld", (long long)gpu->numa_node),
			unit.data,
		};
		table_add(&table, cells);
		buf_deinit(&unit);
	}
	if (n > 0)
		table_print(&table, out);
	table_deinit(&table);
	arena_deinit(&arena);
}

static void put_quarantined(const struct quarantined_gpu *gpus, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "in quarantine  %s  %s%s%s\n", gpus[i].gpu_id, gpus[i].code,
			   *gpus[i].reason ? "  " : "", gpus[i].reason);
}

static void put_released(const struct gpu_released *released, enum answer_kind kind,
			 struct buf *out)
{
	const char *reason = released->reason ? released->reason : "";
	if (kind == ANSWER_ATTACH_FAILED)
		buf_printf(out, "failed  VM %s did not get its GPUs on host %s: %s\n",
			   released->vm_id, released->host, reason);
	else if (kind == ANSWER_GRANTED_RELEASED)
		buf_printf(out, "granted  VM %s on host %s, and released since by request %s\n",
			   released->vm_id, released->host, released->request_id);
	else if (same(released->code, "FORCED"))
		buf_printf(out, "released by force  VM %s on host %s: %s (%s)\n", released->vm_id,
			   released->host, reason, released->actor ? released->actor : "?");
	else
		buf_printf(out, "released  VM %s on host %s\n", released->vm_id, released->host);
	put_gpus(released->gpus, released->n_gpus, out);
	put_quarantined(released->quarantined, released->n_quarantined, out);
}

static void put_mark(const char *what, const char *id, const char *mark, const char *reason,
		     const char *actor, struct buf *out)
{
	buf_printf(out, "done  %s %s is %s%s%s (%s)\n", what, id, mark, reason ? ": " : "",
		   reason ? reason : "", actor);
}

static void put_rejected(const struct request_rejected *rejected, struct buf *out)
{
	static const char *const titles[] = { "  HOST", "CODE", "WHY" };
	struct table table;

	buf_printf(out, "refused  %s\n%s\n", rejected->code, rejected->message);
	table_init(&table, titles, 3);
	for (size_t i = 0; i < rejected->n_hosts; i++) {
		const struct host_reason *host = &rejected->hosts[i];
		struct buf name = { 0 };
		buf_printf(&name, "  %s", host->host);
		const char *cells[] = { name.data, host->code, host->message };
		table_add(&table, cells);
		buf_deinit(&name);
	}
	if (rejected->n_hosts > 0)
		table_print(&table, out);
	table_deinit(&table);
}

static void put_verdict(const struct migration_verdict *verdict, struct buf *out)
{
	static const char *const titles[] = { "  HOST", "ALLOWED", "CODE", "WHY" };
	struct table table;

	if (verdict->allowed > 0)
		buf_printf(out, "allowed  VM %s may migrate to host %s, where it would get\n",
			   verdict->vm_id, verdict->target_host ? verdict->target_host : "?");
	else
		buf_printf(out, "refused  VM %s cannot migrate now\n", verdict->vm_id);
	put_gpus(verdict->gpus, verdict->n_gpus, out);
	table_init(&table, titles, 4);
	for (size_t i = 0; i < verdict->n_hosts; i++) {
		const struct host_verdict *host = &verdict->hosts[i];
		struct buf name = { 0 };
		buf_printf(&name, "  %s", host->host);
		const char *cells[] = { name.data, host->allowed > 0 ? "yes" : "no", host->code,
					host->message };
		table_add(&table, cells);
		buf_deinit(&name);
	}
	if (verdict->n_hosts > 0)
		table_print(&table, out);
	table_deinit(&table);
}

void answer_describe(const struct record *answer, enum answer_kind kind, struct buf *out)
{
	switch (answer->type) {
	case RECORD_GPU_ASSIGNED: {
		const struct gpu_assigned *assigned = &answer->gpu_assigned;
		buf_printf(out, "%s  VM %s on host %s%s\n",
			   kind == ANSWER_RELEASING ? "releasing" : "granted", assigned->vm_id,
			   assigned->host,
			   kind != ANSWER_RELEASING && same(assigned->state, "RELEASING")
				   ? ", being released now"
				   : "");
		put_gpus(assigned->gpus, assigned->n_gpus, out);
		return;
	}
	case RECORD_GPU_RELEASED:
		put_released(&answer->gpu_released, kind, out);
		return;
	case RECORD_HOST_MARKED: {
		const struct host_marked *marked = &answer->host_marked;
		put_mark("host", marked->host, same(marked->mark, "CORDONED") ? "cordoned" : "open",
			 marked->reason, marked->actor, out);
		return;
	}
	case RECORD_GPU_MARKED: {
		const struct gpu_marked *marked = &answer->gpu_marked;
		put_mark("GPU", marked->gpu_id,
			 same(marked->mark, "QUARANTINED") ? "in quarantine" : "out of quarantine",
			 marked->reason, marked->actor, out);
		return;
	}
	case RECORD_REQUEST_REJECTED:
		put_rejected(&answer->request_rejected, out);
		return;
	case RECORD_REQUEST_COMPLETED:
		buf_printf(out, "done  %s\n%s\n", answer->request_completed.code,
			   answer->request_completed.message);
		return;
	case RECORD_MIGRATION_VERDICT:
		put_verdict(&answer->migration_verdict, out);
		return;
	default:
		buf_printf(out, "%s\n", record_info(answer->type)->name);
	}
}
