"""A mode to which PyTorch hands every operation while it is switched on. Knows no network."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):
    """torch's, but torch does not load its compiler to leave the mode out of what it compiles, which is nothing here.

    That takes 1.5 seconds and 150 MB. torch calls the method below when a class is defined; a version that does not
    loads the compiler, and all else is the same.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
