"""Whether a model calls the right functions: every row asked freely, rows with a call also with strict arguments."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
