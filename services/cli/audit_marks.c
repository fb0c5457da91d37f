/*
 * The rules over marks: cordoned hosts and GPUs in quarantine get no VM, and only what is marked can be opened
 * or returned.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/audit_internal.h"

/* True when that changes something. */
static bool set_mark(const struct audit_step *step, const char *pool_id, const char *kind,
		     const char *id, bool set)
{
	struct audit_mark *mark =
		audit_mark_at(step->log, audit_need_mark(step->log, pool_id, kind, id));
	bool before = mark->set;
	mark->set = set;
	if (set)
		mark->offset = step->message->offset;
	return before != set;
}

/* A command that changes nothing is answered with RequestCompleted, and makes no mark. */
static void mark(const struct audit_step *step, const char *pool_id, const char *kind,
		 const char *id, const char *how, bool set)
{
	if (!set_mark(step, pool_id, kind, id, set))
		AUDIT_VIOLATE(step, "MARK_CHANGES_NOTHING",
			      "%s %s of pool %s becomes %s, and was so", kind, id, pool_id, how);
}

void audit_mark_host(const struct audit_step *step, const struct host_marked *marked)
{
	mark(step, marked->pool_id, "host", marked->host, marked->mark,
	     strcmp(marked->mark, "CORDONED") == 0);
}

void audit_mark_gpu(const struct audit_step *step, const struct gpu_marked *marked)
{
	mark(step, marked->pool_id, "gpu", marked->gpu_id, marked->mark,
	     strcmp(marked->mark, "QUARANTINED") == 0);
}

static bool has_gpu(struct audit_log *log, const struct audit_assignment *assignment,
		    const char *gpu_id)
{
	for (size_t i = 0; i < assignment->n_gpus; i++)
		if (strcmp(audit_gpu_at(log, assignment->gpus[i])->id, gpu_id) == 0)
			return true;
	return false;
}

/* An operator may have put it into quarantine while the VM had it: then nothing changes. */
void audit_quarantine(const struct audit_step *step, const char *pool_id,
		      const struct quarantined_gpu *gpus, size_t n,
		      const struct audit_assignment *of)
{
	for (size_t i = 0; i < n; i++) {
		if (!has_gpu(step->log, of, gpus[i].gpu_id))
			AUDIT_VIOLATE(step, "QUARANTINE_OF_ANOTHER",
				      "GPU %s goes into quarantine and is none of assignment %s",
				      gpus[i].gpu_id, strchr(of->key, '\t') + 1);
		(void)set_mark(step, pool_id, "gpu", gpus[i].gpu_id, true);
	}
}

static const struct audit_mark *find_mark(const struct audit_step *step, const char *pool_id,
					  const char *kind, const char *id)
{
	const struct audit_mark *found =
		audit_mark_at(step->log, audit_need_mark(step->log, pool_id, kind, id));
	return found->set ? found : NULL;
}

void audit_may_be_given(const struct audit_step *step, const struct gpu_assigned *assigned)
{
	const struct audit_mark *cordon =
		find_mark(step, assigned->pool_id, "host", assigned->host);
	if (cordon)
		AUDIT_VIOLATE(step, "HOST_CORDONED",
			      "VM %s is put on host %s, which is cordoned since offset %" PRId64,
			      assigned->vm_id, assigned->host, cordon->offset);
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		const struct audit_mark *quarantine =
			find_mark(step, assigned->pool_id, "gpu", assigned->gpus[i].gpu_id);
		if (quarantine)
			AUDIT_VIOLATE(step, "GPU_IN_QUARANTINE",
				      "GPU %s is given to VM %s and is in quarantine since offset "
				      "%" PRId64,
				      assigned->gpus[i].gpu_id, assigned->vm_id,
				      quarantine->offset);
	}
}
