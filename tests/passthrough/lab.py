"""What the passthrough tests stand on, step by step and without gpubus' own agent: the emulated host has the devices, groups and
drivers it should, its kernel takes a GPU from its driver and gives it to a VM, the guest's writes reach it, and it comes
back. Where this fails, the other passthrough tests say nothing about gpubus. Runs inside (vm.sh)."""
import json
import re
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
    check("a group: two functions of one device", f"{gpu} {audio}", lambda: " ".join(map(str, gpu.group_members)))
    check("a group: a switch's port, what is behind", "0604 0380",
          lambda: " ".join(f"{d.pci_class >> 8:04x}" for d in switch.group_members))
    check("a group: two GPUs behind a PCI bridge", True,
          lambda: find("shared_group").group == find("shared_group_too").group)
    check("NUMA node", 1, lambda: numa.numa_node)
    check("boot display", "1", lambda: find("boot_display").read("boot_vga"))
    check("drivers", "bochs-drm bochs-drm virtio-pci",
          lambda: " ".join([gpu.driver, numa.driver, find("virtio_gpu").driver]))
    check("gpubus scan", f"{gpu} {audio} node 1", lambda: scan(gpu, numa))

    vm = NestedVm("vm-1")
    check("a nested VM starts", "vm-1", lambda: vm.start().name)
    check("... and its guest is up", "UP", lambda: vm.wait("^UP").group())
    unit, native = [gpu, audio], drivers([gpu, audio])
    check("two functions: bind", "vfio-pci", lambda: bind(unit))
    check("two functions: guest writes, host sees it", True, lambda: use(vm, unit))
    check("two functions: unplug", "gone", lambda: unplug(vm, len(unit)))
    check("two functions: give back", native, lambda: give_back(unit))
    check("edu: DMA to and from the guest", "OK", lambda: dma(vm, find("edu")))
    check("a VM is killed, its GPU taken back", "bochs-drm", lambda: take_back(vm, numa))
    print(f"{time.monotonic() - begin:.1f} s of Python")
    table.finish()


def scan(gpu, numa):
    said = subprocess.run([BIN / "gpubus", "scan", "-o", "json"], stdout=subprocess.PIPE, check=True).stdout
    seen = {record["pci_address"]: record for record in json.loads(said)}
    return " ".join(seen[gpu.address]["functions"]) + f" node {seen[numa.address]['numa_node']}"


def drivers(unit):
    return " ".join(device.driver or "-" for device in unit)


def bind(unit):
    for device in unit:
        device.bind("vfio-pci")
    return " ".join({device.driver for device in unit})


def give_back(unit):
    for device in unit:
        device.bind(None)
    return drivers(unit)


def use(vm, unit):
    said = vm.plug(1, *unit)
    written = re.search(r"MMIO \S+ wrote (\w+) read \1 OK", said)
    return int(written.group(1), 16) == unit[0].read_bar0(MMIO_OFFSET) if written else said


def unplug(vm, functions):
    vm.unplug(1)
    vm.wait_unplugged(1, functions)
    return "gone"


def dma(vm, edu):
    bind([edu])
    said = vm.plug(1, edu)
    unplug(vm, 1)
    return re.search(r"DMA \S+ (\w+)", said).group(1)


def take_back(vm, device):
    bind([device])
    vm.plug(1, device)
    vm.kill()
    return give_back([device])


main()
