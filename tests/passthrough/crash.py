"""The agent dies at each of its crash points (gpubus-attach-step --crash-points, attach/crash_points.h), while a VM gets a
GPU of two functions and while it gives it back, on a real kernel; the next agent makes it good. Some die by a SIGKILL at any
moment, some leave no state directory behind. At each end the GPU is its VM's, which writes to it, or free, reset and with
the drivers that it had: as the log says, the kernel, QEMU and the reports. The matrix is printed."""
import os
import random
import re
import signal
import time
from itertools import zip_longest
from pathlib import Path

from stage import NATIVE, POOL, Follower, Stage, wait_for

ROLE, VM, STATE_DIR = "two_function", "vm-1", "/tmp/attach"
SHELL_POINTS = re.findall(r'X\("(agent-[a-z-]+)"',
                          (Path(os.environ["SOURCE_DIR"]) / "services/attach/crash_points.h").read_text())
PHASES = {"bind": "attach", "plug": "attach", "unplug": "detach", "clean": "detach", "give": "detach"}
FAILING_BIND = "bind-one-put-back"  # only a bind that fails passes it
IN_A_FAILING_BIND = (FAILING_BIND, "give-back-unbound")
# (of an attach, of a detach)
STATE_LOST = (("bind-function-bound", "give-back-unbound"), ("plug-after", "unplug-after"))
KILLS, STEPS_OF_A_PHASE, STEP_SECONDS = 1, 4, 0.3

stage = Stage("crash", limit=400)
host, reports = stage.host, None


class Armed:
    """The host, as one whose programs die at a crash point."""

    def __init__(self, point):
        self.name, self.point = host.name, point

    def start(self, *command, **environment):
        return host.start(*command, **environment, **({"GPUBUS_CRASH_AT": self.point} if self.point else {}))


class Life:
    """Of the one GPU: it goes to the VM and comes back, and again."""

    def __init__(self):
        self.armed = None  # the crash point of the agent that runs
        self.tale = None

    # ---- agents

    def start_agent(self, point=None):
        stage.start_agent(Armed(point))
        self.armed = point

    def kill_agent(self):
        host.stop("agent", signal.SIGKILL)
        self.armed = None

    def die(self, begin, point):
        """An agent dies at this point of what begin() begins; None: at any moment. Returns how the host is then."""
        if point and self.armed != point:
            self.kill_agent()
            begin()  # before that agent looks: its first step is of this
            self.start_agent(point)
        else:
            begin()
        if point:
            status = host.stop("agent", 0)  # waits for its end
            assert status == -signal.SIGKILL, f"the agent ended with status {status}, not by a crash point"
        else:
            self.run_for_a_while()
            self.kill_agent()
        plugged = host.vm_has(VM)
        assert set(plugged) <= set(stage.units[ROLE]) and len(plugged) <= 2, f"vm-1 has {plugged}"
        return f"{stage.unit_drivers(ROLE)}, {len(plugged)} in the VM"

    def run_for_a_while(self):
        def steps():
            return len(re.findall(r"step=\S+ unit=\S+ pid=", stage.log("agent")))

        enough = steps() + random.randrange(STEPS_OF_A_PHASE)
        wait_for(lambda: steps() >= enough, "the agent's steps")
        time.sleep(random.uniform(0, STEP_SECONDS))  # lint: may sleep (until a moment that nobody has chosen)

    # ---- what happens to the GPU

    def request(self):
        self.tale = stage.tale(VM)
        self.tale.position = len(stage.upstream.answers.messages)
        answer = stage.upstream.request(POOL, VM, [(stage.devices[ROLE]["id"], 1)])
        assert answer.name == "GpuAssigned" and answer.record["gpus"][0]["functions"] == stage.units[ROLE], answer.record

    def release(self):
        self.tale.position = len(stage.upstream.answers.messages)
        stage.release(VM)

    def is_attached(self):
        record = self.tale.attach("ATTACHED")
        stage.guest_uses(VM, ROLE)
        assert host.vm_has(VM) == stage.units[ROLE], f"the VM has {host.vm_has(VM)}"
        assert stage.unit_drivers(ROLE) == "vfio-pci vfio-pci", stage.unit_drivers(ROLE)
        row = stage.shown(ROLE, vm_id=VM, attach_state="ATTACHED", attach_code=None)
        assert row["assignment_state"] == "ASSIGNED", row
        self.reported(record, "ATTACHED", "ATTACHED")
        return "ATTACHED, the guest uses it"

    def is_free(self):
        record = self.tale.released()
        assert record["quarantined"] == [], record["quarantined"]
        assert host.vm_has(VM) == [], f"the VM has {host.vm_has(VM)}"
        assert stage.unit_drivers(ROLE) == f"{NATIVE} -", stage.unit_drivers(ROLE)
        overrides = host.overrides(*stage.units[ROLE])
        assert overrides == [None, None], overrides
        stage.shown_free(ROLE)
        self.reported(record, "DETACHED", "CLEAN")
        return "free: DETACHED, CLEAN"

    def reported(self, record, state, gpu):
        """The newest word of an agent about it."""
        words = reports.by_key[record["assignment_id"]]

        def newest():
            return words and (words[-1].record["state"], [g["state"] for g in words[-1].record["gpus"]])

        reports.wait(lambda: newest() == (state, [gpu]), f"{state} {gpu} reported, not {newest()}")

    # ---- rows of the matrix

    def attach(self, point=None, then=None, between=None):
        self.row("attach", point, self.request, self.is_attached, then, between)

    def detach(self, point=None, then=None, between=None):
        self.row("detach", point, self.release, self.is_free, then, between)

    def row(self, phase, point, begin, end, then=None, between=None):
        """`then`: where the agent that makes it good dies later; `between`: done while there is none."""
        since, died, seen, wrong = time.monotonic(), "", "", ""
        try:
            died = self.die(begin, point)
            if between:
                between()
            self.start_agent(then)
            seen = end()
        except Exception as error:  # pylint: disable=broad-except
            seen, wrong = f"{type(error).__name__}: {error}", "  WRONG"
        name = (point or "SIGKILL at any moment") + (", state lost" if between is lose_the_state else "")
        line(name, phase, died, seen, f"{time.monotonic() - since:.1f}{wrong}")
        if wrong:  # what is the GPU like now?
            stage.table.failed += 1
            stage.end()


