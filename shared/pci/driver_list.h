/*
 * Lists of kernel drivers as operators write them: "nouveau,amdgpu,snd_hda_intel". The names are those of
 * /sys/bus/pci/drivers, which may differ from the module's. Pure.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* Positive: it is no such list; a sentence in `error`. */
int driver_list_check(const char *list, struct buf *error) MUST_CHECK;

/* `list` may be NULL: the list of none. */
bool driver_list_has(const char *list, const char *driver);
