"""gpubus as a whole, on a real kernel: its GPUs are found, a VM asks for one over the bus, gets it, writes to it, gives it
back; it comes later, dies, restarts, hangs; operators interfere; the agent is away. What is expected stands in the table."""
import re

from stage import MMIO_OFFSET, NATIVE, POOL, Stage, wait_for

stage = Stage("handover", limit=270)
host = stage.host

STATES = {
    "boot_display": "BOOT_DISPLAY",
    "two_function": "AVAILABLE",
    "behind_switch": "AVAILABLE",
    "virtio_gpu": "IN_USE_BY_HOST",
    "shared_group": "GROUP_SHARED",
    "shared_group_too": "GROUP_SHARED",
    "alone": "AVAILABLE",
    "numa_node_1": "AVAILABLE",
    "integrated": "AVAILABLE",
}


def discovery():
    """What is announced and what gpubus get shows equals what sysfs has (read by other code) and what topology.args says."""
    rows = {row["pci_address"]: row for row in stage.start_host("bochs", "vfio-pci", "vfio_iommu_type1")}
    seen_rows = dict(rows)
    for role, state in STATES.items():
        device, row = stage.devices[role], rows.pop(stage.address(role))
        seen = f"{row['vendor_id']}:{row['device_id']}", row["driver"], str(row["iommu_group"]), row["state"]
        assert seen == (device["id"], device["driver"], device["group"], state), f"{role}: {seen} {device}"
        # Without a node of its own it has the kernel's -1.
        assert (-1 if row["numa_node"] is None else row["numa_node"]) == device["numa_node"], f"{role}: {row['numa_node']}"
        announced = stage.inventory.by_key[f"vm/{row['pci_address']}"][-1].record
        assert announced["group_members"] == device["group_members"], f"{role}: {announced['group_members']}"
        assert bool(row["reason"]) == (state != "AVAILABLE"), f"{role}: {row['reason']}"
        if row["reason"]:
            stage.say(f"{role} {state}: {row['reason']}")
    assert not rows, f"there should be no {rows}"
    assert stage.units["two_function"] == [stage.address("two_function"), stage.address("audio_function")]
    behind = {role for role in STATES if seen_rows[stage.address(role)]["pcie_switch"]}
    assert behind == {"behind_switch", "virtio_gpu"}, behind
    pool = stage.cluster.get("pools", POOL)[0]
    return f"{pool['gpus']} GPUs, {pool['gpus_free']} free, the two of one slot as one"


def host_row():
    row = stage.cluster.get("hosts", "vm")[0]
    return " ".join(f"{name}={row[name]}" for name in ("state", "iommu", "interrupt_remapping", "vfio"))


def doctor():
    status, said, _ = host.run("gpubus", "doctor", "--passthrough-drivers", NATIVE)
    stage.say(*said.splitlines())
    return f"exit {status}"


def attach(vm_id, *roles, **fields):
    tale = stage.ask_for(vm_id, *roles, **fields)
    tale.attach("ATTACHED")
    if len(roles) == 1:
        stage.guest_uses(vm_id, roles[0])
    else:
        both_are_used(vm_id, roles)
    for role in roles:
        row = stage.shown(role, vm_id=vm_id, attach_state="ATTACHED", attach_code=None)
        assert row["driver"] == "vfio-pci" or wait_for(lambda r=role: stage.shown(r, driver="vfio-pci"), "its new driver")
    held = sorted(function for role in roles for function in stage.units[role])
    assert host.vm_has(vm_id) == held, host.vm_has(vm_id)
    return tale


def both_are_used(vm_id, roles):
    """Which one the guest sees first is not known: each pattern that it wrote is one that the host sees."""
    written = sorted(int(host.vm_wait(vm_id, r"MMIO \S+ wrote (\w+) read \1 OK")[1], 16) for _ in roles)
    seen = sorted(host.read_bar0(stage.address(role), MMIO_OFFSET) for role in roles)
    assert written == seen, f"the guest wrote {written}, the host sees {seen}"


