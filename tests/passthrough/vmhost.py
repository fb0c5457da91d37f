"""The emulated hypervisor host, for tests that run inside it (tests/support/passthrough/vm.sh starts it): its devices by what
they are there for, VMs that devices can be plugged into, and a record of what was done and how long it took. Plain Python,
for every second of an import counts there. The names of sysfs, of QMP and of the guest's lines (guest.c) are used as they are.

    load("bochs", "vfio-pci")
    gpu = find("numa_node_1")
    with NestedVm("vm-1") as vm:
        vm.wait("^UP")
        gpu.bind("vfio-pci")
        vm.plug(1, gpu)  # or let gpubus do both, and:
        vm.wait(r"MMIO .* OK")

Unix sockets and the state of agents belong in /tmp (memory), what is to be read after a failure in TEST_DIR."""
import json
import mmap
import os
import re
import socket
import struct
import subprocess
import time
from pathlib import Path

PATIENCE = 30
PCI = Path("/sys/bus/pci")
DIR = Path(os.environ["TEST_DIR"])
BIN = Path(os.environ["BUILD_DIR"]) / "bin"
GUEST = Path(os.environ["BUILD_DIR"]) / "passthrough/guest"

# What topology.args has, by the path below /sys/devices (root port, or host bridge) and vendor:device.
ROLES = {
    "boot_display": ("pci0000:00/0000:00:02.0", "1234:1111"),
    "two_function": ("pci0000:00/0000:00:03.0/", "1234:1111"),  # function 0; one group with ...
    "audio_function": ("pci0000:00/0000:00:03.0/", "8086:293e"),  # ... function 1
    "behind_switch": ("pci0000:00/0000:00:04.0/", "1234:1111"),
    "virtio_gpu": ("pci0000:00/0000:00:04.0/", "1af4:1050"),  # behind the same switch, held by virtio-pci
    "shared_group": ("pci0000:00/0000:00:05.0/", "1002:5046"),  # one group with ...
    "shared_group_too": ("pci0000:00/0000:00:05.0/", "1013:00b8"),  # ... this one, behind one PCI bridge
    "alone": ("pci0000:00/0000:00:06.0/", "1002:5159"),
    "nvme": ("pci0000:00/0000:00:07.0/", "1b36:0010"),  # sriov_numvfs up to 2 (modprobe nvme)
    "numa_node_1": ("pci0000:40/", "1234:1111"),
    "integrated": ("pci0000:00/0000:00:09.0", "1234:1111"),  # no slot, no root port
    "edu": ("pci0000:00/0000:00:0a.0/", "1234:11e8"),  # the guest tries its DMA
}


