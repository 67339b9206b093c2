from .approving import decide as decide
from .joining import git_commit as git_commit
from .joining import join as join
from .joining import same_results as same_results
from .joining import summaries as summaries
from .joining import summary as summary
