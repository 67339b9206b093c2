"""The model registry as the notebooks use it: connect, register, shortlist, select, record, approve."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
