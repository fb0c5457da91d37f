"""Starts the emulated host (tests/support/passthrough/vm.sh) and moves what is in there, from beside it: every method of
inside.py's Hands is one of Host. Plain Python: the demo has nothing else."""
import json
import os
import socket
import subprocess
from pathlib import Path

from vmhost import DIR, PATIENCE, wait_for

HERE = Path(__file__).parent
VM = HERE.parent / "support/passthrough/vm.sh"
BOOT_SECONDS = 100


class Host:
    """An emulated host, from inside.py's side: its methods are this object's."""

    def __init__(self, name, limit, append=""):
        self.name, self.dir = name, DIR / name
        self.dir.mkdir(exist_ok=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        command = [VM, "--timeout", str(limit), "--append", append, "--"]
        command += ["/usr/bin/python3", "-S", "-B", HERE / "inside.py", self.listener.getsockname()[1]]
        self.output = (self.dir / "output").open("ab")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            env={**os.environ, "TEST_DIR": str(self.dir)},
        )  # fmt: skip
        self.lines = None

    def wait_until_up(self):
        if self.lines:
            return self
        self.listener.settimeout(0.1)

        def connected():
            assert self.process.poll() is None, f"{self.name} has ended: {(self.dir / 'output').read_text()}"
            try:
                return self.listener.accept()[0]
            except TimeoutError:
                return None

        peer = wait_for(connected, f"{self.name} is up", BOOT_SECONDS)
        peer.settimeout(2 * PATIENCE)
        self.lines = peer.makefile("rw")
        peer.close()
        return self

    def __getattr__(self, method):
        def call(*args, **kwargs):
            self.lines.write(json.dumps({"call": method, "args": args, "kwargs": kwargs}, default=str) + "\n")
            self.lines.flush()
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise AssertionError(f"{self.name}: {method}: {answer['error']}")
            return answer["value"]

        return call

    def power_off(self):
        """As if the plug was pulled: the kernel ends vm.sh's children with it."""
        self.process.kill()
        self.process.wait()
        if self.lines:
            self.lines.close()
        self.listener.close()
        self.output.close()
