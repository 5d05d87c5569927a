"""The project's settings for tests, which make and drop databases: whatever ``.env`` says, it is not asked."""

import os

os.environ["ENV_FILE"] = ""  # also for the processes that tests start

from app.settings import *  # noqa: F403
