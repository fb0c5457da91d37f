#include "pci/driver_list.h"

#include <string.h>

#include "base/limits.h"
#include "pci/device.h"

/* What the kernel's modules and drivers are named with. */
static const char name_characters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

int driver_list_check(const char *list, struct buf *error)
{
	if (strlen(list) > LIMIT_TEXT_BYTES) {
		buf_printf(error, "is longer than %d bytes", LIMIT_TEXT_BYTES);
		return 1;
	}
	for (const char *name = list;; name++) {
		size_t len = strspn(name, name_characters);
		if (len == 0 || len >= PCI_DRIVER_BYTES || (name[len] && name[len] != ',')) {
			buf_printf(error,
				   "must be names of kernel drivers with commas between, like "
				   "\"nouveau,snd_hda_intel\", not \"%s\"",
				   list);
			return 1;
		}
		name += len;
		if (!*name)
			return 0;
	}
}

bool driver_list_has(const char *list, const char *driver)
{
	size_t len = strlen(driver);
	while (list && *list && len) {
		size_t n = strcspn(list, ",");
		if (n == len && memcmp(list, driver, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}
