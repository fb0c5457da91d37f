"""Two schedulers and a thousand requests, and in the middle of them one is killed, frozen and continued, or leaves;
Redis is wiped or away; the broker is killed. Each time: every request has one outcome, no GPU two owners, what was
told is what stands in the log, all inputs are committed, Redis is what the log says."""
import signal
import time
import uuid

import fleet
from cluster import DIR, ClusterTest, main, wait_for
from load import Load
from replay import Log

HOSTS = 6
SESSION = ("--session-timeout", "4s", "--delivery-deadline", "2500ms")


class Faults(ClusterTest):
    partitions = 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        names, n = {}, 0
        while len(names) < cls.partitions:  # one pool a shard
            names.setdefault(cls.upstream.partition_of(f"pool-{n}"), f"pool-{n}")
            n += 1
        cls.pools = list(names.values())
        for pool in cls.pools:
            hosts = {f"{pool}-h{i}": [(fleet.TESLA_P4, 4), (fleet.A10, 4)] for i in range(HOSTS)}
            cls.upstream.publish_all(fleet.pool(pool, hosts))
        cls.table = []

    @classmethod
    def tearDownClass(cls):
        columns = list(cls.table[0][1]) if cls.table else []
        print(f"\n  {'':28}", *(f"{c:>14}" for c in columns))
        for what, figures in cls.table:
            print(f"  {what:28}", *(f"{figures[c]:>14}" for c in columns))

    def setUp(self):
        """Both are there and share the shards."""
        for name in ("first", "second"):
            if name not in self.cluster.schedulers or not self.cluster.schedulers[name].is_running():
                self.cluster.scheduler(name, *SESSION)
        self.first, self.second = (self.cluster.schedulers[name] for name in ("first", "second"))
        self.cluster.all_owned()
        wait_for(lambda: self.first.owned() and self.second.owned(), "both own shards")
        self.cluster.all_owned()

    def load(self, what, *happenings):
        self.asking = Load(self.upstream, self.pools, self.id().rpartition(".")[2], seed=what)
        self.asking.run(*happenings)
        figures = self.asking.measured()
        self.asking.release_all()
        return self.check(self.asking, what, figures)

    def check(self, load, what, figures):
        wait_for(lambda: not self.cluster.uncommitted(), "all inputs committed")
        log = Log(self.cluster.decisions.read_to_end())
        log.check_answers(self.upstream.answers.read_to_end())
        self.assertEqual(log.problems, [])
        for request_id, asked in load.asked.items():
            outcome = log.outcomes[asked.name, asked.record["pool_id"], request_id]
            self.assertEqual(len(outcome), 1, request_id)
        self.assertEqual({p: owners.by_function for p, owners in log.owners.items() if owners.by_function}, {})
        self.table.append((what, {**figures, "void": len(log.void), "epochs": len(log.markers)}))
        audited = self.cluster.audit()
        self.assertEqual(sum(shard["void_records"] for shard in audited["shards"]), len(log.void))
        return figures

    def test_1_killed(self):
        """SIGKILL: the other one takes over when the session is over."""
        self.load("SIGKILL of one", (0.4, self.first.kill))

    def test_2_frozen_past_its_session(self):
        """SIGSTOP until the other one owns everything, then SIGCONT: a zombie. What it still writes is void."""

        def freeze():
            self.first.freeze()
            self.asking.burst(100)  # which it finds in its sockets when it wakes up
            wait_for(lambda: len(self.second.owned()) == self.partitions, "the second owns all shards")

        self.load("SIGSTOP past the session", (0.4, freeze), (0.7, self.first.go_on))
        self.assertTrue(self.first.is_running(), "the zombie ended")
        self.late_record_of_a_zombie()

    def late_record_of_a_zombie(self):
        """What a zombie had under way may reach the log at any time: here for certain. It gives a GPU that is free,
        and then one that somebody has, and nobody believes it."""
        log = Log(self.cluster.decisions.read_to_end())
        epochs = {p: [m.offset for m in log.markers if m.partition == p] for p in range(self.partitions)}
        taken_over = [m for m in log.true.values() if m.name == "GpuAssigned" and len(epochs[m.partition]) > 1]
        real = taken_over[-1]
        old = epochs[real.partition][-2]
        pool, gpus = real.record["pool_id"], len(real.record["gpus"])
        headers = {**real.headers, "ce_epoch": str(old)}
        for vm in ("late-1", "late-2"):
            record = {**real.record, "vm_id": vm, "request_id": vm, "assignment_id": f"{vm}/1"}
            value = self.upstream.schemas.encode("GpuAssigned", record)
            self.upstream.put("decisions", real.partition, pool, value, headers)
            honest = [(real.record["gpus"][0]["name"], 1)]
            host = {"host": real.record["host"]}
            while (answer := self.upstream.request(pool, f"{vm}-{gpus}", honest, **host)).name == "GpuAssigned":
                gpus += 1
            self.assertEqual(answer.record["code"], "NO_CAPACITY")
            self.assertIn("4 assigned", answer.record["hosts"][0]["message"] + answer.record["message"])
            answer = self.upstream.request(pool, vm, honest, **host)
            self.assertEqual(answer.record["code"], "NO_CAPACITY", "as if the VM held what the void record says")
        held = [v["vm_id"] for v in self.cluster.get("vms", "--pool", pool)]
        self.assertFalse({"late-1", "late-2"} & set(held))
        for vm in held:
            self.upstream.release(pool, vm)
        after = Log(self.cluster.decisions.read_to_end())
        self.assertEqual((after.problems, len(after.void)), ([], len(log.void) + 2))
        self.cluster.audit()

    def test_3_deposed_with_records_under_way(self):
        """Markers of somebody else, between the records that the owners have under way: what stands behind them is
        void, and the owners take over again and decide anew."""

        def depose():
            self.asking.burst(40)
            for shard in range(self.partitions):
                marker = {"shard": shard, "owner": "stranger", "nonce": str(uuid.uuid4()), "started_at": fleet.now_us()}
                self.upstream.send("decisions", shard, b"", self.upstream.schemas.encode("EpochStarted", marker))

        before = len(Log(self.cluster.decisions.read_to_end()).void)
        self.load("deposed six times", *((0.1 * n, depose) for n in range(1, 7)))
        self.assertGreater(len(Log(self.cluster.decisions.read_to_end()).void), before, "nothing was under way")

    def test_4_redis_wiped(self):
        self.load("Redis wiped", (0.4, lambda: self.cluster.redis_command("FLUSHALL")))

    def test_5_redis_rolled_back(self):
        """Redis comes back as it was a while ago, and right then a scheduler dies: the other one takes over from
        an old checkpoint."""

        def roll_back():
            self.cluster.redis_stop()
            self.first.kill()
            self.cluster.redis_start()

        self.load("Redis rolled back, SIGKILL", (0.2, lambda: self.cluster.redis_command("SAVE")), (0.5, roll_back))
        (DIR / "redis/dump.rdb").unlink()

    def test_6_redis_away(self):
        """Decisions never wait for Redis; when it is back it is written anew from the log."""
        self.cluster.redis_stop()
        try:
            load = Load(self.upstream, self.pools, "away").run()
        finally:
            self.cluster.redis_start()
        figures = load.measured()
        held = {(pool, vm) for pool, vm in load.holding}
        self.assertTrue(held)
        wait_for(
            lambda: {(vm["pool_id"], vm["vm_id"]) for vm in self.cluster.get("vms")} == held, "the read model complete"
        )
        load.release_all()
        self.check(load, "Redis away all the time", figures)

    def test_7_terminated(self):
        """SIGTERM hands over at once: nobody waits for the session to end."""
        figures = self.load("SIGTERM of one", (0.4, lambda: self.first.signal(signal.SIGTERM)))
        self.assertEqual(self.first.process.wait(20), 0)
        self.assertLess(figures["longest wait s"], 3.5, "as if the session had been waited for")

    def test_8_broker_killed(self):
        """The broker dies and comes back with its data."""

        def restart():
            start = time.monotonic()
            self.cluster.kafka_kill()
            self.cluster.kafka_start()
            away.append(time.monotonic() - start)

        away = []
        figures = self.load("Kafka killed and restarted", (0.4, restart))
        print(f"\n  Kafka was away for {away[0]:.1f} s of the longest wait of {figures['longest wait s']} s")


if __name__ == "__main__":
    main()
