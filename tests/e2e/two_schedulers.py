"""Two schedulers share the partitions. Who joins or leaves costs the other nothing for the shards it keeps."""
import threading

import fleet
from cluster import ClusterTest, main, wait_for


class TwoSchedulers(ClusterTest):
    def setUp(self):
        pools, n = {}, 0
        while len(pools) < self.partitions:
            pools.setdefault(self.upstream.partition_of(f"two-{n}"), f"two-{n}")
            n += 1
        self.pools = pools  # by shard

    def markers(self):
        """{shard: [who started an epoch]} of the log."""
        found = {shard: [] for shard in range(self.partitions)}
        for message in self.cluster.decisions.read_to_end():
            if message.name == "EpochStarted":
                found[message.partition].append(message.record["owner"])
        return found

    def served(self):
        """A request to each shard is granted."""
        for pool in self.pools.values():
            vm = f"vm-{self._testMethodName}-{len(self.upstream.answers.messages)}"
            self.assertEqual(self.upstream.request(pool, vm, [(fleet.P4, 1)]).name, "GpuAssigned")
            self.assertEqual(self.upstream.release(pool, vm).name, "GpuReleased")

    def test_join_and_leave(self):
        for pool in self.pools.values():
            self.upstream.publish_all(fleet.pool(pool, {f"{pool}-h": [(fleet.TESLA_P4, 2)]}))
        first = self.cluster.scheduler("first")
        self.cluster.all_owned()
        self.served()
        alone = first.owned()
        self.assertEqual(self.markers(), {shard: ["first"] for shard in range(self.partitions)})

        second = self.cluster.scheduler("second")
        wait_for(second.owned, "the second owns shards")
        self.cluster.all_owned()
        self.served()
        kept, given = first.owned(), second.owned()
        self.assertEqual((len(kept), len(given)), (self.partitions / 2, self.partitions / 2))
        self.assertEqual(kept, {shard: alone[shard] for shard in kept}, "a kept shard has its old epoch")
        markers = self.markers()
        for shard in range(self.partitions):
            self.assertEqual(markers[shard], ["first"] if shard in kept else ["first", "second"])

        self.assertEqual(second.terminate(), 0)
        self.cluster.all_owned()
        self.served()
        back = first.owned()
        self.assertEqual({shard: back[shard] for shard in kept}, kept, "and still has")
        markers = self.markers()
        for shard in range(self.partitions):
            self.assertEqual(markers[shard], ["first"] if shard in kept else ["first", "second", "first"])
        self.cluster.audit()

    def test_who_asks_while_a_scheduler_joins_is_answered(self):
        """Requests go on all the time; none is refused, lost or answered twice differently."""
        over, problems = threading.Event(), []

        def ask():
            pool, n = self.pools[0], 0
            while not over.is_set():
                n += 1
                given = self.upstream.request(pool, f"on-{n}", [(fleet.P4, 1)])
                taken = self.upstream.release(pool, f"on-{n}")
                if (given.name, taken.name) != ("GpuAssigned", "GpuReleased"):
                    problems.append((given.record, taken.record))

        for pool in self.pools.values():
            self.upstream.publish_all(fleet.pool(pool, {f"{pool}-h": [(fleet.TESLA_P4, 2)]}))
        if not self.cluster.schedulers or not self.cluster.schedulers["first"].is_running():
            self.cluster.scheduler("first")
        self.cluster.all_owned()
        asker = threading.Thread(target=ask)
        asker.start()
        try:
            third = self.cluster.scheduler("third")
            wait_for(third.owned, "the third owns shards")
            self.cluster.all_owned()
            self.assertEqual(third.terminate(), 0)
            self.cluster.all_owned()
        finally:
            over.set()
            asker.join()
        self.assertEqual(problems, [])
        self.cluster.audit()


if __name__ == "__main__":
    main()
