#include "follow/follow.h"

#include "codec/codec.h"
#include "codec/envelope_headers.h"

/*
 * A marker is known by its schema and by having no epoch. A stranger's bytes without an epoch are not
 * a marker, hence void; a deposed owner's record has an epoch, hence is never a marker.
 */
bool follow_is_marker(const struct message *message)
{
	enum record_type type;
	return headers_epoch(message->headers, message->n_headers) < 0 && message->value &&
	       codec_peek_type(message->value, message->value_len, &type) == 0 &&
	       type == RECORD_EPOCH_STARTED;
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
	if (!follow_is_marker(message))
		return FOLLOW_VOID;
	follow->epoch = message->offset;
	return FOLLOW_MARKER;
}
