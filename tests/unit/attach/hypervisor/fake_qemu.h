/*
 * A QEMU that consists of its monitor: ports, devices on them, and a guest that lets go of devices or does
 * not. It runs in a thread, serves one client at a time as QEMU does, and misbehaves as told. It writes down
 * what it was asked to change, one line each:
 *
 *   add gpubus-0000-01-00.0 host=0000:01:00.0 bus=rp1 addr=0.0 multifunction
 *   del /machine/peripheral/gpubus-0000-01-00.0
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum fake_guest {
	GUEST_LETS_GO,
	GUEST_IS_SLOW, /* lets go when it is looked at for the third time after it was asked */
	GUEST_IS_DEAF, /* never lets go */
	GUEST_DECLINES,
};

enum fake_greeting {
	GREETING,
	GREETING_NONE, /* accepts, and says nothing */
	GREETING_GARBAGE,
	GREETING_ENDLESS, /* a line without an end */
	GREETING_OTHER,	  /* JSON, but another protocol */
	GREETING_CLOSE,	  /* hangs up on everybody */
};

struct fake_device {
	char path[160]; /* "/machine/peripheral/gpubus-0000-01-00.0"; "": an empty place */
	char type[32];	/* "pcie-root-port", "vfio-pci" */
	char bus[32];	/* on which it is; of a port: behind it */
	char host[64];	/* "0000:01:00.0", or a path in sysfs */
	int function;	/* on its bus */
	bool no_hotplug;
	bool asked; /* to leave */
};

enum { FAKE_DEVICES = 32 };

struct fake_qemu {
	/* What it is like: set before fake_qemu_start(). */
	struct fake_device devices[FAKE_DEVICES];
	enum fake_guest guest;
	enum fake_greeting greeting;
	const char *status;	/* query-status; NULL: "running" */
	bool dribbles;		/* sends a few bytes at a time, and events between everything */
	const char *stale;	/* sent before each answer */
	const char *refuses;	/* device_add of an id that ends so */
	const char *words;	/* with these */
	const char *hangs_at;	/* this command, and from then on */
	const char *dies_at;	/* this command: the process is gone */
	const char *answers_at; /* this command: with `answer`, raw but for # in it, the id */
	const char *answer;
	int n_looks; /* since somebody was asked to leave */

	/* Its own. */
	char dir[64];
	char socket[96];
	int listener, stop[2];
	pthread_t thread;
	struct buf log; /* read it after fake_qemu_stop() */
	size_t n_clients;
};

void fake_qemu_port(struct fake_qemu *fake, const char *name);
/* A device that is there from the beginning. */
struct fake_device *fake_qemu_device(struct fake_qemu *fake, const char *path, const char *type,
				     const char *bus, const char *host);
/* The socket is at `dir`/vm-1.qmp; `dir` is new. */
void fake_qemu_start(struct fake_qemu *fake);
void fake_qemu_stop(struct fake_qemu *fake);
/* Removes the directory. */
void fake_qemu_deinit(struct fake_qemu *fake);
