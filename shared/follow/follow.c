#include "follow/follow.h"

#include "codec/codec.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"

/*
 * A marker has no epoch, and is known by its schema; one of a newer gpubus has a schema that we do not
 * know, and is known by its event type: whoever passes over it goes on in an epoch that has ended.
 * A stranger's bytes without an epoch are not a marker, hence void; a deposed owner's record has an epoch,
 * hence is never a marker.
 */
static bool is_marker(const struct message *message)
{
	enum record_type type;

	if (!message->value)
		return false;
	switch (codec_peek_type(message->value, message->value_len, &type)) {
	case 0:
		return type == RECORD_EPOCH_STARTED;
	case CODEC_UNKNOWN_SCHEMA:
		return headers_are_of_type(message->headers, message->n_headers,
					   record_event_type(RECORD_EPOCH_STARTED));
	default:
		return false;
	}
}

enum follow_kind follow_step(struct follow *follow, const struct message *message)
{
	if (message->offset < follow->next)
		return FOLLOW_AGAIN;
	if (message->offset > follow->next)
		return FOLLOW_GAP;
	follow->next++;

	int64_t epoch = headers_epoch(message->headers, message->n_headers);
	if (epoch >= 0)
		return epoch == follow->epoch ? FOLLOW_RECORD : FOLLOW_VOID;
	if (!is_marker(message))
		return FOLLOW_VOID;
	follow->epoch = message->offset;
	return FOLLOW_MARKER;
}
