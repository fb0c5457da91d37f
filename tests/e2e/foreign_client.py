"""An upstream in another language: discovery, requests, refusals, releases, migration, told again."""
import fleet
from cluster import ClusterTest, main

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class ForeignClient(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.scheduler()

    def pool(self, pool_id, hosts):
        """Nobody waits until the scheduler has read it: nothing is "not found" before it has."""
        self.upstream.publish_all(fleet.pool(pool_id, hosts))

    def test_inline_request_names_the_devices(self):
        self.pool("inline", {"in-1": [(fleet.TESLA_P4, 2), (fleet.A10, 1)]})
        answer = self.upstream.request("inline", "vm-1", [(fleet.P4, 1), ("10de:2236", 1)])
        self.assertEqual(answer.name, "GpuAssigned")
        given = answer.record
        self.assertEqual((given["vm_id"], given["host"], given["state"]), ("vm-1", "in-1", "ASSIGNED"))
        self.assertEqual(sorted(g["name"] for g in given["gpus"]), sorted([fleet.P4, fleet.A10_NAME]))
        for gpu in given["gpus"]:
            self.assertEqual(gpu["gpu_id"], f"in-1/{gpu['pci_address']}")
            self.assertEqual(gpu["vendor"], "NVIDIA Corporation")
            self.assertEqual(gpu["functions"], [gpu["pci_address"], gpu["pci_address"][:-1] + "1"])
            self.assertEqual((gpu["iommu_group"], gpu["numa_node"]), (int(gpu["pci_address"][5:7], 16), 0))

    def test_request_by_type_counts_cpu_and_ram(self):
        self.pool("typed", {"ty-1": [(fleet.TESLA_P4, 4)]})
        asks = [{"name": fleet.P4, "count": 1}]
        small = {"vm_type_id": "small", "pool_id": "typed", "cpu_cores": 32, "ram_gb": 64, "gpus": asks}
        self.upstream.publish("VmTypeDefined", small)
        for vm in ("vm-1", "vm-2"):
            answer = self.upstream.request("typed", vm, vm_type_id="small", vm_instance_id=f"{vm}/instance")
            self.assertEqual(answer.name, "GpuAssigned", answer.record)
            self.assertEqual(answer.record["vm_instance_id"], f"{vm}/instance")
            self.assertEqual((answer.record["cpu_cores"], answer.record["ram_gb"]), (32, 64))
        third = self.upstream.request("typed", "vm-3", vm_type_id="small").record
        self.assertEqual((third["code"], [h["code"] for h in third["hosts"]]), ("NO_CAPACITY", ["NO_CPU"]))
        unknown = self.upstream.request("typed", "vm-4", vm_type_id="huge").record
        self.assertEqual(unknown["code"], "VM_TYPE_UNKNOWN")
        self.assertIn("small", unknown["message"])

    def test_refusal_says_why_host_by_host(self):
        self.pool("refuse", {"re-1": [(fleet.TESLA_P4, 2)], "re-2": [(fleet.TESLA_P4, 1)], "re-3": [(fleet.A10, 1)]})
        self.upstream.publish_all(fleet.host("re-4", "refuse", [(fleet.TESLA_P4, 2)], iommu=False))
        self.assertEqual(self.upstream.request("refuse", "vm-1", [(fleet.P4, 1)], host="re-1").name, "GpuAssigned")
        answer = self.upstream.request("refuse", "vm-2", [(fleet.P4, 2)])
        self.assertEqual((answer.name, answer.record["code"]), ("RequestRejected", "NO_CAPACITY"))
        why = {h["host"]: h["code"] for h in answer.record["hosts"]}
        self.assertEqual(
            why, {"re-1": "GPUS_ASSIGNED", "re-2": "TOO_FEW_GPUS", "re-3": "NO_SUCH_MODEL", "re-4": "HOST_NO_IOMMU"}
        )
        self.assertTrue(all(h["message"] for h in answer.record["hosts"]))
        self.assertIn("IOMMU", answer.record["message"])

        answer = self.upstream.request("refuse", "vm-2", [("GV100 [Titan V]", 1)])
        self.assertEqual(answer.record["code"], "MODEL_UNKNOWN")
        for name in (fleet.P4, fleet.A10_NAME):
            self.assertIn(name, answer.record["message"])
        answer = self.upstream.request("refuse", "vm-2", [(fleet.P4, 1)], host="re-9")
        self.assertEqual(answer.record["code"], "HOST_UNKNOWN")
        self.assertIn("re-1", answer.record["message"])

    def test_release_frees_at_once_and_the_gpus_are_given_again(self):
        self.pool("again", {"ag-1": [(fleet.TESLA_P4, 2)]})
        first = self.upstream.request("again", "vm-1", [(fleet.P4, 2)]).record
        refused = self.upstream.request("again", "vm-2", [(fleet.P4, 1)])
        self.assertEqual(refused.record["code"], "NO_CAPACITY")
        released = self.upstream.release("again", "vm-1", request_id="again-r")
        self.assertEqual(released.name, "GpuReleased")
        self.assertEqual(released.record["assignment_id"], first["assignment_id"])
        self.assertEqual(ids(released.record), ids(first))
        second = self.upstream.request("again", "vm-2", [(fleet.P4, 2)])
        self.assertEqual(ids(second.record), ids(first))
        self.assertGreater(second.revision, released.revision)
        nothing = self.upstream.release("again", "vm-1")
        self.assertEqual((nothing.name, nothing.record["code"]), ("RequestCompleted", "NOTHING_HELD"))
        twice = self.upstream.request("again", "vm-2", [(fleet.P4, 1)])
        self.assertEqual(twice.record["code"], "VM_HAS_GPUS")

    def test_migration_check(self):
        self.pool("move", {"mo-1": [(fleet.TESLA_P4, 1)], "mo-2": [(fleet.TESLA_P4, 1)], "mo-3": [(fleet.A10, 1)]})
        at = self.upstream.request("move", "vm-1", [(fleet.P4, 1)], host="mo-1").record
        verdict = self.upstream.migration_check("move", "vm-1")
        self.assertEqual((verdict.name, verdict.record["allowed"]), ("MigrationVerdict", True))
        self.assertEqual(verdict.record["target_host"], "mo-2")
        self.assertEqual([g["gpu_id"].split("/")[0] for g in verdict.record["gpus"]], ["mo-2"])
        codes = {h["host"]: h["code"] for h in verdict.record["hosts"]}
        self.assertEqual(codes, {"mo-2": "FITS", "mo-1": "CURRENT_HOST", "mo-3": "NO_SUCH_MODEL"})
        self.upstream.request("move", "vm-2", [(fleet.P4, 1)], host="mo-2")
        verdict = self.upstream.migration_check("move", "vm-1", target_host="mo-2").record
        self.assertEqual((verdict["allowed"], verdict["hosts"][0]["code"]), (False, "GPUS_ASSIGNED"))
        none = self.upstream.migration_check("move", "vm-9")
        self.assertEqual((none.name, none.record["code"]), ("RequestRejected", "VM_HAS_NO_GPUS"))
        self.assertEqual(at["host"], "mo-1")

    def test_headers(self):
        self.pool("heads", {"he-1": [(fleet.TESLA_P4, 1)]})
        request = {"request_id": "heads-1", "pool_id": "heads", "vm_id": "vm-1", "gpus": [gpu_ask(1)]}
        answer = self.upstream.ask("VmRequested", request, {"traceparent": TRACE, "ce_id": "mine"})
        headers = answer.headers
        self.assertEqual(headers["traceparent"], TRACE)
        self.assertEqual(headers["ce_specversion"], "1.0")
        self.assertEqual(headers["ce_type"], "gpubus.GpuAssigned")
        self.assertEqual(headers["content-type"], "application/avro")
        self.assertTrue(headers["ce_source"] and headers["ce_id"] and headers["ce_time"].endswith("Z"))
        self.assertNotIn("ce_epoch", headers)
        self.assertNotIn("ce_applied", headers)
        self.assertEqual(answer.key, b"heads")
        self.assertEqual(answer.partition, self.upstream.partition_of("heads"))

    def test_the_same_request_again_is_told_again(self):
        self.pool("told", {"to-1": [(fleet.TESLA_P4, 2)]})
        request = {"request_id": "told-1", "pool_id": "told", "vm_id": "vm-1", "gpus": [gpu_ask(1)]}
        first = self.upstream.ask("VmRequested", request)
        other_trace = TRACE.replace("4bf9", "5bf9")
        again = self.upstream.ask("VmRequested", request, {"traceparent": other_trace})
        self.assertGreater(again.offset, first.offset)
        for header in ("ce_id", "ce_revision", "ce_type", "ce_time"):
            self.assertEqual(again.headers[header], first.headers[header])
        self.assertEqual(again.value, first.value)
        self.assertEqual(again.headers["traceparent"], other_trace)
        # The id decides, not the content: nobody gets a second set by asking for something else.
        different = self.upstream.ask("VmRequested", {**request, "vm_id": "vm-2"})
        self.assertEqual(different.value, first.value)
        release = {"request_id": "told-2", "pool_id": "told", "vm_id": "vm-1"}
        released = self.upstream.ask("VmReleased", release)
        again = self.upstream.ask("VmReleased", release)
        self.assertEqual((again.name, again.revision), ("GpuReleased", released.revision))
        self.assertEqual(again.value, released.value)
        # What was granted and is gone is told as it is now: under the request that released it.
        before = len(self.upstream.answers.by_key["told-2"])
        self.upstream.publish("VmRequested", request, {"traceparent": TRACE})
        now = self.upstream.answers.by_key["told-2"]
        self.upstream.answers.wait(lambda: len(now) > before, "told-1 told again")
        self.assertEqual((now[-1].value, now[-1].revision), (released.value, released.revision))
        self.assertEqual((now[-1].record["assignment_id"], now[-1].headers["traceparent"]), ("told-1/1", TRACE))


def ids(record):
    return sorted(gpu["gpu_id"] for gpu in record["gpus"])


def gpu_ask(count, name=fleet.P4):
    return {"name": name, "count": count}


if __name__ == "__main__":
    main()
