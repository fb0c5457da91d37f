"""Steps (gpubus-attach-step) with --hypervisor libvirt, on a real kernel: libvirt's own QEMU driver (qemu:///embed), a domain
of its owner's, a GPU of two functions. Each step and each deed of the owner is a process of its own, as in life; what the
domain has is read from its XML by other code than libvirt.c. Runs inside (vm.sh)."""
import ctypes
import json
import os
import re
import subprocess

from vmhost import BIN, DIR, GUEST, NestedVm, Table, find, load

ROOT = "/tmp/libvirt"
URI = f"qemu:///embed?root={ROOT}"
QEMU_CONF = """stdio_handler = "file"
security_driver = "none"
user = "root"
group = "root"
namespaces = []
cgroup_controllers = []
remember_owner = 0
"""
MMIO_OFFSET = 0x4000
XML_INACTIVE = 2  # VIR_DOMAIN_XML_INACTIVE
PORTS = 2

unit = []


class Libvirt:
    """libvirt.so, as far as an owner of domains needs it."""

    FUNCTIONS = {
        "virEventRegisterDefaultImpl": (ctypes.c_int,),
        "virConnectOpen": (ctypes.c_void_p, ctypes.c_char_p),
        "virConnectClose": (ctypes.c_int, ctypes.c_void_p),
        "virDomainDefineXML": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p),
        "virDomainLookupByName": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p),
        "virDomainCreate": (ctypes.c_int, ctypes.c_void_p),
        "virDomainDestroy": (ctypes.c_int, ctypes.c_void_p),
        "virDomainIsActive": (ctypes.c_int, ctypes.c_void_p),
        "virDomainMemoryStats": (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint),
        "virDomainGetXMLDesc": (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint),
        "virGetLastErrorMessage": (ctypes.c_char_p,),
    }

    def __init__(self):
        library = ctypes.CDLL("libvirt.so.0")
        for name, (result, *arguments) in self.FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def do(self, deed):
        """What deed(self, connection) returns, from a process of its own: the root has one at a time."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, json.dumps(self._connected(deed)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            said = answer.read()
        os.waitpid(pid, 0)
        return json.loads(said or '"the process has died"')

    def _connected(self, deed):
        self.virEventRegisterDefaultImpl()
        connection = self.virConnectOpen(URI.encode())
        result = deed(self, connection) if connection else None
        if result is None:
            result = f"libvirt: {self.virGetLastErrorMessage().decode()}"
        if connection:
            self.virConnectClose(connection)
        return result


class Domain(NestedVm):
    """A persistent domain; its QEMU has nothing of ours but the guest."""

    def __init__(self, name, libvirt):
        super().__init__(name, PORTS)
        self.libvirt = libvirt

    def xml(self):
        numbers = range(1, PORTS + 1)
        ports = "".join(
            f"<controller type='pci' index='{n}' model='pcie-root-port'>"
            f"<address type='pci' bus='0' slot='{15 + n}'/></controller>"
            for n in numbers
        )
        # A root port's own window is 2 MB: a GPU would get no address.
        overrides = "".join(
            f"<qemu:device alias='pci.{n}'><qemu:frontend>"
            f"<qemu:property name='mem-reserve' type='unsigned' value='{32 << 20}'/>"
            f"<qemu:property name='slot' type='unsigned' value='{n}'/></qemu:frontend></qemu:device>"
            for n in numbers
        )
        return (
            f"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{self.name}</name>"
            "<memory unit='MiB'>64</memory><vcpu>1</vcpu><features><acpi/></features>"
            f"<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{GUEST}</kernel></os><devices>"
            f"<controller type='pci' index='0' model='pcie-root'/>{ports}"
            "<controller type='usb' model='none'/><memballoon model='none'/>"
            f"<serial type='unix'><source mode='bind' path='/tmp/{self.name}.serial'/>"
            f"<log file='{self.serial}' append='on'/></serial></devices>"
            f"<qemu:override>{overrides}</qemu:override></domain>"
        )

    def do(self, deed):
        """deed(libvirt, domain), once libvirt knows whether its QEMU lives: it finds that out beside, and who asks the VM
        something waits for it."""

        def with_domain(libvirt, connection):
            domain = libvirt.virDomainLookupByName(connection, self.name.encode())
            if domain and libvirt.virDomainIsActive(domain) == 1:
                libvirt.virDomainMemoryStats(domain, ctypes.create_string_buffer(1024), 16, 0)
            return deed(libvirt, domain) if domain else None

        return self.libvirt.do(with_domain)

    def define(self):
        return self.libvirt.do(lambda l, c: "defined" if l.virDomainDefineXML(c, self.xml().encode()) else None)

    def start(self):
        said = self.do(lambda l, domain: "started" if l.virDomainCreate(domain) == 0 else None)
        assert said == "started", said
        self.wait("^UP")
        return said

    def shut_off(self):
        said = self.do(lambda l, domain: "shut off" if l.virDomainDestroy(domain) == 0 else None)
        assert said == "shut off", said

    def kill(self):
        """Its QEMU, behind libvirt's back."""
        pid_file = f"{ROOT}/run/qemu/{self.name}.pid"
        if os.path.exists(pid_file):
            with open(pid_file, encoding="ascii") as file:
                os.kill(int(file.read()), 9)

    def has(self):
        """How many of our functions it has: running, and in its persistent definition."""

        def both(libvirt, domain):
            is_active = libvirt.virDomainIsActive(domain)
            live = libvirt.virDomainGetXMLDesc(domain, 0).decode() if is_active else ""
            config = libvirt.virDomainGetXMLDesc(domain, XML_INACTIVE).decode()
            return [text.count("<hostdev ") for text in (live, config)]

        live, config = self.do(both)
        return f"live {live}, config {config}"


