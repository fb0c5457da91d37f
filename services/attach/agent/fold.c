#include "attach/agent/fold.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void replace_text(char **text, const char *with)
{
	char *copy = memory_strdup(with);
	free(*text);
	*text = copy;
}

/* ---- without a memory ---- */

static void suspect_unit(struct claim *claim)
{
	if (claim->unit.n > 0)
		claim_suspect(claim);
}

/* What an assignment before the one with this number may have left on the GPU has been undone. */
static void clear_older(struct book *book, const char *gpu_id, uint64_t seq)
{
	for (size_t i = 0; i < book->n && book->assignments[i]->seq < seq; i++) {
		struct assignment *assignment = book->assignments[i];
		for (size_t k = 0; k < assignment->n_claims; k++)
			if (assignment->state == ASSIGNMENT_ENDED && !assignment->claims[k].mark &&
			    same(assignment->claims[k].gpu_id, gpu_id))
				claim_free_unit(&assignment->claims[k]);
	}
}

static const struct quarantined_gpu *find_quarantined(const struct quarantined_gpu *list, size_t n,
						      const char *gpu_id)
{
	for (size_t i = 0; i < n; i++)
		if (same(list[i].gpu_id, gpu_id))
			return &list[i];
	return NULL;
}

/* It ended as its agent reported: clean but for those in quarantine; and what was before it was undone. */
static void trust_the_end(struct book *book, struct assignment *assignment,
			  const struct quarantined_gpu *list, size_t n)
{
	for (size_t i = 0; i < assignment->n_claims; i++) {
		struct claim *claim = &assignment->claims[i];
		const struct quarantined_gpu *quarantined =
			find_quarantined(list, n, claim->gpu_id);
		clear_older(book, claim->gpu_id, assignment->seq);
		if (!quarantined)
			continue;
		enum attach_code code;
		if (attach_code_by_name(quarantined->code, &code))
			code = ATTACH_RESET_FAILED;
		suspect_unit(claim);
		claim_set_mark(claim, code == ATTACH_STUCK ? MARK_STUCK : MARK_DIRTY, code,
			       quarantined->reason);
	}
}

static void distrust_the_end(struct assignment *assignment)
{
	for (size_t i = 0; i < assignment->n_claims; i++)
		suspect_unit(&assignment->claims[i]);
}

/* Its agent had all units, so nobody before it has. With any other code it may have been waiting for them. */
static bool shows_that_it_has_all(const struct gpu_assigned *assigned)
{
	if (same(assigned->attach_state, "ATTACHED"))
		return true;
	return same(assigned->attach_state, "BOUND") &&
	       (!assigned->attach_code ||
		same(assigned->attach_code, attach_code_name(ATTACH_VM_ABSENT)));
}

void fold_adopt(struct book *book)
{
	for (size_t i = 0; i < book->n; i++)
		if (book->assignments[i]->state != ASSIGNMENT_ENDED &&
		    !book->assignments[i]->failed)
			distrust_the_end(book->assignments[i]);
}

/* ---- GpuAssigned ---- */

static bool read_unit(const struct assigned_gpu *gpu, struct unit *unit)
{
	struct pci_address address;
	if (gpu->n_functions == 0 || gpu->n_functions > LIMIT_FUNCTIONS_PER_UNIT ||
	    pci_address_parse(gpu->pci_address, &address))
		return false;
	for (size_t i = 0; i < gpu->n_functions; i++)
		if (pci_address_parse(gpu->functions[i], &unit->functions[i]))
			return false;
	unit->n = gpu->n_functions;
	return pci_address_compare(unit->functions[0], address) == 0;
}

static void add(struct book *book, const struct gpu_assigned *assigned)
{
	struct assignment *assignment =
		book_add(book, assigned->assignment_id, assigned->vm_id, assigned->n_gpus);
	const char *bad = NULL;
	if (assigned->n_gpus == 0 || assigned->n_gpus > LIMIT_GPUS_PER_REQUEST)
		bad = "the assignment has no GPUs, or more than one VM can have";
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		struct claim *claim = &assignment->claims[i];
		claim->gpu_id = memory_strdup(assigned->gpus[i].gpu_id);
		struct unit unit = { .n = 0 };
		if (read_unit(&assigned->gpus[i], &unit))
			claim->unit = unit;
		else if (!bad)
			bad = "the functions of a GPU are not PCI addresses, the GPU's own first";
	}
	if (bad)
		assignment_fail(assignment, ATTACH_INVALID_ASSIGNMENT, bad);
}

