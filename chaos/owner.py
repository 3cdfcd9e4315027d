"""Which process a connection comes from: all of them reach the records at the one address that the broker tells them."""

import os
import socket
import struct

from .ports import HOST

# The kernel is asked for one socket (sock_diag(7)): /proc/net/tcp would list every one, for every connection.
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR = 2
NLM_F_REQUEST = 1
ALL_STATES = 0xFFFFFFFF
ANY_COOKIE = 0xFFFFFFFF
# Where the message's last field, the inode, begins: behind a netlink header of 16 bytes and 68 bytes of message.
INODE_AT = 16 + 68
ANSWER_BYTES = 4096


def socket_inode(port, peer_port):
    """The inode of the socket from this port of the local host to that one; None if there is none."""
    address = socket.inet_aton(HOST) + bytes(12)
    identity = struct.pack("!HH", port, peer_port) + address + address + struct.pack("=III", 0, ANY_COOKIE, ANY_COOKIE)
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, ALL_STATES) + identity
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.send(header + request)
        answer = netlink.recv(ANSWER_BYTES)
    if struct.unpack_from("=H", answer, 4)[0] == NLMSG_ERROR:
        return None
    return struct.unpack_from("=I", answer, INODE_AT)[0]


def owner_of(port, peer_port, pids):
    """The name, out of {name: pid}, of the process that connects from `port` to `peer_port`; None for anybody else."""
    inode = socket_inode(port, peer_port)
    if not inode:
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
