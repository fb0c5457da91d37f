#include "attach/agent/book.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "pci/device.h"

void told_deinit(struct told *told)
{
	free(told->state);
	free(told->code);
	free(told->reason);
	*told = (struct told){ 0 };
}

static void assignment_free(struct assignment *assignment)
{
	for (size_t i = 0; i < assignment->n_claims; i++) {
		free(assignment->claims[i].gpu_id);
		free(assignment->claims[i].drivers);
	}
	free(assignment->claims);
	told_deinit(&assignment->logged);
	told_deinit(&assignment->told);
	free(assignment->id);
	free(assignment->vm_id);
	free(assignment);
}

void book_deinit(struct book *book)
{
	for (size_t i = 0; i < book->n; i++)
		assignment_free(book->assignments[i]);
	free(book->assignments);
	free(book->drivers);
	*book = (struct book){ 0 };
}

struct assignment *book_add(struct book *book, const char *id, const char *vm_id, size_t n_claims)
{
	if (book->n == book->size) {
		book->size = book->size ? 2 * book->size : 8;
		book->assignments =
			memory_resize(book->assignments, book->size, sizeof(*book->assignments));
	}
	struct assignment *assignment = memory_zeroed(1, sizeof(*assignment));
	assignment->id = memory_strdup(id);
	assignment->vm_id = memory_strdup(vm_id);
	assignment->seq = book->next_seq++;
	assignment->claims = memory_zeroed(n_claims ? n_claims : 1, sizeof(*assignment->claims));
	assignment->n_claims = n_claims;
	for (size_t i = 0; i < n_claims; i++)
		assignment->claims[i].of = assignment;
	book->assignments[book->n++] = assignment;
	return assignment;
}

struct assignment *book_find(const struct book *book, const char *id)
{
	for (size_t i = 0; i < book->n; i++)
		if (book->assignments[i]->state != ASSIGNMENT_ENDED &&
		    strcmp(book->assignments[i]->id, id) == 0)
			return book->assignments[i];
	return NULL;
}

static bool is_over(const struct assignment *assignment)
{
	if (assignment->state != ASSIGNMENT_ENDED)
		return false;
	for (size_t i = 0; i < assignment->n_claims; i++) {
		const struct claim *claim = &assignment->claims[i];
		if (claim->touched || claim->running || claim->mark)
			return false;
	}
	return true;
}

bool book_sweep(struct book *book)
{
	size_t kept = 0;
	for (size_t i = 0; i < book->n; i++)
		if (is_over(book->assignments[i]))
			assignment_free(book->assignments[i]);
		else
			book->assignments[kept++] = book->assignments[i];
	bool any = kept < book->n;
	book->n = kept;
	return any;
}

