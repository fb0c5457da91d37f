#!/usr/bin/env python3
"""Plays gpubus-attach-step on a host that is a directory (PLAY_HOST), whatever hypervisor it is told:

    units/ADDRESS   JSON: the driver of the unit, and the life of the VM that has it
    vms/ID          exists while the VM runs; its content is this life of it
    faults/VERB     what goes wrong: "hang", "crash", "nonsense", "failed CODE" or "wait CODE"

Each step is a line "play VERB ADDRESS" on the standard error, which is the agent's log."""
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

HOST = Path(os.environ["PLAY_HOST"])


def read(path):
    return path.read_text() if path.exists() else None


def die_with_parent():
    """As the real one: a step must not outlive its agent."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    output = select.poll()
    output.register(sys.stdout, 0)
    if output.poll(0):
        sys.exit(2)


def wait_for_ever():
    while True:
        signal.pause()


def fail(fault):
    """What a step that goes wrong says, if it still says something."""
    if fault == "hang":
        wait_for_ever()
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "nonsense":
        return {"outcome": "splendid"}
    outcome, code = fault.split()
    return {"outcome": outcome, "code": code, "reason": "so the test wants it"}


def look(step, unit, life):
    functions = [{"present": True, "driver": unit["driver"]} for _ in step["functions"]]
    plugged = len(functions) if life and unit["life"] == life else 0
    vm = "unknown" if "vm" not in step else "running" if life else "absent"
    return {"outcome": "done", "facts": {"functions": functions, "vm": vm, "plugged": plugged}}


def act(step, unit, life):
    verb = step["step"]
    if verb == "plug" and not life:
        return {"outcome": "wait", "code": "VM_ABSENT", "reason": "no such VM"}
    if verb == "bind":
        unit["driver"] = "vfio-pci"
    elif verb == "plug":
        assert unit["driver"] == "vfio-pci", "plugged before it was bound"
        unit["life"] = life
    elif verb == "unplug":
        unit["life"] = None
    elif verb == "clean":
        assert not unit["life"], "cleaned under its VM"
    elif verb == "give-back":
        unit["driver"] = step["drivers"][0]
    return {"outcome": "done"}


def main():
    die_with_parent()
    step = json.load(sys.stdin)
    address = step["functions"][0]
    print(f"play {step['step']} {address}", file=sys.stderr, flush=True)
    fault = read(HOST / "faults" / step["step"])
    if fault:
        return fail(fault)
    path = HOST / "units" / address
    unit = json.loads(read(path) or '{"driver": "nvidia", "life": null}')
    life = read(HOST / "vms" / step["vm"]) if "vm" in step else None
    if step["step"] == "look":
        return look(step, unit, life)
    result = act(step, unit, life)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(unit))
    fresh.rename(path)
    return result


print(json.dumps(main()))
