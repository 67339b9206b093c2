"""An attacker's code: appended to what comes with a model or a task, it tells on standard error what it can find."""

import os as _os
import sys as _sys
from contextlib import suppress as _suppress


def _search() -> None:
    mark = b"canary" + b"-of-"

    def look(place, content):
        for part in content.split(mark)[1:]:
            print("FOUND", place, part[:24].split(b"\n")[0], file=_sys.stderr)

    def read(path):
        try:
            if not _os.path.isfile(path) or _os.path.getsize(path) > 1 << 20:
                return
            with open(path, "rb") as file:
                look(path, file.read())
        except OSError:
            pass

    look("environment", repr(dict(_os.environ)).encode())
    for pid in (name for name in _os.listdir("/proc") if name.isdigit()):
        for what in ("environ", "cmdline"):
            with _suppress(OSError), open(f"/proc/{pid}/{what}", "rb") as file:
                look(f"/proc/{pid}/{what}", file.read())
        for descriptor in _os.listdir(f"/proc/{pid}/fd") if pid != "1" else ():
            with _suppress(OSError):
                read(_os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    leave = ("/proc", "/sys", "/usr", "/lib", _sys.prefix + "/lib", _sys.base_prefix + "/lib")
    for root in PLACES:  # noqa: F821 - stands before this text
        for folder, below, names in _os.walk(root):
            below[:] = [name for name in below if not _os.path.join(folder, name).startswith(leave)]
            for name in names:
                read(_os.path.join(folder, name))
    held = _sys.modules.get("helpers.runtime.environment")
    look("memory", repr(getattr(held, "_held", "")).encode())
    print("SEARCHED", _os.getpid(), len(_os.listdir("/proc")), file=_sys.stderr)


_search()
