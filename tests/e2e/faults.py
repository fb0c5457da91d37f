"""Two schedulers and a thousand requests, and in the middle of them one is killed, frozen and continued, or leaves;
Redis is wiped or away; the broker is killed. Each time: every request has one outcome, no GPU two owners, what was
told is what stands in the log, all inputs are committed, Redis is what the log says."""
import signal

import fleet
from cluster import ClusterTest, main, wait_for
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
        print(f"\n  {'':34}", *(f"{c:>13}" for c in columns))
        for what, figures in cls.table:
            print(f"  {what:34}", *(f"{figures[c]:>13}" for c in columns))

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
        load = Load(self.upstream, self.pools, self.id().rpartition(".")[2], seed=what)
        load.run(*happenings)
        figures = load.measured()
        load.release_all()
        self.check(load, what, figures)
        return load

    def check(self, load, what, figures):
        wait_for(lambda: not self.cluster.uncommitted(), "all inputs committed")
        log = Log(self.cluster.decisions.read_to_end())
        log.check_answers(self.upstream.answers.read_to_end())
        self.assertEqual(log.problems, [])
        for request_id, asked in load.asked.items():
            outcome = log.outcomes[asked.name, asked.record["pool_id"], request_id]
            self.assertEqual(len(outcome), 1, request_id)
        self.assertEqual({p: owners.by_function for p, owners in log.owners.items() if owners.by_function}, {})
        self.figures = {**figures, "void": len(log.void), "epochs": len(log.markers)}
        self.table.append((what, self.figures))
        self.cluster.audit()
        return log

    def test_1_killed(self):
        """SIGKILL: the other one takes over when the session is over."""
        self.load("SIGKILL of one", (0.4, self.first.kill))

    def test_2_frozen_past_its_session(self):
        """SIGSTOP until the other one owns everything, then SIGCONT: a zombie. What it still writes is void."""

        def freeze():
            self.first.freeze()
            wait_for(lambda: len(self.second.owned()) == self.partitions, "the second owns all shards")

        self.load("SIGSTOP past the session", (0.4, freeze), (0.7, self.first.go_on))
        self.assertTrue(self.first.is_running(), "the zombie ended")

    def test_3_redis_wiped(self):
        self.load("Redis wiped", (0.4, lambda: self.cluster.redis_command("FLUSHALL")))

    def test_4_redis_away(self):
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

    def test_5_terminated(self):
        """SIGTERM hands over at once: nobody waits for the session to end."""
        self.load("SIGTERM of one", (0.4, lambda: self.first.signal(signal.SIGTERM)))
        self.assertEqual(self.first.process.wait(20), 0)
        self.assertLess(self.figures["longest gap s"], 3.5, "as if the session had been waited for")

    def test_6_broker_killed(self):
        """The broker dies and comes back with its data."""

        def restart():
            self.cluster.kafka_kill()
            self.cluster.kafka_start()

        self.load("Kafka killed and restarted", (0.4, restart))


if __name__ == "__main__":
    main()
