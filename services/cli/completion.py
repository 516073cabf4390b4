"""`kronik completion`: what a shell has to know to complete the command's words."""

from typing import Literal

from services.cli import terminal


def completion_command(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a completion script: source <(kronik completion bash), or into the shell's directory of completions.

    Parameters
    ----------
    shell
        Which one.
    """
    from services.cli.__main__ import create_app

    terminal.print_line(create_app().generate_completion(prog_name="kronik", shell=shell))
    return 0
