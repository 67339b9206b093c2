"""Results that other tools wrote, as measurements: one module a format, one protocol."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
