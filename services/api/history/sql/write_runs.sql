INSERT INTO run (
    id, job_type, status, started_at, completed_at, duration_ms, result_summary, error_message, triggered_by,
    phase, attempt, failures, triggered_at, attempt_at, retry_at, scheduled_for, rerun_of, params_json,
    warnings_json, warning_count, cancel_requested_by, cancelled_by, origin, problem, version, token,
    incarnation, timeout_ms, ignored
)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::timestamptz[],
    $15::timestamptz[], $16::timestamptz[], $17::bigint[], $18::text[], $19::text[], $20::bigint[],
    $21::text[], $22::text[], $23::text[], $24::text[], $25::bigint[], $26::bigint[], $27::text[],
    $28::bigint[], $29::bigint[]
)
ON CONFLICT (id) DO UPDATE SET
    job_type = excluded.job_type,
    status = excluded.status,
    started_at = excluded.started_at,
    completed_at = excluded.completed_at,
    duration_ms = excluded.duration_ms,
    result_summary = excluded.result_summary,
    error_message = excluded.error_message,
    triggered_by = excluded.triggered_by,
    phase = excluded.phase,
    attempt = excluded.attempt,
    failures = excluded.failures,
    triggered_at = excluded.triggered_at,
    attempt_at = excluded.attempt_at,
    retry_at = excluded.retry_at,
    scheduled_for = excluded.scheduled_for,
    rerun_of = excluded.rerun_of,
    params_json = excluded.params_json,
    warnings_json = excluded.warnings_json,
    warning_count = excluded.warning_count,
    cancel_requested_by = excluded.cancel_requested_by,
    cancelled_by = excluded.cancelled_by,
    origin = excluded.origin,
    problem = excluded.problem,
    version = excluded.version,
    token = excluded.token,
    incarnation = excluded.incarnation,
    timeout_ms = excluded.timeout_ms,
    ignored = excluded.ignored
