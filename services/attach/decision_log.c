#include "attach/decision_log.h"

#include <inttypes.h>

void decision_log_init(struct decision_log *log, struct codec *codec, int64_t next, int64_t epoch)
{
	*log = (struct decision_log){ .codec = codec };
	follow_init(&log->follow, next, epoch);
	arena_init(&log->arena);
}

void decision_log_deinit(struct decision_log *log)
{
	arena_deinit(&log->arena);
	buf_deinit(&log->held);
}

void decision_log_hold(struct decision_log *log, const char *reason)
{
	if (decision_log_is_held(log))
		return;
	buf_puts(&log->held, reason);
}

static int take_record(struct decision_log *log, const struct message *message,
		       struct record *ret_record)
{
	arena_reset(&log->arena);
	const char *why = "it has no value";
	if (message->value) {
		if (codec_decode(log->codec, message->value, message->value_len, &log->arena,
				 ret_record) == 0)
			return 0;
		why = codec_error(log->codec);
	}
	buf_printf(&log->held, "the decision at offset %" PRId64 " counts and cannot be read: %s",
		   message->offset, why);
	return DECISION_HELD;
}

int decision_log_take(struct decision_log *log, const struct message *message,
		      struct record *ret_record)
{
	if (decision_log_is_held(log))
		return DECISION_HELD;
	int64_t expected = log->follow.next;
	switch (follow_step(&log->follow, message)) {
	case FOLLOW_RECORD:
		return take_record(log, message, ret_record);
	case FOLLOW_MARKER:
	case FOLLOW_VOID:
		return DECISION_NOBODYS;
	case FOLLOW_AGAIN:
		return DECISION_AGAIN;
	case FOLLOW_GAP:
		break;
	}
	buf_printf(&log->held, "the decisions from offset %" PRId64 " to %" PRId64 " are missing",
		   expected, message->offset - 1);
	return DECISION_HELD;
}
