"""./dev bench: what gpubus costs, each figure beside what it is to be compared with, in one run.

A real Kafka and a real Redis of its own; rounds of gpubus and of its yardstick interleaved; the median of
the rounds is told. Prints one table and writes build/bench/summary.json.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTITIONS = 12
SMALL_POOLS = 4  # of 250 hosts each
BIG_POOL = "big"
MODEL = "10de:1bb3"


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


class Redis:
    def __init__(self, url):
        self.url = url

    def call(self, *words):
        return run("redis-cli", "-u", self.url, *words).strip()

    def info(self, section):
        lines = self.call("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def used_bytes(self):
        """Settled: what was unlinked is freed in the background."""
        self.call("MEMORY", "PURGE")
        return int(self.info("memory")["used_memory"])

    def command_usec(self, command):
        """(calls, microseconds) since CONFIG RESETSTAT."""
        text = self.info("commandstats").get("cmdstat_" + command, "calls=0,usec=0")
        fields = dict(part.split("=") for part in text.split(","))
        return int(fields["calls"]), int(fields["usec"])


class Bench:
    def __init__(self, build, work):
        self.build, self.work = build, work
        self.scheduler = self.echo = None
        self.starts = 0

    def program(self, name):
        path = os.path.join(self.build, "bin", name)
        return path if os.path.exists(path) else os.path.join(self.build, "tests", "bench", name)

    # ---- parts ----

    def start_parts(self):
        support = os.path.join(ROOT, "tests", "support")
        self.bootstrap = run(f"{support}/kafka.sh", "start", self.work).strip()
        url = run(f"{support}/redis.sh", "start", self.work, "--appendonly").strip()
        self.redis = Redis(url)
        claims = os.path.join(self.work, "claims")
        os.makedirs(claims)
        self.claims = Redis(run(f"{support}/redis.sh", "start", claims, "--appendonly").strip())
        os.environ["GPUBUS_KAFKA_BOOTSTRAP_SERVERS"] = self.bootstrap
        run(self.program("gpubus"), "topics", "apply", "--partitions", str(PARTITIONS))
        from confluent_kafka.admin import AdminClient, NewTopic

        names = ["echo.requests", "echo.decisions", "echo.answers"]
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names]).values():
            future.result()

    def stop_parts(self):
        self.stop_scheduler()
        if self.echo:
            self.echo.terminate()
            self.echo.wait()
        support = os.path.join(ROOT, "tests", "support")
        for part, where in (("kafka", ""), ("redis", ""), ("redis", "claims")):
            subprocess.run([f"{support}/{part}.sh", "stop", os.path.join(self.work, where)],
                           check=False)

    def start_scheduler(self):
        self.starts += 1
        self.log = os.path.join(self.work, f"scheduler-{self.starts}.log")
        with open(self.log, "w") as log:
            self.scheduler = subprocess.Popen(
                [self.program("gpubus-scheduler"), "--bootstrap", self.bootstrap,
                 "--redis", self.redis.url, "--name", "bench", "--host-timeout", "24h"],
                stderr=log)
        return self.wait_owned()

    def stop_scheduler(self):
        if self.scheduler:
            self.scheduler.send_signal(signal.SIGTERM)
            self.scheduler.wait()
            self.scheduler = None

    def wait_owned(self, seconds=180):
        """Waits until all shards are owned; {shard: (milliseconds, messages)}."""
        end = time.monotonic() + seconds
        pattern = re.compile(r"shard=(\d+) owned .*after_ms=(\d+) messages=(\d+)")
        while time.monotonic() < end:
            with open(self.log) as log:
                owned = {int(s): (int(ms), int(n)) for s, ms, n in pattern.findall(log.read())}
            if len(owned) == PARTITIONS:
                return owned
            if self.scheduler.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"the scheduler did not take over: see {self.log}")

    def wait_in_step(self, seconds=120):
        """Waits until Redis has what the log has: its metas do not move any more."""
        end, last, since = time.monotonic() + seconds, None, 0
        while time.monotonic() < end:
            now = [self.redis.call("HGET", "{gpubus:%d}:meta" % p, "sequence")
                   for p in range(PARTITIONS)]
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > 2:
                return
            time.sleep(0.1)

    def start_echo(self, sizes):
        self.echo = subprocess.Popen(
            [self.program("gpubus-bench-echo"), self.bootstrap, str(PARTITIONS), *map(str, sizes)],
            stdout=subprocess.PIPE, text=True)
        if self.echo.stdout.readline().strip() != "ready":
            raise SystemExit("the echo did not start")

    def fleet(self, pool, hosts):
        return json.loads(run(self.program("gpubus-bench-fleet"), self.bootstrap, str(PARTITIONS),
                              pool, str(hosts), "10"))

    def load(self, prefix, operations, rate, window, *more, pools=SMALL_POOLS):
        return json.loads(run(self.program("gpubus-bench-load"), self.bootstrap, prefix,
                              str(PARTITIONS), str(pools), str(operations), str(rate),
                              str(window), MODEL, *more))

    # ---- what is measured ----

    def decision_sizes(self):
        """Bytes of a GpuAssigned and of a GpuReleased in the log, for the echo to have the same."""
        self.load("gpubus", 100, 0, 10)
        sizes = {}
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench-sizes",
                             "enable.partition.eof": True})
        consumer.assign([TopicPartition("gpubus.answers.v1", p, 0) for p in range(PARTITIONS)])
        ends = 0
        while ends < PARTITIONS:
            message = consumer.poll(10)
            if message is None or message.error():
                ends += 1
                continue
            sizes[dict(message.headers())["ce_type"]] = len(message.value())
        consumer.close()
        return sizes[b"gpubus.GpuAssigned"], sizes[b"gpubus.GpuReleased"]

    def throughput(self, rounds, operations):
        rates = {"gpubus": [], "echo": []}
        for round_ in range(-1, rounds):
            for who in rates:
                rate = self.load(who, operations, 0, 1000)["rate"]
                if round_ >= 0:  # the first one warms the broker's compiler up
                    rates[who].append(rate)
        return rates

    def latency(self, rounds, rate, seconds):
        result = {"gpubus": [], "echo": []}
        for _ in range(rounds):
            for who in result:
                self.wait_in_step()
                result[who].append(self.load(who, int(rate * seconds), rate, 1000))
        return result

    def rows(self):
        """Rows of decisions in Redis."""
        total = 0
        for p in range(PARTITIONS):
            generation = self.redis.call("HGET", "{gpubus:%d}:meta" % p, "generation")
            for table in ("vms", "requests"):
                total += int(self.redis.call("HLEN", "{gpubus:%d}:%s:%s" % (p, generation, table)))
        return total

    def claim(self, n):
        port = self.claims.url.rsplit(":", 1)[1].split("/")[0]
        run("redis-benchmark", "-p", port, "-q", "-n", str(n), "-P", "32", "-c", "1",
            "-r", "100000000", "FCALL", "bench_claim", "3", "gpus", "vms", "requests",
            "host-1/0000:__rand_int__", "vm-__rand_int__", "request-__rand_int__")

    def redis_time(self, rounds, rate, seconds):
        """Microseconds in Redis of a decision and of a bare claim, on two servers at the same time.

        The claims find tables as large as gpubus' own, and the machine as busy.
        """
        path = os.path.join(ROOT, "tests", "bench", "claim.lua")
        with open(path) as source:
            run("redis-cli", "-u", self.claims.url, "-x", "FUNCTION", "LOAD", "REPLACE",
                stdin=source)
        self.claim(self.rows() // 3)
        applies, claims = [], []
        for _ in range(rounds):
            self.wait_in_step()
            self.redis.call("CONFIG", "RESETSTAT")
            operations = int(rate * seconds)
            load = subprocess.Popen(
                [self.program("gpubus-bench-load"), self.bootstrap, "gpubus", str(PARTITIONS),
                 str(SMALL_POOLS), str(operations), str(rate), "1000", MODEL],
                stdout=subprocess.DEVNULL)
            time.sleep(seconds / 3)
            self.claims.call("CONFIG", "RESETSTAT")
            self.claim(20000)
            calls, usec = self.claims.command_usec("fcall")
            claims.append(usec / calls)
            if load.wait() != 0:
                raise SystemExit("the load failed")
            self.wait_in_step()
            # The load's warm-up and its last releases are decisions too.
            applies.append(self.redis.command_usec("fcall")[1] / (operations * 1.1 + 500))
        return applies, claims

    def consume(self, partition):
        return json.loads(run(self.program("gpubus-bench-consume"), self.bootstrap, str(partition),
                              "gpubus.decisions.v1", "gpubus.inventory.v1", "gpubus.hosts.v1"))

    def rss_bytes(self):
        with open(f"/proc/{self.scheduler.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024


def median_of(rounds, field):
    return statistics.median(one[field] for one in rounds)


def measure(bench, options):
    s = {"rounds": options.rounds}
    bench.start_parts()
    for pool in range(1, SMALL_POOLS + 1):
        bench.fleet(str(pool), 250)
    bench.start_scheduler()
    sizes = bench.decision_sizes()
    bench.start_echo(sizes)
    s["decision_bytes"] = sizes

    print("throughput ...", file=sys.stderr)
    rates = bench.throughput(options.rounds, options.operations)
    s["decisions_per_s"] = statistics.median(rates["gpubus"])
    s["echo_per_s"] = statistics.median(rates["echo"])
    s["rate_ratio"] = statistics.median(g / e for g, e in zip(rates["gpubus"], rates["echo"]))
    s["rates"] = rates

    print("latency at half load ...", file=sys.stderr)
    s["half_load_per_s"] = round(s["decisions_per_s"] / 2)
    rate, seconds = s["half_load_per_s"], options.seconds
    latency = bench.latency(options.rounds, rate, seconds)
    applies, claims = bench.redis_time(options.rounds, rate, seconds)
    s["redis_apply_us"], s["redis_claim_us"] = map(statistics.median, (applies, claims))
    s["redis_ratio"] = statistics.median(a / c for a, c in zip(applies, claims))
    for who, rounds in latency.items():
        for field in ("logged_p50_us", "logged_p99_us", "answered_p50_us", "answered_p99_us"):
            s[f"{who}_{field}"] = median_of(rounds, field)
    s["p99_ratio"] = statistics.median(
        g["answered_p99_us"] / e["answered_p99_us"]
        for g, e in zip(latency["gpubus"], latency["echo"]))
    return s


def measure_large(bench, options):
    """A pool of 100,000 GPUs, alone on its servers: memory, takeover, rebuild."""
    s = {}
    bench.start_parts()
    bench.start_scheduler()
    print("100,000 GPUs ...", file=sys.stderr)
    bench.wait_in_step()
    redis_before, rss_before = bench.redis.used_bytes(), bench.rss_bytes()
    fleet = bench.fleet(BIG_POOL, 10000)
    time.sleep(1)
    bench.wait_in_step()
    s["redis_bytes_per_gpu"] = (bench.redis.used_bytes() - redis_before) / fleet["gpus"]
    s["rss_bytes_per_gpu"] = (bench.rss_bytes() - rss_before) / fleet["gpus"]
    redis_before = bench.redis.used_bytes()
    assigned = big_assignments(bench)
    bench.wait_in_step()
    s["redis_bytes_per_assignment"] = (bench.redis.used_bytes() - redis_before) / assigned

    print("takeover and rebuild ...", file=sys.stderr)
    partition = fleet["partition"]
    takeovers, rebuilds, consumes, ratios = [], [], [], []
    for _ in range(options.rounds):
        bench.stop_scheduler()
        takeovers.append(bench.start_scheduler()[partition])
        bench.stop_scheduler()
        bench.redis.call("FLUSHALL")
        rebuilds.append(bench.start_scheduler()[partition])
        consumes.append(bench.consume(partition))
        bench.wait_in_step()
        ms, messages = rebuilds[-1]
        ratios.append(messages / (ms / 1000) / consumes[-1]["rate"])
    s["takeover_ms"] = statistics.median(ms for ms, _ in takeovers)
    s["rebuild_ms"] = statistics.median(ms for ms, _ in rebuilds)
    s["rebuild_messages"] = rebuilds[-1][1]
    s["consume_ms"] = statistics.median(c["seconds"] * 1000 for c in consumes)
    s["rebuild_ratio"] = statistics.median(ratios)
    return s


def big_assignments(bench):
    """50,000 VMs with a GPU each in the pool of 100,000."""
    made = 0
    os.environ["BENCH_POOL"] = BIG_POOL
    try:
        made = bench.load("gpubus", 45000, 0, 50000, "keep", pools=1)["operations"]
    finally:
        del os.environ["BENCH_POOL"]
    return made * 1.1


def core_figures(bench):
    out = run(bench.program("gpubus-bench-core"))
    return json.loads(out)


def table(s):
    def line(what, value, beside="", ratio="", goal=""):
        print(f"{what:<44} {value:>14} {beside:>22} {ratio:>8}  {goal}")

    line("", "gpubus", "beside it", "ratio", "to reach")
    line("decisions/s, flat out", f"{s['decisions_per_s']:,.0f}", f"echo {s['echo_per_s']:,.0f}",
         f"{s['rate_ratio']:.2f}", ">= 0.4")
    for what, field in (("in the log", "logged"), ("answered", "answered")):
        for p in ("p50", "p99"):
            ours, echo = s[f"gpubus_{field}_{p}_us"], s[f"echo_{field}_{p}_us"]
            goal = "<= 1.5" if (field, p) == ("answered", "p99") else ""
            ratio = s["p99_ratio"] if goal else ours / echo
            line(f"{what} {p} at {s['half_load_per_s']:,}/s, us", f"{ours:,.0f}",
                 f"echo {echo:,.0f}", f"{ratio:.2f}", goal)
    line("Redis time per decision at half load, us", f"{s['redis_apply_us']:.2f}",
         f"one claim {s['redis_claim_us']:.2f}",
         f"{s['redis_ratio']:.2f}", "< 1")
    for gpus, cost in s["decision_us_by_gpus"].items():
        line(f"decision in a pool of {int(gpus):,} GPUs, us", f"{cost:.2f}", "100 GPUs",
             f"{cost / s['decision_us_by_gpus']['100']:.2f}",
             "<= 1.25" if gpus == "100000" else "")
    line("bytes per GPU in Redis", f"{s['redis_bytes_per_gpu']:.0f}", "", "", "<= 150")
    line("bytes per GPU in the service (allocated)", f"{s['service_bytes_per_gpu']:.0f}",
         f"growth of RSS {s['rss_bytes_per_gpu']:.0f}", "", "<= 128")
    line("bytes per assignment in Redis", f"{s['redis_bytes_per_assignment']:.0f}")
    line("takeover with a checkpoint, ms", f"{s['takeover_ms']:,.0f}")
    line(f"rebuild of {s['rebuild_messages']:,} records, ms", f"{s['rebuild_ms']:,.0f}",
         f"consuming {s['consume_ms']:,.0f}", f"{s['rebuild_ratio']:.2f}", ">= 0.5")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench"))
    parser.add_argument("--work", help="where Kafka and Redis keep their data [OUT/work]; a busy "
                        "disk stalls both: a directory in memory takes it out of the figures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--operations", type=int, default=100000, help="in a throughput round")
    parser.add_argument("--seconds", type=float, default=4, help="of a latency round")
    options = parser.parse_args()

    os.makedirs(options.out, exist_ok=True)
    work = options.work or os.path.join(options.out, "work")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    core = core_figures(Bench(options.build, work))
    summary = {}
    for part in (measure, measure_large):
        bench = Bench(options.build, os.path.join(work, part.__name__))
        os.makedirs(bench.work)
        try:
            summary |= part(bench, options)
        finally:
            bench.stop_parts()
    summary["decision_us_by_gpus"] = core["decision_us_by_gpus"]
    summary["service_bytes_per_gpu"] = core["bytes_per_gpu"]
    table(summary)
    with open(os.path.join(options.out, "summary.json"), "w") as out:
        json.dump(summary, out, indent=2)


if __name__ == "__main__":
    main()
