#include "pci/attribute.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

static int malformed(struct attribute_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

static int malformed(struct attribute_error *error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return ATTRIBUTE_MALFORMED;
}

/* Up to `size` bytes of the open file. */
static int read_all(int fd, const char *name, char *data, size_t size, size_t *ret_len,
		    struct attribute_error *error)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return malformed(error, "%s cannot be read: %s", name, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return malformed(error, "%s is not a file", name);

	size_t len = 0;
	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return malformed(error, "%s cannot be read: %s", name, strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

int attribute_read_text(int directory_fd, const char *name, char *text, size_t size,
			struct attribute_error *error)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	int fd = openat(directory_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return ATTRIBUTE_MISSING;
	if (fd < 0)
		return malformed(error, "%s cannot be opened: %s", name, strerror(errno));

	char data[LIMIT_ATTRIBUTE_BYTES + 1];
	size_t len = 0;
	int r = read_all(fd, name, data, sizeof(data), &len, error);
	close(fd);
	if (r)
		return r;
	if (len > LIMIT_ATTRIBUTE_BYTES)
		return malformed(error, "%s is longer than %d bytes", name, LIMIT_ATTRIBUTE_BYTES);
	if (memchr(data, '\0', len))
		return malformed(error, "%s is not text", name);
	while (len && strchr(" \t\r\n", data[len - 1]))
		len--;
	if (len == 0)
		return malformed(error, "%s is empty", name);
	if (len >= size)
		return malformed(error, "%s is too long", name);
	memcpy(text, data, len);
	text[len] = '\0';
	return 0;
}

int attribute_parse_number(const char *text, int32_t min, int32_t max, int32_t *ret_number)
{
	bool negative = *text == '-';
	const char *digits = text + negative;
	bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	digits += hex ? 2 : 0;

	size_t n = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	if (n == 0 || n > 10 || digits[n])
		return 1;
	long long number = strtoll(digits, NULL, hex ? 16 : 10);
	if (negative)
		number = -number;
	if (number < min || number > max)
		return 1;
	*ret_number = (int32_t)number;
	return 0;
}

int attribute_read_number(int directory_fd, const char *name, int32_t min, int32_t max,
			  int32_t *ret_number, struct attribute_error *error)
{
	char text[64];
	int r = attribute_read_text(directory_fd, name, text, sizeof(text), error);
	if (r)
		return r;
	if (attribute_parse_number(text, min, max, ret_number))
		return malformed(error, "%s does not hold a number that it can have", name);
	return 0;
}

int attribute_read_link(int directory_fd, const char *name, char *text, size_t size,
			struct attribute_error *error)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(directory_fd, name, target, sizeof(target) - 1);
	if (len < 0 && errno == ENOENT)
		return ATTRIBUTE_MISSING;
	if (len < 0 && errno == EINVAL)
		return malformed(error, "%s is not a link", name);
	if (len < 0)
		return malformed(error, "%s cannot be read: %s", name, strerror(errno));
	target[len] = '\0';

	char *slash = strrchr(target, '/');
	const char *last = slash ? slash + 1 : target;
	if (!*last || strlen(last) >= size)
		return malformed(error, "%s leads to no name that it can have", name);
	memcpy(text, last, strlen(last) + 1);
	return 0;
}
