"""The bar of a statement that takes long: tqdm's where that is installed, otherwise a line on stderr."""

import sys
import time
import warnings

# Seconds between two lines where they stay, as in a file.
BETWEEN_LINES = 10


def tqdm_bar():
    """None where tqdm is not installed. It is loaded late: it takes as long as some statements."""
    try:
        with warnings.catch_warnings():
            # A notebook without ipywidgets has tqdm's bar of text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(bar_format="{desc} {bar}", leave=False)


class Bar:
    """Shown until it is closed. In a file or a pipe there is no bar, but a line every ten seconds."""

    def __init__(self):
        self._is_drawn = sys.stderr.isatty() or "ipykernel" in sys.modules
        self._bar = tqdm_bar() if self._is_drawn else None
        self._width = 0
        self._next_line = time.monotonic() + BETWEEN_LINES

    def update(self, done, total, line):
        if self._bar is not None:
            self._bar.total = total
            self._bar.n = done
            self._bar.set_description_str(line, refresh=True)
        elif self._is_drawn:
            # The blanks cover what is left of a longer line.
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)
        elif time.monotonic() >= self._next_line:
            sys.stderr.write(line + "\n")
            self._next_line += BETWEEN_LINES

    def close(self):
        if self._bar is not None:
            self._bar.close()
        elif self._is_drawn and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
