"""An independent reading of the log and of the answers: who owns which GPU, and what each request came to. It
shares no code with gpubus; the rule of the log (which records are void) is HACKING.md's, written down once more."""
from collections import defaultdict


class Owners:
    """Who holds which PCI function of which host. Complains about whatever must not happen."""

    def __init__(self):
        self.by_function, self.by_assignment, self.problems = {}, {}, []

    @staticmethod
    def functions(record):
        return [f"{record['host']}/{f}" for gpu in record["gpus"] for f in gpu["functions"] or [gpu["pci_address"]]]

    def apply(self, name, record, where):
        assignment = (record["pool_id"], record.get("assignment_id"))
        if name == "GpuAssigned" and assignment not in self.by_assignment:
            for function in self.functions(record):
                if function in self.by_function:
                    self.problems.append(f"{where}: {function} has {self.by_function[function]} and {assignment}")
                self.by_function[function] = assignment
            if record["vm_id"] in self.gpus_of(record["pool_id"]):
                self.problems.append(f"{where}: VM {record['vm_id']} has two assignments")
            self.by_assignment[assignment] = (record["vm_id"], self.functions(record))
        elif name == "GpuReleased":
            vm, functions = self.by_assignment.pop(assignment, (None, []))
            if vm is None or sorted(functions) != sorted(self.functions(record)):
                self.problems.append(f"{where}: {assignment} is released and was not held so")
            for function in functions:
                self.by_function.pop(function, None)

    def gpus_of(self, pool_id):
        """{vm: number of functions} in a pool."""
        return {vm: len(functions) for (pool, _), (vm, functions) in self.by_assignment.items() if pool == pool_id}


def asked_by(name, record):
    """(type of the request, pool, request id) that a record is the outcome of; None: of none."""
    kind = {
        "GpuAssigned": "VmRequested",
        "GpuReleased": "VmReleased",
        "MigrationVerdict": "MigrationCheck",
    }.get(name) or record.get("request_type")
    if name == "GpuAssigned" and record["state"] != "ASSIGNED":
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
