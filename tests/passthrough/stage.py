"""What the passthrough tests of gpubus as a whole have: a real Kafka, Redis and gpubus-scheduler beside the emulated host; in
there gpubus-inventory, gpubus-attach and VMs, which the test moves through inside.py; the bus, read and written by a client
that shares no code with gpubus (tests/e2e/foreign.py). Runs on this machine; tests/support/with.sh has started the servers."""
import os
import shutil
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "e2e")]

import fleet  # noqa: E402
from cluster import BIN, BUILD, DIR, Cluster, wait_for  # noqa: E402
from foreign import Follower  # noqa: E402
from replay import Log, owners_by_answers  # noqa: E402
from host import BOOT_SECONDS, Host  # noqa: E402
from vmhost import PATIENCE, ROLES, Table  # noqa: E402

POOL, PARTITIONS = "1", 3
MMIO_OFFSET = 0x4000  # where the guest writes
# The native driver of most GPUs in there; they may be taken from it.
NATIVE = "bochs-drm"


class Tale:
    """What the answers tell of one VM, one after the other."""

    def __init__(self, answers, vm_id):
        self.answers, self.vm_id, self.position = answers, vm_id, 0

    def next(self, what, condition, patience=PATIENCE):
        """The record of the next answer for which the condition holds; what came before is past."""

        def look():
            for number in range(self.position, len(self.answers.messages)):
                message = self.answers.messages[number]
                record = message.record or {}
                if record.get("vm_id") == self.vm_id and condition(message.name, record):
                    self.position = number + 1
                    return record
            return None

        try:
            return self.answers.wait(look, f"{self.vm_id}: {what}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; told: {self.told()}") from None

    def told(self):
        return [
            (m.name, *(m.record.get(k) for k in ("state", "attach_state", "attach_code", "code", "reason")))
            for m in self.answers.messages
            if m.record and m.record.get("vm_id") == self.vm_id
        ]

    def attach(self, state, code=None):
        return self.next(
            f"{state} {code or ''}",
            lambda name, r: name == "GpuAssigned" and (r["attach_state"], r["attach_code"]) == (state, code),
        )

    def released(self, code="RELEASED"):
        """The end of an assignment."""
        record = self.next("GpuReleased", lambda name, _: name == "GpuReleased")
        assert record["code"] == code, record
        return record


