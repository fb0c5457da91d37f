/*
 * What the exit status of `gpubus` says, for all verbs. Scripts rely on it.
 */
#pragma once

enum exit_status {
	STATUS_OK = 0,	    /* done; with --wait: granted, released, allowed; audit: clean */
	STATUS_ERROR = 1,   /* something failed; audit: not clean */
	STATUS_USAGE = 2,   /* the command line or an event given to it is wrong */
	STATUS_REFUSED = 3, /* --wait: the answer is a refusal */
	STATUS_NO_ANSWER =
		4, /* --wait: no answer in time; the request stands and may be answered yet */
};

#define STATUS_TEXT                                                                                \
	"Exit status:\n"                                                                           \
	"  0  done; with --wait: granted, released or allowed; audit: clean\n"                     \
	"  1  an error, which was printed; audit: not clean\n"                                     \
	"  2  the command line, or an event given to it, is wrong\n"                               \
	"  3  with --wait: refused\n"                                                              \
	"  4  with --wait: no answer in time; the request stands and may still be answered\n"
