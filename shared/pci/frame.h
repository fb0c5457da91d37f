/*
 * What the reader process tells the process that started it, over a pipe: fixed-size frames, because both
 * ends are the same executable. The receiver believes nothing: a frame is used only after its magic, kind
 * and content were checked.
 *
 *	BEGIN what        before each step that may hang or crash, so that the receiver knows what did
 *	DEVICE value      one device, addresses ascending
 *	WARNING text      for people
 *	FAILED text       there is nothing to read; the last frame
 *	END               everything was read; the last frame
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pci/device.h"

enum frame_kind {
	FRAME_BEGIN_NAMES = 1, /* loading the PCI id list */
	FRAME_BEGIN_LIST,      /* listing the bus */
	FRAME_BEGIN_DEVICE,    /* `address` */
	FRAME_DEVICE,	       /* `device` */
	FRAME_WARNING,	       /* `text` */
	FRAME_FAILED,	       /* `text` */
	FRAME_END
};

struct frame {
	uint32_t magic;
	uint32_t kind;
	union {
		struct pci_address address;
		struct pci_device device;
		char text[512];
	};
};

/* Zeroed, with its magic and kind. */
void frame_init(struct frame *frame, enum frame_kind kind);
/* Writes all of it to `fd`. Negative: -errno. */
int frame_write(int fd, const struct frame *frame) MUST_CHECK;
/* Positive: not a frame that frame_write's caller can have meant. */
int frame_check(const struct frame *frame) MUST_CHECK;
