"""Which runs have no end yet, told by subjects alone."""

from services.scheduler.open_runs import OpenRuns


def told(*subjects: str) -> OpenRuns:
    """The subjects, stored from sequence 1 on."""
    runs = OpenRuns()
    for sequence, subject in enumerate(subjects, start=1):
        runs.note(subject, sequence)
    return runs


def test_a_trigger_opens_a_run_and_a_terminal_event_closes_it() -> None:
    assert told("jobs.trigger.A.cron", "jobs.trigger.A.crm").of("A") == [1, 2]
    for end in ("completed", "failed", "cancelled"):
        closed = told("jobs.trigger.A.cron", "jobs.trigger.B.cron", f"jobs.run.A.1.{end}")
        assert closed.job_types() == ["B"]
        assert closed.of("A") == []


def test_nothing_is_kept_of_a_run_that_ended() -> None:
    runs = told("jobs.trigger.A.cron", "jobs.run.A.1.cancel_requested", "jobs.run.A.1.cancelled", "jobs.run.A.1.failed")
    assert runs.waiting_to_be_cancelled("A") == []
    assert runs.of("A") == []


def test_an_event_of_a_run_that_no_trigger_opened_is_none() -> None:
    assert told("jobs.run.A.99.started").of("A") == []


def test_subjects_that_break_the_rules_are_none() -> None:
    assert told("jobs.trigger.lower.crm", "jobs.trigger.A.CRM", "jobs.run.A.x.started").job_types() == []


def test_it_knows_who_is_executing_and_since_which_event() -> None:
    runs = told("jobs.trigger.A.cron", "jobs.run.A.1.started")
    assert runs.is_executing("A", 1)
    assert runs.latest_event("A", 1) == 2
    runs.note("jobs.run.A.1.retrying", 3)
    assert not runs.is_executing("A", 1)


def test_a_cancel_waits_while_an_attempt_runs() -> None:
    runs = told("jobs.trigger.A.cron", "jobs.run.A.1.started", "jobs.run.A.1.cancel_requested")
    assert runs.cancel_requested.is_set()
    assert runs.waiting_to_be_cancelled("A") == []
    assert runs.latest_event("A", 1) == 2
    runs.note("jobs.run.A.1.abandoned", 4)
    assert runs.waiting_to_be_cancelled("A") == [1]
