"""What the person in front of the screen can put right: how it is said, and how command lines show it."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path


class EaselError(Exception):
    """Something the user can put right: the message says what was wrong and what to do.

    Command lines print the message alone, without a traceback, and exit with status 2.
    """


# What to do about an error of the system, by its number.
REMEDIES = {
    errno.ENOSPC: "Free some space (`df -h` shows where)",
    errno.EDQUOT: "Free some space: your quota is used up",
    errno.EACCES: "Allow it (`ls -l` shows the permissions)",
    errno.EPERM: "Allow it (`ls -l` shows the permissions)",
    errno.EROFS: "Work in a copy on a disk that can be written",
    errno.EISDIR: "Move that folder away, or name a file",
    errno.ENOTDIR: "Move the file away that stands in place of a folder, or name another path",
    errno.EEXIST: "Move away what stands there",
    errno.ENOENT: "Check the path, and that this runs at the top of the repository",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EPIPE: "What read this output ended before its end",
}
SHOWN = 300  # letters of another program's message
# What JAX says where it looks for the devices of JAX_PLATFORMS: of some that are not there it says nothing.
NO_DEVICES = re.compile(r"$|Unable to initialize backend")
# How JAX and PyTorch, which have no exception of their own for it, say that memory ran out.
OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|can't allocate memory|out of memory", re.IGNORECASE)


@contextmanager
def naming(what: str | Path, kind: str = "") -> Iterator[None]:
    """Makes the enclosed reading or writing of `what`, a file or a setting, raise errors that name it.

    Args:
        kind: what the enclosed lines parse, such as YAML: whatever a parser raises is then the fault of `what`. Enclose
            nothing else.

    Raises:
        EaselError: an error of the system; with `kind`, text that is not UTF-8 or that does not parse.
    """
    try:
        yield
    except (EaselError, MemoryError):
        raise
    except OSError as error:
        raise EaselError(_of_system(error, str(what))) from error
    except Exception as error:
        if not kind:
            raise
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        elif isinstance(error, UnicodeError):
            reason = f"it is not in UTF-8 ({error})"
        else:
            reason = shortened(str(error) or type(error).__name__)
        raise EaselError(f"{what} is not valid {kind}: {reason}") from error


def shortened(text: str, letters: int = SHOWN) -> str:
    """`text` in one line of at most so many letters."""
    line = " ".join(text.split())
    return line if len(line) <= letters else line[: letters - 1] + "…"


def explained(error: BaseException) -> str | None:
    """What to say of an error that the user can put right; None for any other, whose traceback somebody needs."""
    if isinstance(error, EaselError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was finished stays, and the same command goes on from there."
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))):
        return f"memory ran out. Close other programs, or ask for less. ({shortened(str(error)) or 'MemoryError'})"
    if NO_DEVICES.match(str(error)) and _module(error) == "jax._src.xla_bridge":
        reason, named = shortened(str(error)) or "they are not here", os.environ.get("JAX_PLATFORMS", "")
        return f"JAX cannot use the devices of JAX_PLATFORMS='{named}': {reason}. Unset it."
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error, "" if error.filename else "a file or stream")
    return None


def _module(error: BaseException) -> str:
    """The module that raised it."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"] if trace else ""


def _of_system(error: OSError, what: str) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    named = " → ".join(name for name in names if name not in what)
    remedy = REMEDIES.get(error.errno, "Put that right and run the same command again")
    return ": ".join(filter(None, (what, named, error.strerror or str(error)))) + f". {remedy}."


def command_line(main: Callable[[list[str]], int | None]) -> Callable[[list[str]], int]:
    """Turns a function of the arguments into one that returns the exit status (its own, if it returns one).

    An error that the user can put right ends in one sentence and status 2, 130 after an interrupt. A terminal that
    cannot show a letter shows its number.
    """

    @wraps(main)
    def with_status(arguments: list[str]) -> int:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            status = main(arguments) or 0
            print(end="", flush=True)
            return status
        except (Exception, KeyboardInterrupt) as error:
            sentence = explained(error)
            if sentence is None:
                raise
            status = 130 if isinstance(error, KeyboardInterrupt) else 2
        _flush()
        print(f"error: {sentence}", file=sys.stderr)
        return status

    return with_status


def _flush() -> None:
    """Lets go of an output that cannot be written, which Python would try once more at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