class Stage:
    """`step_deadline`: a call to a hypervisor gets half of it."""

    def __init__(self, name, limit, append="", step_deadline="12s"):
        self.name, self.limit, self.step_deadline = name, limit, step_deadline
        self.begin, self.said = time.monotonic(), []
        self.table = Table(widths=(60, 44, 44), keep=BUILD / f"passthrough/{name}.table")
        self.host = Host("vm", limit, append)
        self.cluster = Cluster(PARTITIONS)
        self.cluster.scheduler()
        self.upstream = self.cluster.upstream
        self.inventory = Follower(self.cluster.bootstrap, "inventory", lambda message: message.key.decode())
        self.seen = Follower(self.cluster.bootstrap, "hosts", lambda message: message.key.decode())
        self.devices = self.units = None

    # ---- the host

    def start_host(self, *modules, state_dir="/tmp"):
        """Its devices with their drivers, its inventory and agent; waits until all GPUs are announced and the agent acts."""
        self.host.wait_until_up()
        if modules:
            self.host.load(*modules)
        self.devices = self.host.devices()
        already = len(self.log("agent"))
        self.start_inventory(self.host, state_dir)
        self.start_agent(self.host, state_dir)
        self.cluster.all_owned()
        gpus = wait_for(lambda: len(rows := self.cluster.get("gpus")) >= 9 and rows, "GPUs announced", BOOT_SECONDS)
        by_address = {row["pci_address"]: row for row in gpus}
        self.units = {
            role: by_address[device["address"]]["functions"]
            for role, device in self.devices.items() if device["address"] in by_address
        }  # fmt: skip
        wait_for(lambda: [h for h in self.cluster.get("hosts") if h["state"] == "READY"], "the host is ready")
        wait_for(lambda: "acting" in self.log("agent")[already:], "the agent acts", BOOT_SECONDS)
        return gpus

    def _start(self, host, name, program, *options):
        vm_bootstrap = os.environ["KAFKA_BOOTSTRAP_VM"]
        common = ("--pool", POOL, "--host", host.name, "--log-level", "debug")
        host.start(name, program, *common, *options, GPUBUS_KAFKA_BOOTSTRAP_SERVERS=vm_bootstrap)

    def start_inventory(self, host, state_dir="/tmp"):
        self._start(host, "inventory", "gpubus-inventory", "--state-dir", f"{state_dir}/inventory", "--heartbeat", "5s",
                    "--passthrough-drivers", NATIVE)

    def start_agent(self, host, state_dir="/tmp"):
        self._start(host, "agent", "gpubus-attach", "--state-dir", f"{state_dir}/attach", "--hypervisor", "qmp",
                    "--target", "/tmp/{vm}.qmp", "--look-every", "1s", "--step-deadline", self.step_deadline)

    def log(self, program, host=None):
        log = (host or self.host).dir / f"{program}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def address(self, role):
        return self.devices[role]["address"]

    def gpu_id(self, role):
        return f"vm/{self.address(role)}"

    def unit_drivers(self, role):
        return " ".join(driver or "-" for driver in self.host.drivers(*self.units[role]))

    # ---- the bus

    def define_pool(self, **policies):
        self.upstream.publish("VmPoolDefined", {"pool_id": POOL, "attach": "agent", **policies})
        if policies and self.units:  # another topic than requests, so who comes first has to be looked at
            wait_for(lambda: policies.items() <= self.cluster.get("pools", POOL)[0].items(), f"the pool has {policies}")

    def operate(self, command, **fields):
        record = {"request_id": str(uuid.uuid4()), "pool_id": POOL, "command": command, "reason": "a test", "actor": "test"}
        return self.upstream.ask("OperatorCommand", {**record, **fields})

    @contextmanager
    def only(self, *roles):
        """A request names a model. So that it gets these GPUs, their like are in quarantine for a moment."""
        kept_back = [
            gpu for gpu, device in self.devices.items()
            if gpu in self.units and gpu not in roles and device["id"] == self.devices[roles[0]]["id"]
            and self.operate("QUARANTINE_GPU", gpu_id=self.gpu_id(gpu)).name == "GpuMarked"
        ]  # fmt: skip
        try:
            yield
        finally:
            for gpu in kept_back:
                self.operate("RETURN_GPU", gpu_id=self.gpu_id(gpu))

    def tale(self, vm_id):
        return Tale(self.upstream.answers, vm_id)

    def ask_for(self, vm_id, *roles, **fields):
        """Grants these GPUs, which are of one model; returns the VM's tale after the grant."""
        tale = self.tale(vm_id)
        tale.position = len(self.upstream.answers.messages)
        with self.only(*roles):
            answer = self.upstream.request(POOL, vm_id, [(self.devices[roles[0]]["id"], len(roles))], **fields)
        assert answer.name == "GpuAssigned", answer.record
        granted = sorted(gpu["functions"] for gpu in answer.record["gpus"])
        assert granted == sorted(self.units[role] for role in roles), granted
        return tale

    def release(self, vm_id, **fields):
        """Begins it."""
        record = {"request_id": f"release-{vm_id}-{uuid.uuid4()}", "pool_id": POOL, "vm_id": vm_id}
        self.upstream.publish("VmReleased", {**record, **fields})

    def shown(self, role, **wanted):
        """What `gpubus get gpus` has of it, once it is as wanted (Redis may stand a moment behind the log)."""
        row = {}

        def look():
            row.update(self.cluster.get("gpus", self.gpu_id(role))[0])
            return all(row[name] == value for name, value in wanted.items())

        try:
            wait_for(look, "gpubus get")
        except AssertionError:
            raise AssertionError(f"{role}: wanted {wanted}, gpubus get has {row}") from None
        return row

    def shown_free(self, role):
        row = self.shown(role, vm_id=None, quarantine=None)
        assert row["state"] == "AVAILABLE", row
        return row

    # ---- scenarios

    def say(self, *sentences):
        """Shown below the line of the scenario: what gpubus says about it."""
        self.said += [s for s in sentences if s]

    def scenario(self, name, expected, act, essential=False):
        """`essential`: without it nothing else can be tried."""
        failed = self.table.failed
        self.table.check(name, expected, act)
        for sentence in self.said:
            self.table.note(sentence)
        self.said = []
        if essential and self.table.failed > failed:
            self.end()

    def guest_uses(self, vm_id, role):
        """The guest has written to BAR0, and the host sees the same."""
        _, written = self.host.vm_wait(vm_id, r"MMIO \S+ wrote (\w+) read \1 OK")
        seen = self.host.read_bar0(self.address(role), MMIO_OFFSET)
        assert int(written, 16) == seen, f"the guest wrote {written}, the host sees {seen:08x}"

    def check_log(self):
        """gpubus audit, and an independent replay: each request has one outcome, no function had two owners."""
        report = self.cluster.audit()
        with ThreadPoolExecutor() as readers:  # each waits for Kafka
            decisions, answers, dead_letters = readers.map(
                Follower.read_to_end, (self.cluster.decisions, self.upstream.answers, self.upstream.dead_letters)
            )
        log = Log(decisions)
        log.check_answers(answers)
        problems = log.problems + owners_by_answers(answers).problems
        assert not problems, problems
        assert not dead_letters, "there are dead letters"
        held = sorted(vm for owners in log.owners.values() for vm in owners.gpus_of(POOL))
        self.say(f"{len(log.outcomes)} requests, one outcome each; audit: clean; still held: {', '.join(held) or 'nothing'}")
        return "clean" if report["clean"] else "violations"

    def finish(self):
        self.scenario("the log: gpubus audit, and a replay of our own", "clean", self.check_log)
        self.end()

    def end(self):
        self.table.note(f"{time.monotonic() - self.begin:.1f} s in all, with the boot of the host and the start of services")
        self.host.power_off()
        self.cluster.close()
        failed = self.table.failed
        if failed:
            self.show_logs()
        print(f"{failed} not as expected" if failed else "all as expected", flush=True)
        sys.stdout.flush()
        os._exit(1 if failed else 0)  # readers of Kafka have threads

    def show_logs(self):
        for log in sorted([*self.host.dir.glob("*.log"), self.host.dir / "output", *DIR.glob("scheduler*.log")]):
            shutil.copy(log, BUILD / f"passthrough/{self.name}-{log.name}")
            lines = [line for line in log.read_text(errors="replace").splitlines() if "level=debug" not in line]
            print(f"--- {log}", *lines[-40:], sep="\n", file=sys.stderr)
        sys.stderr.flush()


__all__ = ["BIN", "Follower", "MMIO_OFFSET", "NATIVE", "PATIENCE", "POOL", "ROLES", "Host", "Stage", "Tale", "fleet", "wait_for"]
