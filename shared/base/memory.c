#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* abort() and not exit(): a core dump says who asked for the memory. */
void memory_exhausted(void)
{
	static const char message[] = "gpubus: out of memory\n";
	ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);
	(void)written; /* there is nobody else to tell */
	abort();
}

void *memory_alloc(size_t size)
{
	void *memory = malloc(size ? size : 1);
	if (!memory)
		memory_exhausted();
	return memory;
}

void *memory_zeroed(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size ? size : 1);
	if (!memory)
		memory_exhausted();
	return memory;
}

void *memory_resize(void *old, size_t n, size_t size)
{
	void *memory = reallocarray(old, n ? n : 1, size ? size : 1);
	if (!memory)
		memory_exhausted();
	return memory;
}

char *memory_strdup(const char *text)
{
	if (!text)
		return NULL;
	size_t len = strlen(text) + 1;
	return memcpy(memory_alloc(len), text, len);
}
