from .beside import beside as beside
from .beside import read_results as read_results
from .comparing import Judged as Judged
from .comparing import judge_all as judge_all
from .gating import hold_all as hold_all
from .telling import headline as headline
