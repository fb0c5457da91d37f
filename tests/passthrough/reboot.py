"""The power of a host fails while VMs have its GPUs. When it is back the kernel's own drivers have them; the agent, which
remembers what was whose, binds them again before anything is said to be ready, and attaches them when the VMs come."""
from stage import NATIVE, Host, Stage

stage = Stage("reboot", limit=270)
MODULES = ("bochs", "vfio-pci", "vfio_iommu_type1")


def first_life():
    stage.start_host(*MODULES, state_dir=stage.host.dir)
    attached, bound = stage.ask_for("vm-1", "two_function"), stage.ask_for("vm-2", "numa_node_1")
    attached.attach("ATTACHED")
    stage.guest_uses("vm-1", "two_function")
    bound.attach("BOUND", "VM_ABSENT")
    return f"{stage.shown('two_function')['attach_state']}, {stage.shown('numa_node_1')['attach_state']}"


def power_fails():
    """What the log says stays as it is; a release is asked for meanwhile."""
    stage.host.power_off()
    stage.host = Host("vm", stage.limit)
    tale = stage.tale("vm-2")
    stage.release("vm-2")
    tale.next("RELEASING", lambda _, r: r.get("state") == "RELEASING")
    row = stage.shown("numa_node_1", assignment_state="RELEASING")
    return f"{stage.shown('two_function')['vm_id']} {row['vm_id']} hold theirs"


def second_life():
    tales = attached, bound = stage.tale("vm-1"), stage.tale("vm-2")
    for tale in tales:
        tale.position = len(stage.upstream.answers.messages)
    stage.host.wait_until_up()
    stage.host.load(*MODULES)
    stage.devices = stage.host.devices()
    assert stage.unit_drivers("two_function") == f"{NATIVE} -"
    stage.start_host(state_dir=stage.host.dir)
    stage.say(attached.attach("BOUND", "VM_ABSENT")["attach_reason"])
    assert bound.released()["quarantined"] == []
    stage.shown_free("numa_node_1")
    return f"{stage.unit_drivers('two_function')}, BOUND; the other one free, {stage.unit_drivers('numa_node_1')}"


def vm_comes_back():
    tale = stage.tale("vm-1")
    stage.host.vm_start("vm-1")
    tale.attach("ATTACHED")
    tale.position = len(stage.upstream.answers.messages)
    stage.guest_uses("vm-1", "two_function")
    stage.shown("two_function", attach_state="ATTACHED")
    stage.release("vm-1")
    assert tale.released()["quarantined"] == []
    stage.shown_free("two_function")
    return f"ATTACHED, released, {stage.unit_drivers('two_function')}"


def main():
    stage.define_pool(after_release="give-back", on_attach_failure="end")
    stage.host.wait_until_up()
    stage.host.vm_start("vm-1")
    run = stage.scenario
    run("a GPU is attached, another one waits for its VM", "ATTACHED, BOUND", first_life, essential=True)
    run("the power fails", "vm-1 vm-2 hold theirs", power_fails, essential=True)
    run("the host is back", f"vfio-pci vfio-pci, BOUND; the other one free, {NATIVE}", second_life)
    run("its VM is back", f"ATTACHED, released, {NATIVE} -", vm_comes_back)
    stage.finish()


main()