def wait_for(condition, what, patience=PATIENCE):
    """The first truthy value of condition()."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: did not happen within {patience} s")
        time.sleep(0.01)  # lint: may sleep (it polls for a condition)
    return value


class Device:
    """A PCI function."""

    def __init__(self, address):
        self.address, self.path = address, PCI / "devices" / address

    def __repr__(self):
        return self.address

    def __eq__(self, other):
        return self.address == other.address

    def __hash__(self):
        return hash(self.address)

    def read(self, attribute):
        return (self.path / attribute).read_text().strip()

    def write(self, attribute, value):
        (self.path / attribute).write_text(value)

    def _link(self, name):
        try:
            return os.path.basename(os.readlink(self.path / name))
        except FileNotFoundError:
            return None

    @property
    def id(self):
        return f"{self.read('vendor')[2:]}:{self.read('device')[2:]}"

    @property
    def pci_class(self):
        return int(self.read("class"), 16)

    @property
    def numa_node(self):
        return int(self.read("numa_node"))

    @property
    def driver(self):
        return self._link("driver")

    @property
    def driver_override(self):
        value = self.read("driver_override")
        return None if value == "(null)" else value

    @property
    def group(self):
        """The number of the IOMMU group as text, None when there is no IOMMU."""
        return self._link("iommu_group")

    @property
    def group_members(self):
        """All functions of the group, bridges too, this one among them."""
        return sorted((Device(d.name) for d in (self.path / "iommu_group/devices").iterdir()), key=str)

    def bind(self, driver):
        """To a driver for good (driver_override), or with None to the one that the kernel chooses. It is what an
        administrator does by hand; blocks while a guest holds the device and does not let go."""
        self.write("driver_override", driver or "\n")
        if self.driver:
            self.write("driver/unbind", self.address)
        (PCI / "drivers_probe").write_text(self.address)
        if driver and self.driver != driver:
            raise AssertionError(f"{self.address} has driver {self.driver}, not {driver}")

    def read_bar0(self, offset):
        """32 bits of BAR0, as the host sees them: what a guest wrote there is seen here, while it has the device too."""
        with open(self.path / "resource0", "r+b") as file:
            with mmap.mmap(file.fileno(), offset + 4, prot=mmap.PROT_READ) as bar:
                return struct.unpack_from("<I", bar, offset)[0]


def devices():
    return sorted((Device(d.name) for d in (PCI / "devices").iterdir()), key=str)


def find(role):
    """The device that topology.args has for this purpose."""
    below, wanted = ROLES[role]
    found = [d for d in devices() if f"/sys/devices/{below}" in f"{os.path.realpath(d.path)}" and d.id == wanted]
    assert len(found) == 1, f"{role}: {found}"
    return found[0]


def load(*modules):
    """Kernel modules, with those they need. Display drivers take the devices that they know at once."""
    subprocess.run(["modprobe", "-a", *modules], check=True, timeout=PATIENCE)


class Qmp:
    """A monitor of QEMU's. Commands one at a time; events are kept until somebody waits for them."""

    def __init__(self, path, patience=PATIENCE):
        def connect():
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(str(path))
            except OSError:
                peer.close()
                return None
            return peer

        self.socket = wait_for(connect, f"connect to {path}", patience)
        self.socket.settimeout(patience)
        self.lines, self.events = self.socket.makefile("r"), []
        self._receive()  # the greeting
        self.command("qmp_capabilities")

    def _receive(self):
        line = self.lines.readline()
        assert line, "QEMU has closed its monitor"
        return json.loads(line)

    def ask(self, name, **arguments):
        """The whole reply: {"return": ...} or {"error": {"class": ..., "desc": ...}}."""
        request = {"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self.socket.sendall(json.dumps(request).encode())
        while "event" in (reply := self._receive()):
            self.events.append(reply)
        return reply

    def command(self, name, **arguments):
        """What it returns; an error of QEMU's is a failure of the test."""
        reply = self.ask(name, **arguments)
        assert "return" in reply, f"{name} {arguments}: {reply}"
        return reply["return"]

    def wait_event(self, name, **data):
        """The next event of this name whose data has these values; the events before it are kept."""
        position = 0
        while True:
            while position < len(self.events):
                event = self.events[position]
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    return self.events.pop(position)
                position += 1
            try:
                self.events.append(self._receive())
            except TimeoutError:
                raise AssertionError(f"no event {name} {data}; there are {self.events}") from None


class NestedVm:
    """A VM of this host: QEMU with guest.c and root ports hp1 ... hpN (slot numbers 1 to N) that GPUs fit behind.

    It has a monitor for the test (`qmp`) and one for the programs under test (the unix socket `monitor`): QEMU serves one
    client a monitor. `start` after `kill` is the same VM anew; its serial log goes on."""

    def __init__(self, name, ports=2, options=()):
        self.name, self.ports, self.options = name, ports, options
        self.monitor = Path(f"/tmp/{name}.qmp")
        self.serial, self.log = DIR / f"{name}.serial", DIR / f"{name}.qemu"
        self.serial.unlink(missing_ok=True)  # of a life of the host before this one
        self.process = self.qmp = None
        self.position = 0  # in the serial log: what `wait` has gone past

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def start(self):
        own = f"/tmp/{self.name}.test.qmp"
        command = [
            "qemu-system-x86_64", "-name", self.name, "-machine", "q35", "-accel", "tcg", "-cpu", "qemu64",
            "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-kernel", str(GUEST),
            "-chardev", f"socket,id=serial,path=/tmp/{self.name}.serial,server=on,wait=off,"
                        f"logfile={self.serial},logappend=on",
            "-serial", "chardev:serial",
            "-qmp", f"unix:{own},server=on,wait=off", "-qmp", f"unix:{self.monitor},server=on,wait=off",
        ]  # fmt: skip
        for n in range(1, self.ports + 1):
            # A root port's own window is 2 MB: a GPU would get no address.
            command += ["-device", f"pcie-root-port,id=hp{n},chassis={n},slot={n},addr={15 + n:#x},mem-reserve=32M"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.qmp = Qmp(own)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"{self.name}: {error}; QEMU said: {self.log.read_text()}") from None
        return self

    def kill(self):
        """As `kill -9` does; nothing is said to the guest."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self):
        """All lines of the guest's."""
        return self.serial.read_text().splitlines() if self.serial.exists() else []

    def wait(self, pattern, patience=PATIENCE):
        """The match of the guest's next line, after the one waited for before, in which the pattern is found. Lines of
        guest.c end with what matters: `MMIO .* OK`."""

        def look():
            lines = self.said()
            for number in range(self.position, len(lines)):
                if match := re.search(pattern, lines[number]):
                    self.position = number + 1
                    return match
            return None

        try:
            return wait_for(look, pattern, patience)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}; it said: {self.said()}") from None

    def plug(self, port, *functions):
        """Plugs devices on vfio-pci into the slot of root port `port`, function 0 last: only then a guest looks there.
        Returns what the guest said about them, one text."""
        for number, device in reversed(list(enumerate(functions))):
            self.qmp.command("device_add", driver="vfio-pci", host=device.address, id=f"g{port}.{number}", bus=f"hp{port}",
                             addr=f"0.{number}", multifunction=len(functions) > 1)
        before = self.position
        self.wait(f"READY slot {port:02}")
        return "\n".join(self.said()[before : self.position])

    def unplug(self, port):
        """Asks that what `plug` has plugged be let go. Function 0 takes all functions with it."""
        self.qmp.command("device_del", id=f"g{port}.0")

    def wait_unplugged(self, port, functions=1):
        for number in range(functions):
            self.qmp.wait_event("DEVICE_DELETED", device=f"g{port}.{number}")
        self.wait(f"GONE slot {port:02}")

    def _order(self, character, answer):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(f"/tmp/{self.name}.serial")
            line.sendall(character)
            self.wait(answer)

    def hold(self):
        """From now on the guest answers no request to unplug."""
        self._order(b"h", "HOLDING")

    def release(self):
        """It answers them again, also those of before."""
        self._order(b"r", "RELEASING")


