"""An agent on a played host, the decisions that it follows and the reports that it makes."""
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import confluent_kafka as kafka

sys.path.insert(0, str(Path(os.environ["SOURCE_DIR"]) / "tests" / "e2e"))
import foreign  # noqa: E402

BIN = Path(os.environ["BUILD_DIR"]) / "bin"
DIR = Path(os.environ["TEST_DIR"])
BOOTSTRAP = os.environ["KAFKA_BOOTSTRAP"]
PLAY = Path(__file__).with_name("play_step.py")
PATIENCE = 30


def now_us():
    return time.time_ns() // 1000


def apply_topics():
    subprocess.run([BIN / "gpubus", "topics", "apply", "--bootstrap", BOOTSTRAP], check=True,
                   stdout=subprocess.DEVNULL)


class Process:
    """A program; its standard error is read line by line."""

    def __init__(self, args, environment=None):
        self.lines, self.moved = [], threading.Condition()
        dies_with_test = ["setpriv", "--pdeathsig", "KILL"]
        self.process = subprocess.Popen([*dies_with_test, *map(str, args)], stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stderr:
            with self.moved:
                self.lines.append(line.rstrip("\n"))
                self.moved.notify_all()

    def text(self):
        with self.moved:
            return "\n".join(self.lines)

    def wait_line(self, *words, after=0):
        """The number behind the first line from `after` on that has all the words."""

        def found():
            return next((i + 1 for i, line in enumerate(self.lines)
                         if i >= after and all(word in line for word in words)), None)

        with self.moved:
            if not self.moved.wait_for(found, PATIENCE):
                raise AssertionError(f"no line with {words}:\n" + "\n".join(self.lines))
            return found()

    def wait_end(self, status):
        ended = self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        assert ended == status, f"ended with {ended}, not {status}:\n{self.text()}"
        return self.text()

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def wait_killed(self):
        return self.wait_end(-signal.SIGKILL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end(0)


class Host:
    """A directory that plays a host; `pool` may have others."""

    def __init__(self, name, pool):
        self.name, self.pool = name, pool
        self.dir = DIR / f"host-{name}"
        self.sysfs = self.dir / "sys"
        for part in ("units", "vms", "faults", "sys/bus/pci", "state"):
            (self.dir / part).mkdir(parents=True)

    def agent(self, *args, state="state", environment=None, pool=None):
        return Process([BIN / "gpubus-attach", "--bootstrap", BOOTSTRAP, "--pool", pool or self.pool,
                        "--host", self.name, "--state-dir", self.dir / state, "--sysfs", self.sysfs,
                        "--hypervisor", "qmp", "--step-program", PLAY, "--look-every", "100ms",
                        "--boot-id", "boot-1", "--log-level", "debug", *args],
                       {"PLAY_HOST": str(self.dir), **(environment or {})})

    def start_vm(self, vm_id):
        (self.dir / "vms" / vm_id).write_text(uuid.uuid4().hex)

    def stop_vm(self, vm_id):
        (self.dir / "vms" / vm_id).unlink()

    def break_step(self, verb, fault):
        path = self.dir / "faults" / verb
        fresh = path.with_suffix(".new")
        fresh.write_text(fault)
        fresh.rename(path)

    def mend_step(self, verb):
        (self.dir / "faults" / verb).unlink()

    def assignment(self, vm_id, bus, **fields):
        address = f"0000:{bus:02x}:00.0"
        gpu = {"gpu_id": f"{self.name}/{address}", "name": "GP104GL [Tesla P4]",
               "vendor": "NVIDIA Corporation", "device": "10de:1bb3", "pci_address": address,
               "functions": [address, f"0000:{bus:02x}:00.1"]}
        return {"assignment_id": f"r-{vm_id}/1", "request_id": f"r-{vm_id}", "vm_id": vm_id,
                "pool_id": self.pool, "host": self.name, "state": "ASSIGNED", "gpus": [gpu],
                "decided_at": now_us(), **fields}


class Bus:
    """Writes decisions as a scheduler does, and as one must not; reads reports."""

    def __init__(self):
        self.schemas = foreign.Schemas()
        self.producer = kafka.Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True,
                                        "linger.ms": 0})
        self.reports = foreign.Follower(BOOTSTRAP, "attachments",
                                        lambda m: (m.record or {}).get("assignment_id"))
        self.n_partitions = self.reports.n_partitions
        self.epochs = {}

    def partition_of(self, pool):
        return foreign.partition_of(pool, self.n_partitions)

    def put(self, pool, value, headers):
        done = []
        self.producer.produce("gpubus.decisions.v1", value, pool, self.partition_of(pool),
                              lambda error, message: done.append((error, message)),
                              headers=list(headers.items()))
        assert self.producer.flush(PATIENCE) == 0 and done[0][0] is None, done
        return done[0][1].offset()

    def start_epoch(self, pool):
        record = {"shard": self.partition_of(pool), "owner": "test", "nonce": uuid.uuid4().hex,
                  "started_at": now_us()}
        value = self.schemas.encode("EpochStarted", record)
        self.epochs[pool] = self.put(pool, value, {"ce_type": "gpubus.EpochStarted"})
        return self.epochs[pool]

    def decide(self, name, record, epoch=None):
        pool = record["pool_id"]
        epoch = self.epochs[pool] if epoch is None else epoch
        return self.put(pool, self.schemas.encode(name, record),
                        {"ce_type": f"gpubus.{name}", "ce_epoch": str(epoch)})

    def wait_report(self, assignment, state, code=None, after=0):
        """The first report about it behind the first `after` ones that says this."""
        told = self.reports.by_key[assignment["assignment_id"]]

        def found():
            return next((m for m in told[after:]
                         if m.record["state"] == state and m.record["code"] == code), None)

        try:
            return self.reports.wait(found, f"{assignment['assignment_id']} {state} {code}", PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}; told: {[m.record for m in told]}") from error

    def n_reports(self, assignment):
        return len(self.reports.by_key[assignment["assignment_id"]])
