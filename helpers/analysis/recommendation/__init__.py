"""Which version to take: gates, then the Pareto front, then a ranking whose weights the reader sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
