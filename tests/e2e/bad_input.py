"""Whatever is published, each input has its stated outcome, an answer with a code or a dead letter, and what
follows it on the same partition is served. Prints the table of inputs and outcomes."""
import fleet
from cluster import ClusterTest, main
from foreign import topic_name

POOL = "bad"
REFUSED, DEAD, TOLD, GRANTED = "RequestRejected", "dead letter", "told again", "GpuAssigned"


class BadInput(ClusterTest):
    table = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.scheduler()
        cls.upstream.publish_all(fleet.pool(POOL, {"bad-1": [(fleet.TESLA_P4, 2)]}))
        cls.partition = cls.upstream.partition_of(POOL)
        cls.elsewhere = (cls.partition + 1) % cls.upstream.n_partitions
        cls.good = cls.upstream.schemas.encode("VmRequested", wanted("good"))
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        width = max(len(row[0]) for row in cls.table)
        for what, outcome, text in sorted(cls.table):
            print(f"  {what:{width}}  {outcome:32} {text[:90]!r}")

    # ---- what is sent, and what must come of it

    def still_served(self):
        """The partition goes on: a good request right behind the bad input is granted and released."""
        answer = self.upstream.request(POOL, "good-vm", [(fleet.P4, 1)])
        self.assertEqual(answer.name, GRANTED, answer.record)
        self.assertEqual(self.upstream.release(POOL, "good-vm").name, "GpuReleased")

    def dead(self, what, code, value, topic="requests", partition=None, key=b"k", says=""):
        """A value that nobody is answered about: it stands in dead-letters as it was, with its origin."""
        place = self.partition if partition is None else partition
        with self.subTest(what):
            offset = self.upstream.put(topic, place, key, value, {"mine": "1"})
            letter = self.upstream.dead_letter(topic, place, offset)
            self.assertEqual(letter.headers["dl_code"], code, letter.headers)
            self.assertIn(says, letter.headers["dl_error"])
            self.assertEqual(letter.headers["dl_topic"], topic_name(topic))
            self.assertTrue(letter.headers["dl_error"] and letter.headers["dl_time"].endswith("Z"))
            # Inventory and hosts are long topics: the scheduler does not unpack their headers.
            mine = None if topic in ("inventory", "hosts") else "1"
            self.assertEqual((letter.key, letter.value, letter.headers.get("mine")), (key, value, mine))
            self.table.append((f"{topic}: {what}", f"{DEAD} {code}", letter.headers["dl_error"]))
            self.still_served()

    def dead_record(self, what, code, name, record, **options):
        self.dead(what, code, self.upstream.schemas.encode(name, record), **options)

    def refused(self, what, code, name="VmRequested", says="", **fields):
        """A request that can be read gets an answer that says what is wrong with it."""
        BadInput.count += 1
        record = wanted(f"bad-{self.count}") if name == "VmRequested" else asked(f"bad-{self.count}")
        record.update(fields)
        with self.subTest(what):
            answer = self.upstream.ask(name, record)
            self.assertEqual(answer.name, REFUSED, answer.record)
            self.assertEqual(answer.record["code"], code, answer.record)
            self.assertIn(says, answer.record["message"])
            self.table.append((f"{name}: {what}", f"{REFUSED} {code}", answer.record["message"]))
            if record["pool_id"] == POOL:
                self.still_served()

    # ---- bytes

    def test_bytes_that_are_no_record(self):
        self.dead("garbage", "NO_FRAME", b"\xde\xad\xbe\xef" * 8)
        self.dead("empty", "NO_FRAME", b"")
        self.dead("tombstone", "TOMBSTONE", None)
        self.dead("one byte", "NO_FRAME", b"\xc3")
        self.dead("text", "NO_FRAME", b'{"request_id": "1"}')
        self.dead("Confluent framing", "NO_SCHEMA_REGISTRY", b"\0\0\0\0\x07" + self.good[10:], says="schema registry")
        self.dead("unknown fingerprint", "UNKNOWN_SCHEMA", b"\xc3\x01" + b"\x11" * 8 + self.good[10:])
        self.dead("over 64 KiB", "TOO_LARGE", self.good + b"\0" * 65536)
        self.dead("a length beyond the value", "MALFORMED", self.good[:10] + b"\xfe\xff\xff\xff\xff\xff\xff\x3f")
        self.dead("a negative length", "MALFORMED", self.good[:10] + b"\x01")
        self.dead("bytes behind the record", "MALFORMED", self.good + b"\0")
        for length in (10, 11, len(self.good) // 2, len(self.good) - 1):
            self.dead(f"truncated to {length} bytes", "MALFORMED", self.good[:length])
        self.dead("invalid UTF-8", "MALFORMED", self.good.replace(b"good", b"g\xff\xfed"))
        self.dead("NUL in an id", "MALFORMED", self.good.replace(b"good", b"g\0od"))
        self.dead("surrogate in an id", "MALFORMED", self.good.replace(b"good", b"\xed\xa0\x80d"))

    def test_records_that_no_one_can_be_answered_about(self):
        bell = {**wanted("x"), "pool_id": "\x07"}
        place = self.upstream.partition_of("\x07")
        self.dead_record("a pool id with control characters", "UNUSABLE", "VmRequested", bell, partition=place)
        self.dead_record("no request id", "UNUSABLE", "VmRequested", wanted(""), says="request_id")
        self.dead_record("a request id of 60 KB", "UNUSABLE", "VmReleased", asked("r" * 60000), says="255")
        self.dead_record("no pool id", "UNUSABLE", "VmRequested", {**wanted("x"), "pool_id": ""}, says="pool_id")
        discovered = fleet.gpu("bad-1", POOL, 1)
        self.dead_record("a record of another topic", "WRONG_TOPIC", "GpuDiscovered", discovered, says="GpuDiscovered")
        self.dead_record("a request", "WRONG_TOPIC", "VmRequested", wanted("x"), topic="attachments")
        self.dead("garbage", "NO_FRAME", b"garbage", topic="attachments")

    # ---- requests

    def test_counts(self):
        for count in (0, -1, -(2**63), 65, 2**31, 2**62):
            self.refused(f"{count} GPUs", "INVALID_REQUEST", gpus=[gpus(count)], says="count")
        self.refused("counts that add up", "INVALID_REQUEST", gpus=[gpus(40), gpus(40)])
        self.refused("17 models", "INVALID_REQUEST", gpus=[gpus(1)] * 17)
        self.refused("more than there are", "NO_CAPACITY", gpus=[gpus(64)])

    def test_strings(self):
        self.refused("a model of 60 KB", "INVALID_REQUEST", gpus=[gpus(1, "m" * 60000)])
        self.refused("a model with control characters", "INVALID_REQUEST", gpus=[gpus(1, "Tesla\x1b[2J")])
        self.refused("a model without a name", "INVALID_REQUEST", gpus=[gpus(1, "")])
        self.refused("an absent model", "MODEL_UNKNOWN", gpus=[gpus(1, "ffff:ffff")], says=fleet.P4)
        self.refused("a VM id of 60 KB", "INVALID_REQUEST", vm_id="v" * 60000)
        self.refused("a VM id with control characters", "INVALID_REQUEST", vm_id="vm\n1")
        self.refused("no VM id", "INVALID_REQUEST", vm_id="")
        self.refused("a host of 60 KB", "INVALID_REQUEST", host="h" * 60000)
        self.refused("an absent host", "HOST_UNKNOWN", host="\U0001f5a5", says="bad-1")

    def test_contradictions(self):
        self.refused("both type and gpus", "INVALID_REQUEST", vm_type_id="small")
        self.refused("neither type nor gpus", "INVALID_REQUEST", gpus=[])
        self.refused("an absent type", "VM_TYPE_UNKNOWN", vm_type_id="small", gpus=[])
        self.refused("an unknown policy", "INVALID_REQUEST", policy="hoard")
        self.refused("force without a reason", "INVALID_REQUEST", "VmReleased", force=True, says="reason")
        self.assertEqual(self.upstream.request(POOL, "bad-vm", [(fleet.P4, 1)]).name, GRANTED)
        self.refused("reserve", "NOT_SUPPORTED", "MigrationCheck", reserve=True)
        self.refused("an absent target", "HOST_UNKNOWN", "MigrationCheck", target_host="bad-9", says="bad-1")
        self.assertEqual(self.upstream.release(POOL, "bad-vm").name, "GpuReleased")

    def test_pools(self):
        self.refused("an absent pool", "POOL_UNKNOWN", pool_id="nowhere", says=POOL)
        self.upstream.publish("VmPoolDefined", {"pool_id": "nothing", "attach": "external"})
        self.refused("a pool of nothing", "MODEL_UNKNOWN", pool_id="nothing")
        self.upstream.publish_all(fleet.host("bare-1", "bare", []))
        self.refused("a pool with a host and no GPU", "MODEL_UNKNOWN", pool_id="bare")
        self.refused("an absent pool", "VM_HAS_NO_GPUS", "MigrationCheck", pool_id="nowhere")
        with self.subTest("release in an absent pool"):
            answer = self.upstream.release("nowhere", "vm-1")
            self.assertEqual((answer.name, answer.record["code"]), ("RequestCompleted", "NOTHING_HELD"))
            self.table.append(("VmReleased: an absent pool", "RequestCompleted NOTHING_HELD", answer.record["message"]))

    def test_duplicates_and_wrong_partitions(self):
        record = wanted("twice", vm_id="vm-twice")
        for _ in range(3):
            self.upstream.publish("VmRequested", record)
        told = self.upstream.answers.by_key["twice"]
        self.upstream.answers.wait(lambda: len(told) == 3, "three answers to one request id")
        self.assertEqual({m.value for m in told}, {told[0].value})
        self.assertEqual(len({(m.headers["ce_id"], m.revision) for m in told}), 1)
        self.table.append(("VmRequested: one request id three times", f"{GRANTED}, {TOLD} twice", ""))

        answer = self.upstream.ask("VmReleased", asked("elsewhere", vm_id="vm-twice"), partition=self.elsewhere)
        self.assertEqual((answer.name, answer.partition), ("GpuReleased", self.partition))
        self.table.append(("VmReleased: in the wrong partition", "GpuReleased (forwarded)", ""))
        self.still_served()

    # ---- what is followed

    def test_inventory_hosts_and_catalog(self):
        gpu, away = fleet.gpu("bad-1", POOL, 0x20), self.elsewhere
        host = fleet.host("bad-1", POOL, [])[0][1]
        self.dead("garbage", "NO_FRAME", b"garbage", topic="inventory")
        self.dead_record("misplaced", "WRONG_PARTITION", "GpuDiscovered", gpu, topic="inventory", partition=away)
        self.dead_record("misplaced", "WRONG_PARTITION", "HostSeen", host, topic="hosts", partition=away)
        self.dead_record("a request", "WRONG_TOPIC", "VmRequested", wanted("x"), topic="inventory")
        self.dead_record("no PCI address", "INVALID", "GpuDiscovered", {**gpu, "pci_address": "17"}, topic="inventory")
        confluent = b"\0\0\0\0\x01" + self.upstream.schemas.encode("HostSeen", host)[10:]
        self.dead("Confluent framing", "NO_SCHEMA_REGISTRY", confluent, topic="hosts")
        self.dead("garbage", "NO_FRAME", b"garbage", topic="catalog", partition=0)
        self.dead_record("a request", "WRONG_TOPIC", "VmRequested", wanted("x"), topic="catalog", partition=0)
        hand_over = {"pool_id": POOL, "attach": "by hand"}
        self.dead_record("an unknown attach", "INVALID", "VmPoolDefined", hand_over, topic="catalog", partition=0)
        free = {"vm_type_id": "t", "pool_id": POOL, "gpus": [gpus(-1)]}
        self.dead_record("a type of -1 GPUs", "INVALID", "VmTypeDefined", free, topic="catalog", partition=0)


def gpus(count, name=fleet.P4):
    return {"name": name, "count": count}


def wanted(request_id, vm_id="bad-vm"):
    return {"request_id": request_id, "vm_id": vm_id, "pool_id": POOL, "gpus": [gpus(1)]}


def asked(request_id, vm_id="bad-vm"):
    return {"request_id": request_id, "vm_id": vm_id, "pool_id": POOL}


if __name__ == "__main__":
    main()
