"""The servers and programs of one test file: a real Kafka and Redis (which tests/support/with.sh has started and
will end), schedulers that can be killed, frozen and continued, the gpubus command. What waits, waits for a
condition. When a test fails the ends of all logs are shown."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

import confluent_kafka as kafka

from foreign import PATIENCE, Follower, Upstream, topic_name

SOURCE = Path(__file__).parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", SOURCE / "build/dev"))
BIN, SUPPORT = BUILD / "bin", SOURCE / "tests/support"
DIR = Path(os.environ["TEST_DIR"])
GROUP = "gpubus-scheduler"


def wait_for(condition, what, patience=PATIENCE):
    """The first truthy value of condition()."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: did not happen within {patience} s")
        time.sleep(0.02)  # lint: may sleep (it polls for a condition)
    return value


class Scheduler:
    """One process. Its log stands in DIR/NAME.log; a second start goes on with the same log."""

    def __init__(self, name, environment, options):
        self.name, self.log = name, DIR / f"{name}.log"
        command = [BIN / "gpubus-scheduler", "--name", name, "--log-level", "debug", *options]
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            # However the test ends, the kernel ends its schedulers with it.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log, env=environment
            )

    def said(self):
        with self.log.open(errors="replace") as log:
            log.seek(self.log_start)
            return log.read()

    def owned(self):
        """{shard: epoch} of the shards that it owns, as its log says."""
        phases = {}
        for line in self.said().splitlines():
            words = line.replace('"', " ").split()
            if "->" in words:
                shard = next(int(w[6:]) for w in words if w.startswith("shard="))
                epoch = next(int(w[6:]) for w in words if w.startswith("epoch="))
                phases[shard] = (words[words.index("->") + 1], epoch)
        return {shard: epoch for shard, (phase, epoch) in phases.items() if phase == "OWNING"}

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def terminate(self, patience=PATIENCE):
        """SIGTERM; its exit status."""
        self.process.terminate()
        return self.process.wait(patience)

    def is_running(self):
        return self.process.poll() is None


class Cluster:
    def __init__(self, partitions=6):
        self.bootstrap, self.redis_url = os.environ["KAFKA_BOOTSTRAP"], os.environ["REDIS_URL"]
        self.partitions, self.schedulers, self.shells = partitions, {}, []
        self.environment = {
            **os.environ,
            "GPUBUS_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "GPUBUS_REDIS_URL": self.redis_url,
        }
        result = self.gpubus("topics", "apply", "--partitions", str(partitions))
        assert result.returncode == 0, result.stderr
        self.upstream = Upstream(self.bootstrap)
        self.decisions = Follower(self.bootstrap, "decisions", lambda message: message.partition)

    # ---- schedulers

    def scheduler(self, name="scheduler", *options):
        """Starts one (again)."""
        defaults = ("--host-timeout", "1h", "--session-timeout", "6s", "--delivery-deadline", "4s")
        self.schedulers[name] = Scheduler(name, self.environment, (*defaults, *options))
        return self.schedulers[name]

    def all_owned(self, patience=PATIENCE):
        """Waits until every shard has exactly one owner among the running schedulers."""

        def complete():
            running = [s for s in self.schedulers.values() if s.is_running()]
            dead = [s.name for s in self.schedulers.values() if s.process.poll() not in (None, 0, -signal.SIGKILL)]
            assert not dead, f"ended by themselves: {dead}"
            shards = sorted(shard for s in running for shard in s.owned())
            return shards == list(range(self.partitions))

        wait_for(complete, "every shard owned", patience)

    # ---- the command

    def gpubus(self, *arguments, **options):
        command = [str(BIN / "gpubus"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment, timeout=60, check=False, **options
        )

    def get(self, *arguments):
        result = self.gpubus("get", *arguments, "-o", "json", "--partitions", str(self.partitions))
        # Status 1 and an empty list: there is no such ID, or not yet.
        assert result.returncode == 0 or result.stdout.strip() == "[]", result.stderr
        return json.loads(result.stdout)

    def audit(self):
        """What gpubus audit says: the log is clean, and Redis has caught up with it and is the same."""

        def in_step():
            result = self.gpubus("audit", "-o", "json")
            assert result.returncode == 0, result.stdout + result.stderr
            report = json.loads(result.stdout)
            return {s["redis"]["standing"] for s in report["shards"]} == {"IN STEP"} and report

        report = wait_for(in_step, "Redis in step with the log")
        assert report["clean"] and not report["violations"], report
        return report

    # ---- servers

    def _start_server(self, name, address):
        """Starts one again with the data and on the port that it had. It ends with this test, however that ends."""
        script = f'. "$1/{name}.sh" && PROCESS_DIES_WITH_PARENT=1 && {name}_start "$2" && echo started && read'
        command = ["setpriv", "--pdeathsig", "KILL", "bash", "-c", script, "bash", SUPPORT, DIR]
        shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.shells.append(shell)
        assert shell.stdout.readline() == b"started\n", f"{name} did not start again"
        assert (DIR / address).read_text().strip() in (self.bootstrap, self.redis_url), f"{name} came back elsewhere"

    def redis_stop(self):
        subprocess.run([SUPPORT / "redis.sh", "stop", DIR], check=True)

    def redis_start(self):
        self._start_server("redis", "redis.url")

    def redis_command(self, *words):
        port = self.redis_url.rpartition(":")[2]
        result = subprocess.run(["redis-cli", "-p", port, *words], capture_output=True, text=True, check=True)
        return result.stdout.strip()

    def kafka_kill(self):
        pid, (host, port) = int((DIR / "kafka.pid").read_text()), self.bootstrap.split(":")
        os.kill(pid, signal.SIGKILL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

            def is_free():
                try:
                    return probe.bind((host, int(port))) is None
                except OSError:
                    return False

            wait_for(is_free, "the killed Kafka's port free")

    def kafka_start(self):
        self._start_server("kafka", "kafka.bootstrap")

    # ---- what stands in Kafka

    def uncommitted(self):
        """{partition: (committed, end)} of requests, where the two differ."""
        consumer = kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": GROUP})
        try:
            places = [kafka.TopicPartition(topic_name("requests"), p) for p in range(self.partitions)]
            rest = {}
            for place in consumer.committed(places, timeout=PATIENCE):
                low, high = consumer.get_watermark_offsets(place, timeout=PATIENCE)
                if high > low and place.offset != high:
                    rest[place.partition] = (place.offset, high)
            return rest
        finally:
            consumer.close()

    def close(self):
        for scheduler in self.schedulers.values():
            if scheduler.is_running():
                scheduler.kill()
        self.upstream.close()
        self.decisions.close()


class ClusterTest(unittest.TestCase):
    """Tests of one file share a cluster; each test uses pools of its own."""

    partitions = 6

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.partitions)
        cls.addClassCleanup(cls.cluster.close)
        cls.upstream = cls.cluster.upstream


def _show_logs():
    for log in sorted(set(DIR.glob("*.log")) - {DIR / "kafka.log", DIR / "redis.log"}):  # with.sh shows those
        shutil.copy(log, BUILD / f"e2e-{log.name}")
        lines = [line for line in log.read_text(errors="replace").splitlines() if "level=debug" not in line]
        print(f"--- {log.name}", *lines[-25:], sep="\n", file=sys.stderr)


def main():
    result = unittest.main(exit=False, verbosity=2).result
    if not result.wasSuccessful():
        _show_logs()
        sys.stderr.flush()
    sys.stdout.flush()
    os._exit(0 if result.wasSuccessful() else 1)
