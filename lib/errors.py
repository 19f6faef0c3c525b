"""The one exception that is meant for the person in front of the screen, and how command lines show it."""

import sys
from collections.abc import Callable
from functools import wraps


class EaselError(Exception):
    """Something the user can put right: the message says what was wrong and what to do.

    Command lines print the message alone, without a traceback, and exit with status 2.
    """


def command_line(main: Callable[[list[str]], None]) -> Callable[[list[str]], int]:
    """Turns a function of the arguments into one that returns the exit status and prints an EaselError's message."""

    @wraps(main)
    def with_status(arguments: list[str]) -> int:
        try:
            main(arguments)
        except EaselError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    return with_status
