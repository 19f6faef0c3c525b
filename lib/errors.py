"""The one exception that is meant for the person in front of the screen."""


class EaselError(Exception):
    """Something the user can put right: the message says what was wrong and what to do.

    Command lines print the message alone, without a traceback, and exit with status 2.
    """
