"""What can go wrong, and the exit code each kind ends the command line with.

A message says what was wrong, where (file, layer, key, line) and what to do, in one line.
"""


class TrtdreamError(Exception):
    """Work that could not be done: no network, no space, a missing package. Exit code 1."""

    exit_code = 1


class UsageError(TrtdreamError):
    """A wrong option, name or recipe: something the user typed. Exit code 2."""

    exit_code = 2


class InputRefused(TrtdreamError):
    """A file that is corrupt, untrusted or does not fit: nothing was done with it. Exit code 3."""

    exit_code = 3


class VerificationFailed(TrtdreamError):
    """A result that was checked and is not equal to what it must equal. Exit code 4."""

    exit_code = 4
