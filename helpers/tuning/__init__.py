"""Tune a registered version on a use case's own examples: LoRA by TRL and PEFT, merged into whole weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
