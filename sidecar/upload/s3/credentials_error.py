"""Says why there are no credentials to sign with, and what an error of the client library says."""

from __future__ import annotations

from botocore import exceptions as boto

from .refusals import one_line


class CredentialsError(Exception):
    """There are no credentials to sign with; in the chain's own words, with a hint."""

    def __init__(self, message: str, *, hint: str, code: str) -> None:
        """``code`` is STS's own word, or the name of the failure."""
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


def words_of(error: Exception) -> str:
    """Return what an error of the client library says, in one line, with the reason that it keeps back."""
    inner = error.kwargs.get("error") if isinstance(error, boto.BotoCoreError) else None
    reason = str(getattr(inner, "os_error", None) or inner or "")
    known = isinstance(error, boto.BotoCoreError | OSError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    return one_line(f"{text} ({reason})" if reason and reason not in text else text or type(error).__name__)
