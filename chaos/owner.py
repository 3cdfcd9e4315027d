"""Which process a connection comes from: all of them reach the records at the one address that the broker tells them."""

import os
import pathlib

LOOPBACK = "0100007F"


def socket_inode(port):
    """The inode of the socket at this port of 127.0.0.1."""
    wanted = f"{LOOPBACK}:{port:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted:
            return fields[9]
    return None


def owner_of(port, pids):
    """The name, out of {name: pid}, of the process that connects from this port; None for anybody else."""
    inode = socket_inode(port)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    for name, pid in pids.items():
        try:
            for link in os.scandir(f"/proc/{pid}/fd"):
                if os.readlink(link.path) == wanted:
                    return name
        except OSError:
            # The process, or one of its files, went away meanwhile.
            continue
    return None
