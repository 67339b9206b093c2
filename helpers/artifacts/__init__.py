"""What one stage hands to the next: small versioned JSON files under `artifacts/`.

selection.json -> endpoint.json -> one file for each measurement -> record.json
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
