"""Take a port, or say in a sentence why it cannot be had."""

from __future__ import annotations

import errno
import os
import socket

from course_utils.errors import CourseError


def bind(host: str, port: int) -> socket.socket:
    """Take a port, without listening yet; port 0 takes a free one.

    Raises CourseError if the address cannot be had.
    """
    if not 0 <= port <= 65_535:
        raise CourseError(f"--port {port} is not a port: give one from 0 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere this option lets two programs share a port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CourseError(
                f"Port {port} of {host} is in use: stop the program that has it, or choose another "
                "with --port (0 takes a free one)."
            ) from None
        raise CourseError(
            f"The server cannot listen at {host}, port {port} ({error.strerror}): give an address "
            "of this machine with --host and a port above 1023 with --port."
        ) from None
    return taken
