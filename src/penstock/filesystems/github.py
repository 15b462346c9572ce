"""A repository on GitHub, to copy files from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

from pydantic import SecretStr, model_validator

from penstock.blocks.core import Block
from penstock.filesystems.local import copy_folder

_TOKEN = "PENSTOCK__GITHUB_TOKEN"  # noqa: S105 - the name of a variable
_HELPER = f"!f() {{ echo username=x-access-token; echo password=${_TOKEN}; }}; f"
"""How git is told the token: by its environment, which no list of processes shows."""


class GitHub(Block):
    """A repository on GitHub, or at any other URL that git can clone. Needs git.

    Parameters:
        repository: its URL.
        reference: a branch or a tag; the default branch if none is given.
        access_token: lets a private repository be read; for an https URL only.
        include_git_objects: whether `.git` is copied, too.

    Example:
        >>> code = GitHub(repository="https://github.com/me/flows.git", reference="v2")
        >>> code.get_directory("reports", "work")  # doctest: +SKIP
        12
    """

    _block_type_slug: ClassVar[str | None] = "github"

    repository: str
    reference: str | None = None
    access_token: SecretStr | None = None
    include_git_objects: bool = True

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.access_token is not None and not self.repository.startswith("https://"):
            raise ValueError(
                "An access token works for URLs that begin with 'https://' only. Give such a"
                " URL, or leave the token out and let git use a key."
            )
        return self

    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> int:
        """Copy a folder of the repository to this machine.

        Parameters:
            from_path: the folder; all of the repository if none is given.
            local_path: where to copy it; the working directory if none is given.

        Returns:
            How many files were copied.

        Raises:
            FileNotFoundError: there is no such folder, or no git.
            OSError: git cannot clone the repository; says what git said.
            ValueError: `from_path` leads out of the repository.
        """
        target = Path(local_path or ".").expanduser().resolve()
        with TemporaryDirectory(prefix="penstock-git-") as made:
            clone = Path(made).resolve() / "clone"
            self._clone_into(clone)
            source = (clone / (from_path or ".")).resolve()
            if not source.is_relative_to(clone):
                raise ValueError(f"{from_path!r} leads out of the repository.")
            return copy_folder(source, target)

    def _clone_into(self, clone: Path) -> None:
        if shutil.which("git") is None:
            raise FileNotFoundError(f"{self.repository} needs git, which is not installed here.")
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        command = ["git"]
        if self.access_token is not None:
            environment[_TOKEN] = self.access_token.get_secret_value()
            command += ["-c", "credential.helper=", "-c", f"credential.helper={_HELPER}"]
        command += ["clone", "--quiet", "--depth", "1"]
        if self.reference is not None:
            command += ["--branch", self.reference]
        command += ["--", self.repository, str(clone)]
        done = subprocess.run(  # noqa: S603 - git, for a URL that the user gave
            command, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise OSError(f"git cannot clone {self.repository}: {done.stderr.strip()}")
        if not self.include_git_objects:
            shutil.rmtree(clone / ".git")
