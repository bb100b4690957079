"""The signer's process, killed by itself at the Nth thing that it does to a file of its folder: open, rename, lock, make."""

import os
import signal
import sys

from marketbot_resources.signer import main

WATCHED = ("open", "os.rename", "os.mkdir", "fcntl.flock", "os.remove")


def watch(folder: str, countdown: int) -> None:
    left = countdown

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event not in WATCHED or not (event == "fcntl.flock" or str(args[0]).startswith(folder)):
            return
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    watch(sys.argv[2], int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
