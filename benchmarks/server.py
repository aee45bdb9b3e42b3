"""A relay in a process of its own, so that its work is not counted with a client's.

Prints its port and the file of its authority; answers each line on standard input with its counters;
ends with standard input.
"""

from __future__ import annotations

import json
import sys

from support.pki import Authority
from support.relay import Policy, Relay


def serve(policy: Policy) -> None:
    """Serve until standard input ends."""
    authority = Authority()
    with Relay(authority, policy) as relay:
        print(json.dumps({"port": relay.port, "ca_file": authority.ca_file}), flush=True)
        for _line in sys.stdin:
            subjects = [str(report["Subject"]) for mail in relay.messages for report in mail.reports]
            counts = {"delivered": len(set(subjects)), "copies": len(subjects), **vars(relay.counters)}
            print(json.dumps(counts), flush=True)
    authority.close()


if __name__ == "__main__":
    serve(Policy(**json.loads(sys.argv[1])))
