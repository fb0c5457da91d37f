"""gpubus-attach is killed at each crash point of its shell, while it attaches and while it detaches. The
next agent ends what was begun: the GPU is in its VM, or clean and nobody's."""
import os
import re
import time
from pathlib import Path

from played import Bus, Host, apply_topics

POINTS = re.findall(r'X\("(agent-[a-z-]+)"',
                    (Path(os.environ["SOURCE_DIR"]) / "services/attach/crash_points.h").read_text())


def row(point, phase, seen, since):
    print(f"{point:<24} {phase:<10} {seen:<18} {time.monotonic() - since:6.1f} s", flush=True)


def attach(bus, host, point):
    since = time.monotonic()
    assigned = host.assignment("vm", 1)
    bus.decide("GpuAssigned", assigned)
    host.agent(environment={"GPUBUS_CRASH_AT": point}).wait_killed()
    agent = host.agent()
    report = bus.wait_report(assigned, "ATTACHED")
    agent.stop()
    row(point, "attach", report.record["gpus"][0]["state"], since)
    return assigned


def detach(bus, host, point, assigned):
    since = time.monotonic()
    # It stands in the log before the agent starts: so the first step, and the first report, are of it.
    bus.decide("GpuAssigned", {**assigned, "state": "RELEASING", "release_request_id": "d"})
    host.agent(environment={"GPUBUS_CRASH_AT": point}).wait_killed()
    agent = host.agent()
    report = bus.wait_report(assigned, "DETACHED")
    agent.stop()
    row(point, "detach", report.record["gpus"][0]["state"], since)
    assert report.record["gpus"][0]["state"] == "CLEAN", report
    assert '"life": null' in (host.dir / "units" / "0000:01:00.0").read_text()


def main():
    apply_topics()
    bus = Bus()
    assert len(POINTS) >= 7, POINTS
    print(f"{'crash point':<24} {'while':<10} {'in the end':<18} {'took':>8}")
    for point in POINTS:
        host = Host(point, f"pool-{point}")
        bus.start_epoch(host.pool)
        host.start_vm("vm")
        detach(bus, host, point, attach(bus, host, point))


main()
