"""Time of a training step of the motion network, by number of threads and OpenMP's wait policy.

    python benchmarks/threads.py --busy 2

Each row is measured in a separate process, because OpenMP reads its policy once. Rows take turns, so that
other load affects all alike. `--busy N` keeps N other processes computing meanwhile. Printed: the median step
in seconds over all rounds, and the range of the rounds' medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

ROWS = (("1", "PASSIVE"), ("2", "ACTIVE"), ("2", "PASSIVE"), ("2", ""))
_STEP = """
import json, sys, time
import torch
from moclip_lite.motion.network import create_motion_net
net = create_motion_net("motion_small", 101).train()
optimizer = torch.optim.AdamW(net.parameters())
batch, labels = torch.randn(16, 4, 5, 2, 24, 32), torch.randint(0, 101, (16,))
times = []
for step in range(int(sys.argv[1])):
    start = time.perf_counter()
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(batch), labels).backward()
    optimizer.step()
    times.append(time.perf_counter() - start)
print(json.dumps(times[3:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    options = parser.parse_args()
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    rounds: dict[tuple[str, str], list[list[float]]] = {row: [] for row in ROWS}
    try:
        for _ in range(options.rounds):
            for threads, policy in ROWS:
                settings = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": policy}
                env = {key: value for key, value in {**os.environ, **settings}.items() if value}
                done = subprocess.run(
                    [sys.executable, "-c", _STEP, str(options.steps)],
                    env=env,
                    capture_output=True,
                    check=True,
                )
                rounds[threads, policy].append(json.loads(done.stdout))
    finally:
        for other in others:
            other.kill()
            other.wait()
    print(
        f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores, {options.busy} busy processes"
    )
    for (threads, policy), times in rounds.items():
        middle = [statistics.median(row) for row in times]
        step = statistics.median([value for row in times for value in row])
        spread = f"{min(middle):.3f} to {max(middle):.3f}"
        print(f"{threads} thread(s), {policy or 'default':8} {step:.3f} s ({spread})")


if __name__ == "__main__":
    main()
