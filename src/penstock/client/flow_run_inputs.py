"""The client's methods for the inputs of flow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.client.base import ClientMethods, id_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from penstock.client.schemas.responses import OrchestrationResult
    from penstock.records import FlowRunInput


class FlowRunInputMethods(ClientMethods):
    """Inputs of flow runs: given, read, deleted; and what a paused run is given to go on with."""

    def create_flow_run_input(
        self, flow_run_id: UUID | str, key: str, value: Any, sender: str | None = None
    ) -> FlowRunInput:
        """Give a flow run an input.

        Parameters:
            flow_run_id: the run.
            key: names the input: lowercase letters, digits and dashes; once in a run.
            value: what JSON has a form for.
            sender: who gives it: `penstock.flow-run.ID` for a flow run.

        Raises:
            ObjectNotFound: there is no such run.
            ObjectAlreadyExists: the run has an input of this key.
            ValueError: the key or the id is none, or the value contains itself.
            TypeError: the value has no form in JSON.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.create_flow_run_input(run.id, "greeting", "hello")
        """
        return self._port.create_flow_run_input(id_of(flow_run_id, "flow run"), key, value, sender)

    def read_flow_run_input(self, flow_run_id: UUID | str, key: str) -> Any:
        """Give the value of an input of a flow run; none if it has none of this key.

        Raises:
            ValueError: the key or the id is none.
        """
        found = self._port.read_flow_run_input(id_of(flow_run_id, "flow run"), key)
        return None if found is None else found.decoded_value

    def filter_flow_run_input(
        self,
        flow_run_id: UUID | str,
        key_prefix: str,
        limit: int = 1,
        exclude_keys: Iterable[str] = (),
    ) -> list[FlowRunInput]:
        """Give inputs of a flow run, in the order they came.

        Parameters:
            flow_run_id: the run.
            key_prefix: only those whose keys begin so.
            limit: the most to give.
            exclude_keys: none of these.

        Raises:
            ValueError: the prefix or the id is none, or the limit is not positive.
        """
        if limit < 1:
            message = f"limit={limit!r}: give a positive number."
            raise ValueError(message)
        return self._port.filter_flow_run_input(
            id_of(flow_run_id, "flow run"), key_prefix, limit, exclude_keys
        )

    def delete_flow_run_input(self, flow_run_id: UUID | str, key: str) -> None:
        """Delete an input of a flow run.

        Raises:
            ObjectNotFound: it has none of this key.
            ValueError: the key or the id is none.
        """
        self._port.delete_flow_run_input(id_of(flow_run_id, "flow run"), key)

    def resume_flow_run(
        self, flow_run_id: UUID | str, run_input: Mapping[str, Any] | None = None
    ) -> OrchestrationResult:
        """Let a paused flow run go on; `penstock.resume_flow_run` also waits until it does.

        Parameters:
            flow_run_id: the run.
            run_input: what it waits for, by field.

        Returns:
            What became of it: RUNNING is asked of the process that has the run; of one that is in
            no process the state is SCHEDULED, and one whose time was over is FAILED.

        Raises:
            ObjectNotFound: there is no such run.
            NotPausedError: it is not paused.
            RuntimeError: it is not resumed with this input; it stays paused.
        """
        return self._port.resume_flow_run(id_of(flow_run_id, "flow run"), run_input)