def line(*cells):
    stage.table.note(" ".join(f"{cell:<{width}}" for cell, width in zip(cells, (39, 12, 32, 31, 0))))


def step_points():
    status, said, complaint = host.run("gpubus-attach-step", "--crash-points")
    assert status == 0, complaint
    points = {"attach": [], "detach": []}
    for point in said.split():
        if point != FAILING_BIND:
            points[PHASES[point.partition("-")[0]]].append(point)
    return points


def crash_at_each_point(life):
    """A point of an attach and one of a detach in every cycle; those of the agent itself are in both. It passes them whatever
    it does: so the agent that makes something good has none of them."""
    points = step_points()
    cycles = list(zip_longest(*(points[phase] + SHELL_POINTS for phase in ("attach", "detach"))))
    for n, (attach, detach) in enumerate(cycles):
        following = cycles[n + 1][0] if n + 1 < len(cycles) else None
        life.attach(attach, then=None if detach in SHELL_POINTS else detach)
        life.detach(detach, then=None if following in SHELL_POINTS else following)


def crash_in_a_bind_that_fails(life, point):
    """The second function's driver_override cannot be read, as long as this agent lives."""
    override = f"/sys/bus/pci/devices/{stage.units[ROLE][1]}/driver_override"
    assert host.run("/bin/mount", "--bind", "/dev/null", os.path.realpath(override))[0] == 0
    life.row("failing bind", point, life.request, life.is_attached, between=lambda: host.uncover(override))
    life.detach()


def lose_the_state():
    assert host.run("/bin/rm", "-r", STATE_DIR)[0] == 0


def main():
    global reports
    stage.define_pool(after_release="give-back", on_attach_failure="end")
    host.wait_until_up()
    host.vm_start(VM)
    stage.start_host("bochs", "vfio-pci", "vfio_iommu_type1")
    host.stop("inventory")  # it scans when a driver changes: time that nobody here needs
    host.vm_wait(VM, "^UP")
    reports = Follower(stage.cluster.bootstrap, "attachments", lambda m: (m.record or {}).get("assignment_id"))
    line("THE AGENT DIES AT", "PHASE", "THE HOST THEN", "END", "SECONDS")
    life = Life()
    with stage.only(ROLE):
        crash_at_each_point(life)
        for point in IN_A_FAILING_BIND:
            crash_in_a_bind_that_fails(life, point)
        for attach, detach in STATE_LOST:
            life.attach(attach, between=lose_the_state)
            life.detach(detach, between=lose_the_state)
        for _ in range(KILLS):
            life.attach()
            life.detach()
    stage.finish()


main()
