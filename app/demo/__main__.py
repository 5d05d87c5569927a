"""Set up with a week of data, start web, worker, beat, receivers, change a work item, tell what happens, stop it all.

Uses the embedded broker and an SQLite file of its own, whatever ``.env`` says (environment.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

from app.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from app.terminal import print_anywhere
from integrations.transport.signing import generate_secret

from .environment import allowed_hosts, make_own
from .processes import LOGS, Processes, listen, port_of


def main() -> int:
    print_anywhere()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with contextlib.ExitStack() as stack:
        try:
            return _run(stack)
        except (KeyboardInterrupt, BrokenPipeError):
            sys.stderr.write("\nStopping …\n")
            # A second Ctrl-C must not leave anything behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stderr.write("Everything that was started has stopped.\n")
    return 0


def _run(stack: contextlib.ExitStack) -> int:
    make_own(os.environ, LOGS)
    web, receiver, places = (stack.enter_context(listen(port)) for port in (8000, 8099, 8180))
    web_port, receiver_port, places_port = (port_of(listener) for listener in (web, receiver, places))
    secret = os.environ["WEBHOOK_RECEIVER_SECRETS"] = generate_secret()
    ours = [f"127.0.0.1:{receiver_port}", f"127.0.0.1:{places_port}"]
    os.environ["INTEGRATIONS_ALLOWED_HOSTS"] = ",".join(ours + allowed_hosts(os.environ))
    os.environ["DJANGO_SETTINGS_MODULE"] = "app.demo.settings"
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    if "CELERY_BROKER_URL" not in os.environ:
        try:
            os.environ["CELERY_BROKER_URL"] = stack.enter_context(EmbeddedBroker()).url
        except EmbeddedBrokerError as error:
            sys.stderr.write(f"{error}\n")
            return 1

    import django

    django.setup()
    from .data.here import continue_week
    from .seed import seed
    from .story import Story
    from .trickle import Trickle

    demo = seed(f"http://127.0.0.1:{receiver_port}/webhook/workitem", secret)
    sys.stdout.write("Filling the week before with traffic (the first time takes some seconds) …\n")
    sys.stdout.flush()
    filled = continue_week(f"http://127.0.0.1:{places_port}")
    story = Story(demo, f"http://127.0.0.1:{web_port}", f"http://127.0.0.1:{receiver_port}/", Trickle())
    story.begin(filled)
    with Processes() as processes:
        manage = [sys.executable, "manage.py"]
        celery = [sys.executable, "-m", "celery", "-A", "app", "worker", "-P", "threads", "-c", "100", "-B"]
        processes.start("receiver", [*manage, "webhook_receiver", "--fd", str(receiver.fileno()), "--json"], receiver)
        processes.start("destinations", [sys.executable, "-m", "app.demo.receiver", str(places.fileno())], places)
        processes.start("worker", [*celery, "-s", os.devnull, "--loglevel", "WARNING"])
        gunicorn = [sys.executable, "-m", "gunicorn", "-b", f"fd://{web.fileno()}", "--threads", "4", "app.wsgi"]
        processes.start("web", gunicorn, web)
        story.wait_until_ready(processes)
        story.change_something()
        story.tell_for_ever(processes)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
