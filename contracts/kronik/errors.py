"""Everything that Kronik raises on purpose.

KronikError
├── InvalidJob        a @job declaration that can't work; raised at import
├── InvalidName       a job type, origin or subject that breaks the naming rules
├── InvalidTrigger    a trigger whose body can't become a run's params
├── InvalidEvent      stored bytes that are not an event this version can read
├── CommandFailed     a job's command ended with another status than 0
└── PermanentError    raised by a job: trying again would not help
"""


class KronikError(Exception):
    """The root of Kronik's own errors. The message says what was wrong, what was expected, what to do."""


class InvalidJob(KronikError):
    """A job's declaration can't work. Raised when the module that declares it is imported."""


class InvalidName(KronikError):
    """A job type, an origin or a subject breaks the naming rules of `kronik.subjects`."""


class InvalidTrigger(KronikError):
    """A trigger's body can't become a run's params; the run fails with this message."""


class InvalidEvent(KronikError):
    """Stored bytes that are not an event this version can read; the projector parks them."""


class CommandFailed(KronikError):
    """The command of a `command_job` did not end well; the run is tried again by its `Retry`."""


class PermanentError(KronikError):
    """For jobs to raise when trying again would not help: the run fails at once, whatever its `Retry` says."""
