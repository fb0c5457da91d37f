"""An independent reading of the log and of the answers: who owns which GPU, and what each request came to. It
shares no code with gpubus; the rule of the log (which records are void) is HACKING.md's, written down once more."""
from collections import defaultdict


class Owners:
    """Who holds which PCI function of which host, and what is out of service. Complains about whatever must not
    happen."""

    def __init__(self):
        self.by_function, self.by_assignment, self.problems = {}, {}, []
        self.quarantined, self.cordoned = {}, {}  # (pool, GPU or host): why

    @staticmethod
    def functions(record):
        return [f"{record['host']}/{f}" for gpu in record["gpus"] for f in gpu["functions"] or [gpu["pci_address"]]]

    def apply(self, name, record, where):
        pool = record.get("pool_id")
        assignment = (pool, record.get("assignment_id"))
        if name == "GpuAssigned" and assignment not in self.by_assignment:
            if record["replaces"] is not None:
                self._replace(pool, record, where)
            self._give(assignment, record, where)
        elif name == "GpuReleased":
            held = self.by_assignment.get(assignment, (None, []))
            if held[0] is None or sorted(held[1]) != sorted(self.functions(record)):
                self.problems.append(f"{where}: {assignment} is released and was not held so")
            self._check_code(record, where)
            self._end(pool, assignment, record, where)
        elif name == "HostMarked":
            self._mark(self.cordoned, (pool, record["host"]), record["mark"] == "CORDONED", record, where)
        elif name == "GpuMarked":
            self._mark(self.quarantined, (pool, record["gpu_id"]), record["mark"] == "QUARANTINED", record, where)

    def _give(self, assignment, record, where):
        pool = assignment[0]
        if (pool, record["host"]) in self.cordoned:
            self.problems.append(f"{where}: {record['host']} is cordoned and gets VM {record['vm_id']}")
        for gpu in record["gpus"]:
            if (pool, gpu["gpu_id"]) in self.quarantined:
                self.problems.append(f"{where}: {gpu['gpu_id']} is in quarantine and goes to VM {record['vm_id']}")
        for function in self.functions(record):
            if function in self.by_function:
                self.problems.append(f"{where}: {function} has {self.by_function[function]} and {assignment}")
            self.by_function[function] = assignment
        if record["vm_id"] in self.gpus_of(pool):
            self.problems.append(f"{where}: VM {record['vm_id']} has two assignments")
        self.by_assignment[assignment] = (record["vm_id"], self.functions(record))

    def _replace(self, pool, record, where):
        """An assignment that failed ends with this record, which is about the same VM and request."""
        replaced = (pool, record["replaces"])
        request = record["replaces"].rpartition("/")[0]
        if self.by_assignment.get(replaced, (None,))[0] != record["vm_id"] or request != record["request_id"]:
            self.problems.append(f"{where}: {replaced} is replaced and is not VM {record['vm_id']}'s")
        if record["host"] in record["failed_hosts"]:
            self.problems.append(f"{where}: {record['host']} has failed before")
        self._end(pool, replaced, record, where)

    def _end(self, pool, assignment, record, where):
        """Its GPUs are free, but for those that are not clean."""
        functions = self.by_assignment.pop(assignment, (None, []))[1]
        for function in functions:
            self.by_function.pop(function, None)
        for gpu in record["quarantined"]:
            if gpu["gpu_id"] not in functions:
                self.problems.append(f"{where}: {gpu['gpu_id']} goes into quarantine and is none of {assignment}")
            self.quarantined[pool, gpu["gpu_id"]] = gpu["code"]

    def _check_code(self, record, where):
        if record["code"] == "FORCED" and not (record["reason"] and record["actor"]):
            self.problems.append(f"{where}: released by force without a reason or an actor")
        if record["code"] == "ATTACH_FAILED" and not record["reason"]:
            self.problems.append(f"{where}: it has failed, and nothing says why")
        if record["code"] != "ATTACH_FAILED" and not record["request_id"]:
            self.problems.append(f"{where}: nobody asked for the release")

    def _mark(self, marks, key, on, record, where):
        if on == (key in marks):
            self.problems.append(f"{where}: {key} becomes {record['mark']}, and was so")
        if not record["actor"]:
            self.problems.append(f"{where}: {key} is marked by nobody")
        if on:
            marks[key] = record["reason"]
        else:
            marks.pop(key, None)

    def gpus_of(self, pool_id):
        """{vm: number of functions} in a pool."""
        return {vm: len(functions) for (pool, _), (vm, functions) in self.by_assignment.items() if pool == pool_id}


def asked_by(name, record):
    """(type of the request, pool, request id) that a record is the outcome of; None: of none."""
    kind = {
        "GpuAssigned": "VmRequested",
        "GpuReleased": "VmReleased",
        "MigrationVerdict": "MigrationCheck",
        "HostMarked": "OperatorCommand",
        "GpuMarked": "OperatorCommand",
    }.get(name) or record.get("request_type")
    # How far the agent is, another host and the end of what failed are news of the same outcome.
    if name == "GpuAssigned" and (record["state"] != "ASSIGNED" or record["attach_state"] or record["replaces"]):
        return None
    if name == "GpuReleased" and not record["request_id"]:
        return None
    return kind, record["pool_id"], record["request_id"]


class Log:
    """All of decisions, replayed with the epoch rule."""

    def __init__(self, messages):
        self.problems, self.markers, self.void, self.true = [], [], [], {}
        self.positions = {}  # by partition: (next offset, epoch)
        self.outcomes = defaultdict(list)
        owners = {}
        for message in sorted(messages, key=lambda m: (m.partition, m.offset)):
            self._read(message, owners.setdefault(message.partition, Owners()))
        for partition in owners.values():
            self.problems += partition.problems
        self.owners = owners
        for asked, records in self.outcomes.items():
            if len(records) != 1:
                self.problems.append(f"{asked} has {len(records)} outcomes: {[m.offset for m in records]}")

    def _read(self, message, owners):
        where = f"decisions/{message.partition}@{message.offset}"
        expected, epoch = self.positions.get(message.partition, (0, None))
        if message.offset != expected:
            self.problems.append(f"{where}: {expected} is missing")
        self.positions[message.partition] = (message.offset + 1, epoch)
        said = message.headers.get("ce_epoch")
        if said is None and message.name == "EpochStarted":
            self.positions[message.partition] = (message.offset + 1, message.offset)
            self.markers.append(message)
        elif said is None or int(said) != epoch:
            self.void.append(message)
        else:
            self.true[message.partition, message.offset] = message
            owners.apply(message.name, message.record, where)
            asked = asked_by(message.name, message.record)
            if asked:
                self.outcomes[asked].append(message)

    def check_answers(self, answers):
        """What was told is what stands in the log, and everything in the log was told."""
        told = set()
        for answer in answers:
            place = answer.partition, answer.revision
            if place not in self.true or self.true[place].value != answer.value:
                self.problems.append(f"answers/{answer.partition}@{answer.offset} says what {place} does not")
            told.add(place)
        for place in self.true.keys() - told:
            self.problems.append(f"decisions {place} was never told")


def owners_by_answers(answers):
    """The same from the answers alone, as an upstream sees them: a revision counts once, in its order."""
    owners, seen = Owners(), set()
    for answer in sorted(answers, key=lambda m: (m.partition, m.revision)):
        if (answer.partition, answer.revision) not in seen:
            seen.add((answer.partition, answer.revision))
            owners.apply(answer.name, answer.record, f"answers/{answer.partition} revision {answer.revision}")
    return owners
