"""The Celery application: one task that does nothing, recorded as durably as Celery can.

Redis is both broker and result store, and is started with `appendonly yes, appendfsync always`.
"""

import os

from celery import Celery

URL = os.environ["PEER_REDIS_URL"]

app = Celery("lives", broker=URL, backend=URL)
app.conf.update(
    # Acknowledged after it ran, so that a worker that dies loses nothing.
    task_acks_late=True,
    # `STARTED` is written to the result store, as a mission's `running` is.
    task_track_started=True,
    worker_concurrency=2,
    broker_connection_retry_on_startup=True,
)


@app.task(name="life")
def life(brief):
    """Does what an agent that is instant does: nothing."""
    return len(brief)