def detach(tale, *roles):
    """Released, and the guest has seen them go. Returns their drivers then."""
    stage.release(tale.vm_id)
    released = tale.released()
    assert released["quarantined"] == [], released
    assert host.vm_has(tale.vm_id) == []
    for role in roles:
        stage.shown_free(role)
    return ", ".join(stage.unit_drivers(role) for role in roles)


def there_and_back(*roles):
    return detach(attach("vm-1", *roles), *roles)


def vm_comes_later():
    tale = stage.ask_for("vm-2", "alone")
    stage.say(tale.attach("BOUND", "VM_ABSENT")["attach_reason"])
    assert stage.unit_drivers("alone") == "vfio-pci"
    stage.shown("alone", attach_state="BOUND", attach_code="VM_ABSENT")
    text = stage.cluster.gpubus("get", "vms").stdout
    assert re.search(r"vm-2 .* BOUND VM_ABSENT .*VM vm-2 does not run", text), text
    host.vm_start("vm-2")
    tale.attach("ATTACHED")
    stage.guest_uses("vm-2", "alone")
    return "BOUND VM_ABSENT, then ATTACHED"


def vm_restarts():
    tale = stage.tale("vm-2")
    tale.position = len(stage.upstream.answers.messages)
    host.vm_kill("vm-2")
    tale.attach("BOUND", "VM_ABSENT")
    host.vm_start("vm-2")
    tale.attach("ATTACHED")
    stage.guest_uses("vm-2", "alone")
    return "BOUND VM_ABSENT, then ATTACHED"


def vm_dies_and_is_released():
    tale = stage.tale("vm-2")
    tale.position = len(stage.upstream.answers.messages)
    host.vm_kill("vm-2")
    return detach_of_dead(tale, "alone")


def detach_of_dead(tale, role):
    stage.release(tale.vm_id)
    assert tale.released()["quarantined"] == []
    stage.shown_free(role)
    return f"free, {stage.unit_drivers(role)}"


def guest_does_not_let_go():
    tale = attach("vm-1", "alone")
    host.vm_hold("vm-1")
    stage.release("vm-1")
    told = tale.attach("ATTACHED", "UNPLUG_PENDING")
    assert told["state"] == "RELEASING", told
    stage.say(told["attach_reason"])
    row = stage.shown("alone", attach_code="UNPLUG_PENDING")
    assert row["vm_id"] == "vm-1", "nothing may be freed"
    refused = stage.upstream.request(POOL, "vm-9", [(stage.devices["alone"]["id"], 1)]).record
    assert refused.get("code") == "NO_CAPACITY", refused
    host.vm_release("vm-1")
    assert tale.released()["quarantined"] == []
    stage.shown_free("alone")
    return "UNPLUG_PENDING, NO_CAPACITY for others, free"


