/*
 * Which claims are on the same PCI functions. Of those that are not through with them each gets the one
 * before it (`older`) and the one behind it (`newer`), in the order of the log. When there is a marked one
 * further before, that is `older`: nothing goes on before an operator returns it.
 */
#pragma once

#include "attach/agent/book.h"

void overlap_link(struct book *book);
