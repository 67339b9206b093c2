from .results import read_results as read_results
from .running import build_command as build_command
from .running import evaluate as evaluate
from .running import run as run
from .settings import Settings as Settings
from .tasks import Task as Task
from .tasks import check_task as check_task
