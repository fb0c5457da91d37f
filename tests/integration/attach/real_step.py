"""gpubus-attach with its real step program on generated trees, as far as files without a kernel go: what is
on vfio-pci is handed on, what stands in the way is named."""
import subprocess

from played import BIN, DIR, Bus, Host, apply_topics


class TreeHost(Host):
    def __init__(self, name, pool, cards):
        super().__init__(name, pool)
        out = DIR / f"trees-{name}"
        subprocess.run([BIN / "gpubus-hostgen", "--output", out], input=f"host {name} pool={pool}\n{cards}\n",
                       text=True, check=True)
        self.tree = out / name

    def real_agent(self, *args):
        (self.dir / "dev").mkdir(exist_ok=True)
        return self.agent("--step-program", BIN / "gpubus-attach-step", "--hypervisor", "none",
                          "--sysfs", self.tree / "sys", "--proc", self.tree / "proc", "--dev", self.dir / "dev",
                          *args)


def test_a_gpu_on_vfio_is_handed_on(bus):
    host = TreeHost("ready", "ready", "gpu 10de:1bb3 audio driver=vfio-pci")
    bus.start_epoch("ready")
    agent = host.real_agent()
    assigned = host.assignment("vm", 1)
    bus.decide("GpuAssigned", assigned)
    bus.wait_report(assigned, "BOUND")
    before = bus.n_reports(assigned)
    bus.decide("GpuAssigned", {**assigned, "state": "RELEASING", "release_request_id": "d"})
    # A directory cannot be reset: that is said, and the GPU is not called clean.
    report = bus.wait_report(assigned, "DETACHED", after=before)
    gpu = report.record["gpus"][0]
    assert (gpu["state"], gpu["code"]) == ("DIRTY", "RESET_FAILED") and gpu["reason"], report
    agent.stop()


def test_what_stands_in_the_way_is_named(bus):
    host = TreeHost("way", "way", "gpu 10de:1bb3 driver=nvidia\ngpu 10de:1bb3 driver=vfio-pci")
    bus.start_epoch("way")
    agent = host.real_agent()
    gone = host.assignment("gone", 0x40)
    bus.decide("GpuAssigned", gone)
    report = bus.wait_report(gone, "FAILED", "DEVICE_GONE")
    assert "0000:40:00.0" in report.record["reason"], report
    agent.stop()


def main():
    apply_topics()
    bus = Bus()
    test_a_gpu_on_vfio_is_handed_on(bus)
    test_what_stands_in_the_way_is_named(bus)


main()
