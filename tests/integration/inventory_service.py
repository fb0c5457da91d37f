"""gpubus-inventory on a real Kafka: what it publishes at start, on change, when a GPU disappears, and when
its host is moved to another pool. Waits for records, never for time."""

import glob
import io
import json
import os
import shutil
import signal
import subprocess
import time

import fastavro
from confluent_kafka import Consumer, TopicPartition

BIN = os.path.join(os.environ["BUILD_DIR"], "bin")
DIR = os.environ["TEST_DIR"]
BOOTSTRAP = os.environ["KAFKA_BOOTSTRAP"]
INVENTORY, HOSTS = "gpubus.inventory.v1", "gpubus.hosts.v1"
DEADLINE_S = 60


def load_schemas():
    schemas = {}
    for path in glob.glob(os.path.join(os.environ["SOURCE_DIR"], "schemas", "*.avsc")):
        if "@" in path:
            continue  # an older version
        with open(path, encoding="utf-8") as file:
            schema = json.load(file)
        schemas[schema["name"]] = fastavro.parse_schema(schema)
    return schemas


SCHEMAS = load_schemas()


class Message:
    def __init__(self, raw):
        self.topic, self.partition, self.key = raw.topic(), raw.partition(), raw.key().decode()
        self.headers = {name: value.decode() for name, value in raw.headers() or []}
        self.value = None
        if raw.value() is not None:
            assert raw.value()[:2] == b"\xc3\x01", raw.value()
            schema = SCHEMAS[self.headers["ce_type"].removeprefix("gpubus.")]
            self.value = fastavro.schemaless_reader(io.BytesIO(raw.value()[10:]), schema)

    def __repr__(self):
        return f"{self.topic}/{self.partition} {self.key} {self.headers} {self.value}"


