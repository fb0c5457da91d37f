"""gpubus-attach on a real Kafka and a played host: decisions become steps and reports, and what must not
be believed or begun is not."""
import json

from played import BOOTSTRAP, PATIENCE, Bus, Host, apply_topics
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient


def steps_of(agent, bus):
    """What was done to the unit, looks aside."""
    address = f"0000:{bus:02x}:00.0"
    verbs = [line.split() for line in agent.text().splitlines() if line.startswith("play ")]
    return [verb for _, verb, of in verbs if of == address and verb != "look"]


def test_an_assignment_reaches_its_vm_and_comes_back(bus):
    host = Host("h1", "1")
    bus.start_epoch("1")
    agent = host.agent()
    assigned = host.assignment("vm-1", 1)
    bus.decide("GpuAssigned", assigned)
    report = bus.wait_report(assigned, "BOUND", "VM_ABSENT")
    assert report.partition == bus.partition_of("1") and report.key == b"1", report
    assert report.headers["ce_type"] == "gpubus.GpuAttachment", report.headers
    assert report.headers["ce_source"] == "/attach/h1", report.headers
    assert report.headers["ce_id"].startswith("1/GpuAttachment/r-vm-1/1/BOUND@"), report.headers
    assert report.headers["ce_specversion"] == "1.0" and report.headers["ce_time"], report.headers
    gpu = report.record["gpus"][0]
    assert (gpu["gpu_id"], gpu["state"]) == ("h1/0000:01:00.0", "BOUND"), gpu

    host.start_vm("vm-1")
    report = bus.wait_report(assigned, "ATTACHED")
    assert report.record["host"] == "h1" and report.record["gpus"][0]["state"] == "ATTACHED", report

    before = bus.n_reports(assigned)
    bus.decide("GpuAssigned", {**assigned, "state": "RELEASING", "release_request_id": "d-1"})
    report = bus.wait_report(assigned, "DETACHED", after=before)
    assert report.record["gpus"][0]["state"] == "CLEAN", report
    assert steps_of(agent, 1) == ["bind", "plug", "unplug", "clean"], agent.text()
    bus.decide("GpuReleased", {**assigned, "request_id": "d-1", "code": "RELEASED"})
    agent.wait_line("no longer: vm-1 r-vm-1/1")
    agent.stop()
    return host


def test_void_records_and_other_pools_are_not_acted_upon(bus, host):
    zombie = bus.epochs["1"]
    bus.start_epoch("1")
    agent = host.agent()
    bus.decide("GpuAssigned", host.assignment("void", 2), epoch=zombie)
    bus.put("1", b"garbage of nobody", {"ce_epoch": str(zombie)})
    elsewhere = host.assignment("elsewhere", 3, pool_id="other")
    bus.put("1", bus.schemas.encode("GpuAssigned", elsewhere), {"ce_epoch": str(bus.epochs["1"])})
    another = host.assignment("another", 4, host="h2")
    bus.decide("GpuAssigned", another)
    true = host.assignment("true", 5)
    bus.decide("GpuAssigned", true)
    bus.wait_report(true, "BOUND", "VM_ABSENT")  # so it has read, and acted, beyond the others
    agent.stop()
    for slot in (2, 3, 4):
        assert f"0000:{slot:02x}:00.0" not in agent.text(), agent.text()
    return true


def test_a_killed_agent_goes_on(bus, host, assigned):
    host.start_vm("true")
    agent = host.agent()
    bus.wait_report(assigned, "ATTACHED")
    agent.kill()
    # While nobody looks the VM ends and starts again, without its GPU.
    host.stop_vm("true")
    host.start_vm("true")
    position = json.loads((host.dir / "state" / "agent.json").read_text())
    assert position, position
    before = bus.n_reports(assigned)
    agent = host.agent()
    agent.wait_line("reading decisions")
    assert "from offset 0 epoch -1" not in agent.text(), agent.text()
    agent.wait_line("play plug 0000:05:00.0")
    bus.wait_report(assigned, "ATTACHED", after=before)
    return agent


