#include "attach/step/perform.h"

#include <string.h>

#include "attach/step/crash.h"
#include "pci/device.h"

static void set_reason(struct step_result *result, const char *reason)
{
	pci_copy_text(result->reason, sizeof(result->reason), reason);
}

static void end_as(struct step_result *result, enum step_outcome outcome, enum attach_code code,
		   const char *reason)
{
	result->outcome = outcome;
	result->code = code;
	set_reason(result, reason);
}

/* ---- what the host says -------------------------------------------------------------------- */

/* Whoever still has the group open lets go of it sooner or later; all else does not change by waiting. */
static void end_with_problem(struct step_result *result, const struct vfio_problem *problem)
{
	end_as(result, problem->code == ATTACH_UNPLUG_PENDING ? STEP_WAIT : STEP_FAILED,
	       problem->code, problem->reason);
	result->not_put_back = problem->not_put_back;
}

static void bind(const struct step_means *means, const struct step *step,
		 struct step_result *result)
{
	struct vfio_problem problem;
	crash_point("bind-before");
	if (vfio_bind(means->host, &step->unit, &problem))
		end_with_problem(result, &problem);
	else
		crash_point("bind-after");
}

static void clean(const struct step_means *means, const struct step *step,
		  struct step_result *result)
{
	struct vfio_problem problem;
	crash_point("clean-before");
	if (vfio_clean(means->host, &step->unit, &problem))
		end_with_problem(result, &problem);
	else
		crash_point("clean-after");
}

static void give_back(const struct step_means *means, const struct step *step,
		      struct step_result *result)
{
	struct vfio_problem problem;
	char drivers[LIMIT_FUNCTIONS_PER_UNIT][UNIT_DRIVER_BYTES];
	memcpy(drivers, step->drivers, sizeof(drivers));
	crash_point("give-back-before");
	if (vfio_give_back(means->host, &step->unit, drivers, &problem))
		end_with_problem(result, &problem);
	else
		crash_point("give-back-after");
}

/* ---- what the hypervisor says -------------------------------------------------------------- */

struct answer {
	enum step_outcome outcome;
	enum attach_code code; /* unless DONE */
};

/*
 * What each answer means for a step. A refusal to let go says nothing about the GPU: it stays with the VM,
 * and is asked for again until it is free or an operator decides.
 */
static const struct answer answers[][2] = {
	/* plug, unplug */
	[HYPERVISOR_VM_ABSENT] = { { STEP_WAIT, ATTACH_VM_ABSENT }, { .outcome = STEP_DONE } },
	[HYPERVISOR_SILENT] = { { STEP_WAIT, ATTACH_HYPERVISOR_SILENT },
				{ STEP_WAIT, ATTACH_HYPERVISOR_SILENT } },
	[HYPERVISOR_PENDING] = { { STEP_WAIT, ATTACH_UNPLUG_PENDING },
				 { STEP_WAIT, ATTACH_UNPLUG_PENDING } },
	[HYPERVISOR_NO_PORT] = { { STEP_FAILED, ATTACH_NO_FREE_PORT },
				 { STEP_WAIT, ATTACH_UNPLUG_PENDING } },
	[HYPERVISOR_REFUSED] = { { STEP_FAILED, ATTACH_ATTACH_REFUSED },
				 { STEP_WAIT, ATTACH_UNPLUG_PENDING } },
	[HYPERVISOR_HELD] = { { STEP_FAILED, ATTACH_HELD_BY_VM },
			      { STEP_FAILED, ATTACH_HELD_BY_VM } },
};

static void end_with_answer(struct step_result *result, int r, bool is_unplug, struct buf *reason)
{
	static const int n_answers = sizeof(answers) / sizeof(*answers);
	if (r == 0)
		return;
	if (r < 0 || r >= n_answers) {
		/* The means of asking fail (no memory, no descriptors): nothing is known of the VM. */
		if (r < 0)
			buf_printf(reason, "%sthe hypervisor cannot be asked: %s",
				   reason->len ? ": " : "", strerror(-r));
		r = HYPERVISOR_SILENT;
	}
	const struct answer *answer = &answers[r][is_unplug];
	if (answer->outcome != STEP_DONE)
		end_as(result, answer->outcome, answer->code,
		       reason->len ? reason->data : attach_code_meaning(answer->code));
}

