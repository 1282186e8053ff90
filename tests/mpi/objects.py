# SPDX-License-Identifier: MIT
"""mpi4py: numpy arrays, pickled objects, a window, a file. Usage: objects.py FILE"""
import sys

import numpy as np
from mpi4py import MPI

world = MPI.COMM_WORLD
me, ranks = world.Get_rank(), world.Get_size()
checks = 0


def check(what, good):
    global checks
    checks += 1
    if not good:
        print(f"FAIL rank {me}: {what}", flush=True)
        world.Abort(1)


def total(value):
    """The sum of value(r) over all ranks r."""
    return sum(value(r) for r in range(ranks))


mine = np.arange(100000, dtype="d") * (me + 1)
summed = np.empty_like(mine)
world.Allreduce(mine, summed, op=MPI.SUM)
check("Allreduce", np.array_equal(summed, np.arange(100000, dtype="d") * total(lambda r: r + 1)))

thing = {"name": "isle", "list": [1, 2.5, None], "array": np.arange(5000)} if me == 0 else None
thing = world.bcast(thing, root=0)
check("bcast", thing["list"] == [1, 2.5, None] and thing["array"][4999] == 4999)
check("gather", world.gather(me * "x", root=0) == ([r * "x" for r in range(ranks)] if me == 0 else None))
check("alltoall", world.alltoall([(me, r) for r in range(ranks)]) == [(r, me) for r in range(ranks)])

after, before = (me + 1) % ranks, (me - 1) % ranks
big = np.full(1 << 20, me, dtype="d")
came = np.empty_like(big)
world.Sendrecv(big, after, 0, came, before, 0)
check("Sendrecv of 8 MiB", (came == before).all())
request = world.isend({"from": me}, dest=after, tag=7)
check("irecv", world.irecv(source=before, tag=7).wait() == {"from": before})
request.wait()

window = MPI.Win.Allocate(1000 * 8, 8, comm=world)
inside = np.frombuffer(window.tomemory(), dtype="d")
inside[:] = -1
window.Fence()
window.Put(np.full(1000, me, dtype="d"), after)
window.Fence()
check("Put", (inside == before).all())
window.Free()

f = MPI.File.Open(world, sys.argv[1], MPI.MODE_CREATE | MPI.MODE_RDWR)
f.Write_at_all(me * 4000, np.full(1000, me, dtype="i"))
f.Sync()
world.Barrier()
f.Sync()
read = np.empty(1000, dtype="i")
f.Read_at_all(after * 4000, read)
check("File", (read == after).all())
f.Close()

checks = world.allreduce(checks)
if me == 0:
    print(f"{checks} checks passed on {ranks} ranks", flush=True)