def test_a_second_agent_is_refused(host, first):
    said = host.agent(state="other-state").wait_end(1)
    assert "another agent acts on this host" in said, said
    assert f"pid {first.process.pid} (gpubus-attach)" in said, said
    said = host.agent().wait_end(1)
    assert "another process has this state directory" in said, said
    said = first.stop()
    assert "play unplug" not in said, "stopping the agent detaches nothing"


def test_another_pool_is_refused(host):
    said = host.agent(pool="2").wait_end(1)
    assert "host h1 belongs to pool 1" in said and "--move-pool" in said, said
    said = host.agent("--move-pool", pool="2").wait_end(1)
    assert "host h1 is not empty" in said and "true r-true/1" in said, said


def test_a_host_without_a_memory_does_not_move(host):
    memory = host.dir / "state" / "agent.json"
    text = memory.read_text()
    memory.write_text("{")
    for _ in range(2):  # the first one puts the file aside
        said = host.agent("--move-pool", pool="2").wait_end(1)
        assert "host h1 is not empty" in said and "agent.json.unusable could not be used" in said, said
    (memory.parent / "agent.json.unusable").unlink()
    memory.write_text(text)


def test_bad_options_are_refused(host):
    for args, words in ((["--hypervisor", "xen"], "is not qmp, libvirt or none"),
                        (["--step-deadline", "0s"], "is too little"),
                        (["--step-deadline", "2d"], "is more than 24h"),
                        (["--host", ""], "--host")):
        said = host.agent(*args).wait_end(2)
        assert words in said, said
    said = host.agent("--sysfs", host.dir / "nowhere").wait_end(1)
    assert "nowhere/bus/pci: No such file" in said, said


def test_a_decision_that_cannot_be_read_holds(bus):
    host = Host("h3", "broken")
    bus.start_epoch("broken")
    agent = host.agent()
    good = host.assignment("good", 1)
    bus.decide("GpuAssigned", good)
    bus.wait_report(good, "BOUND", "VM_ABSENT")
    offset = bus.put("broken", b"\xc3\x01garbage!", {"ce_epoch": str(bus.epochs["broken"])})
    behind = host.assignment("behind", 2)
    bus.decide("GpuAssigned", behind)
    agent.wait_line("waiting: decisions: held", f"offset {offset}")
    # What was known before it is not acted upon either: its release may stand behind.
    host.start_vm("good")
    agent.wait_line("step=look is not begun: the log is broken")
    agent.stop()
    agent = host.agent()  # it does not get better by starting again
    agent.wait_line("waiting: decisions: held", f"offset {offset}")
    agent.stop()
    assert "play plug" not in agent.text() and "0000:02:00.0" not in agent.text(), agent.text()


def test_a_missing_beginning_holds(bus):
    host = Host("h4", "cut")
    bus.start_epoch("cut")
    assigned = host.assignment("lost", 1)
    last = bus.decide("GpuAssigned", assigned)
    place = TopicPartition("gpubus.decisions.v1", bus.partition_of("cut"), last)
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})  # kept: its answers come as long as it lives
    for future in admin.delete_records([place]).values():
        future.result(PATIENCE)
    agent = host.agent()
    agent.wait_line("the log of decisions is broken", "has no offset 0")
    said = agent.stop()
    assert "play " not in said and "acting" not in said, said


def main():
    apply_topics()
    bus = Bus()
    host = test_an_assignment_reaches_its_vm_and_comes_back(bus)
    assigned = test_void_records_and_other_pools_are_not_acted_upon(bus, host)
    agent = test_a_killed_agent_goes_on(bus, host, assigned)
    test_a_second_agent_is_refused(host, agent)
    test_another_pool_is_refused(host)
    test_a_host_without_a_memory_does_not_move(host)
    test_bad_options_are_refused(host)
    test_a_decision_that_cannot_be_read_holds(bus)
    test_a_missing_beginning_holds(bus)


main()
