"""Attack a served model with garak's probes, in an environment of garak's own, and count what it resisted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
