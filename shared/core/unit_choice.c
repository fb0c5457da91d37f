#include "core/unit_choice.h"

#include <string.h>

enum { HOST_GPUS_MAX = 1024 /* more than a host may announce, with what VMs still hold */ };

/* A free GPU that meets at least one ask. */
struct unit {
	uint16_t gpu;  /* position in the host's list */
	uint16_t asks; /* bits */
	int16_t node;
	uint16_t group_size[2]; /* units on the same node, and on the same switch */
	uint32_t pcie_switch;	/* without one: a number of its own */
};

struct matching {
	const struct placement_ask *asks;
	size_t n_asks;
	uint32_t got[LIMIT_ASKS];
	uint32_t n;
	uint16_t units[LIMIT_GPUS_PER_REQUEST]; /* positions in the list of units */
	uint8_t ask_of[LIMIT_GPUS_PER_REQUEST];
};

/* ---- matching units to asks ---- */

/* Finds an ask for a unit; where all its asks have enough, one of theirs moves to another ask
 * (augmenting paths, as in Kuhn's algorithm). Returns the ask, or -1. */
static int find_ask(struct matching *m, const struct unit *units, uint16_t asks, uint16_t *seen)
{
	for (unsigned bits = asks & (unsigned)~*seen; bits; bits &= bits - 1) {
		int a = __builtin_ctz(bits);
		if (m->got[a] < m->asks[a].count)
			return a;
	}
	for (unsigned bits = asks & (unsigned)~*seen; bits; bits &= bits - 1) {
		int a = __builtin_ctz(bits);
		*seen = (uint16_t)(*seen | 1u << a);
		for (uint32_t i = 0; i < m->n; i++) {
			if (m->ask_of[i] != a)
				continue;
			int other = find_ask(m, units, units[m->units[i]].asks, seen);
			if (other < 0)
				continue;
			m->ask_of[i] = (uint8_t)other;
			m->got[other]++;
			m->got[a]--;
			return a;
		}
	}
	return -1;
}

/* Takes units in the order given; earlier ones are preferred. True: every ask is met. */
static bool match(struct matching *m, const struct unit *units, const uint16_t *order, size_t n,
		  uint32_t total)
{
	m->n = 0;
	memset(m->got, 0, sizeof(m->got));
	for (size_t i = 0; i < n && m->n < total; i++) {
		uint16_t seen = 0;
		int ask = find_ask(m, units, units[order[i]].asks, &seen);
		if (ask < 0)
			continue;
		m->units[m->n] = order[i];
		m->ask_of[m->n++] = (uint8_t)ask;
		m->got[ask]++;
	}
	return m->n == total;
}

/* ---- groups ---- */

enum level { LEVEL_NODE, LEVEL_SWITCH };

static bool same_group(const struct unit *a, const struct unit *b, enum level level)
{
	return a->node == b->node && (level == LEVEL_NODE || a->pcie_switch == b->pcie_switch);
}

static void count_groups(struct unit *units, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j <= i; j++) {
			for (enum level level = LEVEL_NODE; level <= LEVEL_SWITCH; level++) {
				if (!same_group(&units[i], &units[j], level))
					continue;
				units[i].group_size[level]++;
				if (i != j)
					units[j].group_size[level]++;
			}
		}
	}
}

/*
 * Puts units into the order in which they should be taken when `needed` are: group after group, each
 * time the smallest group that has as many as are still needed, or else the largest one; within a NUMA
 * node the same again by switch.
 */
static void sort_by_group(const struct unit *units, uint16_t *order, size_t n, uint32_t needed,
			  enum level level)
{
	size_t done = 0;
	while (done < n) {
		uint16_t best = order[done];
		uint32_t best_size = 0;
		for (size_t i = done; i < n; i++) {
			uint32_t size = units[order[i]].group_size[level];
			bool enough = size >= needed, best_enough = best_size >= needed;
			if (best_size == 0 || (enough && !best_enough) ||
			    (enough == best_enough &&
			     (enough ? size < best_size : size > best_size))) {
				best = order[i];
				best_size = size;
			}
		}

		/* Its members come next, in their present order. */
		size_t end = done;
		for (size_t i = done; i < n; i++) {
			if (!same_group(&units[order[i]], &units[best], level))
				continue;
			uint16_t member = order[i];
			memmove(&order[end + 1], &order[end], (i - end) * sizeof(*order));
			order[end++] = member;
		}
		uint32_t here = best_size < needed ? best_size : needed;
		if (level == LEVEL_NODE)
			sort_by_group(units, order + done, end - done, here, LEVEL_SWITCH);
		needed -= here;
		done = end;
	}
}

