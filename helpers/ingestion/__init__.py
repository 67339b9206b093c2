"""The gate for models: what may come in, the digest it is known by from then on, and its way into the store."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
