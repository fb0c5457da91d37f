"""Everything that can go wrong on a host, on a real kernel: each has its code and its sentence, what was changed is put back,
and what is not known to be clean goes to nobody. First single steps by hand (gpubus-attach-step), for what the scheduler would
not even ask of a host; then over the bus."""
import re
import signal

from stage import NATIVE, POOL, Stage, fleet, wait_for

stage = Stage("failures", limit=270, step_deadline="10s")
host = stage.host


# ---- single steps


def step(verb, *addresses, options=(), **more):
    """"CODE" or "DONE" of a step by hand; its sentence is shown."""
    result = host.step(verb, addresses, *options, **more)
    stage.say(result.get("reason"))
    return result.get("code") or result["outcome"].upper()


def refused(*addresses, options=()):
    """Binding is refused, and everything is as before."""
    before = host.drivers(*addresses), host.overrides(*addresses)
    code = step("bind", *addresses, options=options)
    assert (host.drivers(*addresses), host.overrides(*addresses)) == before, "not put back"
    return code


def group_not_viable():
    one, other = stage.address("shared_group"), stage.address("shared_group_too")
    assert host.drivers(one, other) == [None, "cirrus"], host.drivers(one, other)
    return refused(one)


def virtual_functions():
    """QEMU has no GPU with SR-IOV: an NVMe controller that says that it is one."""
    nvme = stage.address("nvme")
    path = f"/sys/bus/pci/devices/{nvme}"
    host.bind(nvme, "nvme")
    host.write(f"{path}/sriov_numvfs", "1")
    host.cover(f"{path}/class", "0x030200\n")
    try:
        return refused(nvme)
    finally:
        host.uncover(f"{path}/class")
        host.write(f"{path}/sriov_numvfs", "0")


def bind_without_effect():
    """The kernel takes all that is written, and in the end the device has its native driver again."""
    address = stage.address("behind_switch")
    override = f"/sys/bus/pci/devices/{address}/driver_override"
    host.cover(override, "vfio-pci\n")
    try:
        code = step("bind", address)
    finally:
        host.uncover(override)
    assert (host.drivers(address), host.overrides(address)) == ([NATIVE], [None])
    return code


def held_group():
    """The VM has it, and somebody asks the kernel for it: never waited for in the kernel."""
    address = stage.address("alone")
    assert host.step("bind", [address])["outcome"] == "done"
    host.vm_plug("vm-2", 1, address)
    options = ("--hypervisor", "qmp", "--target", "/tmp/{vm}.qmp", "--deadline", "3000")
    codes = [step("clean", address), step("give-back", address, drivers=["?"])]
    codes.append(step("clean", address, options=("--proc", "/var/empty")))  # the VM's process cannot be seen
    assert host.vm_has("vm-2") == [address]
    codes.append(step("unplug", address, options=options, vm="vm-2"))
    codes += [step("clean", address), step("give-back", address, drivers=[""])]
    assert (host.vm_has("vm-2"), host.drivers(address)) == ([], [None])
    return " ".join(codes)


def no_hypervisor():
    address = stage.address("alone")
    none = ("--hypervisor", "none")
    codes = [step(verb, address, options=none, vm="vm-1") for verb in ("bind", "plug", "unplug")]
    assert host.drivers(address) == ["vfio-pci"]
    return " ".join([*codes, step("clean", address), step("give-back", address, drivers=[""])])


def no_reset():
    address = stage.address("integrated")
    codes = [step("bind", address), step("clean", address), step("clean", address, options=("--allow-no-reset",))]
    codes.append(step("give-back", address, drivers=[NATIVE]))
    assert host.drivers(address) == [NATIVE]
    return " ".join(codes)


# ---- over the bus


def fails(tale, *roles):
    """The assignment ends by itself. "CODE, drivers, free|quarantined" of its GPUs; the sentence is shown."""
    released = tale.released("ATTACH_FAILED")
    code, sentence = re.match(r"host vm: (\w+): (.*)", released["reason"]).groups()
    stage.say(sentence)
    marks = {gpu["gpu_id"]: gpu["code"] for gpu in released["quarantined"]}
    for role in roles:
        mark = stage.shown(role, vm_id=None)["quarantine"]
        assert (mark or {}).get("code") == marks.get(stage.gpu_id(role)), f"{role}: {mark}, {marks}"
        assert stage.address(role) not in host.vm_has("vm-1") + host.vm_has("vm-2")
    drivers = " ".join(stage.unit_drivers(role) if host.is_present(stage.address(role)) else "gone" for role in roles)
    return f"{code}, {drivers}, {' '.join(sorted(set(marks.values()))) + ' quarantined' if marks else 'free'}"


