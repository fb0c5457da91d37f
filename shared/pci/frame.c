#include "pci/frame.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FRAME_MAGIC = 0x67706373 };

void frame_init(struct frame *frame, enum frame_kind kind)
{
	memset(frame, 0, sizeof(*frame));
	frame->magic = FRAME_MAGIC;
	frame->kind = kind;
}

int frame_write(int fd, const struct frame *frame)
{
	const char *data = (const char *)frame;
	size_t left = sizeof(*frame);
	while (left) {
		ssize_t n = write(fd, data, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		left -= (size_t)n;
	}
	return 0;
}

int frame_check(const struct frame *frame)
{
	if (frame->magic != FRAME_MAGIC)
		return 1;
	switch (frame->kind) {
	case FRAME_BEGIN_NAMES:
	case FRAME_BEGIN_LIST:
	case FRAME_END:
		return 0;
	case FRAME_BEGIN_DEVICE:
		return frame->address.device > 0x1f || frame->address.function > 7;
	case FRAME_DEVICE:
		return !pci_device_is_sane(&frame->device);
	case FRAME_WARNING:
	case FRAME_FAILED:
		return !memchr(frame->text, '\0', sizeof(frame->text));
	default:
		return 1;
	}
}
