/*
 * Which claims are on the same PCI functions. Of those that are not through with them each gets the one
 * before it (`older`) and the one behind it (`newer`), in the order of the log.
 */
#pragma once

#include "attach/agent/book.h"

void overlap_link(struct book *book);
