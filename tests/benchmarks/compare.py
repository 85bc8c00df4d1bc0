"""How fast it is, as ratios that are each measured side by side: `python compare.py [NAMES...] [--repetitions N]`.

Prints a table of markdown. The plain script takes by far the longest: half an hour for three repetitions. The rows of `gpu` are
measured where there is one; where they are asked for on a CPU, they run at smoke size.

What did not pay on a CPU when it was tried, before this benchmark was written and not measured by it: several students stacked
into one model (1.0 to 1.1 times as fast with 2 to 16, as training is bound by computing), bfloat16 (0.4, though the processor has
AMX), torch.compile for runs of minutes (it takes 58 s and gives 1.23 a step), larger batches (1.0), other allocators (1.0).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import chain

from heistbench.bench.models.process import hush, one_thread

one_thread()

from gpu import CUDA, gpu  # noqa: E402 - threads are counted before torch is there
from models import examination, generation, training  # noqa: E402
from ratios import Ratio, show  # noqa: E402
from runs import cached, growth, plain_script, start_up  # noqa: E402
from texts import overlap  # noqa: E402

MEASURES: dict[str, Callable[[int], Iterator[Ratio]]] = {
    measure.__name__: measure
    for measure in (start_up, overlap, generation, examination, training, cached, growth, plain_script, gpu)
}
USUAL = [name for name in MEASURES if name != "gpu" or CUDA]


def main() -> None:
    """Measure what is named, or everything that this machine can show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], default=USUAL, metavar="NAMES")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    hush()
    show(chain.from_iterable(MEASURES[name](options.repetitions) for name in options.names))


if __name__ == "__main__":
    main()
