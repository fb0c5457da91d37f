"""The hands of a test in the emulated host: it runs inside (vm.sh), the test itself beside the VM (host.py), where Python is
not emulated and Kafka is near. One JSON object a line over TCP: {"call": method, "args": [...], "kwargs": {...}} is answered
with {"value": ...} or {"error": text}. Whatever was started ends with the connection."""
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import vmhost
from vmhost import BIN, DIR, NestedVm, Qmp

LOOK_ATTRIBUTES = ("address", "id", "driver", "driver_override", "group", "numa_node")


class Hands:
    def __init__(self):
        self.vms, self.programs, self.holders, self.clients = {}, {}, {}, {}

    # ---- devices

    def load(self, *modules):
        vmhost.load(*modules)

    def devices(self):
        """{role: facts}."""
        facts = {}
        for role in vmhost.ROLES:
            device = vmhost.find(role)
            facts[role] = {name: getattr(device, name) for name in LOOK_ATTRIBUTES}
            facts[role]["group_members"] = [d.address for d in device.group_members] if device.group else []
        return facts

    def drivers(self, *addresses):
        return [vmhost.Device(address).driver for address in addresses]

    def overrides(self, *addresses):
        return [vmhost.Device(address).driver_override for address in addresses]

    def is_present(self, address):
        return vmhost.Device(address).path.exists()

    def bind(self, address, driver):
        vmhost.Device(address).bind(driver)

    def read_bar0(self, address, offset):
        return vmhost.Device(address).read_bar0(offset)

    def read(self, path):
        return Path(path).read_text(encoding="utf-8").strip()

    def write(self, path, text):
        Path(path).write_text(text, encoding="utf-8")

    def remove(self, address):
        """From the PCI bus, as if somebody pulled it out: does not wait until nobody has it open any more."""
        subprocess.Popen(["sh", "-c", 'echo 1 > "$0"', vmhost.Device(address).path / "remove"])

    def unbind(self, name, address):
        """As somebody does by hand; a program `name` that runs as long as the kernel does not let it go."""
        path = vmhost.Device(address).path / "driver/unbind"
        self.programs[name] = subprocess.Popen(["sh", "-c", f'echo "$0" > {path}', address])

    def rescan(self):
        (vmhost.PCI / "rescan").write_text("1")

    # ---- files of sysfs and proc that behave as those of other hosts do

    def cover(self, path, text):
        """Reads as `text` from now on, or as what is written to it; nothing else comes of that."""
        over = Path("/tmp/cover")
        over.write_text(text, encoding="utf-8")
        self._mount(over, path)

    def cover_with_hang(self, path):
        """Whoever opens it waits for ever."""
        over = Path("/tmp/hang")
        over.unlink(missing_ok=True)
        os.mkfifo(over)
        self._mount(over, path)

    def _mount(self, over, path):
        subprocess.run(["mount", "--bind", over, os.path.realpath(path)], check=True)

    def uncover(self, path):
        """Lazily: somebody may still hang there."""
        subprocess.run(["umount", "--lazy", os.path.realpath(path)], check=True)

    # ---- VMs

    def vm_start(self, name, ports=2, wait=True):
        """`wait`: until QEMU listens. Its guest is up after that."""
        if name not in self.vms:
            self.vms[name] = NestedVm(name, ports)
        if wait:
            self.vms[name].start()
        else:
            threading.Thread(target=self.vms[name].start, daemon=True).start()

    def vm_kill(self, name):
        self.vms[name].kill()

    def vm_wait(self, name, pattern):
        """The guest's next line with the pattern, and its groups."""
        match = self.vms[name].wait(pattern)
        return [match.string, *match.groups()]

    def vm_hold(self, name):
        self.vms[name].hold()

    def vm_release(self, name):
        self.vms[name].release()

    def vm_plug(self, name, port, *addresses):
        return self.vms[name].plug(port, *(vmhost.Device(address) for address in addresses))

    def vm_unplug(self, name, port):
        self.vms[name].unplug(port)
        self.vms[name].wait_unplugged(port)

    def vm_has(self, name):
        """Addresses of the host's devices that QEMU has, as it says itself."""
        qmp, found = self.vms[name].qmp, []
        for container in ("/machine/peripheral", "/machine/peripheral-anon"):
            for item in qmp.command("qom-list", path=container):
                if item["type"] == "child<vfio-pci>":
                    found.append(qmp.command("qom-get", path=f"{container}/{item['name']}", property="host"))
        return sorted(found)

    def monitor_take(self, name):
        """The monitor that gpubus has for the VM; QEMU serves one client."""
        self.clients[name] = Qmp(self.vms[name].monitor)

    def monitor_leave(self, name):
        client = self.clients.pop(name)
        client.lines.close()
        client.socket.close()

    # ---- network

    def forward(self, port):
        """127.0.0.1:port in here is 127.0.0.1:port of the machine beside, for servers that call themselves so."""
        server = socket.create_server(("127.0.0.1", port))

        def pump(source, target):
            with source, target:
                with suppress(OSError):  # either side may end it
                    while data := source.recv(65536):
                        target.sendall(data)

        def serve():
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("10.0.2.2", port))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()

    # ---- programs

    def start(self, name, *command, **environment):
        """In the background; its log is TEST_DIR/NAME.log."""
        with (DIR / f"{name}.log").open("ab") as log:
            self.programs[name] = subprocess.Popen(
                [BIN / command[0], *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **environment},
            )  # fmt: skip
        return self.programs[name].pid

    def stop(self, name, number=signal.SIGTERM):
        """Returns its exit status."""
        program = self.programs.pop(name)
        program.send_signal(number)
        return program.wait(vmhost.PATIENCE)

    def signal(self, name, number):
        self.programs[name].send_signal(number)

    def running(self, name):
        return self.programs[name].poll() is None

    def run(self, *command):
        """[exit status, what it said, what it complained]"""
        said = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False, timeout=60)
        return [said.returncode, said.stdout, said.stderr]

    def step(self, verb, functions, *options, **more):
        """A step by hand, without the agent."""
        text = json.dumps({"step": verb, "functions": functions, **more})
        said = subprocess.run([BIN / "gpubus-attach-step", *options], input=text, capture_output=True, text=True, check=False,
                              timeout=60)
        return json.loads(said.stdout) if said.returncode == 0 else {"status": said.returncode, "stderr": said.stderr}

    def open_display(self, address):
        """A process that has the display of this device open, like a desktop: [pid, name]."""
        nodes = [n.name for n in (vmhost.Device(address).path / "drm").iterdir() if n.name.startswith("card")]
        number = os.makedev(*map(int, self.read(vmhost.Device(address).path / f"drm/{nodes[0]}/dev").split(":")))
        path = Path(f"/dev/dri/{nodes[0]}")
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            os.mknod(path, stat.S_IFCHR | 0o600, number)
        with path.open("rb") as display:
            self.holders[address] = subprocess.Popen(["sleep", "infinity"], stdin=display)
        return [self.holders[address].pid, "sleep"]

    def close_display(self, address):
        holder = self.holders.pop(address)
        holder.kill()
        holder.wait()


def main():
    hands = Hands()
    with socket.create_connection(("10.0.2.2", int(sys.argv[1]))) as peer, peer.makefile("rw") as lines:
        for line in lines:
            order = json.loads(line)
            try:
                answer = {"value": getattr(hands, order["call"])(*order["args"], **order["kwargs"])}
            except Exception as error:  # pylint: disable=broad-except
                answer = {"error": f"{type(error).__name__}: {error}"}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


main()