class Reader:
    """Reads both topics from their beginning; `seen` has everything so far."""

    def __init__(self):
        self.consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "test"})
        self.seen = []
        partitions = []
        for topic in (INVENTORY, HOSTS):
            metadata = self.consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic]
            partitions += [TopicPartition(topic, p, 0) for p in metadata.partitions]
        self.consumer.assign(partitions)

    def wait(self, what, condition):
        """The first message from here on for which the condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            raw = self.consumer.poll(0.5)
            if raw is None:
                continue
            assert not raw.error(), raw.error()
            message = Message(raw)
            self.seen.append(message)
            if condition(message):
                return message
        raise AssertionError(f"no {what} in {DEADLINE_S} s; seen: {self.seen}")

    def wait_state(self, gpu_id, state):
        return self.wait(f"{gpu_id} {state}",
                         lambda m: m.key == gpu_id and m.value and m.value["state"] == state)


def run(*args, status=0, **options):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE_S, **options)
    assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}"
    return done.stdout


def inventory(*args):
    return [f"{BIN}/gpubus-inventory", "--bootstrap", BOOTSTRAP, *args]


class Service:
    def __init__(self, *args):
        self.log = open(os.path.join(DIR, "inventory.log"), "a", encoding="utf-8")
        self.process = subprocess.Popen(inventory(*args), stderr=self.log)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_S) == 0
        self.log.close()


def hostgen(name, description):
    directory = os.path.join(DIR, name)
    run(f"{BIN}/gpubus-hostgen", "--output", directory, input=description)
    return directory


def device(tree, address):
    return os.path.realpath(os.path.join(tree, "bus/pci/devices", address))


def test_many_hosts_once(reader):
    hosts = hostgen("hosts", "host h count=20 pool=1 cores=32 ram-gb=256\n"
                             "gpu 10de:1bb3 count=2 audio driver=vfio-pci numa=0\n"
                             "host other pool=other\ngpu 10de:15f8 driver=nvidia\n")
    run(*inventory("--hosts-dir", hosts, "--state-dir", f"{DIR}/state-many", "--once"))
    wanted = {f"h{i}" for i in range(1, 21)} | {"other"}
    wanted |= {f"h{i}/0000:0{bus}:00.0" for i in range(1, 21) for bus in (1, 2)} | {"other/0000:01:00.0"}
    while wanted:
        message = reader.wait(f"{len(wanted)} more", lambda m: True)
        wanted.remove(message.key)  # each once

    gpu = next(m for m in reader.seen if m.key == "h7/0000:02:00.0")
    assert gpu.topic == INVENTORY and gpu.value["model"] == "GP104GL [Tesla P4]", gpu
    assert gpu.value["state"] == "AVAILABLE" and gpu.value["reason"] is None, gpu
    assert gpu.value["functions"] == ["0000:02:00.0", "0000:02:00.1"], gpu
    assert gpu.value["pool_id"] == "1" and gpu.value["boot_id"] == "h7-boot-1", gpu
    assert gpu.headers["ce_specversion"] == "1.0" and gpu.headers["ce_id"], gpu
    assert gpu.headers["ce_source"] == "/inventory/h7", gpu
    host = next(m for m in reader.seen if m.key == "h7")
    assert host.topic == HOSTS and host.value["gpu_count"] == 2, host
    assert (host.value["cpu_cores"], host.value["ram_gb"]) == (32, 256), host
    assert host.value["iommu"] and host.value["vfio"] and host.value["interrupt_remapping"], host
    # One pool, one partition, whatever the key. murmur2("1") mod 12 and murmur2("other") mod 12, as Java has it.
    partitions = {m.value["pool_id"]: set() for m in reader.seen}
    for message in reader.seen:
        partitions[message.value["pool_id"]].add(message.partition)
    assert all(len(p) == 1 for p in partitions.values()), partitions


def rebind(tree, address, driver):
    link = os.path.join(device(tree, address), "driver")
    os.remove(link)
    os.symlink(f"/bus/pci/drivers/{driver}", link)


def test_changes(reader):
    tree = hostgen("changing", "host c pool=1\ngpu 10de:1bb3 count=2 driver=vfio-pci\n") + "/c/sys"
    first, second = "0000:01:00.0", "0000:02:00.0"
    args = ["--host", "c", "--pool", "1", "--sysfs", tree, "--state-dir", f"{DIR}/state-c",
            "--rescan", "100ms", "--heartbeat", "100ms"]
    service = Service(*args)
    reader.wait_state(f"c/{first}", "AVAILABLE")
    reader.wait_state(f"c/{second}", "AVAILABLE")
    for _ in range(3):
        reader.wait("heartbeat", lambda m: m.key == "c" and m.value["gpu_count"] == 2)

    rebind(tree, first, "nvidia")
    changed = reader.wait_state(f"c/{first}", "IN_USE_BY_HOST")
    assert changed.value["driver"] == "nvidia" and "bind it to vfio-pci" in changed.value["reason"], changed

    hidden = os.path.join(DIR, "hidden")
    listed = os.path.join(tree, "bus/pci/devices", second)
    os.rename(listed, hidden)
    gone = reader.wait_state(f"c/{second}", "UNREADABLE")
    assert "gone since" in gone.value["reason"] and gone.value["model"] == "GP104GL [Tesla P4]", gone
    os.rename(hidden, listed)
    reader.wait_state(f"c/{second}", "AVAILABLE")
    service.stop()

    # The driver that holds the first one is one that GPUs may be taken from.
    service = Service(*args, "--passthrough-drivers", "nouveau,nvidia")
    given = reader.wait_state(f"c/{first}", "AVAILABLE")
    assert given.value["driver"] == "nvidia", given
    service.stop()

    # What disappears while nobody looks is missed too.
    os.rename(listed, hidden)
    service = Service(*args)
    gone = reader.wait_state(f"c/{second}", "UNREADABLE")
    assert "gone since" in gone.value["reason"], gone
    said = run(*inventory(*args), status=1)
    assert "another process has this state directory" in said, said
    service.stop()
    os.rename(hidden, listed)
    assert all(m.value is not None for m in reader.seen), "absence is not evidence: no tombstone"
    return args


def test_move_to_another_pool(reader, args):
    moved = [{"1": "2"}.get(arg, arg) for arg in args] + ["--once"]
    said = run(*inventory(*moved), status=1)
    assert "host c belongs to pool 1" in said and "--move-pool" in said, said
    old = next(m.partition for m in reader.seen if m.key == "c")

    run(*inventory(*moved, "--move-pool"))
    arrived = reader.wait("c in pool 2", lambda m: m.key == "c" and m.value["pool_id"] == "2")
    assert arrived.partition != old
    tombstones = {m.key for m in reader.seen if m.value is None and m.partition == old}
    while len(tombstones) < 2:
        tombstones.add(reader.wait("tombstone", lambda m: m.value is None and m.partition == old).key)
    assert tombstones == {"c/0000:01:00.0", "c/0000:02:00.0"}, tombstones
    # Once it has moved it stays, without being told so again; and pool 1 refuses nothing of it any more.
    run(*inventory(*moved))


def test_bad_starts():
    empty = os.path.join(DIR, "empty")
    os.mkdir(empty)
    state = ["--state-dir", f"{DIR}/state-bad", "--once"]
    said = run(*inventory("--pool", "1", "--sysfs", empty, *state), status=1)
    assert "has no bus/pci/devices" in said, said
    said = run(*inventory(*state), status=2)
    assert "--pool is missing" in said, said
    said = run(*inventory("--hosts-dir", empty, *state), status=1)
    assert "has no HOST/sys/bus/pci/devices" in said, said
    shutil.rmtree(empty)


def main():
    run(f"{BIN}/gpubus", "topics", "apply", "--bootstrap", BOOTSTRAP)
    reader = Reader()
    test_many_hosts_once(reader)
    args = test_changes(reader)
    test_move_to_another_pool(reader, args)
    test_bad_starts()


main()
