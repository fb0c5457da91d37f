/*
 * What leaves a shard: its decisions, answers, answers told again, dead letters, forwarded inputs. Each
 * is a parcel of its in-flight entry, sent as soon as there is room.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/dead_letter.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "scheduler/shard_internal.h"

static int send_parcel(struct shard *shard, const struct parcel *parcel, uint64_t token)
{
	struct outgoing outgoing = {
		.topic = parcel->topic,
		.partition = parcel->partition,
		.key = parcel->key,
		.key_len = parcel->key_len,
		.value = parcel->value,
		.value_len = parcel->value_len,
		.headers = parcel->headers,
		.n_headers = parcel->n_headers,
	};
	return shard->world.io.produce(shard->world.io.context, shard->config.partition, &outgoing,
				       token);
}

/* Nobody waits for its delivery, only for its reading back; under the entry's number its report, which
 * may come after that, would pass for the answer's. */
void shard_log(struct shard *shard, struct in_flight *entry, const struct parcel *record)
{
	if (send_parcel(shard, record, TOKEN_NOBODY) == 0)
		return;
	shard->record_waits = true;
	entry->parcel =
		parcel_new(record->topic, record->partition, record->key, record->key_len,
			   record->value, record->value_len, record->headers, record->n_headers);
}

void shard_log_again(struct shard *shard)
{
	struct in_flight *entry =
		shard->record_waits ? in_flight_at(&shard->flight, shard->flight.tail - 1) : NULL;
	if (!entry || send_parcel(shard, entry->parcel, TOKEN_NOBODY) != 0)
		return;
	free(steal(&entry->parcel));
	shard->record_waits = false;
}

void shard_send(struct shard *shard, uint64_t number)
{
	struct in_flight *entry = in_flight_at(&shard->flight, number);

	entry->stage = send_parcel(shard, entry->parcel, number) == 0 ? STAGE_SENT : STAGE_ANSWER;
}

/* The decision as it was read back, without the headers that only the log needs, and its revision. */
void shard_answer(struct shard *shard, uint64_t number, const struct message *decision)
{
	struct in_flight *entry = in_flight_at(&shard->flight, number);
	struct header headers[MESSAGE_HEADERS_MAX + 1];
	size_t n_headers = 0;
	char revision[24];

	for (size_t i = 0; i < decision->n_headers; i++) {
		const char *name = decision->headers[i].name;
		if (strcmp(name, "ce_epoch") != 0 && strcmp(name, "ce_applied") != 0)
			headers[n_headers++] = decision->headers[i];
	}
	int len = snprintf(revision, sizeof(revision), "%" PRId64, decision->offset);
	headers[n_headers++] =
		(struct header){ .name = "ce_revision", .value = revision, .len = (size_t)len };

	struct parcel answer = {
		.topic = TOPIC_ANSWERS,
		.partition = shard->config.partition,
		.key = decision->key,
		.key_len = decision->key_len,
		.value = decision->value,
		.value_len = decision->value_len,
		.headers = headers,
		.n_headers = n_headers,
	};
	if (send_parcel(shard, &answer, number) == 0) {
		entry->stage = STAGE_SENT;
		return;
	}
	entry->stage = STAGE_ANSWER;
	entry->parcel = parcel_new(answer.topic, answer.partition, answer.key, answer.key_len,
				   answer.value, answer.value_len, headers, n_headers);
}

/* What the answer said when it was first told, under the same id; only the trace is the new asker's. */
void shard_prepare_telling(struct shard *shard, struct in_flight *entry)
{
	const struct answer *answer = entry->answer;
	struct record record;

	if (codec_decode(shard->world.codec, answer->value, answer->len, &shard->arena, &record) !=
	    0) {
		/* It was encoded or decoded by us before: memory is corrupt. */
		log_error("an answer in memory cannot be read: %s",
			  codec_error(shard->world.codec));
		abort();
	}
	struct envelope envelope = {
		.id = record_event_id(&record, &shard->arena),
		.type = record_event_type(record.type),
		.source = "gpubus/scheduler",
		.time_us = answer->decided_at,
		.traceparent = *entry->traceparent ? entry->traceparent : NULL,
		.epoch = -1,
		.applied = { -1, -1 },
		.revision = answer->revision,
	};
	struct header headers[MESSAGE_HEADERS_MAX];
	size_t n_headers = envelope_to_headers(&envelope, &shard->arena, headers);
	const char *pool_id = record_pool_id(&record);

	entry->parcel = parcel_new(TOPIC_ANSWERS, shard->config.partition, pool_id, strlen(pool_id),
				   answer->value, answer->len, headers, n_headers);
}

static struct parcel *dead_letter_parcel(struct shard *shard, const struct message *message,
					 const char *code, const char *error, int64_t now_us)
{
	struct dead_letter letter;
	dead_letter_make(&letter, message, code, error, now_us);
	shard->figures.dead_letters++;
	log_warning("dead letter topic=%s partition=%d offset=%lld code=%s: %s",
		    topic_name(message->topic), message->partition, (long long)message->offset,
		    code, error);
	return parcel_new(TOPIC_DEAD_LETTERS, letter.message.partition, letter.message.key,
			  letter.message.key_len, letter.message.value, letter.message.value_len,
			  letter.message.headers, letter.message.n_headers);
}

void shard_prepare_dead_letter(struct shard *shard, struct in_flight *entry,
			       const struct message *message, const char *code, const char *error,
			       int64_t now_us)
{
	entry->parcel = dead_letter_parcel(shard, message, code, error, now_us);
}

void shard_prepare_forward(struct in_flight *entry, const struct message *message,
			   int32_t partition)
{
	entry->parcel = parcel_new(message->topic, partition, message->key, message->key_len,
				   message->value, message->value_len, message->headers,
				   message->n_headers);
}

/* Followed topics have no offset to commit: whatever room there is not now is met again at the next
 * takeover, which reads them from their beginning. */
void shard_dead_letter_followed(struct shard *shard, const struct message *message,
				const char *code, const char *error, int64_t now_us)
{
	struct parcel *parcel = dead_letter_parcel(shard, message, code, error, now_us);
	if (send_parcel(shard, parcel, TOKEN_NOBODY) != 0)
		log_error("no room for a dead letter of %s offset=%lld; it will be met again",
			  topic_name(message->topic), (long long)message->offset);
	free(parcel);
}