static void end_with(struct book *book, struct assignment *assignment,
		     const struct fold_place *place, const struct gpu_assigned *next)
{
	if (place->blank && same(next->replaces, assignment->id))
		trust_the_end(book, assignment, next->quarantined, next->n_quarantined);
	else if (place->blank)
		distrust_the_end(assignment);
	assignment->state = ASSIGNMENT_ENDED;
	assignment_wake(assignment);
}

static bool end_of_same_vm(struct book *book, const struct fold_place *place,
			   const struct gpu_assigned *next, bool here)
{
	bool any = false;
	for (size_t i = 0; i < book->n; i++) {
		struct assignment *assignment = book->assignments[i];
		if (assignment->state == ASSIGNMENT_ENDED || !same(assignment->vm_id, next->vm_id))
			continue;
		if (here && same(assignment->id, next->assignment_id))
			continue;
		end_with(book, assignment, place, next);
		any = true;
	}
	return any;
}

static void update(struct assignment *assignment, const struct gpu_assigned *assigned)
{
	if (same(assigned->state, "RELEASING") && assignment->state == ASSIGNMENT_WANTED) {
		assignment->state = ASSIGNMENT_RELEASING;
		assignment_wake(assignment);
	}
	assignment->gives_back = same(assigned->after_release, "give-back");
	replace_text(&assignment->logged.state, assigned->attach_state);
	replace_text(&assignment->logged.code, assigned->attach_code);
}

static bool on_assigned(struct book *book, const struct fold_place *place,
			const struct gpu_assigned *assigned)
{
	bool here = same(assigned->host, place->host);
	bool any = end_of_same_vm(book, place, assigned, here);
	/* A state of a later version is not to be guessed at. */
	if (!here || (!same(assigned->state, "ASSIGNED") && !same(assigned->state, "RELEASING")))
		return any;
	if (!book_find(book, assigned->assignment_id))
		add(book, assigned);
	struct assignment *assignment = book_find(book, assigned->assignment_id);
	update(assignment, assigned);
	for (size_t i = 0; place->blank && i < assignment->n_claims; i++)
		if (shows_that_it_has_all(assigned))
			clear_older(book, assignment->claims[i].gpu_id, assignment->seq);
	return true;
}

/* ---- the others ---- */

static bool on_released(struct book *book, const struct fold_place *place,
			const struct gpu_released *released)
{
	struct assignment *assignment = book_find(book, released->assignment_id);
	if (!assignment)
		return false;
	if (place->blank && same(released->code, released_code_name(CODE_FORCED)))
		distrust_the_end(assignment);
	else if (place->blank)
		trust_the_end(book, assignment, released->quarantined, released->n_quarantined);
	assignment->state = ASSIGNMENT_ENDED;
	assignment_wake(assignment);
	return true;
}

static bool on_marked(struct book *book, const struct fold_place *place,
		      const struct gpu_marked *marked)
{
	bool any = false;
	if (!same(marked->host, place->host) || !same(marked->mark, "RETURNED"))
		return false;
	for (size_t i = 0; i < book->n; i++)
		for (size_t k = 0; k < book->assignments[i]->n_claims; k++) {
			struct claim *claim = &book->assignments[i]->claims[k];
			if (!claim->mark || !same(claim->gpu_id, marked->gpu_id))
				continue;
			claim_return(claim);
			any = true;
		}
	return any;
}

bool fold_decision(struct book *book, const struct fold_place *place, const struct record *record)
{
	bool any = false;
	if (!same(record_pool_id(record), place->pool_id))
		return false; /* a partition has many pools, and VM ids are unique in one */
	if (record->type == RECORD_GPU_ASSIGNED)
		any = on_assigned(book, place, &record->gpu_assigned);
	else if (record->type == RECORD_GPU_RELEASED)
		any = on_released(book, place, &record->gpu_released);
	else if (record->type == RECORD_GPU_MARKED)
		any = on_marked(book, place, &record->gpu_marked);
	return any;
}
