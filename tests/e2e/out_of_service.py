"""What is out of service, and how it comes back: hosts that an operator cordons, GPUs in quarantine, assignments whose
agent fails. The test itself plays the agents; operators use the gpubus command."""
import json

import fleet
from cluster import ClusterTest, main, wait_for
from replay import Log, owners_by_answers

DONE, WRONG, REFUSED = 0, 2, 3
AGENT = {"attach": "agent"}


class OutOfService(ClusterTest):
    partitions = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.scheduler()

    def pool(self, pool_id, hosts, **fields):
        self.upstream.publish_all(fleet.pool(pool_id, {h: [(fleet.TESLA_P4, n)] for h, n in hosts.items()}, **fields))

    def operate(self, status, pool_id, *arguments):
        """An operator's command, which waits; its answer."""
        said = self.cluster.gpubus(*arguments, "--pool", pool_id, "--wait", "-o", "json")
        self.assertEqual(said.returncode, status, f"{arguments}\n{said.stdout}{said.stderr}")
        return json.loads(said.stdout)["answer"] if status in (DONE, REFUSED) else None

    def told(self, request_id, what, condition):
        """The first answer to a request for which the condition holds."""
        answers = self.upstream.answers
        return answers.wait(
            lambda: next((m.record for m in answers.by_key[request_id] if condition(m.name, m.record)), None), what
        )

    def grant(self, pool_id, vm_id, n=1, **fields):
        answer = self.upstream.request(pool_id, vm_id, [(fleet.P4, n)], **fields)
        self.assertEqual(answer.name, "GpuAssigned", answer.record)
        return answer.record

    def release(self, assigned):
        """Starts the release in a pool with agents: its id. What is told first is the VM's assignment."""
        request_id = f"release-{assigned['assignment_id']}"
        release = {"request_id": request_id, "pool_id": assigned["pool_id"], "vm_id": assigned["vm_id"]}
        self.upstream.publish("VmReleased", release)
        releasing = self.told(assigned["request_id"], "RELEASING", lambda _, record: record.get("release_request_id"))
        self.assertEqual((releasing["state"], releasing["release_request_id"]), ("RELEASING", request_id))
        return request_id

    def in_redis(self, table, what, condition, *arguments):
        return wait_for(lambda: next((row for row in self.cluster.get(table, *arguments) if condition(row)), None), what)

    # ---- operators

    def test_a_cordoned_host_gets_no_new_vms(self):
        self.pool("cordon", {"c1": 2})
        held = self.grant("cordon", "stays")
        marked = self.operate(DONE, "cordon", "host", "cordon", "c1", "--reason", "a new fan", "--actor", "ann")
        self.assertEqual((marked["mark"], marked["reason"], marked["actor"]), ("CORDONED", "a new fan", "ann"))
        refused = self.upstream.request("cordon", "new", [(fleet.P4, 1)]).record
        self.assertEqual([h["code"] for h in refused["hosts"]], ["HOST_CORDONED"])
        again = self.operate(DONE, "cordon", "host", "cordon", "c1", "--reason", "once more")
        self.assertEqual(again["code"], "NOTHING_CHANGED")

        host = self.in_redis("hosts", "c1 cordoned", lambda h: h["host"] == "c1" and h["cordon"])
        self.assertEqual((host["state"], host["cordon"]["reason"], host["cordon"]["actor"]), ("CORDONED", "a new fan", "ann"))
        self.assertEqual(host["gpus_assigned"], 1)
        pool = self.cluster.get("pools", "cordon")[0]
        self.assertEqual((pool["gpus"], pool["gpus_assigned"], pool["gpus_free"]), (2, 1, 0))
        self.assertIn("a new fan", self.cluster.gpubus("get", "hosts").stdout)
        self.assertIn("c1", self.cluster.gpubus("get", "marks").stdout)

        opened = self.operate(DONE, "cordon", "host", "uncordon", "c1")
        self.assertEqual(opened["mark"], "OPEN")
        self.assertRegex(opened["actor"], ".+@.+")
        self.grant("cordon", "new")
        self.in_redis("hosts", "c1 open", lambda h: h["host"] == "c1" and h["cordon"] is None)
        self.assertEqual(self.upstream.release("cordon", "stays").record["gpus"], held["gpus"])

    def test_a_gpu_in_quarantine_goes_to_no_vm(self):
        self.pool("gpu", {"q1": 1})
        gpu = "q1/0000:10:00.0"
        marked = self.operate(DONE, "gpu", "gpu", "quarantine", gpu, "--reason", "ECC errors")
        self.assertEqual((marked["gpu_id"], marked["mark"]), (gpu, "QUARANTINED"))
        self.assertEqual(self.upstream.request("gpu", "v", [(fleet.P4, 1)]).record["code"], "NO_CAPACITY")
        row = self.in_redis("gpus", "the quarantine", lambda g: g["gpu_id"] == gpu and g["quarantine"])
        self.assertEqual((row["quarantine"]["code"], row["quarantine"]["reason"]), ("OPERATOR", "ECC errors"))
        self.assertIn("QUARANTINED", self.cluster.gpubus("get", "gpus", "--pool", "gpu").stdout)
        self.assertEqual(self.operate(DONE, "gpu", "gpu", "return", gpu)["mark"], "RETURNED")
        self.grant("gpu", "v")

    def test_commands_that_cannot_be(self):
        self.pool("wrong", {"w1": 1})
        refused = self.operate(REFUSED, "wrong", "host", "cordon", "w9", "--reason", "x")
        self.assertEqual((refused["code"], refused["request_type"]), ("HOST_UNKNOWN", "OperatorCommand"))
        refused = self.operate(REFUSED, "wrong", "gpu", "quarantine", "w1/0000:99:00.0", "--reason", "x")
        self.assertEqual(refused["code"], "GPU_UNKNOWN")
        for arguments in (
            ("host", "cordon", "w1"),  # why?
            ("gpu", "quarantine", "w1/0000:10:00.0"),
            ("host", "burn", "w1", "--reason", "x"),
            ("gpu", "return", "w1"),
            ("host", "cordon"),
            ("release", "--vm", "v", "--force"),
        ):
            self.operate(WRONG, "wrong", *arguments)
        unknown = {"request_id": "cmd-1", "pool_id": "wrong", "command": "EXPLODE", "host": "w1", "actor": "ann"}
        self.assertEqual(self.upstream.ask("OperatorCommand", unknown).record["code"], "INVALID_REQUEST")

    def test_forced_release_says_who_and_why(self):
        self.pool("force", {"f1": 1}, **AGENT)
        assigned = self.grant("force", "v")
        nobody = self.upstream.release("force", "v", force=True, reason="f1 burnt down")
        self.assertEqual(nobody.record["code"], "INVALID_REQUEST")
        released = self.operate(DONE, "force", "release", "--vm", "v", "--force", "--reason", "f1 burnt down", "--actor", "ann")
        self.assertEqual(
            [released[k] for k in ("assignment_id", "code", "reason", "actor")],
            [assigned["assignment_id"], "FORCED", "f1 burnt down", "ann"],
        )

    # ---- agents

    def test_how_far_the_agent_is(self):
        self.pool("far", {"a1": 1}, **AGENT)
        assigned = self.grant("far", "v")
        waits = {"code": "VM_ABSENT", "reason": "VM v does not run"}
        self.upstream.report(assigned, "BOUND", ["BOUND"], **waits)
        vm = self.in_redis("vms", "BOUND", lambda v: v["attach_state"] == "BOUND", "v", "--pool", "far")
        self.assertEqual((vm["attach_code"], vm["attach_reason"]), ("VM_ABSENT", "VM v does not run"))
        text = self.cluster.gpubus("get", "vms", "--pool", "far").stdout
        self.assertIn("BOUND VM_ABSENT", text)
        self.assertIn("VM v does not run", text)
        self.upstream.report(assigned, "ATTACHED", ["ATTACHED"])
        gpu = self.in_redis("gpus", "ATTACHED", lambda g: g["attach_state"] == "ATTACHED", "--pool", "far")
        self.assertEqual((gpu["vm_id"], gpu["attach_code"]), ("v", None))

        request_id = self.release(assigned)
        self.upstream.report(assigned, "DETACHED", ["CLEAN"])
        released = self.told(request_id, "the release", lambda name, _: name == "GpuReleased")
        self.assertEqual((released["code"], released["quarantined"]), ("RELEASED", []))

    def test_only_what_is_clean_is_free(self):
        self.pool("dirty", {"d1": 2}, **AGENT)
        assigned = self.grant("dirty", "v", 2)
        request_id = self.release(assigned)
        self.upstream.report(assigned, "DETACHED", ["CLEAN", ("DIRTY", "RESET_FAILED")])
        released = self.told(request_id, "the release", lambda name, _: name == "GpuReleased")
        dirty = assigned["gpus"][1]["gpu_id"]
        self.assertEqual([(g["gpu_id"], g["code"]) for g in released["quarantined"]], [(dirty, "RESET_FAILED")])
        self.assertEqual(self.grant("dirty", "next")["gpus"][0]["gpu_id"], assigned["gpus"][0]["gpu_id"])
        self.assertEqual(self.upstream.request("dirty", "more", [(fleet.P4, 1)]).record["code"], "NO_CAPACITY")
        row = self.in_redis("gpus", "the quarantine", lambda g: g["quarantine"], "--pool", "dirty")
        self.assertEqual((row["gpu_id"], row["quarantine"]["code"], row["quarantine"]["vm_id"]), (dirty, "RESET_FAILED", "v"))
        self.operate(DONE, "dirty", "gpu", "return", dirty, "--reason", "card swapped")
        self.assertEqual(self.grant("dirty", "more")["gpus"][0]["gpu_id"], dirty)

    def test_another_host_when_an_agent_fails(self):
        self.pool("move", {"m1": 1, "m2": 1}, **AGENT, attach_attempts=2)
        first = self.grant("move", "v", request_id="move-1")
        self.upstream.report(first, "FAILED", [("STUCK", "STUCK")], code="STUCK", reason="the unbind hangs")
        second = self.told("move-1", "another host", lambda name, r: name == "GpuAssigned" and r["replaces"])
        self.assertEqual((second["replaces"], second["failed_hosts"]), (first["assignment_id"], [first["host"]]))
        self.assertNotEqual(second["host"], first["host"])
        self.assertEqual([g["gpu_id"] for g in second["quarantined"]], [first["gpus"][0]["gpu_id"]])

        self.upstream.report(second, "FAILED", ["CLEAN"], code="NO_IOMMU")
        # Nobody asked for the end, so it stands under no request's id.
        ended = self.told("", "the end", lambda _, record: record["assignment_id"] == second["assignment_id"])
        self.assertEqual((ended["code"], ended["request_id"], ended["quarantined"]), ("ATTACH_FAILED", "", []))
        self.assertIn("NO_IOMMU", ended["reason"])
        # Whoever asks again hears that it has failed.
        again = self.cluster.gpubus(
            *("request", "--pool", "move", "--vm", "v", "--gpu", f"{fleet.P4}=1", "--request-id", "move-1", "--wait")
        )
        self.assertEqual(again.returncode, REFUSED, again.stdout + again.stderr)
        self.assertIn("failed  VM v did not get its GPUs", again.stdout)

    def test_z_the_log_agrees(self):
        """The log replayed: nothing in quarantine was given away, each command was answered once."""
        log = Log(self.cluster.decisions.read_to_end())
        answers = self.upstream.answers.read_to_end()
        log.check_answers(answers)
        self.assertEqual(log.problems, [])
        self.assertEqual(owners_by_answers(answers).problems, [])
        commands = [asked for asked in log.outcomes if asked[0] == "OperatorCommand"]
        self.assertGreaterEqual(len(commands), 9)
        wait_for(lambda: not self.cluster.uncommitted(), "all inputs committed")
        report = self.cluster.audit()
        self.assertEqual(report["requests"]["pending"], 0)
        self.assertEqual(report["quarantined_gpus"], 1)


if __name__ == "__main__":
    main()
