"""A problem that a page tells in its reader's language."""

from services.api.problems import Kind, Problem


class Said(Problem):
    """heading: "" for that of its status. detail: shown as it is."""

    def __init__(self, kind: Kind, detail: str, heading: str = "") -> None:
        super().__init__(kind, detail)
        self.heading = heading
