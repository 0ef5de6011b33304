"""Where the rows live. A source sums and maps functions over blocks and knows nothing else."""

from mixtura.source.device import DeviceSource
from mixtura.source.memory import MemorySource
from mixtura.source.protocol import Source

__all__ = ["DeviceSource", "MemorySource", "Source"]