def forced_then_another():
    """vm-1 has it and is robbed of it; vm-3 gets it in the same moment. vm-3's guest must not see it before vm-1 has lost it
    and it was cleaned."""
    attach("vm-1", "alone")
    host.vm_wait("vm-3", "^UP")
    host.vm_hold("vm-1")
    done = stage.cluster.gpubus("release", "--pool", POOL, "--vm", "vm-1", "--force", "--reason", "it hangs", "--actor",
                                "ann", "--wait", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    tale = stage.ask_for("vm-3", "alone")
    waits = tale.attach("BOUND", "UNPLUG_PENDING")
    stage.say(waits["attach_reason"])
    assert host.vm_has("vm-3") == [] and host.vm_has("vm-1") == stage.units["alone"]
    host.vm_release("vm-1")
    tale.attach("ATTACHED")
    assert host.vm_has("vm-1") == []
    stage.guest_uses("vm-3", "alone")
    detach(tale, "alone")
    return "FORCED; vm-3 waits for vm-1, then ATTACHED"


def agent_is_away():
    """Killed while a VM has the GPU: nothing is freed by its absence; the next one finishes what was asked meanwhile."""
    tale = attach("vm-1", "alone")
    host.stop("agent", 9)
    stage.release("vm-1")
    tale.next("RELEASING", lambda _, r: r.get("state") == "RELEASING")
    assert host.vm_has("vm-1") == stage.units["alone"]
    assert stage.shown("alone", assignment_state="RELEASING")["vm_id"] == "vm-1"
    refused = stage.upstream.request(POOL, "vm-9", [(stage.devices["alone"]["id"], 1)]).record
    assert refused.get("code") == "NO_CAPACITY", refused
    stage.start_agent(host)
    assert tale.released()["quarantined"] == []
    assert host.vm_has("vm-1") == []
    return "held while it is away, free when it is back"


def only_one_agent():
    host.start("agent-2", "gpubus-attach", "--pool", POOL, "--host", "vm", "--state-dir", "/tmp/attach-2",
                     "--hypervisor", "none")
    wait_for(lambda: not host.running("agent-2"), "the second agent ends")
    stage.say(stage.log("agent-2").strip().splitlines()[-1])
    assert host.running("agent")
    return "refuses to start"


def operators():
    """Host and GPU out of service by the command, and back."""

    def command(status, *arguments):
        said = stage.cluster.gpubus(*arguments, "--pool", POOL, "--wait")
        assert said.returncode == status, f"{arguments}: {said.stdout}{said.stderr}"
        return said.stdout

    ask = ("request", "--vm", "vm-1", "--gpu", f"{stage.devices['alone']['id']}=1")
    command(0, "host", "cordon", "vm", "--reason", "a new fan")
    stage.say(next(line.strip() for line in command(3, *ask).splitlines() if "CORDONED" in line))
    command(0, "host", "uncordon", "vm")
    command(0, "gpu", "quarantine", stage.gpu_id("alone"), "--reason", "ECC errors")
    assert stage.shown("alone", vm_id=None)["quarantine"]["reason"] == "ECC errors"
    command(3, *ask)
    command(0, "gpu", "return", stage.gpu_id("alone"))
    tale = stage.tale("vm-1")
    tale.position = len(stage.upstream.answers.messages)
    command(0, *ask)
    tale.attach("ATTACHED")
    return "refused, refused, ATTACHED; " + detach(tale, "alone")


def main():
    stage.define_pool(after_release="give-back", on_attach_failure="end")
    run = stage.scenario
    run("discovery: gpubus get gpus equals the topology", "9 GPUs, 5 free, the two of one slot as one", discovery, essential=True)
    run("the host's preflight", "state=READY iommu=True interrupt_remapping=True vfio=True", host_row)
    host.vm_start("vm-1")
    run("gpubus doctor", "exit 0", doctor)
    host.vm_wait("vm-1", "^UP")
    run("two functions, give-back", f"{NATIVE} -", lambda: there_and_back("two_function"))
    run("behind a switch, give-back", NATIVE, lambda: there_and_back("behind_switch"))
    run("NUMA node 1, give-back", NATIVE, lambda: there_and_back("numa_node_1"))
    run("two GPUs of one VM at once, give-back", f"{NATIVE} -, {NATIVE}", lambda: there_and_back("two_function", "numa_node_1"))
    stage.define_pool(after_release="keep-vfio", on_attach_failure="end")
    run("two functions, keep-vfio", "vfio-pci vfio-pci", lambda: there_and_back("two_function"))
    run("the VM comes later", "BOUND VM_ABSENT, then ATTACHED", vm_comes_later)
    run("the VM is killed and starts again", "BOUND VM_ABSENT, then ATTACHED", vm_restarts)
    run("the VM is killed, then released", "free, vfio-pci", vm_dies_and_is_released)
    host.vm_start("vm-3", 1, wait=False)
    run("a guest that does not let go, and does", "UNPLUG_PENDING, NO_CAPACITY for others, free", guest_does_not_let_go)
    run("forced release, at once another VM", "FORCED; vm-3 waits for vm-1, then ATTACHED", forced_then_another)
    run("released while the agent is dead", "held while it is away, free when it is back", agent_is_away)
    run("a second agent on the host", "refuses to start", only_one_agent)
    run("cordon, quarantine, return: gpubus command", "refused, refused, ATTACHED; vfio-pci", operators)
    stage.finish()


main()
