#include "attach/agent/overlap.h"

#include <stdlib.h>

#include "base/memory.h"

struct use {
	uint64_t function;
	uint64_t order; /* of the claim */
	struct claim *claim;
};

static bool is_live(const struct claim *claim)
{
	return claim->of->state != ASSIGNMENT_ENDED || claim->touched || claim->running ||
	       claim->mark;
}

static int compare(const void *a, const void *b)
{
	const struct use *left = a, *right = b;
	if (left->function != right->function)
		return left->function < right->function ? -1 : 1;
	return left->order < right->order ? -1 : left->order > right->order;
}

static size_t list_uses(const struct book *book, struct use *uses)
{
	size_t n = 0;
	uint64_t order = 0;
	for (size_t i = 0; i < book->n; i++)
		for (size_t k = 0; k < book->assignments[i]->n_claims; k++, order++) {
			struct claim *claim = &book->assignments[i]->claims[k];
			claim->older = NULL;
			claim->newer = NULL;
			for (size_t f = 0; is_live(claim) && f < claim->unit.n; f++, n++)
				if (uses)
					uses[n] = (struct use){ pci_address_pack(
									claim->unit.functions[f]),
								order, claim };
		}
	return n;
}

/* In the order of the log, so that a mark is seen from every claim behind it. */
static void pass_marks_on(struct book *book)
{
	for (size_t i = 0; i < book->n; i++)
		for (size_t k = 0; k < book->assignments[i]->n_claims; k++) {
			struct claim *claim = &book->assignments[i]->claims[k];
			struct claim *older = claim->older;
			if (older && !older->mark && older->older && older->older->mark)
				claim->older = older->older;
		}
}

void overlap_link(struct book *book)
{
	size_t n = list_uses(book, NULL);
	cleanup(freep) struct use *uses = memory_zeroed(n + 1, sizeof(*uses));
	list_uses(book, uses);
	qsort(uses, n, sizeof(*uses), compare);
	for (size_t i = 1; i < n; i++) {
		if (uses[i].function != uses[i - 1].function)
			continue;
		uses[i].claim->older = uses[i - 1].claim;
		uses[i - 1].claim->newer = uses[i].claim;
	}
	pass_marks_on(book);
}