def returned(role):
    """Back from quarantine by the gpubus command, and as good as before: a VM gets it and gives it back."""
    done = stage.cluster.gpubus("gpu", "return", stage.gpu_id(role), "--pool", POOL, "--reason", "looked at", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    tale = stage.ask_for("vm-1", role)
    tale.attach("ATTACHED")
    stage.guest_uses("vm-1", role)
    stage.release("vm-1")
    assert tale.released()["quarantined"] == []
    stage.shown_free(role)
    return f"ATTACHED, free, {stage.unit_drivers(role)}"


def in_use():
    address = stage.address("numa_node_1")
    pid, name = host.open_display(address)
    tale = stage.ask_for("vm-1", "numa_node_1")
    seen = fails(tale, "numa_node_1")
    assert f"{name} (pid {pid}" in stage.said[-1], stage.said
    return seen


def rescheduled():
    """The display is still open; another host has such a GPU, and its agent is not there yet."""
    model = ("Device 1234:1111", "Vendor 1234", "1234", "1111")
    stage.define_pool(after_release="give-back", on_attach_failure="reschedule")
    host.signal("agent", signal.SIGSTOP)
    tale = stage.ask_for("vm-5", "numa_node_1")
    stage.upstream.publish_all(fleet.host("h2", POOL, [(model, 1)]))
    wait_for(lambda: [h for h in stage.cluster.get("hosts") if h["host"] == "h2" and h["gpus"] == 1], "h2 is known")
    host.signal("agent", signal.SIGCONT)
    moved = tale.next("another host", lambda _, r: r.get("replaces"))
    host.close_display(stage.address("numa_node_1"))
    assert (moved["host"], moved["failed_hosts"], moved["quarantined"]) == ("h2", ["vm"], []), moved
    assert moved["assignment_id"].endswith("/2") and moved["attach_state"] is None
    stage.shown_free("numa_node_1")
    drivers = stage.unit_drivers("numa_node_1")
    # Its agent never says a word: nothing is freed by that, only by force.
    stage.release("vm-5", force=True, reason="h2 is not real", actor="test")
    assert tale.released("FORCED")["host"] == "h2"
    stage.operate("CORDON_HOST", host="h2")
    stage.define_pool(after_release="give-back", on_attach_failure="end")
    return f"{moved['assignment_id'][-2:]} on {moved['host']}; here {drivers}, free"


def no_free_port():
    """Two GPUs for a VM with one port. One may be plugged in before that is known; neither stays."""
    roles = ("two_function", "behind_switch", "numa_node_1")
    tale = stage.ask_for("vm-2", *roles)
    seen = fails(tale, *roles)
    assert host.vm_has("vm-2") == []
    return seen


def held_by_another_vm():
    """Bound and waiting for its VM; meanwhile somebody plugs it into another one by hand. Never reset under that VM."""
    host.monitor_take("vm-1")  # so it waits
    tale = stage.ask_for("vm-1", "alone")
    stage.say(tale.attach("BOUND", "HYPERVISOR_SILENT")["attach_reason"])
    host.vm_plug("vm-2", 1, stage.address("alone"))
    host.monitor_leave("vm-1")
    released = tale.released("ATTACH_FAILED")
    stage.say(released["reason"])
    code = re.match(r"host vm: (\w+): ", released["reason"]).group(1)
    assert [gpu["code"] for gpu in released["quarantined"]] == ["HELD_BY_VM"], released
    assert host.vm_has("vm-2") == [stage.address("alone")] and host.vm_has("vm-1") == []
    host.vm_unplug("vm-2", 1)
    return f"{code}, quarantined; still the other VM's"


def hypervisor_silent():
    host.monitor_take("vm-1")
    tale = stage.ask_for("vm-1", "alone")
    tale.attach("BOUND", "HYPERVISOR_SILENT")
    row = stage.shown("alone", attach_code="HYPERVISOR_SILENT")
    stage.say(row["attach_reason"])
    host.monitor_leave("vm-1")
    tale.attach("ATTACHED")
    stage.guest_uses("vm-1", "alone")
    return "BOUND HYPERVISOR_SILENT, then ATTACHED"


def unbound_by_hand():
    """While the VM has it (it still does from the scenario before) and its guest does not let go, somebody writes to unbind:
    that write hangs in the kernel, the agent does not."""
    address = stage.address("alone")
    tale = stage.tale("vm-1")
    tale.position = len(stage.upstream.answers.messages)
    host.vm_hold("vm-1")
    host.unbind("by-hand", address)
    stage.release("vm-1")
    tale.attach("ATTACHED", "UNPLUG_PENDING")
    assert host.running("by-hand") and host.vm_has("vm-1") == [address]
    host.vm_release("vm-1")
    assert tale.released()["quarantined"] == []
    assert not host.running("by-hand")
    stage.shown_free("alone")
    return "UNPLUG_PENDING, then free"


def stuck(file, ends):
    """A file of sysfs does not answer; the step is killed at its deadline, and nobody touches the device. `ends`: how the
    assignment ends, once that is so."""
    released = ends(lambda: host.cover_with_hang(file))
    quarantined = released["quarantined"]
    stage.say(quarantined[0]["reason"])
    mark = stage.shown("alone", vm_id=None)["quarantine"]
    refusal = stage.upstream.request(POOL, "vm-9", [(stage.devices["alone"]["id"], 1)]).record
    assert refusal.get("code") == "NO_CAPACITY", refusal
    host.uncover(file)
    return f"{quarantined[0]['code']}, {mark['code']} quarantined; {returned('alone')}"


def stuck_in_binding():
    def ends(hang):
        hang()
        return stage.ask_for("vm-1", "alone").released("ATTACH_FAILED")

    return stuck("/sys/bus/pci/drivers_probe", ends)


def stuck_in_reset():
    def ends(hang):
        tale = stage.ask_for("vm-1", "alone")
        tale.attach("ATTACHED")
        stage.guest_uses("vm-1", "alone")
        hang()
        stage.release("vm-1")
        return tale.released()

    return stuck(f"/sys/bus/pci/devices/{stage.address('alone')}/reset", ends)


def cannot_be_reset():
    tale = stage.ask_for("vm-1", "integrated")
    tale.attach("ATTACHED")
    stage.guest_uses("vm-1", "integrated")
    stage.release("vm-1")
    released = tale.released()
    stage.say(released["quarantined"][0]["reason"])
    return " ".join(gpu["code"] for gpu in released["quarantined"]) + " quarantined"


def pulled_out_before():
    address = stage.address("behind_switch")
    host.remove(address)
    wait_for(lambda: not host.is_present(address), "it is gone")
    seen = fails(stage.ask_for("vm-1", "behind_switch"), "behind_switch")
    row = stage.shown("behind_switch", state="UNREADABLE")
    stage.say(f"gpubus get gpus: {row['state']}: {row['reason']}")
    host.rescan()
    stage.shown("behind_switch", state="AVAILABLE", vm_id=None)
    return seen


def pulled_out_of_the_vm():
    """The kernel asks QEMU, QEMU the guest, the guest lets go: the VM has lost it, whatever the log says."""
    tale = stage.ask_for("vm-1", "behind_switch")
    tale.attach("ATTACHED")
    stage.guest_uses("vm-1", "behind_switch")
    host.remove(stage.address("behind_switch"))
    seen = fails(tale, "behind_switch")  # nobody could reset it after that VM
    host.rescan()
    stage.shown("behind_switch", state="AVAILABLE")
    return f"{seen}; {returned('behind_switch')}"


def main():
    stage.define_pool(after_release="give-back", on_attach_failure="end")
    host.wait_until_up()
    host.load("bochs", "cirrus", "vfio-pci", "vfio_iommu_type1", "nvme")
    stage.devices = host.devices()
    for vm_id, ports in (("vm-1", 2), ("vm-2", 1)):
        host.vm_start(vm_id, ports)
    run = stage.scenario
    run("step: boot display", "BOOT_DISPLAY", lambda: refused(stage.address("boot_display")))
    run("step: another member of the group on its native driver", "GROUP_NOT_VIABLE", group_not_viable)
    run("step: virtual functions switched on", "HAS_VIRTUAL_FUNCTIONS", virtual_functions)
    run("step: no GPU (any more)", "INVALID_ASSIGNMENT", lambda: refused(stage.address("nvme")))
    run("step: no such device", "DEVICE_GONE", lambda: step("bind", "0000:ee:00.0"))
    run("step: a bind that succeeds and changes nothing", "BIND_FAILED", bind_without_effect)
    run("step: no hypervisor", "DONE VM_ABSENT DONE DONE DONE", no_hypervisor)
    host.vm_wait("vm-2", "^UP")
    run("step: a VM holds the group", "UNPLUG_PENDING UNPLUG_PENDING UNPLUG_PENDING DONE DONE DONE", held_group)
    run("step: nothing can reset it", "DONE RESET_FAILED DONE DONE", no_reset)
    run("start of the agent", 9, lambda: len(stage.start_host()), essential=True)
    host.vm_wait("vm-1", "^UP")
    run("in use: a process has the display open", f"IN_USE, {NATIVE}, free", in_use)
    run("in use, reschedule: it moves to another host", f"/2 on h2; here {NATIVE}, free", rescheduled)
    run("no free port: three GPUs, one port", f"NO_FREE_PORT, {NATIVE} - {NATIVE} {NATIVE}, free", no_free_port)
    run("another VM has it", "HELD_BY_VM, quarantined; still the other VM's", held_by_another_vm)
    run("... gpubus gpu return", "ATTACHED, free, -", lambda: returned("alone"))
    run("another program has the monitor", "BOUND HYPERVISOR_SILENT, then ATTACHED", hypervisor_silent)
    run("... somebody unbinds it by hand", "UNPLUG_PENDING, then free", unbound_by_hand)
    run("stuck in binding", "STUCK, STUCK quarantined; ATTACHED, free, -", stuck_in_binding)
    run("stuck in the reset", "STUCK, STUCK quarantined; ATTACHED, free, -", stuck_in_reset)
    run("the kernel knows no reset", "RESET_FAILED quarantined", cannot_be_reset)
    run("pulled out, assigned, put in again", "DEVICE_GONE, gone, free", pulled_out_before)
    run("pulled out of the VM, and put in again", f"DEVICE_GONE, gone, DEVICE_GONE quarantined; ATTACHED, free, {NATIVE}",
        pulled_out_of_the_vm)
    stage.finish()


main()
