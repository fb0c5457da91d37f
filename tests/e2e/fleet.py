"""Hosts and GPUs as their inventory announces them, for tests that need hosts and no PCI bus."""
import time

TESLA_P4 = ("GP104GL [Tesla P4]", "NVIDIA Corporation", "10de", "1bb3")
A10 = ("GA102GL [A10]", "NVIDIA Corporation", "10de", "2236")
P4, A10_NAME = TESLA_P4[0], A10[0]


def now_us():
    return time.time_ns() // 1000


def gpu(host, pool_id, slot, model=TESLA_P4, **fields):
    name, vendor, vendor_id, device_id = model
    address = f"0000:{slot:02x}:00.0"
    unit = [address, f"0000:{slot:02x}:00.1"]
    record = {
        "gpu_id": f"{host}/{address}",
        "host": host,
        "pool_id": pool_id,
        "pci_address": address,
        "model": name,
        "vendor": vendor,
        "vendor_id": vendor_id,
        "device_id": device_id,
        "class": "030200",
        "driver": "vfio-pci",
        "iommu_group": slot,
        "numa_node": 0,
        "functions": unit,
        "group_members": unit,
        "state": "AVAILABLE",
        "boot_id": "boot-1",
        "observed_at": now_us(),
    }
    return {**record, **fields}


def host(name, pool_id, gpus, **fields):
    """The events of one host; `gpus`: (model, count) pairs."""
    models = [model for model, count in gpus for _ in range(count)]
    events = [("GpuDiscovered", gpu(name, pool_id, 0x10 + i, model)) for i, model in enumerate(models)]
    seen = {
        "host": name,
        "pool_id": pool_id,
        "boot_id": "boot-1",
        "cpu_cores": 64,
        "ram_gb": 512,
        "iommu": True,
        "interrupt_remapping": True,
        "vfio": True,
        "gpu_count": len(models),
        "observed_at": now_us(),
    }
    return [*events, ("HostSeen", {**seen, **fields})]


def pool(pool_id, hosts, **fields):
    """The events of an external pool; `hosts`: {name: [(model, count)…]}."""
    events = [("VmPoolDefined", {"pool_id": pool_id, "attach": "external", **fields})]
    for name, gpus in hosts.items():
        events += host(name, pool_id, gpus)
    return events
