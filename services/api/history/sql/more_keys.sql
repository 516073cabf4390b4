ALTER TABLE tally ADD CONSTRAINT tally_pkey PRIMARY KEY (quarter, job_type, state);
ALTER TABLE checkpoint ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (single);
