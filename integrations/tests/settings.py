"""The project's settings for tests, which make and drop databases: whatever ``.env`` says, it is not asked."""

import os

os.environ["ENV_FILE"] = ""  # also for the processes that tests start

from app.settings import *  # noqa: F403

# Users of tests have passwords that nobody guesses at: PBKDF2's million rounds are half a second each.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A static file is looked for when it is asked for: each test client would read the whole folder, 40 ms.
WHITENOISE_AUTOREFRESH = True
