#!/usr/bin/env python3
"""Our codec against fastavro, which shares no code with avro-c: the same fingerprints, the same bytes.

    avro_foreign.py CODEC_PIPE SCHEMAS
"""
import datetime
import functools
import io
import json
import random
import subprocess
import sys
import unittest
from pathlib import Path

import fastavro
from fastavro import schema as fastavro_schema

PIPE, SCHEMAS = sys.argv[1], Path(sys.argv[2])
ROUNDS = 40
SEED = 20261122


class Codec:
    """The C codec behind a pipe."""

    def __init__(self):
        self.process = subprocess.Popen([PIPE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def encode(self, name, record):
        return bytes.fromhex(self.ask(f"encode {name} {json.dumps(record)}"))

    def decode(self, data):
        name, _, text = self.ask(f"decode {data.hex()}").partition(" ")
        return (name, text) if name == "error" else (name, json.loads(text))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


def without_logical_types(schema):
    """fastavro makes datetimes of times, which end in the year 9999: numbers do not."""
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    return schema


@functools.cache
def parsed(text):
    return fastavro.parse_schema(json.loads(text))


@functools.cache
def fingerprint_of(text):
    schema = json.loads(text)
    canonical = fastavro_schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro_schema.fingerprint(canonical, "CRC-64-AVRO"))


def fingerprint(schema):
    """The eight bytes as they stand in a frame."""
    return fingerprint_of(json.dumps(schema))


def framed(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed(json.dumps(schema)), record)
    return b"\xc3\x01" + fingerprint(schema) + out.getvalue()


def unframed(schema, data):
    assert data[:2] == b"\xc3\x01" and data[2:10] == fingerprint(schema), data[:10].hex()
    body = io.BytesIO(data[10:])
    record = fastavro.schemaless_reader(body, parsed(json.dumps(schema)))
    assert body.read() == b"", "bytes behind the record"
    return record


class Sampler:
    """Records made from the schema alone."""

    CHARACTERS = "abc XYZ 019 /:.-\"\\\t\u00e9\u20ac\u4e2d\U0001f5a5\U0010fffd\x01\x7f"

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.named = {}

    def of(self, schema):
        if isinstance(schema, list):
            return self.of(self.random.choice(schema))
        if isinstance(schema, str):
            if schema in self.named:
                return self.of(self.named[schema])
            return getattr(self, "a_" + schema)()
        if schema["type"] == "record":
            self.named[schema["name"]] = schema
            return {field["name"]: self.of(field["type"]) for field in schema["fields"]}
        if schema["type"] == "array":
            return [self.of(schema["items"]) for _ in range(self.random.choice((0, 1, 2, 70)))]
        return self.of(schema["type"])

    def a_null(self):
        return None

    def a_boolean(self):
        return self.random.random() < 0.5

    def a_long(self):
        bits = self.random.choice((1, 6, 7, 13, 14, 31, 32, 62, 63))
        number = self.random.getrandbits(bits)
        # -1 is how our structs say that an optional number is absent.
        return self.random.choice((number, -number - 2 if bits < 63 else -(2**63), 0))

    def a_string(self):
        return "".join(self.random.choices(self.CHARACTERS, k=self.random.choice((0, 1, 7, 8, 9, 40))))


class Foreign(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.codec = Codec()
        cls.schemas = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.avsc")}

    @classmethod
    def tearDownClass(cls):
        assert cls.codec.close() == 0

    def newest(self):
        return {name: schema for name, schema in self.schemas.items() if "@" not in name}

    def test_fingerprints(self):
        ours = {}
        for entry in self.codec.ask("schemas").split(", "):
            name, version, number = entry.split(" ")
            key = name if version == "0" else f"{name}@{version}"
            ours[key] = int(number, 16).to_bytes(8, "little").hex()
        theirs = {name: fingerprint(schema).hex() for name, schema in self.schemas.items()}
        self.assertEqual(ours, theirs)
        self.assertEqual(len(self.newest()), 17)

    def test_bytes_of_any_record(self):
        for name, published in sorted(self.newest().items()):
            schema = without_logical_types(published)
            for number in range(ROUNDS):
                seed = f"{SEED} {name} {number}"
                with self.subTest(seed=seed):
                    record = Sampler(seed).of(schema)
                    data = framed(schema, record)
                    if len(data) > 65536:
                        self.assertEqual(self.codec.decode(data)[0], "error")
                        continue
                    self.assertEqual(self.codec.decode(data), (name, record))
                    ours = self.codec.encode(name, record)
                    self.assertEqual(unframed(schema, ours), record)
                    self.assertEqual(ours.hex(), data.hex())

    def test_what_is_required_is_enough(self):
        """An upstream leaves out what has a default."""
        for name, schema in self.newest().items():
            required = {
                field["name"]: Sampler(name).of(without_logical_types(field["type"]))
                for field in schema["fields"]
                if "default" not in field
            }
            with self.subTest(name=name):
                kind, record = self.codec.decode(framed(without_logical_types(schema), required))
                self.assertEqual(kind, name)
                for field in schema["fields"]:
                    expected = required.get(field["name"], field.get("default"))
                    self.assertEqual(record[field["name"]], expected)

    def test_upstream_s_requests(self):
        """What is required of upstreams is this much and no more: adding to it would break them."""
        required = {
            "VmRequested": {"request_id", "vm_id", "pool_id"},
            "VmReleased": {"request_id", "vm_id", "pool_id"},
            "MigrationCheck": {"request_id", "vm_id", "pool_id"},
            "OperatorCommand": {"request_id", "pool_id", "command", "actor"},
            "VmPoolDefined": {"pool_id"},
            "VmTypeDefined": {"vm_type_id", "pool_id"},
        }
        for name, fields in required.items():
            without_default = {f["name"] for f in self.schemas[name]["fields"] if "default" not in f}
            self.assertEqual(without_default, fields, name)

    def test_times_are_times(self):
        """timestamp-micros: a datetime there is microseconds here, and the other way round."""
        schema = self.schemas["EpochStarted"]
        moment = datetime.datetime(2026, 11, 22, 16, 50, 28, 123456, tzinfo=datetime.timezone.utc)
        micros = round(moment.timestamp() * 1_000_000)
        record = {"shard": 1, "owner": "o", "nonce": "n", "started_at": moment}
        self.assertEqual(self.codec.decode(framed(schema, record))[1]["started_at"], micros)
        for spelling in (micros, "2026-11-22T16:50:28.123456Z"):
            ours = self.codec.encode("EpochStarted", {**record, "started_at": spelling})
            self.assertEqual(unframed(schema, ours)["started_at"], moment)

    def test_truncated_bytes_are_refused(self):
        schema = without_logical_types(self.schemas["GpuAssigned"])
        data = framed(schema, Sampler(SEED).of(schema))
        for length in range(0, len(data), 7):
            self.assertEqual(self.codec.decode(data[:length])[0], "error")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
