"""The gpubus command against the real parts: inventory reads generated hosts, a scheduler decides; what the verbs
say, and with which exit status."""
import json
import subprocess

import fleet
from cluster import BIN, DIR, ClusterTest, main, wait_for
from foreign import topic_name

DONE, WRONG, REFUSED, NO_ANSWER = 0, 2, 3, 4
HOSTS = """
host c count=2 pool=cli cores=16 ram-gb=64
gpu 10de:1bb3 count=2 audio driver=vfio-pci numa=0
gpu 1a03:2000 driver=ast boot-vga
"""


class Cli(ClusterTest):
    partitions = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hosts = DIR / "hosts"
        subprocess.run([BIN / "gpubus-hostgen", "--output", cls.hosts], input=HOSTS, text=True, check=True)

    def run_it(self, status, *arguments, **options):
        result = self.cluster.gpubus(*arguments, **options)
        self.assertEqual(result.returncode, status, f"{arguments}\n{result.stdout}{result.stderr}")
        return result

    def said(self, status, *arguments):
        """What it says in JSON."""
        return json.loads(self.run_it(status, *arguments, "-o", "json").stdout)

    def ask(self, status, verb, *arguments):
        return self.said(status, verb, "--pool", "cli", "--wait", *arguments)

    # ---- the stories, in the order of their names

    def test_1_no_answer_yet(self):
        """Before there is a scheduler: exit 4, and the request stands."""
        self.run_it(DONE, "publish", "VmPoolDefined", "--json", '{"pool_id": "cli", "attach": "external"}')
        arguments = ("--vm", "early", "--gpu", f"{fleet.P4}=1", "--request-id", "early-1", "--timeout", "500ms")
        result = self.run_it(NO_ANSWER, "request", "--pool", "cli", "--wait", *arguments)
        self.assertIn("early-1", result.stderr + result.stdout)
        self.run_it(DONE, "request", "--pool", "cli", *arguments)  # without --wait it is sent, and that is all

        once = ("--hosts-dir", self.hosts, "--state-dir", DIR / "state", "--once")
        subprocess.run([BIN / "gpubus-inventory", *once], env=self.cluster.environment, check=True, timeout=60,
                       stderr=subprocess.DEVNULL)
        self.cluster.scheduler()
        answers = self.upstream.answers
        answers.wait(lambda: answers.by_key["early-1"], "the answer to what was asked before there was a scheduler")
        self.assertEqual(answers.by_key["early-1"][0].name, "GpuAssigned")
        answers.wait(lambda: len(answers.by_key["early-1"]) == 2, "the same, told again")

    def test_2_request_release_migrate_check(self):
        self.ask(DONE, "release", "--vm", "early")
        granted = self.ask(DONE, "request", "--vm", "vm-1", "--gpu", f"{fleet.P4}=2", "--request-id", "r1")
        self.assertEqual([granted[k] for k in ("outcome", "event", "request_id")], ["granted", "GpuAssigned", "r1"])
        self.assertEqual(len(granted["answer"]["gpus"]), 2)
        self.assertEqual(granted["answer"]["gpus"][0]["name"], fleet.P4)
        again = self.ask(DONE, "request", "--vm", "vm-1", "--gpu", f"{fleet.P4}=2", "--request-id", "r1")
        self.assertEqual(again, granted)

        refused = self.ask(REFUSED, "request", "--vm", "vm-2", "--gpu", "10de:1bb3=3")
        self.assertEqual((refused["outcome"], refused["answer"]["code"]), ("refused", "NO_CAPACITY"))
        text = self.run_it(REFUSED, "request", "--pool", "cli", "--vm", "vm-2", "--gpu", "Tesla K80=1", "--wait").stdout
        self.assertIn("MODEL_UNKNOWN", text)
        self.assertIn(fleet.P4, text)

        self.assertEqual(self.ask(DONE, "migrate-check", "--vm", "vm-1")["answer"]["allowed"], True)
        here = granted["answer"]["host"]
        refused = self.ask(REFUSED, "migrate-check", "--vm", "vm-1", "--host", here)
        self.assertEqual(refused["answer"]["hosts"][0]["code"], "CURRENT_HOST")

        released = self.ask(DONE, "release", "--vm", "vm-1")
        self.assertEqual((released["outcome"], released["event"]), ("done", "GpuReleased"))
        nothing = self.ask(DONE, "release", "--vm", "vm-1")
        self.assertEqual((nothing["event"], nothing["answer"]["code"]), ("RequestCompleted", "NOTHING_HELD"))
        text = self.run_it(DONE, "request", "--pool", "cli", "--vm", "vm-1", "--gpu", f"{fleet.P4}=1", "--wait").stdout
        self.assertIn("granted  VM vm-1 on host c", text)
        self.assertIn("0000:", text)

    def test_3_get(self):
        """Redis has what was discovered and decided."""
        one = ("request", "--pool", "cli", "--vm", "vm-get", "--gpu", f"{fleet.P4}=1", "--request-id", "g1", "--wait")
        granted = self.said(DONE, *one)["answer"]
        wait_for(lambda: self.cluster.get("vms", "vm-get"), "the VM in Redis")
        vm = self.cluster.get("vms", "vm-get")[0]
        self.assertEqual((vm["host"], vm["gpus"]), (granted["host"], granted["gpus"]))
        gpus = self.cluster.get("gpus", "--pool", "cli")
        self.assertEqual(len(gpus), 6)
        self.assertEqual(sorted(g["state"] for g in gpus), ["AVAILABLE"] * 4 + ["BOOT_DISPLAY"] * 2)
        self.assertEqual([g["vm_id"] for g in gpus if g["gpu_id"] == granted["gpus"][0]["gpu_id"]], ["vm-get"])
        self.assertEqual(sorted(h["host"] for h in self.cluster.get("hosts")), ["c1", "c2"])
        self.assertEqual([p["pool_id"] for p in self.cluster.get("pools")], ["cli"])
        request = self.cluster.get("requests", "g1")[0]
        self.assertEqual((request["request_type"], request["answer_event"]), ("VmRequested", "GpuAssigned"))
        self.assertIn("vm-get", self.run_it(DONE, "get", "vms").stdout)
        self.run_it(DONE, "release", "--pool", "cli", "--vm", "vm-get", "--wait")

    def test_4_scan_says_what_inventory_published(self):
        scanned = self.said(DONE, "scan", "--sysfs", str(self.hosts / "c1" / "sys"))
        known = {g["pci_address"]: g for g in self.cluster.get("gpus") if g["host"] == "c1"}
        self.assertEqual({g["pci_address"] for g in scanned}, known.keys())
        for gpu in scanned:
            for field in ("model", "state", "functions", "iommu_group", "numa_node", "driver"):
                self.assertEqual(gpu[field], known[gpu["pci_address"]][field], field)

    def test_4_doctor_says_what_stops_passthrough(self):
        """Of a host whose GPUs are ready, and of one whose IOMMU is off."""
        well = self.said(DONE, "doctor", "--sysfs", str(self.hosts / "c1" / "sys"))
        self.assertEqual((well["stopped"], well["gpus"], well["gpus_ready"]), (False, 3, 2))
        host = "host off iommu=off\ngpu 10de:1bb3 driver=vfio-pci\n"
        subprocess.run([BIN / "gpubus-hostgen", "--output", DIR / "ill"], input=host, text=True, check=True)
        ill = self.said(1, "doctor", "--sysfs", str(DIR / "ill" / "off" / "sys"))
        self.assertEqual(ill["gpus_ready"], 0)
        self.assertIn("NO_IOMMU", [f["code"] for f in ill["findings"] if f["severity"] == "stop"])
        text = self.run_it(DONE, "doctor", "--sysfs", str(self.hosts / "c1" / "sys")).stdout
        self.assertRegex(text.splitlines()[-1], "^ok .* 2 GPUs ready for VMs, 1 not$")

    def test_5_publish_any_event(self):
        """Each event gets to its topic, to the partition and under the key of its pool, as it was given."""
        gpu = {k: v for k, v in fleet.gpu("p1", "pub", 1).items() if k != "observed_at"}
        host = {k: v for k, v in fleet.host("p1", "pub", [])[0][1].items() if k != "observed_at"}
        asks = [{"name": fleet.P4, "count": 1}]
        events = {
            "VmPoolDefined": {"pool_id": "pub", "attach": "external", "policy": "spread"},
            "VmTypeDefined": {"vm_type_id": "t1", "pool_id": "pub", "cpu_cores": 2, "ram_gb": 4, "gpus": asks},
            "GpuDiscovered": gpu,
            "HostSeen": host,
            "VmRequested": {"request_id": "p-1", "vm_id": "v1", "pool_id": "pub", "vm_type_id": "t1"},
            "MigrationCheck": {"request_id": "p-2", "vm_id": "v1", "pool_id": "pub"},
            "OperatorCommand": {
                **{"request_id": "p-4", "pool_id": "pub", "command": "CORDON_HOST", "host": "p1"},
                **{"reason": "why not", "actor": "ann"},
            },
            "GpuAttachment": {"assignment_id": "a/1", "vm_id": "v1", "pool_id": "pub", "host": "p1", "state": "BOUND"},
            "VmReleased": {"request_id": "p-3", "vm_id": "v1", "pool_id": "pub"},
        }
        for name, record in events.items():
            self.run_it(DONE, "publish", name, "--json", json.dumps(record))
            topic, partition, key = self.upstream.place(name, record)
            tail = self.run_it(DONE, "tail", topic, "--exit-at-end", "-o", "json").stdout.splitlines()
            last = [m for m in map(json.loads, tail) if m["event"] == name][-1]
            self.assertEqual((last["topic"], last["partition"], last["key"]), (topic_name(topic), partition, key))
            self.assertEqual(last["record"], {**last["record"], **record}, name)
            self.assertEqual(last["headers"]["ce_type"], f"gpubus.{name}")
        answers = self.upstream.answers
        told = {"p-1": "GpuAssigned", "p-2": "MigrationVerdict", "p-3": "GpuReleased", "p-4": "HostMarked"}
        for request_id, name in told.items():
            answers.wait(lambda: answers.by_key[request_id], f"the answer to {request_id}")
            self.assertEqual(answers.by_key[request_id][0].name, name)
        types = wait_for(lambda: self.cluster.get("types", "t1"), "the type in Redis")
        self.assertEqual((types[0]["cpu_cores"], types[0]["gpus"]), (2, asks))

    def test_6_an_operator_removes_what_is_gone(self):
        """A tombstone takes a GPU out of the pool."""
        for event in fleet.pool("gone", {"g1": [(fleet.TESLA_P4, 1)]}):
            self.upstream.publish(*event)
        self.assertEqual(self.upstream.request("gone", "v1", [(fleet.P4, 1)]).name, "GpuAssigned")
        self.assertEqual(self.upstream.release("gone", "v1").name, "GpuReleased")
        self.run_it(DONE, "publish", "GpuDiscovered", "--delete", "g1/0000:10:00.0", "--pool", "gone")
        wait_for(lambda: not self.cluster.get("gpus", "--pool", "gone"), "the GPU gone from Redis")
        self.assertEqual(self.upstream.request("gone", "v2", [(fleet.P4, 1)]).record["code"], "MODEL_UNKNOWN")

    def test_7_what_cannot_be_used(self):
        """A request that only a dead letter comes of is an error, which is told; so is a wrong command line."""
        self.run_it(WRONG, "nonsense")
        self.run_it(WRONG)
        self.run_it(WRONG, "request", "--pool", "cli")
        self.run_it(WRONG, "request", "--pool", "cli", "--gpu", "x", "--policy", "hoard")
        self.run_it(WRONG, "get", "everything")
        self.run_it(WRONG, "topics", "shuffle")
        self.run_it(WRONG, "publish", "VmRequested", "--json", "{")
        self.run_it(WRONG, "publish", "VmRequested", "--json", '{"vm_id": 7, "pool_id": "cli"}')
        self.run_it(WRONG, "publish", "VmExploded", "--json", "{}")
        self.run_it(WRONG, "doctor", "--passthrough-drivers", "nouveau amdgpu")
        asking = ("request", "release", "migrate-check", "host", "gpu")
        for verb in (*asking, "get", "publish", "tail", "topics", "scan", "doctor", "audit"):
            self.assertIn("Exit status", self.run_it(DONE, verb, "--help").stdout)

        self.run_it(DONE, "publish", "VmRequested", "--raw-hex", "dead", "--partition", "0")
        letters = self.upstream.dead_letters
        letters.wait(lambda: any(m.value == b"\xde\xad" for m in letters.messages), "the dead letter")
        self.assertIn("NO_FRAME", self.run_it(DONE, "tail", "dead-letters", "--exit-at-end").stdout)

    def test_8_topics_and_audit(self):
        self.run_it(DONE, "topics", "apply", "--partitions", "3")
        self.assertIn("3 partitions", self.run_it(DONE, "topics", "verify").stdout)
        report = self.cluster.audit()
        self.assertEqual((report["requests"]["pending"], len(report["shards"])), (0, 3))
        self.assertGreater(report["requests"]["granted"], 0)
        decisions = self.run_it(DONE, "tail", "decisions", "--exit-at-end").stdout
        self.assertIn("EPOCH", decisions)
        self.assertIn("GpuAssigned", decisions)


if __name__ == "__main__":
    main()
