#!/usr/bin/env python3
"""What ./dev demo --passthrough shows: a GPU that reaches a VM and comes back, on an emulated host with a real kernel.

    demo_passthrough.py GPUBUS DIR    writes DIR/summary.json
"""
import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

GPUBUS, DIR = sys.argv[1], Path(sys.argv[2])
BUILD = Path(GPUBUS).parents[1]
os.environ.update(TEST_DIR=str(DIR), BUILD_DIR=str(BUILD))
sys.path[:0] = [str(Path(__file__).parents[2] / "passthrough")]

from host import BOOT_SECONDS, Host  # noqa: E402
from vmhost import wait_for  # noqa: E402

POOL, VM, MODEL, LIMIT = "1", "vm-1", "1234:1111", 150
BROKER = os.environ["GPUBUS_KAFKA_BOOTSTRAP_SERVERS"]
NATIVE = "bochs-drm"
INDENT = {"initial_indent": " " * 14, "subsequent_indent": " " * 14}


def gpubus(*arguments):
    result = subprocess.run([GPUBUS, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"gpubus {shlex.join(arguments)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def get(*arguments):
    return json.loads(gpubus("get", *arguments, "-o", "json"))


def show(text):
    print(f"\n{text}", flush=True)


def run(*arguments):
    """Shows the command as one would type it, and what it says."""
    print(f"$ gpubus {shlex.join(arguments)}", flush=True)
    print("".join(f"  {line}\n" for line in gpubus(*arguments).splitlines()), end="", flush=True)


def say(*lines):
    print("".join(f"  {line}\n" for line in lines), end="", flush=True)


class Story:
    def __init__(self):
        self.host = Host("vm", LIMIT)

    def start(self):
        show("Booting a hypervisor host: a real kernel, an IOMMU and GPUs, all of it emulated (10 s).")
        host = self.host
        gpubus("publish", "VmPoolDefined", "--json", json.dumps({"pool_id": POOL, "after_release": "give-back"}))
        host.wait_until_up()
        host.load("bochs", "vfio-pci", "vfio_iommu_type1")
        self.native = {device["address"]: device["driver"] for device in host.devices().values()}
        host.forward(int(BROKER.rpartition(":")[2]))
        place = ("--pool", POOL, "--host", host.name, "--bootstrap", BROKER, "-X", "fetch.wait.max.ms=50")
        host.start("inventory", "gpubus-inventory", *place, "--state-dir", "/tmp/inventory", "--passthrough-drivers", NATIVE)
        host.start("attach", "gpubus-attach", *place, "--state-dir", "/tmp/attach", "--hypervisor", "qmp",
                   "--target", "/tmp/{vm}.qmp", "--look-every", "500ms")
        wait_for(lambda: len(get("gpus")) >= 9 and get("hosts"), "its GPUs are registered", BOOT_SECONDS)
        show("gpubus-inventory runs on it, and has found its GPUs (gpubus get gpus has the same as a table):")
        for gpu in get("gpus"):
            say(f"{gpu['pci_address']}  {gpu['model']}: {gpu['state']}", *textwrap.wrap(gpu["reason"] or "", 100, **INDENT))

    def drivers(self):
        for address, driver in zip(self.unit, self.host.drivers(*self.unit)):
            native = self.native.get(address)
            say(f"host:  {address} has driver {driver or '(none)'}" + (f", had {native}" if native != driver else ""))

    def request(self):
        show(f"{VM} asks for a GPU:")
        run("request", "--pool", POOL, "--vm", VM, "--gpu", f"{MODEL}=1", "--request-id", "demo-1", "--wait")
        self.unit = get("vms", VM)[0]["gpus"][0]["functions"]
        self.wait_attached("BOUND")
        show("gpubus-attach has taken it from its driver. The VM does not run yet, and that is told:")
        self.drivers()
        run("get", "vms")

    def wait_attached(self, state):
        wait_for(lambda: get("vms", VM)[0]["attach_state"] == state, f"{VM} is {state}", BOOT_SECONDS)

    def attach(self):
        show(f"{VM} starts (QEMU in the emulated host). Its guest sees a device appear, and writes to its memory:")
        self.host.vm_start(VM)
        self.wait_attached("ATTACHED")
        for pattern in (r"^ADD slot .* class \w{4}", r"^MMIO \S+ wrote (\w+) read \1 OK"):
            line, *written = self.host.vm_wait(VM, pattern)
            say(f"guest: {line}")
        seen = self.host.read_bar0(self.unit[0], 0x4000)
        say(f"host:  {self.unit[0]} has {seen:08x} there")
        assert int(written[0], 16) == seen
        run("get", "vms")

    def release(self):
        show(f"{VM} gives it back. The guest lets go, the GPU is reset, its driver has it again, it is free:")
        run("release", "--pool", POOL, "--vm", VM, "--wait")
        say(f"guest: {self.host.vm_wait(VM, '^GONE slot')[0]}")
        self.drivers()
        run("get", "gpus", f"vm/{self.unit[0]}")
        return [driver or "" for driver in self.host.drivers(*self.unit)]


def main():
    story = Story()
    try:
        story.start()
        story.request()
        story.attach()
        drivers = story.release()
    finally:
        story.host.power_off()
    summary = {"vm": VM, "functions": story.unit, "drivers": drivers, "free": get("vms") == []}
    unfinished = DIR / "summary.json.new"
    unfinished.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, DIR / "summary.json")


main()
