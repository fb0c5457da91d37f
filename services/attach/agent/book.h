/*
 * What the agent knows: the assignments of its host, as the log has them, and of each of their units what
 * was done to it. An assignment stays in the book until the log has dropped it and every unit is free of it.
 *
 * A claim is one unit of one assignment. Claims stand in the order of the log, so that of two on the same
 * functions the older is known: it is undone before the newer is begun. The part "remembered" is what
 * memory.h writes to disk; the rest is of this life.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/step/step.h"
#include "base/cleanup.h"
#include "model/codes.h"

/* The driver is not known: the kernel may choose. */
#define BOOK_ANY_DRIVER "?"

/* Why something is not as it should be: for programs, and for people. */
struct trouble {
	enum attach_code code;
	char reason[UNIT_REASON_BYTES];
};

enum claim_mark {
	MARK_NONE,
	MARK_DIRTY, /* not known to be clean */
	MARK_STUCK, /* a step on it did not end */
};

struct claim {
	struct assignment *of;
	char *gpu_id; /* owned */
	struct unit unit;

	/* ---- remembered ---- */
	/* It may be otherwise than it was found: to be undone before anybody else gets it. */
	bool touched;
	/* The VM may have it or have had it: to be unplugged and cleaned before anybody else gets it. */
	bool lent;
	/* Not known what was done to it (the memory was lost, the host rebooted, an operator returned it):
	 * seen by looking. */
	bool suspect;
	/* What an older claim left is still to be cleaned before this one's VM gets it. */
	bool unclean;
	bool let_go;  /* of the undoing: the VM has let go */
	bool cleaned; /* of the undoing: reset and verified */
	/* Not touched again until an operator returns the GPU; see `trouble`. */
	enum claim_mark mark;
	struct trouble trouble;
	/* The driver of each function when the unit was found; unit.n of them, owned. */
	char (*drivers)[UNIT_DRIVER_BYTES];

	/* ---- of this life ---- */
	/* Claims on the same functions that are not through with them; set by overlap.h. */
	struct claim *older;
	struct claim *newer;
	/* A bind has, or may have, changed it before: one that fails puts back what it found itself, which
	 * is then not how the unit was found. */
	bool tried;
	bool running; /* a step */
	bool due;     /* `next` is to be started, at retry_us or later */
	enum step_verb next;
	bool looked; /* the facts were seen at least once */
	bool fresh;  /* the facts can be built upon */
	size_t n_vfio;
	size_t n_plugged;
	enum vm_presence vm;
	bool waits;
	struct trouble wait;
	int64_t retry_us; /* no step before */
	int64_t look_us;  /* the facts are too old from then on */
};

enum assignment_state {
	ASSIGNMENT_WANTED,
	ASSIGNMENT_RELEASING,
	ASSIGNMENT_ENDED, /* the log has dropped it */
};

/* What was said of an assignment, as far as it decides whether something is news. */
struct told {
	char *state; /* owned; NULL: nothing yet */
	char *code;  /* owned */
	char *reason;
	uint64_t gpus; /* a digest of their states and codes; 0: not known */
	int64_t at_us;
};

struct assignment {
	char *id; /* owned, as vm_id */
	char *vm_id;
	enum assignment_state state;
	bool gives_back; /* its pool's after_release */
	bool failed;
	struct trouble trouble; /* with failed: the first */
	struct told logged;	/* attach_state and attach_code as the log has them */
	struct told told;	/* reported in this life */
	uint64_t seq;		/* the order of the log */
	struct claim *claims;	/* owned; the array does not move */
	size_t n_claims;
};

/* The driver that a function had before gpubus ever touched it. */
struct first_driver {
	struct pci_address address;
	char driver[UNIT_DRIVER_BYTES];
};

struct book {
	struct assignment **assignments; /* by seq; owned */
	size_t n;
	size_t size;
	uint64_t next_seq;
	struct first_driver *drivers; /* by address; owned */
	size_t n_drivers;
	size_t drivers_size;
};

void book_deinit(struct book *book);
/* With n_claims empty claims that point back to it. */
struct assignment *book_add(struct book *book, const char *id, const char *vm_id, size_t n_claims);
/* One that the log has not dropped, or NULL. */
struct assignment *book_find(const struct book *book, const char *id);
/* Away with what has ended and is free. True: there was such. */
bool book_sweep(struct book *book);
void book_first_driver_set(struct book *book, struct pci_address address, const char *driver);
/* NULL: not known. */
const char *book_first_driver(const struct book *book, struct pci_address address);

/* All functions on vfio-pci or in the VM, and nobody else to be waited for. */
bool claim_is_bound(const struct claim *claim);
/* The VM has all functions. */
bool claim_is_plugged(const struct claim *claim);
bool assignment_is_bound(const struct assignment *assignment);
/* To be attached, and nothing has spoken against it so far. */
bool assignment_is_wanted(const struct assignment *assignment);

/* `drivers` gets room for the unit's functions, all BOOK_ANY_DRIVER. */
void claim_reset_drivers(struct claim *claim);
/* Whatever was done to it may have been done: to be looked at. */
void claim_suspect(struct claim *claim);
/* The unit is nobody's any more. */
void claim_free_unit(struct claim *claim);
void claim_wait(struct claim *claim, enum attach_code code, const char *reason);
void claim_set_mark(struct claim *claim, enum claim_mark mark, enum attach_code code,
		    const char *reason);
/* An operator says that it is good: verified before anybody gets it. */
void claim_return(struct claim *claim);
/* The first failure counts. */
void assignment_fail(struct assignment *assignment, enum attach_code code, const char *reason);
/* What units wait for is tried again at once. */
void assignment_wake(struct assignment *assignment);

/* Cut at a character, what is not UTF-8 replaced. `reason` NULL or empty: what the code means. */
void trouble_set(struct trouble *trouble, enum attach_code code, const char *reason);
/* A driver's name that can be written down; BOOK_ANY_DRIVER when it is none. */
void driver_set(char to[UNIT_DRIVER_BYTES], const char *driver);
/* The host's own driver, or none: one to give the function back to. Not of the vfio-pci family, and known. */
bool driver_is_hosts(const char *driver);
void told_deinit(struct told *told);
