"""gpubus-attach when things go wrong round it: steps that hang, crash or cannot be begun, a broker that is
away, a host whose memory is lost, a stop in the middle of a step. VM ids differ: reports are told apart by
their assignment."""
import os
import signal
from pathlib import Path

from played import DIR, Bus, Host, apply_topics


def test_a_step_that_hangs_makes_the_device_stuck_and_no_other(bus):
    host = Host("hang", "hang")
    bus.start_epoch("hang")
    host.break_step("bind", "hang")
    agent = host.agent("--step-deadline", "5s")
    stuck, fine = host.assignment("stuck", 1), host.assignment("fine", 2)
    bus.decide("GpuAssigned", stuck)
    report = bus.wait_report(stuck, "FAILED", "STUCK")
    gpu = report.record["gpus"][0]
    assert gpu["state"] == "STUCK" and "did not end by its deadline" in gpu["reason"], report
    host.mend_step("bind")
    bus.decide("GpuAssigned", fine)
    bus.wait_report(fine, "BOUND", "VM_ABSENT")
    agent.stop()


def test_a_step_that_fails_is_reported_with_its_reason(bus):
    host = Host("fail", "fail")
    bus.start_epoch("fail")
    host.break_step("bind", "failed IN_USE")
    agent = host.agent()
    assigned = host.assignment("vm-fail", 1)
    bus.decide("GpuAssigned", assigned)
    report = bus.wait_report(assigned, "FAILED", "IN_USE")
    assert report.record["reason"] == "so the test wants it", report
    agent.wait_line("level=warning", "step=bind unit=0000:01:00.0 failed code=IN_USE")
    agent.stop()


def test_a_step_that_has_not_begun_says_nothing_of_the_hypervisor(bus):
    host = Host("silent", "silent")
    bus.start_epoch("silent")
    host.start_vm("vm-silent")
    agent = host.agent()
    assigned = host.assignment("vm-silent", 1)
    bus.decide("GpuAssigned", assigned)
    bus.wait_report(assigned, "ATTACHED")
    host.break_step("unplug", "wait HYPERVISOR_SILENT")
    bus.decide("GpuAssigned", {**assigned, "state": "RELEASING"})
    agent.wait_line("waiting: hypervisor: so the test wants it")
    host.break_step("unplug", "wait STEP_PENDING")
    bus.wait_report(assigned, "ATTACHED", "STEP_PENDING")
    assert not any("no longer waiting: hypervisor" in line for line in agent.lines), agent.lines
    host.mend_step("unplug")
    bus.wait_report(assigned, "DETACHED")
    agent.wait_line("no longer waiting: hypervisor")
    agent.stop()


def test_a_step_that_crashes_is_tried_again(bus):
    host = Host("crash", "crash")
    bus.start_epoch("crash")
    host.break_step("bind", "crash")
    agent = host.agent()
    assigned = host.assignment("vm-crash", 1)
    bus.decide("GpuAssigned", assigned)
    agent.wait_line("signal 11", "it is repeated")
    host.mend_step("bind")
    bus.wait_report(assigned, "BOUND", "VM_ABSENT")
    agent.stop()


def test_without_a_step_program_the_agent_waits(bus):
    host = Host("no-step", "no-step")
    bus.start_epoch("no-step")
    program = host.dir / "step-program"
    agent = host.agent("--step-program", program)
    assigned = host.assignment("vm-no-step", 1)
    bus.decide("GpuAssigned", assigned)
    agent.wait_line("waiting: steps", "cannot be started: No such file")
    program.symlink_to(Path(__file__).with_name("play_step.py"))
    bus.wait_report(assigned, "BOUND", "VM_ABSENT")
    agent.wait_line("no longer waiting: steps")
    agent.stop()


def test_without_kafka_the_agent_goes_on_with_what_it_knows(bus):
    host = Host("alone", "alone")
    bus.start_epoch("alone")
    host.start_vm("vm-alone")
    agent = host.agent()
    assigned = host.assignment("vm-alone", 1)
    bus.decide("GpuAssigned", assigned)
    bus.wait_report(assigned, "ATTACHED")
    told, line = bus.n_reports(assigned), len(agent.lines)
    broker = int((DIR / "kafka.pid").read_text())
    os.kill(broker, signal.SIGSTOP)
    try:
        agent.wait_line("waiting: kafka", after=line)
        host.stop_vm("vm-alone")
        line = agent.wait_line("vm-alone r-vm-alone/1 BOUND VM_ABSENT", after=line)
        host.start_vm("vm-alone")
        line = agent.wait_line("play plug 0000:01:00.0", after=line)
        agent.wait_line("vm-alone r-vm-alone/1 ATTACHED", after=line)
    finally:
        os.kill(broker, signal.SIGCONT)
    bus.wait_report(assigned, "ATTACHED", after=told)
    agent.wait_line("no longer waiting: kafka")
    agent.stop()


def test_a_lost_memory_is_survivable(bus):
    host = Host("forgot", "forgot")
    bus.start_epoch("forgot")
    host.start_vm("vm-forgot")
    agent = host.agent()
    assigned = host.assignment("vm-forgot", 1)
    bus.decide("GpuAssigned", assigned)
    bus.wait_report(assigned, "ATTACHED")
    agent.kill()
    (host.dir / "state" / "agent.json").write_text('{"half a fil')
    told = bus.n_reports(assigned)
    agent = host.agent()
    agent.wait_line("cannot be used", "agent.json.unusable")
    bus.wait_report(assigned, "ATTACHED", after=told)
    assert "play unplug" not in agent.text() and "play clean" not in agent.text(), agent.text()
    agent.stop()


def test_a_stop_does_not_wait_for_ever_and_the_next_agent_begins_again(bus):
    host = Host("stop", "stop")
    bus.start_epoch("stop")
    host.break_step("bind", "hang")
    agent = host.agent()
    assigned = host.assignment("vm-stop", 1)
    bus.decide("GpuAssigned", assigned)
    agent.wait_line("play bind 0000:01:00.0")
    said = agent.stop()
    assert "1 steps have not ended" in said, said
    host.mend_step("bind")
    agent = host.agent()
    bus.wait_report(assigned, "BOUND", "VM_ABSENT")
    agent.stop()


def main():
    apply_topics()
    bus = Bus()
    test_a_step_that_hangs_makes_the_device_stuck_and_no_other(bus)
    test_a_step_that_fails_is_reported_with_its_reason(bus)
    test_a_step_that_has_not_begun_says_nothing_of_the_hypervisor(bus)
    test_a_step_that_crashes_is_tried_again(bus)
    test_without_a_step_program_the_agent_waits(bus)
    test_without_kafka_the_agent_goes_on_with_what_it_knows(bus)
    test_a_lost_memory_is_survivable(bus)
    test_a_stop_does_not_wait_for_ever_and_the_next_agent_begins_again(bus)


main()
