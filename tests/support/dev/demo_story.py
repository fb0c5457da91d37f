#!/usr/bin/env python3
"""What ./dev demo shows: from PCI devices to assignments, all of it through the gpubus command.

    demo_story.py GPUBUS DIR    DIR/hosts has the host trees; writes DIR/summary.json
"""
import collections
import json
import os
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path

GPUBUS, DIR = sys.argv[1], Path(sys.argv[2])
POOL, P4, A10 = "1", "GP104GL [Tesla P4]", "GA102GL [A10]"
READY_SECONDS = 40
GRANTED, REFUSED = 0, 3


def gpubus(*arguments, expect=(0,)):
    """Runs the command and returns what it printed; ends the demo when it fails."""
    result = subprocess.run([GPUBUS, *arguments], capture_output=True, text=True)
    if result.returncode not in expect:
        sys.exit(f"gpubus {shlex.join(arguments)}: exit {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def read_json(*arguments, expect=(0,)):
    return json.loads(gpubus(*arguments, "-o", "json", expect=expect))


def show(text):
    print(f"\n{text}", flush=True)


def run(*arguments, expect=(0,)):
    """Shows the command as one would type it, and what it says."""
    print(f"$ gpubus {shlex.join(arguments)}", flush=True)
    print("".join(f"  {line}\n" for line in gpubus(*arguments, expect=expect).splitlines()), end="", flush=True)


def hosts():
    return sorted(path for path in (DIR / "hosts").iterdir() if (path / "sys").is_dir())


def expected_gpus():
    """How many GPUs the trees have, by a way that needs no bus."""
    return sum(len(read_json("scan", "--sysfs", str(host / "sys"))) for host in hosts())


def wait_for_discovery(number):
    deadline = time.monotonic() + READY_SECONDS
    while True:
        result = subprocess.run([GPUBUS, "get", "gpus", "-o", "json"], capture_output=True, text=True)
        found = json.loads(result.stdout) if result.returncode == 0 and result.stdout else []
        if len(found) >= number:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"only {len(found)} of {number} GPUs were registered after {READY_SECONDS} s\n{result.stderr}")
        time.sleep(0.1)  # lint: may sleep (it polls for a condition)


def ask(verb, request_id, *arguments, expect=GRANTED):
    """Asks and shows the answer; then asks again with the same id, which is told the same answer, as JSON."""
    command = (verb, "--pool", POOL, *arguments, "--request-id", request_id, "--wait")
    run(*command, expect=(expect,))
    return read_json(*command, expect=(expect,))["answer"]


def show_gpus(gpus):
    """What `gpubus get gpus` has, in lines that fit a terminal: GPUs that are alike together."""
    alike = collections.Counter((gpu["host"], gpu["model"], gpu["state"], gpu["reason"] or "") for gpu in gpus)
    for host in sorted({gpu["host"] for gpu in gpus}):
        print(f"  {host}")
        for (of_host, model, state, reason), number in alike.items():
            if of_host == host:
                print(f"    {number} x {model}: {state}")
                for line in textwrap.wrap(reason, 100):
                    print(f"        {line}")
    sys.stdout.flush()


def tell_discovery():
    show("This machine:")
    run("scan")
    show("The hosts of pool 1: two generated ones, and five that were recorded from real machines.")
    run("publish", "VmPoolDefined", "--json", json.dumps({"pool_id": POOL, "name": "demo", "attach": "external"}))
    gpus = wait_for_discovery(expected_gpus())
    show("Their GPUs, and why some are not to be had (gpubus get gpus has the same as a table):")
    show_gpus(gpus)
    return gpus


def tell_assignments():
    show("Two VMs ask for GPUs:")
    ask("request", "demo-1", "--vm", "vm-1", "--gpu", f"{P4}=3")
    ask("request", "demo-2", "--vm", "vm-2", "--gpu", f"{P4}=2", "--gpu", f"{A10}=1")

    show("A third one asks for more than any one host has free, and is told why, host by host:")
    refusal = ask("request", "demo-3", "--vm", "vm-3", "--gpu", f"{P4}=4", expect=REFUSED)

    show("vm-1 goes. Could vm-2 migrate now?")
    ask("release", "demo-4", "--vm", "vm-1")
    ask("migrate-check", "demo-5", "--vm", "vm-2")

    show("vm-4 gets what vm-1 had, and with that there is no room for vm-2 to move any more:")
    ask("request", "demo-6", "--vm", "vm-4", "--gpu", f"{P4}=3")
    ask("migrate-check", "demo-7", "--vm", "vm-2", expect=REFUSED)
    return refusal


def main():
    gpus = tell_discovery()
    refusal = tell_assignments()
    show("Who has what now:")
    run("get", "vms")
    vms = read_json("get", "vms")
    summary = {
        "gpus": len(gpus),
        "assigned": [
            {"vm": vm["vm_id"], "host": vm["host"], "gpus": [gpu["pci_address"] for gpu in vm["gpus"]]} for vm in vms
        ],
        "rejected": [{"vm": refusal["vm_id"], "code": refusal["code"], "message": refusal["message"]}],
    }
    unfinished = DIR / "summary.json.new"
    unfinished.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, DIR / "summary.json")


main()
