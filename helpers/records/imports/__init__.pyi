from .alike import alike as alike
from .attaching import attach as attach
from .contract import Imported as Imported
from .reading import read_all as read_all
from .reading import read_source as read_source
from .recording import as_record as as_record
