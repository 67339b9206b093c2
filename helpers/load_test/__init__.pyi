from .choosing import operating_point as operating_point
from .measuring import sweep as sweep
from .prefix_cache import read_prefix_cache as read_prefix_cache
from .report import read_report as read_report
from .settings import Settings as Settings
