"""The bar of a statement: tqdm's, where that is installed, or else a line on stderr."""

import sys

try:
    from tqdm.auto import tqdm
except ImportError:
    tqdm = None


class Bar:
    def __init__(self):
        self._bar = tqdm(bar_format="{desc} {bar}", leave=False) if tqdm else None

    def update(self, done, total, line):
        if self._bar is None:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
            return
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description_str(line, refresh=True)

    def close(self):
        if self._bar is None:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
        else:
            self._bar.close()
