"""Run a command that cannot outlive its starter.

    python guard.py GRACE_SECONDS FOLDER COMMAND...

The command gets a process group of its own. When the pipe on this process's stdin closes (the
starter closed it, or died by whatever means) the group gets SIGTERM, and SIGKILL after the grace.
When the command has ended, what it left running is killed and FOLDER is removed ("" for none).
Exits with the command's code. Needs only the standard library.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a group; none left is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def main() -> int:
    """Run the command to its end, or to the end of stdin. Returns the command's exit code."""
    grace, folder, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the pipe ends this process

    def end_with_the_pipe() -> None:
        while os.read(0, 1024):
            pass
        signal_group(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        signal_group(child.pid, signal.SIGKILL)

    threading.Thread(target=end_with_the_pipe, daemon=True).start()
    code = child.wait()
    signal_group(child.pid, signal.SIGKILL)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
