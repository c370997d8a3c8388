"""Bots that are forks of one process, which imports everything once and has no thread.

`bot_forks.py DESCRIPTOR` reads from that socket what each bot gets: its environment, its folder and
the descriptor of its log. It prints the number of the bot's process and, once that has ended, how.
"""

import json
import os
import socket
import sys
from importlib import import_module

from bot.cli.main import main

# What the bot imports after its start, and what its libraries do.
LATER = ("bot.app.serve", "aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "alembic.command")
MOST_BYTES = 2**17


def serve(descriptor: int) -> None:
    """Fork one bot after the other until nobody asks any more."""
    for name in LATER:
        import_module(name)
    with socket.socket(fileno=descriptor) as requests:
        while True:
            data, descriptors, *_ = socket.recv_fds(requests, MOST_BYTES, 1)
            if not data:
                return
            if not (child := os.fork()):
                os._exit(run(json.loads(data), descriptors[0], requests))
            os.close(descriptors[0])
            print(child, flush=True)  # noqa: T201  (the answer to the test)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(status, flush=True)  # noqa: T201


def run(request: dict[str, object], log: int, requests: socket.socket) -> int:
    """Be the bot, as `python -m bot` is; returns its exit status."""
    requests.close()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    environment = request["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(request["folder"]))
    try:
        main(["run"])
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001  (as at the end of any program)
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(int(sys.argv[1]))
