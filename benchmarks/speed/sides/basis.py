"""The Chebyshev basis of a graph of a million edges into a file, within a stated bound of memory."""

import tempfile
import threading
from pathlib import Path

import torch
from harness import report
from inputs import arguments, million

from graphcl.spectral import ChebyshevBasis

ORDER = 10


def anonymous() -> int:
    """Bytes of memory that no file stands behind: pages of the mapped file are the system's to take back."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith("RssAnon")).split()[1])


class Watched:
    """The highest anonymous memory while it is entered."""

    def __enter__(self) -> "Watched":
        self.peak, self.over = anonymous(), threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.over.wait(0.005):
            self.peak = max(self.peak, anonymous())

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def main() -> None:
    """Write it with the bound given in 10⁶ bytes, or keep it all in memory with 0."""
    parser = arguments(warmup=0, repeats=3)
    parser.add_argument("bound", type=int)
    asked = parser.parse_args()
    data = million()
    before = anonymous()
    peaks = []

    with tempfile.TemporaryDirectory() as folder:

        def step() -> None:
            with Watched() as watched:
                if asked.bound:
                    path = Path(folder) / "basis.npy"
                    ChebyshevBasis.write(path, data.x, data.edge_index, ORDER, memory=asked.bound * 10**6)
                else:
                    ChebyshevBasis.of(data.x, data.edge_index, ORDER)
            peaks.append(watched.peak - before)

        def note() -> str:
            return f"{max(peaks) / 1e6:.0f} MB anonymous beside x" + (f", bound {asked.bound}" if asked.bound else "")

        report(step, asked.warmup, asked.repeats, note)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
