-- $1 runs, the last of which was asked for at $2, each $3 seconds after the one before; every third sequence is a run.
INSERT INTO run (
    id, job_type, status, started_at, completed_at, duration_ms, result_summary, error_message, triggered_by, phase,
    attempt, failures, triggered_at, rerun_of, params_json, warnings_json, warning_count, cancelled_by, ignored,
    correlation_id, origin, attempt_at, version, token, incarnation, timeout_ms, work, state
)
SELECT
    3 * n,
    'BENCH_' || chr(65 + (n % 10)::int),
    CASE WHEN state IN ('queued', 'executing', 'retrying') THEN 'RUNNING' WHEN state = 'succeeded' THEN 'SUCCESS'
        WHEN state = 'partial' THEN 'PARTIAL' ELSE 'FAILED' END,
    asked + interval '20 ms',
    CASE WHEN state NOT IN ('queued', 'executing', 'retrying') THEN asked + n % 4000 * interval '1 ms' END,
    CASE WHEN state NOT IN ('queued', 'executing', 'retrying') THEN n % 4000 END,
    CASE WHEN state = 'succeeded' THEN '{"created":' || n % 500 || ',"closed":45,"note":"as long as results are"}' END,
    CASE WHEN state IN ('failed', 'mended', 'retrying')
        THEN CASE WHEN n % 3 = 0 THEN 'timeout after ' || n % 90 || ' s' ELSE 'disk ' || n % 1000 || ' is full' END END,
    CASE WHEN n % 100 < 94 THEN 'CRON' WHEN n % 100 < 97 THEN 'ADMIN:' || 1 + n % 7 ELSE 'SERVICE:crm' END,
    CASE WHEN state IN ('queued', 'executing', 'retrying') THEN state ELSE 'finished' END,
    1, 0, asked,
    CASE WHEN n % 1000 = 1 THEN 3000 * (n / 3000) END,
    CASE WHEN n % 10 = 0 THEN '{"month":"2026-10","order":' || n || '}' ELSE '{}' END,
    '[]', 0,
    CASE WHEN state = 'cancelled' THEN 'ADMIN:1' END,
    0,
    CASE WHEN n > $1::bigint / 2 AND n <= $1::bigint / 2 + 100000 THEN 'bulk-1' END,
    'cron', asked + interval '20 ms', 3 * n + 2, 3 * n + 1, 'bench-0001', 600000, n % 3000,
    state
FROM (
    SELECT
        n,
        $2::timestamptz - ($1::bigint - n) * $3::float8 * interval '1 second' AS asked,
        CASE
            WHEN n > $1::bigint - 900 THEN (ARRAY['queued', 'executing', 'retrying'])[1 + n % 3]
            WHEN n % 67 = 0 THEN 'failed'
            WHEN n % 71 = 0 THEN 'mended'
            WHEN n % 83 = 0 THEN 'partial'
            WHEN n % 997 = 0 THEN 'cancelled'
            ELSE 'succeeded'
        END AS state
    FROM generate_series(1, $1::bigint) AS n
) AS made
