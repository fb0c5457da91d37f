"""gpubus-attach is killed at each crash point of its shell, while it attaches and while it detaches. The
next agent ends what was begun: the GPU is in its VM, or clean and nobody's."""
import json
import os
import re
import time
from pathlib import Path

from played import Bus, Host, apply_topics

POINTS = re.findall(r'X\("(agent-[a-z-]+)"',
                    (Path(os.environ["SOURCE_DIR"]) / "services/attach/crash_points.h").read_text())


def crash_and_go_on(bus, host, point, assigned, state):
    """It stands in the log before the agent starts: so the first step, and the first report, are of it."""
    since = time.monotonic()
    bus.decide("GpuAssigned", assigned)
    host.agent(environment={"GPUBUS_CRASH_AT": point}).wait_killed()
    agent = host.agent()
    agent.wait_line(f"{assigned['vm_id']} {assigned['assignment_id']} {state}")
    report = bus.wait_report(assigned, state)
    agent.stop()
    gpu = report.record["gpus"][0]["state"]
    print(f"{point:<24} {state:<10} {gpu:<10} {time.monotonic() - since:6.1f} s", flush=True)
    return gpu


def main():
    apply_topics()
    bus = Bus()
    assert len(POINTS) >= 7, POINTS
    print(f"{'crash point':<24} {'assignment':<10} {'GPU':<10} {'took':>8}")
    for point in POINTS:
        host = Host(point, f"pool-{point}")
        bus.start_epoch(host.pool)
        host.start_vm(point)
        assigned = host.assignment(point, 1)
        assert crash_and_go_on(bus, host, point, assigned, "ATTACHED") == "ATTACHED"
        unit = json.loads((host.dir / "units" / "0000:01:00.0").read_text())
        assert unit["driver"] == "vfio-pci" and unit["life"], unit
        releasing = {**assigned, "state": "RELEASING", "release_request_id": "d"}
        assert crash_and_go_on(bus, host, point, releasing, "DETACHED") == "CLEAN"
        unit = json.loads((host.dir / "units" / "0000:01:00.0").read_text())
        assert unit == {"driver": "vfio-pci", "life": None}, unit


main()
