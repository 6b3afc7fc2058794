"""Azure's Instance Metadata Service at its own address, in a network of its own.

usage: unshare --net python3 metadata_service.py COMMAND...

Runs the command, which finds nothing else in this network, and prints as JSON what came of it and
what it asked for.
"""

import dataclasses
import json
import subprocess
import sys

from processes import PATIENCE_S, program, run
from recorder import Recorder

# learn.microsoft.com, "Azure Instance Metadata Service".
ADDRESS, PORT = "169.254.169.254", 80


def main():
    """Serves one command."""
    ip = program("ip")
    run([ip, "link", "set", "lo", "up"])
    run([ip, "address", "add", f"{ADDRESS}/32", "dev", "lo"])
    # The documented answer has numbers in quotes.
    with Recorder(ADDRESS, PORT, expires_in="3599") as recorder:
        done = subprocess.run(
            sys.argv[1:], capture_output=True, encoding="utf-8", timeout=PATIENCE_S
        )
    requests = [dataclasses.asdict(request) for request in recorder.requests]
    told = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    print(json.dumps({**told, "requests": requests}))


if __name__ == "__main__":
    main()
