"""Drives Celery: submits the empty task and waits for its success, N at a time.

One thread does both through Celery's own result consumer, which costs less than a thread for each
life would.
"""

from celery_app import app, life
from measuring import arguments, now, report

BRIEF = "Do nothing, and say that it is done."
PATIENCE_S = 30.0


class Drive:
    """Lives under way, and how long the ended ones took."""

    def __init__(self, in_flight):
        self.in_flight = in_flight
        self.begun = {}
        self.took = []

    def begin(self):
        begun = now()
        result = life.apply_async((BRIEF,))
        self.begun[result.id] = begun
        result.then(self.end)

    def end(self, result):
        result.get()
        self.took.append(now() - self.begun.pop(result.id))

    def run(self, seconds):
        """Gives the time from the first start to the last end."""
        consumer = app.backend.result_consumer
        first = last = now()
        while self.begun or now() - first < seconds:
            while len(self.begun) < self.in_flight and now() - first < seconds:
                self.begin()
            ended = len(self.took)
            if self.begun:
                consumer.drain_events(timeout=1)
            if len(self.took) > ended:
                last = now()
            elif now() - last > PATIENCE_S:
                raise SystemExit(f"{len(self.begun)} of Celery's tasks did not end")
        return now() - first


def main():
    wanted = arguments()
    Drive(4).run(wanted.warm_up)
    for in_flight in wanted.in_flight:
        drive = Drive(in_flight)
        elapsed = drive.run(wanted.seconds)
        report("celery", in_flight, drive.took, elapsed)


if __name__ == "__main__":
    main()