def prepare_root():
    os.environ["LIBVIRT_LOG_OUTPUTS"] = f"3:file:{DIR}/libvirt.log"  # else it is said in between
    os.makedirs(f"{ROOT}/etc")
    with open(f"{ROOT}/etc/qemu.conf", "w", encoding="ascii") as conf:
        conf.write(QEMU_CONF)
    # libvirt wants the user that Debian's packages of the daemon make, also when it is not to use it.
    for file, line in (("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false"), ("group", "libvirt-qemu:x:64055:")):
        with open(f"/etc/{file}", "a", encoding="ascii") as database:
            database.write(line + "\n")


def main():
    table = Table(widths=(42, 47, 47))
    load("bochs", "vfio-pci", "vfio_iommu_type1")
    unit.extend([find("two_function"), find("audio_function")])
    prepare_root()
    domain = Domain("vm-1", Libvirt())

    def step(verb, deadline="20000", **more):
        """Its code, or its outcome; of a look, what it has seen."""
        request = json.dumps({"step": verb, "functions": [d.address for d in unit], **more})
        done = subprocess.run(
            [BIN / "gpubus-attach-step", "--hypervisor", "libvirt", "--target", URI, "--deadline", deadline],
            input=request, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        if result.get("reason"):
            table.note(f"{verb}: {result['reason']}")
        if "facts" in result:
            return f"{result['facts']['vm']} {result['facts']['plugged']}"
        return result.get("code") or result["outcome"].upper()

    def ask(verb, **more):
        return step(verb, vm="vm-1", **more)

    def guest_uses_it():
        """Each function has a port of its own: the guest has seen both, and has written to the GPU."""
        written = domain.wait(r"MMIO \S+ wrote (\w+) read \1 OK").group(1)
        domain.wait("READY slot 01")
        domain.wait(r"ADD slot 02 .* 8086:293e")
        domain.wait("READY slot 02")
        seen = unit[0].read_bar0(MMIO_OFFSET)
        return "used" if int(written, 16) == seen else f"the guest wrote {written}, the host sees {seen:08x}"

    def plugged():
        return f"{ask('plug')}, {guest_uses_it()}, {domain.has()}"

    def holds():
        domain.hold()
        return f"{ask('unplug', deadline='3000')}, {step('clean')}, {domain.has()}"

    def lets_go():
        domain.release()
        seen = f"{ask('unplug')}, {domain.has()}"
        domain.wait("GONE slot 0")
        return f"{seen}, {step('clean')}"

    def is_killed():
        domain.kill()
        return f"{ask('look')}, {ask('plug')}"

    def starts_again():
        domain.start()
        return f"{ask('look')}, {plugged()}"

    def shut_off_then_released():
        seen = ask("plug")
        domain.shut_off()
        return f"{seen}, {ask('unplug')}, {domain.has()}, {step('clean')}"

    def give_back():
        done = step("give-back", drivers=["bochs-drm", ""])
        return f"{done}, {' '.join(d.driver or '-' for d in unit)}"

    check = table.check
    try:
        check("libvirt does not know the domain", "absent 0, DONE, VM_ABSENT",
              lambda: f"{ask('look')}, {step('bind')}, {ask('plug')}")
        check("it is shut off", "defined, VM_ABSENT", lambda: f"{domain.define()}, {ask('plug')}")
        check("it runs: two functions are plugged", "started, DONE, used, live 2, config 2",
              lambda: f"{domain.start()}, {plugged()}")
        check("... and once more: it has them", "DONE, live 2, config 2", lambda: f"{ask('plug')}, {domain.has()}")
        check("its QEMU is killed", "absent 0, VM_ABSENT", is_killed)
        check("it starts again: its definition has them", "running 2, DONE, used, live 2, config 2", starts_again)
        check("a guest that does not let go", "UNPLUG_PENDING, UNPLUG_PENDING, live 2, config 0", holds)
        check("... and does", "DONE, live 0, config 0, DONE", lets_go)
        check("plugged, shut off, then released", "DONE, DONE, live 0, config 0, DONE", shut_off_then_released)
        check("given back", "DONE, bochs-drm -", give_back)
    finally:
        domain.kill()
    table.finish()


main()
