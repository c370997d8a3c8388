"""Passes the bytes of two loopback ports on to the gateway's sockets, both ways, unchanged.

It knows no HTTP but one refusal, and imports next to nothing: there is one in each container.
"""

import os
import socket
import sys

from bridge.container import EGRESS_PORT, GATEWAY_PORT, LOOPBACK, Variable
from bridge.forwarder.connection import READ, Connection, GatewaySocket, Multiplexer
from bridge.process.peer_uid import uid_of
from bridge.process.prctl import end_with_parent, hide_from_siblings

MAX_FORWARDED = 256
MAX_OF_TOOLS = 192  # the rest is for the bridge, which always gets through
_BACKLOG = 128


class Forwarder:
    """Serves all connections of this process in one thread; none can hold up another."""

    def __init__(self) -> None:
        self._multiplexer = Multiplexer()

    def listen(self, port: int, gateway: GatewaySocket) -> int:
        """Opens a loopback port (0: a free one) and returns its number. Raises OSError."""
        listener = socket.create_server((LOOPBACK, port), backlog=_BACKLOG)
        self.add_listener(listener, gateway)
        return int(listener.getsockname()[1])

    def add_listener(self, listener: socket.socket, gateway: GatewaySocket) -> None:
        """Accepts connections on a port that is open already."""
        listener.setblocking(False)
        self._multiplexer.selector.register(listener, READ, gateway)

    def run(self) -> None:
        """Passes bytes on until the process ends."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Waits for the next events, and handles them."""
        for key, events in self._multiplexer.selector.select(self._multiplexer.pause()):
            if not isinstance(key.fileobj, socket.socket):
                continue
            if isinstance(key.data, GatewaySocket):
                self._accept(key.fileobj, key.data)
            else:
                self._multiplexer.tell(key.fileobj, key.data, events)
        self._multiplexer.run_timers()

    def _accept(self, listener: socket.socket, gateway: GatewaySocket) -> None:
        try:
            client, peer = listener.accept()
        except OSError:
            return  # it went away again
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(
            self._multiplexer, client, gateway, uid_of(peer, client.getsockname())
        )
        known = self._multiplexer.connections
        others = sum(other.uid != os.getuid() for other in known)
        is_own = connection.uid == os.getuid()
        if len(known) < MAX_FORWARDED and (is_own or others < MAX_OF_TOOLS):
            known.add(connection)
            connection.dial()
        else:
            client.close()


def main() -> int:
    """Serves the ports until the parent ends; returns the exit status of the process."""
    end_with_parent()
    hide_from_siblings()
    token = os.environ.get(Variable.OPENROUTER_API_KEY, "")
    gateway_socket = os.environ.get(Variable.GATEWAY_SOCKET, "")
    egress_socket = os.environ.get(Variable.EGRESS_SOCKET, "")
    address = os.environ.get(Variable.GATEWAY_ADDRESS, "")
    if not (gateway_socket or (address and token)):
        sys.stderr.write(
            "threadsmith forwarder: GATEWAY_SOCKET, or GATEWAY_ADDRESS with OPENROUTER_API_KEY, "
            "has to be set\n"
        )
        return 2
    if gateway_socket:
        gateways = [(GATEWAY_PORT, GatewaySocket(path=gateway_socket))]
    else:
        preamble = f"THREADSMITH {token}\n".encode()
        gateways = [(GATEWAY_PORT, GatewaySocket(address=address, preamble=preamble))]
    if egress_socket:
        gateways.append((EGRESS_PORT, GatewaySocket(path=egress_socket)))
    opened = [
        int(number) for number in os.environ.get(Variable.FORWARDER_FDS, "").split(",") if number
    ]
    forwarder = Forwarder()
    try:
        # The launcher has opened the ports, in this order; on its own this process opens them.
        for number, (_, gateway) in zip(opened, gateways, strict=False):
            forwarder.add_listener(socket.socket(fileno=number), gateway)
        for port, gateway in gateways[len(opened) :]:
            forwarder.listen(port, gateway)
        forwarder.run()
    except OSError as error:
        sys.stderr.write(f"threadsmith forwarder: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
