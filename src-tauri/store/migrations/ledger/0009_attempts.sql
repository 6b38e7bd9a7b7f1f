-- What ended in a stretch of time is found without walking over all of history.
CREATE INDEX attempts_ended ON attempts (ended_at) WHERE ended_at IS NOT NULL;
