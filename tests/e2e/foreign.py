"""An upstream system in another language. It knows the topics' names, schemas/*.avsc and nothing else of
gpubus: it frames single-object Avro itself, computes the fingerprints with fastavro, partitions as Java
clients do, publishes requests and reads answers."""
import io
import json
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka as kafka
import fastavro
from fastavro import schema as fastavro_schema

SCHEMAS = Path(__file__).parents[2] / "schemas"
TOPIC_OF = {
    "VmPoolDefined": "catalog",
    "VmTypeDefined": "catalog",
    "GpuDiscovered": "inventory",
    "HostSeen": "hosts",
    "VmRequested": "requests",
    "VmReleased": "requests",
    "MigrationCheck": "requests",
    "OperatorCommand": "requests",
    "GpuAttachment": "attachments",
}
PATIENCE = 30  # seconds until a condition that does not come is a failure


def topic_name(short):
    return f"gpubus.{short}.v1"


def murmur2(data):
    """Kafka's Utils.murmur2, as an unsigned number."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(pool_id, n_partitions):
    return (murmur2(pool_id.encode()) & 0x7FFFFFFF) % n_partitions


def _plain_times(schema):
    """Times as microseconds, not as datetimes."""
    if isinstance(schema, dict):
        return {key: _plain_times(value) for key, value in schema.items() if key != "logicalType"}
    return [_plain_times(item) for item in schema] if isinstance(schema, list) else schema


class Schemas:
    """Single-object encoding (Avro specification, "Single-object encoding")."""

    def __init__(self):
        self.parsed, self.fingerprints, self.names = {}, {}, {}
        for path in SCHEMAS.glob("*.avsc"):
            text = json.loads(path.read_text())
            canonical = fastavro_schema.to_parsing_canonical_form(text)
            fingerprint = bytes.fromhex(fastavro_schema.fingerprint(canonical, "CRC-64-AVRO"))
            self.parsed[path.stem] = fastavro.parse_schema(_plain_times(text))
            self.fingerprints[path.stem] = fingerprint
            self.names[fingerprint] = path.stem

    def encode(self, name, record):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed[name], record)
        return b"\xc3\x01" + self.fingerprints[name] + out.getvalue()

    def decode(self, value):
        """(name, record); the name is without a version."""
        name = self.names[value[2:10]]
        return name.partition("@")[0], fastavro.schemaless_reader(io.BytesIO(value[10:]), self.parsed[name])


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict
    name: str = None  # of the record; None: not readable
    record: dict = None
    seen: float = 0.0  # time.monotonic() when it was read

    @property
    def revision(self):
        return int(self.headers["ce_revision"])


class Follower:
    """Reads a topic from its beginning, in a thread; keeps everything, indexed by `key_of`."""

    def __init__(self, bootstrap, short, key_of):
        self.schemas, self.key_of = Schemas(), key_of
        self.messages, self.by_key = [], defaultdict(list)
        self.moved, self.over = threading.Condition(), False
        self.consumer = kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"e2e-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
                "error_cb": lambda error: None,  # brokers that are away come back, or the test times out
            }
        )
        self.topic = topic_name(short)
        partitions = self.consumer.list_topics(self.topic, timeout=PATIENCE).topics[self.topic].partitions
        self.n_partitions = len(partitions)
        self.consumer.assign([kafka.TopicPartition(self.topic, p, 0) for p in partitions])
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.over:
            first = self.consumer.poll(0.1)
            if first is None:
                continue
            # consume() waits for as many as it is asked for: only what is there already
            batch = [m for m in (first, *self.consumer.consume(1000, timeout=0)) if not m.error()]
            with self.moved:
                for message in batch:
                    self._take(message)
                self.moved.notify_all()

    def _take(self, raw):
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in raw.headers() or []}
        message = Message(
            raw.topic(), raw.partition(), raw.offset(), raw.key(), raw.value(), headers, seen=time.monotonic()
        )
        try:
            message.name, message.record = self.schemas.decode(raw.value())
        except Exception:  # whatever else stands there, a dead letter for one
            pass
        self.messages.append(message)
        self.by_key[self.key_of(message)].append(message)

    def wait(self, condition, what, patience=PATIENCE):
        """The first truthy value of condition(), which is asked whenever messages have come."""
        with self.moved:
            value = self.moved.wait_for(condition, patience)
        if not value:
            raise AssertionError(f"{what}: did not happen within {patience} s")
        return value

    def read_to_end(self):
        """All messages up to the ends that the partitions have now."""
        for p in range(self.n_partitions):
            high = self.consumer.get_watermark_offsets(kafka.TopicPartition(self.topic, p), timeout=PATIENCE)[1]
            self.wait(
                lambda: high == 0 or any(m.partition == p and m.offset >= high - 1 for m in reversed(self.messages)),
                f"{self.topic}/{p} read up to {high}",
            )
        with self.moved:
            return list(self.messages)

    def close(self):
        self.over = True
        self.thread.join()
        self.consumer.close()


def _request_id(message):
    return (message.record or {}).get("request_id")


def _origin(message):
    """Where a dead letter stood."""
    h = message.headers
    return h.get("dl_topic"), int(h.get("dl_partition", -1)), int(h.get("dl_offset", -1))


class Upstream:
    """Publishes events and reads answers. Any number of threads may use it."""

    def __init__(self, bootstrap):
        self.bootstrap, self.schemas, self.over = bootstrap, Schemas(), False
        self.producer = kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 0,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
                "message.timeout.ms": 120000,
                "message.max.bytes": 4000000,
                "error_cb": lambda error: None,
            }
        )
        self.poller = threading.Thread(target=self._poll, daemon=True)
        self.poller.start()
        self.answers = Follower(bootstrap, "answers", _request_id)
        self.dead_letters = Follower(bootstrap, "dead-letters", _origin)
        self.n_partitions = self.answers.n_partitions

    def _poll(self):
        while not self.over:
            self.producer.poll(0.05)

    def partition_of(self, pool_id):
        return partition_of(pool_id, self.n_partitions)

    def send(self, topic, partition, key, value, headers=None, on_delivery=None):
        """Bytes, as they are; does not wait."""
        self.producer.produce(
            topic_name(topic), value, key, partition, on_delivery, headers=list((headers or {}).items())
        )

    def put(self, topic, partition, key, value, headers=None):
        """The same, and waits until the broker has it; returns its offset."""
        done, report = threading.Event(), []
        self.send(topic, partition, key, value, headers, lambda *args: (report.extend(args), done.set()))
        if not done.wait(PATIENCE):
            raise AssertionError(f"{topic}: not delivered within {PATIENCE} s")
        if report[0]:
            raise AssertionError(f"{topic}: {report[0]}")
        return report[1].offset()

    def place(self, name, record):
        """Topic, partition and key of an event."""
        topic = TOPIC_OF[name]
        if topic == "catalog":
            kind = "type" if name == "VmTypeDefined" else "pool"
            return topic, 0, f"{kind}/{record['vm_type_id' if kind == 'type' else 'pool_id']}"
        key = {"inventory": "gpu_id", "hosts": "host"}.get(topic, "pool_id")
        return topic, self.partition_of(record["pool_id"]), record[key]

    def publish(self, name, record, headers=None, partition=None):
        topic, place, key = self.place(name, record)
        value = self.schemas.encode(name, record)
        return self.put(topic, place if partition is None else partition, key, value, headers)

    def publish_all(self, events):
        """(name, record) pairs; waits for the last one only after all were sent."""
        for name, record in events:
            topic, partition, key = self.place(name, record)
            self.send(topic, partition, key, self.schemas.encode(name, record))
        assert self.producer.flush(PATIENCE) == 0, "not all events were delivered"

    def ask(self, name, record, headers=None, partition=None, patience=PATIENCE):
        """Publishes a request and returns the next answer to it."""
        request_id = record["request_id"]
        told = self.answers.by_key[request_id]
        before = len(told)
        self.publish(name, record, headers, partition)
        self.answers.wait(lambda: len(told) > before, f"an answer to {name} {request_id}", patience)
        return told[before]

    def request(self, pool_id, vm_id, gpus=(), **fields):
        fields.setdefault("request_id", f"{pool_id}-{vm_id}-{uuid.uuid4()}")
        asks = [{"name": model, "count": count} for model, count in gpus]
        return self.ask("VmRequested", {"pool_id": pool_id, "vm_id": vm_id, "gpus": asks, **fields})

    def release(self, pool_id, vm_id, **fields):
        fields.setdefault("request_id", f"{pool_id}-{vm_id}-{uuid.uuid4()}")
        return self.ask("VmReleased", {"pool_id": pool_id, "vm_id": vm_id, **fields})

    def migration_check(self, pool_id, vm_id, **fields):
        fields.setdefault("request_id", f"{pool_id}-{vm_id}-{uuid.uuid4()}")
        return self.ask("MigrationCheck", {"pool_id": pool_id, "vm_id": vm_id, **fields})

    def report(self, assigned, state, gpus, **fields):
        """What the agent of its host says of an assignment; `gpus`: the state of each GPU, or (state, code)."""
        said = [(gpu, None) if isinstance(gpu, str) else gpu for gpu in gpus]
        record = {name: assigned[name] for name in ("assignment_id", "vm_id", "pool_id", "host")}
        record["gpus"] = [
            {"gpu_id": gpu["gpu_id"], "state": how, "code": code} for gpu, (how, code) in zip(assigned["gpus"], said)
        ]
        self.publish("GpuAttachment", {**record, "state": state, "observed_at": time.time_ns() // 1000, **fields})

    def dead_letter(self, topic, partition, offset, patience=PATIENCE):
        """The dead letter of what stands there."""
        letters = self.dead_letters.by_key[topic_name(topic), partition, offset]
        self.dead_letters.wait(lambda: letters, f"a dead letter of {topic}/{partition}@{offset}", patience)
        return letters[0]

    def close(self):
        self.answers.close()
        self.dead_letters.close()
        self.over = True
        self.poller.join()
        self.producer.flush(5)
