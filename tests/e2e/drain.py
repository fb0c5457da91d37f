"""Eight requesters at once drain a pool to the last GPU, release everything, and drain it again. What they were told
is checked by a model of their own: no GPU is given twice, none is left over."""
import random
import threading
import time

import fleet
from cluster import ClusterTest, main, wait_for
from foreign import PATIENCE
from replay import Log, owners_by_answers

HOSTS, REQUESTERS = 40, 8
POOL = "drain"
MODELS = (fleet.TESLA_P4, fleet.A10)  # two of each on every host


class Requester(threading.Thread):
    """Asks for VMs of 1 to 4 GPUs until not even one GPU is left, for three refusals in a row per size."""

    def __init__(self, upstream, number, round_number):
        super().__init__()
        self.upstream, self.name = upstream, f"round{round_number}-requester{number}"
        self.random, self.given, self.refused, self.error = random.Random(self.name), [], 0, None

    def run(self):
        try:
            self.drain()
        except BaseException as error:  # told by the main thread
            self.error = error

    def drain(self):
        most = {model[0]: 2 for model in MODELS}  # what a request of this model may still ask for
        while any(most.values()):
            asks = [(name, self.random.randint(1, n)) for name, n in most.items() if n]
            if len(asks) > 1 and self.random.random() < 0.5:
                asks = [self.random.choice(asks)]
            answer = self.upstream.request(POOL, f"{self.name}-vm{len(self.given) + self.refused}", asks)
            if answer.name == "GpuAssigned":
                self.given.append(answer.record)
                continue
            assert answer.record["code"] == "NO_CAPACITY", answer.record
            self.refused += 1
            if len(asks) == 1:  # so many of this model are on no host any more
                most[asks[0][0]] = asks[0][1] - 1


class Drain(ClusterTest):
    partitions = 3

    def test_drain_release_drain(self):
        for name in ("first", "second"):
            self.cluster.scheduler(name)
        hosts = {f"dr-{i}": [(model, 2) for model in MODELS] for i in range(HOSTS)}
        self.upstream.publish_all(fleet.pool(POOL, hosts))
        everything = {f"{h}/0000:{0x10 + i:02x}:00.0" for h in hosts for i in range(2 * len(MODELS))}

        for number in (1, 2):
            start = time.monotonic()
            vms, refused = self.drain(number)
            given = [gpu["gpu_id"] for vm in vms for gpu in vm["gpus"]]
            self.assertEqual(len(given), len(set(given)), "a GPU was given twice")
            self.assertEqual(set(given), everything, "GPUs were left over")
            self.assertEqual(self.upstream.request(POOL, "late", [(fleet.P4, 1)]).record["code"], "NO_CAPACITY")
            owners = owners_by_answers(self.upstream.answers.read_to_end())
            self.assertEqual(owners.problems, [])
            self.assertEqual(sum(owners.gpus_of(POOL).values()), 2 * len(everything), "two functions a GPU")
            print(
                f"\n  round {number}: {len(vms)} VMs got {len(given)} GPUs of {len(everything)}, {refused} refusals,"
                f" {REQUESTERS} requesters, {time.monotonic() - start:.1f} s"
            )
            self.release(vms)
            owners = owners_by_answers(self.upstream.answers.read_to_end())
            self.assertEqual((owners.problems, owners.by_function), ([], {}))

        log = Log(self.cluster.decisions.read_to_end())
        log.check_answers(self.upstream.answers.read_to_end())
        self.assertEqual(log.problems, [])
        wait_for(lambda: not self.cluster.uncommitted(), "all inputs committed")
        self.cluster.audit()

    def drain(self, number):
        requesters = [Requester(self.upstream, n, number) for n in range(REQUESTERS)]
        for requester in requesters:
            requester.start()
        for requester in requesters:
            requester.join(PATIENCE * 2)
            self.assertFalse(requester.is_alive(), "a requester did not get through")
            if requester.error:
                raise requester.error
        vms = [vm for requester in requesters for vm in requester.given]
        return vms, sum(requester.refused for requester in requesters)

    def release(self, vms):
        def release(some):
            for vm in some:
                answers.append(self.upstream.release(POOL, vm["vm_id"]).name)

        answers = []
        threads = [threading.Thread(target=release, args=(vms[n::REQUESTERS],)) for n in range(REQUESTERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE * 2)
        self.assertEqual(answers, ["GpuReleased"] * len(vms))


if __name__ == "__main__":
    main()
