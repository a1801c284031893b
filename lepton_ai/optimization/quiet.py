"""Other libraries' chatter, kept from the user for the length of a block."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def quiet() -> Generator[None]:
    """No warnings, log lines and progress bars of the converters while the block runs.

    Exporters warn about their own internals, and print; none of it is for whoever calls
    ``optimize``. What goes wrong comes as an exception.
    """
    root = logging.getLogger()
    silent = logging.NullHandler()  # else logging.warning() would install a handler for good
    level = root.manager.disable
    root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        root.removeHandler(silent)