/* A hypervisor's words for what is wrong with the host are worse than ours. */
static bool is_ready(const struct step_means *means, const struct unit *unit,
		     struct step_result *result)
{
	struct vfio_problem problem;
	struct unit_facts *facts = &result->facts;
	if (vfio_precheck(means->host, unit, &problem)) {
		end_with_problem(result, &problem);
		return false;
	}
	vfio_look(means->host, unit, facts);
	for (size_t i = 0; i < unit->n; i++) {
		const char *driver = facts->functions[i].driver;
		if (pci_driver_is_vfio(driver))
			continue;
		cleanup(buf_deinit) struct buf reason = { 0 };
		char address[PCI_ADDRESS_TEXT_BYTES];
		pci_address_format(unit->functions[i], address);
		buf_printf(&reason, "%s is not on vfio-pci any more but has %s%s", address,
			   *driver ? "driver " : "none", driver);
		end_as(result, STEP_FAILED, ATTACH_BIND_FAILED, reason.data);
		return false;
	}
	*facts = (struct unit_facts){ 0 };
	return true;
}

static void plug(const struct step_means *means, const struct step *step,
		 struct step_result *result)
{
	struct hypervisor *hypervisor = means->hypervisor;
	if (!is_ready(means, &step->unit, result))
		return;
	cleanup(buf_deinit) struct buf reason = { 0 };
	crash_point("plug-before");
	int r = hypervisor->ops->plug(hypervisor, step->vm_id, &step->unit,
				      means->hypervisor_deadline_ms, &reason);
	if (r == 0)
		crash_point("plug-after");
	cleanup(buf_deinit) struct buf holders = { 0 };
	if (r == HYPERVISOR_HELD && vfio_group_holders(means->host, &step->unit, &holders))
		buf_printf(&reason, "%sit is open in %s", reason.len ? "; " : "", holders.data);
	end_with_answer(result, r, false, &reason);
}

static void unplug(const struct step_means *means, const struct step *step,
		   struct step_result *result)
{
	struct hypervisor *hypervisor = means->hypervisor;
	cleanup(buf_deinit) struct buf reason = { 0 };
	crash_point("unplug-before");
	int r = hypervisor->ops->unplug(hypervisor, step->vm_id, &step->unit,
					means->hypervisor_deadline_ms, &reason);
	if (r == 0)
		crash_point("unplug-after");
	end_with_answer(result, r, true, &reason);
}

static void look(const struct step_means *means, const struct step *step,
		 struct step_result *result)
{
	struct hypervisor *hypervisor = means->hypervisor;
	struct unit_facts *facts = &result->facts;
	vfio_look(means->host, &step->unit, facts);
	if (!step->vm_id)
		return;
	cleanup(buf_deinit) struct buf reason = { 0 };
	enum vm_presence vm;
	size_t n_plugged;
	int r = hypervisor->ops->look(hypervisor, step->vm_id, &step->unit,
				      means->hypervisor_deadline_ms, &vm, &n_plugged, &reason);
	if (r == 0) {
		facts->vm = vm;
		facts->n_plugged = n_plugged;
		return;
	}
	if (r == HYPERVISOR_VM_ABSENT) {
		facts->vm = VM_ABSENT;
		return;
	}
	facts->vm = VM_UNKNOWN;
	if (r < 0)
		buf_printf(&reason, "the hypervisor cannot be asked: %s", strerror(-r));
	pci_copy_text(facts->vm_reason, sizeof(facts->vm_reason),
		      reason.len ? reason.data : "the hypervisor does not answer");
}

void step_perform(const struct step_means *means, const struct step *step,
		  struct step_result *ret_result)
{
	static void (*const verbs[])(const struct step_means *, const struct step *,
				     struct step_result *) = {
		[STEP_LOOK] = look,	[STEP_BIND] = bind,   [STEP_PLUG] = plug,
		[STEP_UNPLUG] = unplug, [STEP_CLEAN] = clean, [STEP_GIVE_BACK] = give_back,
	};
	*ret_result = (struct step_result){ .outcome = STEP_DONE };
	verbs[step->verb](means, step, ret_result);
}
