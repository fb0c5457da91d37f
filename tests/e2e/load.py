"""A thousand requests of all kinds over several pools, with something happening in the middle of them."""
import random
import time
from dataclasses import dataclass, field

import fleet


@dataclass
class Asked:
    name: str
    record: dict
    at: float = 0.0
    answer: object = None
    sends: int = 1


@dataclass
class Load:
    """Keeps `window` requests unanswered, so that whatever happens hits requests under way. What is asked follows
    from the seed and from the answers."""

    upstream: object
    pools: list
    prefix: str
    total: int = 1000
    window: int = 250
    seed: int = 1
    asked: dict = field(default_factory=dict)  # by request id
    open: set = field(default_factory=set)
    holding: list = field(default_factory=list)  # (pool, vm) that nothing is asked about now
    seconds: float = 0.0

    def run(self, *happenings):
        """`happenings`: (share of the requests that were answered, what to do then)."""
        self.random, start = random.Random(self.seed), time.monotonic()
        due = sorted(((share * self.total, act) for share, act in happenings), key=lambda h: h[0])
        while len(self.asked) < self.total or self.open:
            while len(self.open) < self.window and len(self.asked) < self.total:
                self._ask_something()
            self._wait_for_answers()
            while due and len(self.asked) - len(self.open) >= due[0][0]:
                due.pop(0)[1]()
        self.seconds = time.monotonic() - start
        assert not due, "what was to happen did not"
        return self

    def burst(self, number):
        """So many more at once, whatever is unanswered."""
        for _ in range(number):
            self._ask_something()

    def release_all(self):
        for pool, vm in self.holding:
            self._ask("VmReleased", pool, vm)
        self.holding = []
        while self.open:
            self._wait_for_answers()

    def _ask_something(self):
        dice = self.random.random()
        if dice < 0.45 and self.holding:
            pool, vm = self.holding.pop(self.random.randrange(len(self.holding)))
            self._ask("VmReleased" if dice < 0.4 else "MigrationCheck", pool, vm)
            return
        pool, vm = self.random.choice(self.pools), f"{self.prefix}-vm-{len(self.asked)}"
        if dice < 0.47:
            self._ask("VmReleased", pool, vm)  # which holds nothing
            return
        asks = [{"name": self.random.choice((fleet.P4, fleet.A10_NAME)), "count": self.random.randint(1, 4)}]
        self._ask("VmRequested", pool, vm, gpus=asks)

    def _ask(self, name, pool, vm, **fields):
        request_id = f"{self.prefix}-{len(self.asked)}"
        asked = Asked(name, {"request_id": request_id, "pool_id": pool, "vm_id": vm, **fields}, time.monotonic())
        self.asked[request_id] = asked
        self.open.add(request_id)
        self._send(asked)
        if self.random.random() < 0.03:
            asked.sends += 1
            self._send(asked)

    def _send(self, asked):
        topic, partition, key = self.upstream.place(asked.name, asked.record)
        self.upstream.send(topic, partition, key, self.upstream.schemas.encode(asked.name, asked.record))

    def _wait_for_answers(self):
        told = self.upstream.answers.by_key

        def answered():
            return [request_id for request_id in self.open if told.get(request_id)]

        for request_id in self.upstream.answers.wait(answered, f"answers to {len(self.open)} requests", 60):
            self.open.remove(request_id)
            asked = self.asked[request_id]
            asked.answer = told[request_id][0]
            if asked.answer.name in ("GpuAssigned", "MigrationVerdict"):
                self.holding.append((asked.record["pool_id"], asked.record["vm_id"]))

    def deliveries(self):
        """All answers to these requests, in the order in which they were seen."""
        told = self.upstream.answers.by_key
        return sorted((m for request_id in self.asked for m in told[request_id]), key=lambda m: m.seen)

    def measured(self):
        deliveries = self.deliveries()
        gaps = [later.seen - earlier.seen for earlier, later in zip(deliveries, deliveries[1:])]
        waits = [asked.answer.seen - asked.at for asked in self.asked.values()]
        answered = len(waits)
        return {
            "requests": len(self.asked),
            "answered": answered,
            "told again": len(deliveries) - answered,
            "longest gap s": round(max(gaps), 2),
            "longest wait s": round(max(waits), 2),
            "seconds": round(self.seconds, 1),
        }