/* Where the address stands or belongs. */
static size_t first_driver_place(const struct book *book, struct pci_address address)
{
	size_t low = 0;
	for (size_t high = book->n_drivers; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (pci_address_compare(book->drivers[middle].address, address) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool first_driver_is_at(const struct book *book, size_t at, struct pci_address address)
{
	return at < book->n_drivers && pci_address_compare(book->drivers[at].address, address) == 0;
}

void book_first_driver_set(struct book *book, struct pci_address address, const char *driver)
{
	size_t at = first_driver_place(book, address);
	if (!first_driver_is_at(book, at, address)) {
		if (book->n_drivers == LIMIT_PCI_DEVICES)
			return; /* such a host does not exist; "?" is survivable */
		if (book->n_drivers == book->drivers_size) {
			book->drivers_size = book->drivers_size ? 2 * book->drivers_size : 16;
			book->drivers = memory_resize(book->drivers, book->drivers_size,
						      sizeof(*book->drivers));
		}
		memmove(&book->drivers[at + 1], &book->drivers[at],
			(book->n_drivers - at) * sizeof(*book->drivers));
		book->drivers[at].address = address;
		book->n_drivers++;
	}
	driver_set(book->drivers[at].driver, driver);
}

const char *book_first_driver(const struct book *book, struct pci_address address)
{
	size_t at = first_driver_place(book, address);
	return first_driver_is_at(book, at, address) ? book->drivers[at].driver : NULL;
}

bool claim_is_plugged(const struct claim *claim)
{
	return claim->looked && claim->n_plugged == claim->unit.n;
}

bool claim_is_bound(const struct claim *claim)
{
	if (!claim->looked || claim->older || claim->mark || claim->suspect || claim->unclean)
		return false;
	return claim->n_vfio == claim->unit.n || claim_is_plugged(claim);
}

bool assignment_is_bound(const struct assignment *assignment)
{
	for (size_t i = 0; i < assignment->n_claims; i++)
		if (!claim_is_bound(&assignment->claims[i]))
			return false;
	return true;
}

bool assignment_is_wanted(const struct assignment *assignment)
{
	return assignment->state == ASSIGNMENT_WANTED && !assignment->failed;
}

void claim_reset_drivers(struct claim *claim)
{
	free(claim->drivers);
	claim->drivers = memory_zeroed(claim->unit.n + 1, sizeof(*claim->drivers));
	for (size_t i = 0; i < claim->unit.n; i++)
		driver_set(claim->drivers[i], BOOK_ANY_DRIVER);
}

void claim_suspect(struct claim *claim)
{
	if (!claim->drivers)
		claim_reset_drivers(claim);
	claim->touched = true;
	claim->suspect = true;
	claim->let_go = false;
	claim->cleaned = false;
	claim->fresh = false;
}

void claim_free_unit(struct claim *claim)
{
	claim->touched = false;
	claim->lent = false;
	claim->suspect = false;
	claim->unclean = false;
	claim->let_go = false;
	claim->cleaned = false;
	claim->tried = false;
	claim->waits = false;
}

void claim_wait(struct claim *claim, enum attach_code code, const char *reason)
{
	claim->waits = true;
	trouble_set(&claim->wait, code, reason);
}

void claim_set_mark(struct claim *claim, enum claim_mark mark, enum attach_code code,
		    const char *reason)
{
	claim->mark = mark;
	claim->waits = false;
	trouble_set(&claim->trouble, code, reason);
}

void claim_return(struct claim *claim)
{
	claim->mark = MARK_NONE;
	claim->retry_us = 0;
	claim_suspect(claim);
}

void assignment_wake(struct assignment *assignment)
{
	for (size_t i = 0; i < assignment->n_claims; i++) {
		assignment->claims[i].retry_us = 0;
		assignment->claims[i].waits = false;
	}
}

void assignment_fail(struct assignment *assignment, enum attach_code code, const char *reason)
{
	if (assignment->failed)
		return;
	assignment->failed = true;
	trouble_set(&assignment->trouble, code, reason);
	assignment_wake(assignment);
}

void trouble_set(struct trouble *trouble, enum attach_code code, const char *reason)
{
	trouble->code = code < ATTACH_CODES ? code : ATTACH_BIND_FAILED;
	if (!reason || !*reason)
		reason = attach_code_meaning(trouble->code);
	size_t len = 0;
	while (*reason) {
		size_t n = utf8_sequence(reason, UNIT_REASON_BYTES);
		size_t room = sizeof(trouble->reason) - 1 - len;
		if ((n ? n : 1) > room)
			break;
		if (n)
			memcpy(trouble->reason + len, reason, n);
		else
			trouble->reason[len] = '?';
		len += n ? n : 1;
		reason += n ? n : 1;
	}
	trouble->reason[len] = '\0';
}

void driver_set(char to[UNIT_DRIVER_BYTES], const char *driver)
{
	size_t len = strnlen(driver, UNIT_DRIVER_BYTES);
	bool good = len < UNIT_DRIVER_BYTES && (len == 0 || utf8_is_text(driver, len));
	memmove(to, good ? driver : BOOK_ANY_DRIVER, good ? len + 1 : sizeof(BOOK_ANY_DRIVER));
}

bool driver_is_hosts(const char *driver)
{
	return !pci_driver_is_vfio(driver) && strcmp(driver, BOOK_ANY_DRIVER) != 0;
}
