"""Let these tests import what the others share, such as `benchmarks.decoding_equivalence`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