class Table:
    """Scenario x expected x seen x seconds: one line each, as soon as it is known. `finish` fails when one was not as expected.

    expected and seen are shown as they are and compared; a scenario that raises has seen its exception. `keep`: a file that
    gets the same lines."""

    def __init__(self, *titles, widths=(44, 30, 30), keep=None):
        self.widths, self.failed, self.keep = widths, 0, keep
        if keep:
            keep.parent.mkdir(exist_ok=True)
            keep.write_text("")
        self._line(titles or ("SCENARIO", "EXPECTED", "SEEN"), "SECONDS")

    def _print(self, line):
        print(line, flush=True)
        if self.keep:
            with self.keep.open("a") as file:
                file.write(line + "\n")

    def _line(self, cells, seconds):
        self._print(" ".join((*(f"{str(c):{w}}" for c, w in zip(cells, self.widths)), f"{seconds:>7}")))

    def note(self, text):
        """A line of its own, about the scenario above."""
        self._print(f"    {text}")

    def check(self, scenario, expected, act):
        """Runs act() and compares what it returns. Returns that."""
        begin = time.monotonic()
        try:
            seen = act()
        except Exception as error:  # pylint: disable=broad-except
            seen = f"{type(error).__name__}: {error}"
        good = seen == expected
        self.failed += not good
        self._line((scenario, expected, seen), f"{time.monotonic() - begin:.2f}" + ("" if good else "  WRONG"))
        return seen

    def finish(self):
        assert not self.failed, f"{self.failed} not as expected"
