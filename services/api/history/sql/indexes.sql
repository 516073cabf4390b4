-- Their keys, indexes and first checkpoint: apart, because a rebuild fills the tables first.
ALTER TABLE run ADD CONSTRAINT run_pkey PRIMARY KEY (id);
CREATE INDEX run_job_type_started_at ON run (job_type, started_at);
CREATE INDEX run_newest ON run (started_at DESC, id DESC);
CREATE INDEX run_open ON run (job_type, id) WHERE phase <> 'finished';
CREATE INDEX run_troubled ON run (status, started_at DESC, id DESC) WHERE status IN ('PARTIAL', 'FAILED');
ALTER TABLE job ADD CONSTRAINT job_pkey PRIMARY KEY (job_type);
ALTER TABLE schedule ADD CONSTRAINT schedule_pkey PRIMARY KEY (job_type);
ALTER TABLE slot ADD CONSTRAINT slot_pkey PRIMARY KEY (sequence);
CREATE INDEX slot_newest ON slot (job_type, scheduled_for DESC, sequence DESC);
ALTER TABLE parked ADD CONSTRAINT parked_pkey PRIMARY KEY (sequence);
ALTER TABLE idempotency ADD CONSTRAINT idempotency_pkey PRIMARY KEY (event_id);
ALTER TABLE checkpoint ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (single);
INSERT INTO checkpoint (sequence, event_id) VALUES (0, '');
