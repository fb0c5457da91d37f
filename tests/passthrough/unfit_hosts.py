"""Hosts that cannot pass GPUs through: one whose IOMMU is off, one that does not remap interrupts. gpubus doctor says what to
change, the scheduler gives them nothing, and the agent refuses when it is asked all the same."""
import re
import subprocess

from stage import BIN, NATIVE, POOL, Host, Stage, wait_for

LIMIT = 270
CODES = {"vm": "NO_IOMMU", "no-remapping": "NO_INTERRUPT_REMAPPING"}
ARGUMENTS = {"vm": "intel_iommu=off", "no-remapping": "intremap=off"}
GPU = "numa_node_1"

other = Host("no-remapping", LIMIT, ARGUMENTS["no-remapping"])
stage = Stage("unfit_hosts", LIMIT, append=ARGUMENTS["vm"])
hosts = {"vm": stage.host, "no-remapping": other}


def start():
    for host in hosts.values():
        host.wait_until_up()
        host.load("bochs", "vfio-pci", "vfio_iommu_type1")
        stage.start_inventory(host)
        stage.start_agent(host)
    stage.devices = stage.host.devices()  # the addresses are the same in both
    stage.cluster.all_owned()
    rows = wait_for(lambda: len(rows := stage.cluster.get("gpus")) == 18 and rows, "18 GPUs announced")
    stage.units = {GPU: next(r["functions"] for r in rows if r["pci_address"] == stage.address(GPU))}
    wait_for(lambda: all(h["state"] != "SILENT" for h in stage.cluster.get("hosts")), "both hosts have been seen")
    return " ".join(f"{h['host']} {h['state']}" for h in stage.cluster.get("hosts"))


def gpu_states(name):
    rows = [r for r in stage.cluster.get("gpus") if r["host"] == name and r["pci_address"] == stage.address(GPU)]
    stage.say(rows[0]["reason"])
    return rows[0]["state"]


def doctor(name):
    status, said, _ = hosts[name].run("gpubus", "doctor", "--passthrough-drivers", NATIVE)
    stage.say(*said.splitlines())
    assert re.search(rf"^stop .*remove {ARGUMENTS[name]} from the kernel's arguments", said, re.M), said
    return f"exit {status}"


def doctor_here():
    """The machine that runs the tests, whatever it can do: each line is one of the three kinds."""
    said = subprocess.run([BIN / "gpubus", "doctor"], capture_output=True, text=True, check=False)
    lines = said.stdout.splitlines()
    stage.say(*lines)
    assert all(line.split()[0] in ("ok", "warn", "stop") for line in lines), said
    assert said.returncode == any(line.startswith("stop") for line in lines), said
    return "exit status as the lines say"


def refused_by_scheduler():
    refusal = stage.upstream.request(POOL, "vm-1", [(stage.devices[GPU]["id"], 1)]).record
    stage.say(refusal["message"])
    return " ".join(sorted(host["code"] for host in refusal["hosts"]))


def step(name, *options):
    """Binding by hand; nothing has changed when that is refused."""
    host, address = hosts[name], stage.address(GPU)
    result = host.step("bind", [address], *options)
    stage.say(result.get("reason"))
    wanted = ["vfio-pci"] if result["outcome"] == "done" else [NATIVE]
    assert host.drivers(address) == wanted, host.drivers(address)
    if result["outcome"] == "done":
        host.step("give-back", [address], drivers=[NATIVE])
    return result.get("code") or result["outcome"].upper()


def asked_all_the_same():
    """Somebody announces that both hosts are fit. Each agent looks for itself; the assignment goes from one to the other, and
    ends."""
    for name, host in hosts.items():
        host.stop("inventory")
        seen = stage.seen.by_key[name][-1].record
        gpu = stage.inventory.by_key[f"{name}/{stage.address(GPU)}"][-1].record
        stage.upstream.publish("GpuDiscovered", {**gpu, "state": "AVAILABLE", "reason": None, "iommu_group": 99})
        stage.upstream.publish("HostSeen", {**seen, "iommu": True, "interrupt_remapping": True, "vfio": True})
    wait_for(lambda: all(h["state"] == "READY" for h in stage.cluster.get("hosts")), "both seem ready")
    tale = stage.tale("vm-2")
    answer = stage.upstream.request(POOL, "vm-2", [(stage.devices[GPU]["id"], 1)])
    assert answer.name == "GpuAssigned", answer.record
    moved = tale.next("another host", lambda _, r: r.get("replaces"))
    assert moved["failed_hosts"] == [answer.record["host"]] and moved["host"] != answer.record["host"]
    released = tale.released("ATTACH_FAILED")
    stage.say(released["reason"])
    assert released["quarantined"] == [] and released["host"] == moved["host"]
    for name, host in hosts.items():
        assert host.drivers(stage.address(GPU)) == [NATIVE]
        assert f"FAILED {CODES[name]}" in stage.log("agent", host)
    return "both agents fail, ATTACH_FAILED"


def main():
    run = stage.scenario
    run("start", "no-remapping NO_REMAPPING vm NO_IOMMU", start, essential=True)
    run("no IOMMU: its GPUs", "NO_IOMMU", lambda: gpu_states("vm"))
    run("no interrupt remapping: its GPUs", "AVAILABLE", lambda: gpu_states("no-remapping"))
    run("no IOMMU: gpubus doctor", "exit 1", lambda: doctor("vm"))
    run("no interrupt remapping: gpubus doctor", "exit 1", lambda: doctor("no-remapping"))
    run("this machine: gpubus doctor", "exit status as the lines say", doctor_here)
    run("the scheduler gives them nothing", "HOST_NO_INTERRUPT_REMAPPING HOST_NO_IOMMU", refused_by_scheduler)
    run("no IOMMU: step", "NO_IOMMU", lambda: step("vm"))
    run("no interrupt remapping: step", "NO_INTERRUPT_REMAPPING", lambda: step("no-remapping"))
    run("... an operator's choice", "DONE", lambda: step("no-remapping", "--allow-no-interrupt-remapping"))
    run("the agents are asked all the same", "both agents fail, ATTACH_FAILED", asked_all_the_same)
    other.power_off()
    stage.finish()


main()
