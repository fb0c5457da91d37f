"""What the passthrough tests stand on, step by step and without gpubus' own agent: the emulated host has the devices, groups and
drivers it should, its kernel takes a GPU from its driver and gives it to a VM, the guest's writes reach it, and it comes
back. Where this fails, the other passthrough tests say nothing about gpubus. Runs inside (vm.sh)."""
import json
import subprocess
import time

from vmhost import BIN, NestedVm, Table, devices, find, load

MMIO_OFFSET = 0x4000


def main():
    begin = time.monotonic()
    with open("/proc/uptime", encoding="ascii") as uptime:
        print(f"Python runs {uptime.read().split()[0]} s after the kernel began")
    table = Table()
    check = table.check
    check("kernel modules", "loaded", lambda: load("bochs", "vfio-pci", "vfio_iommu_type1") or "loaded")

    gpu, audio, switch, numa = (find(r) for r in ("two_function", "audio_function", "behind_switch", "numa_node_1"))
    check("devices without an IOMMU group", [], lambda: [d for d in devices() if not d.group])
    check("a group: two functions of one device", [gpu, audio], lambda: gpu.group_members)
    check("a group: a port of a switch, what is behind", [False, True],
          lambda: [d == switch for d in switch.group_members])
    check("a group: two GPUs behind a PCI bridge", True,
          lambda: find("shared_group").group == find("shared_group_too").group)
    check("NUMA node", 1, lambda: numa.numa_node)
    check("boot display", "1", lambda: find("boot_display").read("boot_vga"))
    check("drivers", "bochs-drm bochs-drm virtio-pci",
          lambda: " ".join([gpu.driver, numa.driver, find("virtio_gpu").driver]))
    check("gpubus scan: functions, NUMA node", [[gpu.address, audio.address], 1], lambda: scan(gpu, numa))
    check("Kafka beside the VM", "12 partitions", topics)

    vm = NestedVm("vm-1")
    check("a nested VM starts", "vm-1", lambda: vm.start().name)
    check("... and its guest is up", "UP", lambda: vm.wait("^UP").group())
    for name, device in (("NUMA node 1", numa), ("behind a switch", switch)):
        check(f"{name}: bind", "vfio-pci", lambda d=device: bind(d))
        check(f"{name}: guest writes, host sees it", True, lambda d=device: use(vm, d))
        check(f"{name}: unplug", "gone", lambda: remove(vm))
        check(f"{name}: give back", "bochs-drm", lambda d=device: give_back(d))
    check("edu: DMA to and from the guest", "OK", lambda: dma(vm, find("edu")))
    check("a guest that does not let go", "HOLD", lambda: hold(vm, numa))
    check("... and lets go later", "gone", lambda: let_go(vm))
    check("... give back", "bochs-drm", lambda: give_back(numa))
    check("a VM is killed, its GPU taken back", "bochs-drm", lambda: take_back(vm, numa))
    print(f"{time.monotonic() - begin:.1f} s of Python")
    table.finish()


def scan(gpu, numa):
    said = subprocess.run([BIN / "gpubus", "scan", "-o", "json"], stdout=subprocess.PIPE, check=True).stdout
    seen = {record["pci_address"]: record for record in json.loads(said)}
    return [seen[gpu.address]["functions"], seen[numa.address]["numa_node"]]


def topics():
    """Made and then looked at, by way of the listener that Kafka has for VMs."""
    for verb in ("apply", "verify"):
        said = subprocess.run([BIN / "gpubus", "topics", verb], stdout=subprocess.PIPE, text=True, check=True).stdout
    return said.rpartition(": ")[2].strip()


def bind(device):
    device.bind("vfio-pci")
    return device.driver


def give_back(device):
    device.bind(None)
    return device.driver


def add(vm, device, said):
    """Plugs it in; the match of what the guest says about using it."""
    vm.qmp.command("device_add", driver="vfio-pci", host=device.address, id="g0", bus="hp1")
    match = vm.wait(said)
    vm.wait("READY slot 01")
    return match


def removed(vm):
    vm.qmp.wait_event("DEVICE_DELETED", device="g0")
    vm.wait("GONE slot 01")
    return "gone"


def remove(vm):
    vm.qmp.command("device_del", id="g0")
    return removed(vm)


def use(vm, device):
    written = add(vm, device, r"MMIO \S+ wrote (\w+) read \1 OK").group(1)
    return int(written, 16) == device.read_bar0(MMIO_OFFSET)


def dma(vm, edu):
    bind(edu)
    said = add(vm, edu, r"DMA \S+ (\w+)").group(1)
    remove(vm)
    return said


def hold(vm, device):
    bind(device)
    add(vm, device, "MMIO .* OK")
    vm.hold()
    vm.qmp.command("device_del", id="g0")
    return vm.wait("HOLD$").group()


def let_go(vm):
    vm.release()
    return removed(vm)


def take_back(vm, device):
    bind(device)
    add(vm, device, "MMIO .* OK")
    vm.kill()
    return give_back(device)


main()
