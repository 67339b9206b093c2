"""Load tests with GuideLLM: check the request shape, warm up, measure, find the operating point."""

from helpers.benchmark.measuring import sweep
from helpers.benchmark.operating_point import operating_point
from helpers.benchmark.prefix_cache import read_prefix_cache
from helpers.benchmark.report import read_report
from helpers.benchmark.settings import Settings

__all__ = ["Settings", "operating_point", "read_prefix_cache", "read_report", "sweep"]
