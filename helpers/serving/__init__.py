"""Serve the selected version behind one `Endpoint`: a local process, KServe, or an endpoint that exists already."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