/* The tightest group of a level that meets all asks by itself. */
static bool match_in_group(struct matching *best, const struct unit *units, size_t n,
			   uint32_t total, enum level level)
{
	uint16_t members[HOST_GPUS_MAX];
	uint32_t best_size = 0, best_node_size = 0;

	for (uint16_t first = 0; first < n; first++) {
		uint32_t size = units[first].group_size[level];
		uint32_t node_size = units[first].group_size[LEVEL_NODE];
		if (size < total ||
		    (best_size &&
		     (best_size < size || (best_size == size && best_node_size <= node_size))))
			continue;
		bool seen = false; /* only the first of a group stands for it */
		for (uint16_t i = 0; i < first && !seen; i++)
			seen = same_group(&units[i], &units[first], level);
		if (seen)
			continue;
		size_t n_members = 0;
		for (uint16_t i = first; i < n; i++)
			if (same_group(&units[i], &units[first], level))
				members[n_members++] = i;
		if (level == LEVEL_NODE)
			sort_by_group(units, members, n_members, total, LEVEL_SWITCH);
		struct matching found = { .asks = best->asks, .n_asks = best->n_asks };
		if (!match(&found, units, members, n_members, total))
			continue;
		*best = found;
		best_size = size;
		best_node_size = node_size;
	}
	return best_size > 0;
}

/* ---- the result ---- */

static void rate(const struct matching *m, const struct unit *units, size_t n,
		 struct unit_choice *choice)
{
	*choice = (struct unit_choice){ .n = m->n };
	for (uint32_t i = 0; i < m->n; i++) {
		const struct unit *unit = &units[m->units[i]];
		bool new_node = true, new_switch = true;
		for (uint32_t j = 0; j < i; j++) {
			new_node &= !same_group(unit, &units[m->units[j]], LEVEL_NODE);
			new_switch &= !same_group(unit, &units[m->units[j]], LEVEL_SWITCH);
		}
		choice->nodes += new_node;
		choice->switches += new_switch;
		if (new_switch)
			for (size_t u = 0; u < n; u++)
				choice->left_over += same_group(unit, &units[u], LEVEL_SWITCH);

		uint32_t at = i; /* insertion sort by position */
		for (; at > 0 && choice->gpus[at - 1] > unit->gpu; at--)
			choice->gpus[at] = choice->gpus[at - 1];
		choice->gpus[at] = unit->gpu;
	}
	choice->left_over -= m->n;
}

bool unit_choice_make(const struct fleet_host *host, const struct placement_ask *asks,
		      size_t n_asks, struct unit_choice *ret_choice)
{
	struct unit units[HOST_GPUS_MAX];
	size_t n = 0;
	uint32_t total = 0;

	for (size_t a = 0; a < n_asks; a++)
		total += asks[a].count;
	for (uint16_t i = 0; i < host->n_gpus && n < HOST_GPUS_MAX; i++) {
		const struct gpu *gpu = &host->gpus[i];
		uint16_t bits = 0;
		if (gpu->condition != GPU_FREE)
			continue;
		for (size_t a = 0; a < n_asks; a++)
			if (selector_has_model(asks[a].selector, gpu->model))
				bits = (uint16_t)(bits | 1u << a);
		if (!bits)
			continue;
		uint32_t pcie_switch =
			gpu->pcie_switch != TEXT_NONE ? gpu->pcie_switch : UINT32_MAX - i;
		units[n++] = (struct unit){ i, bits, gpu->numa_node, { 0, 0 }, pcie_switch };
	}
	if (n < total)
		return false;
	count_groups(units, n);

	struct matching matching = { .asks = asks, .n_asks = n_asks };
	if (!match_in_group(&matching, units, n, total, LEVEL_SWITCH) &&
	    !match_in_group(&matching, units, n, total, LEVEL_NODE)) {
		uint16_t order[HOST_GPUS_MAX];
		for (size_t i = 0; i < n; i++)
			order[i] = (uint16_t)i;
		sort_by_group(units, order, n, total, LEVEL_NODE);
		if (!match(&matching, units, order, n, total))
			return false;
	}
	rate(&matching, units, n, ret_choice);
	return true;
}
