"""`gpubus scan`: its JSON is what the schema of GpuDiscovered says, for every recorded host; its table says
why a GPU is not available; and its exit status tells no GPU from no bus."""

import json
import os
import subprocess

import fastavro
import fastavro.validation

GPUBUS = os.path.join(os.environ["BUILD_DIR"], "bin", "gpubus")
DIR = os.environ["TEST_DIR"]
SOURCE = os.environ["SOURCE_DIR"]


def scan(*args, status=0):
    done = subprocess.run([GPUBUS, "scan", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def tree(name, description):
    subprocess.run([os.path.join(os.environ["BUILD_DIR"], "bin", "gpubus-hostgen"), "--output", DIR],
                   input=f"host {name}\n{description}", text=True, check=True, timeout=60)
    return os.path.join(DIR, name, "sys")


def test_recorded_hosts():
    subprocess.run([os.path.join(os.environ["TEST_DATA"], "hosts", "unpack.sh"), f"{DIR}/recorded"],
                   check=True, timeout=60)
    with open(os.path.join(SOURCE, "schemas", "GpuDiscovered.avsc"), encoding="utf-8") as file:
        schema = fastavro.parse_schema(json.load(file))
    found = {}
    for host in sorted(os.listdir(f"{DIR}/recorded")):
        gpus = json.loads(scan("--sysfs", f"{DIR}/recorded/{host}/sys", "--host", host, "--pool", "7",
                               "-o", "json").stdout)
        for gpu in gpus:
            fastavro.validation.validate(gpu, schema)
            assert gpu["gpu_id"] == f"{host}/{gpu['pci_address']}" and gpu["pool_id"] == "7", gpu
            assert gpu["functions"][0] == gpu["pci_address"], gpu
            assert (gpu["reason"] is None) == (gpu["state"] == "AVAILABLE"), gpu
        found[host] = [gpu["state"] for gpu in gpus]
    in_use, shared = "IN_USE_BY_HOST", "GROUP_SHARED"
    assert found == {
        "ghw-intel-i7-1270p": [in_use],
        "ghw-nvidia-tesla-p100": [in_use, in_use],
        "hwloc-40intel64-pcilocality": ["BOOT_DISPLAY"],
        "hwloc-nvidiagpunumanodes": ["UNREADABLE"] * 6,
        "qemu-gpu-topology": ["BOOT_DISPLAY"] + [in_use] * 4 + [shared] * 2 + [in_use, "AVAILABLE"],
    }, found


def test_table():
    lines = scan("--sysfs", tree("shown", "gpu 10de:1bb3 audio driver=vfio-pci numa=1 group=12\n"
                                          "gpu 10de:15f8 driver=nvidia\n")).stdout.splitlines()
    assert lines[0].split() == "ADDRESS MODEL VENDOR STATE DRIVER GROUP NUMA UNIT".split(), lines
    in_use, free = sorted(lines[1:3])
    for text in ("0000:41:00.0", "GP104GL [Tesla P4]", "NVIDIA Corporation", "AVAILABLE", "vfio-pci", " 12 ", ".1"):
        assert text in free, free
    assert "IN_USE_BY_HOST" in in_use, in_use
    assert lines[3] == "" and lines[4].startswith("0000:01:00.0: driver nvidia holds it"), lines
    assert len(lines) == 5, lines


def test_drivers_that_gpus_may_be_taken_from():
    nouveau = tree("nouveau", "gpu 10de:1bb3 driver=nouveau\n")
    for drivers, state in (("nouveau,snd_hda_intel", "AVAILABLE"), ("amdgpu", "IN_USE_BY_HOST")):
        gpu, = json.loads(scan("--sysfs", nouveau, "--passthrough-drivers", drivers, "-o", "json").stdout)
        assert (gpu["state"], gpu["driver"]) == (state, "nouveau"), gpu
    assert "names of kernel drivers" in scan("--passthrough-drivers", "a b", status=2).stderr


def test_no_gpu_and_no_bus():
    none = tree("none", "device 8086:1521 class=020000\n")
    assert scan("--sysfs", none, "-o", "json").stdout == "[]\n"
    assert "no GPU" in scan("--sysfs", none).stdout
    for output in ("json", "table"):
        done = scan("--sysfs", f"{DIR}/none", "-o", output, status=1)
        assert done.stdout == "" and "bus/pci/devices: there is no such directory" in done.stderr, done
    scan("--sysfs", none, "-o", "xml", status=2)
    scan("--no-such-option", status=2)


def test_this_machine():
    if os.path.isdir("/sys/bus/pci/devices"):
        json.loads(scan("-o", "json").stdout)


test_recorded_hosts()
test_table()
test_drivers_that_gpus_may_be_taken_from()
test_no_gpu_and_no_bus()
test_this_machine()
