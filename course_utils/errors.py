"""The one exception that is meant for people."""


class CourseError(Exception):
    """A user's mistake or a missing need, told in a clear sentence with the remedy.

    The `course` command prints the message alone, without a traceback, and exits with status 1.
    """
