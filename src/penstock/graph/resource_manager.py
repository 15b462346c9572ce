"""Resources that a graph sets up for some of its tasks and cleans up after them, whatever happens.

A manager becomes three tasks: init makes an object of the manager's class, setup calls its
`setup`, and cleanup its `cleanup`, once all tasks of the block are finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, overload

from penstock.graph.ambient import context
from penstock.graph.task import FunctionTask
from penstock.graph.task_blocks import TaskBlock, first_of, last_of
from penstock.graph.triggers import resource_cleanup

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.graph.task import Task

__all__ = [
    "ResourceCleanupTask",
    "ResourceContext",
    "ResourceInitTask",
    "ResourceManager",
    "ResourceSetupTask",
    "resource_manager",
]


class ResourceInitTask(FunctionTask):
    """Makes an object of a resource manager's class."""

    manages_resource: ClassVar[bool] = True


class ResourceSetupTask(FunctionTask):
    """Sets a resource up; again in every pass over its flow, for resources do not outlive one."""

    always_runs_again: ClassVar[bool] = True


class ResourceCleanupTask(FunctionTask):
    """Cleans a resource up, once all that used it is finished."""

    always_runs_again: ClassVar[bool] = True
    manages_resource: ClassVar[bool] = True
    cleans_up: ClassVar[bool] = True


class ResourceContext(TaskBlock):
    """The block in which a resource is there; its tasks run between setup and cleanup.

    Attributes:
        init_task: makes the manager.
        setup_task: gives the resource; None where the manager's class has no `setup`.
        cleanup_task: cleans it up.
    """

    context_key = "resource"

    def __init__(
        self, init_task: Task, setup_task: Task | None, cleanup_task: Task, flow: Any
    ) -> None:
        super().__init__()
        self.init_task = init_task
        self.setup_task = setup_task
        self.cleanup_task = cleanup_task
        self._flow = self._made_in = flow

    def __repr__(self) -> str:
        """Tell the resource by its manager's name."""
        return f"<ResourceContext: {self.init_task.name}>"

    def __enter__(self) -> Task | None:
        """Open the block; give the task whose result is the resource."""
        self._flow = self._made_in
        self.open()
        return self.setup_task

    def close(self, tasks: list[Task], flow: Any) -> None:
        """Let the block's tasks come after setup and before cleanup."""
        before = self.setup_task or self.init_task
        for task in first_of(tasks, flow):
            if before not in flow.upstream_tasks(task):
                task.set_upstream(before, flow=flow)
        for task in last_of(tasks, flow):
            self.cleanup_task.set_upstream(task, flow=flow)


class ResourceManager:
    """Makes the tasks and the block of a resource; `resource_manager` makes one of a class.

    Parameters:
        resource_class: has `cleanup(resource)` and, unless there is nothing to set up, `setup()`,
            which gives the resource.
        name: what the tasks are called by; the class's name unless given.
        init_task_kwargs: options of the task that makes the manager.
        setup_task_kwargs: options of the task that calls `setup`.
        cleanup_task_kwargs: options of the task that calls `cleanup`.
    """

    def __init__(
        self,
        resource_class: Callable[..., Any],
        name: str | None = None,
        init_task_kwargs: dict[str, Any] | None = None,
        setup_task_kwargs: dict[str, Any] | None = None,
        cleanup_task_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if not callable(getattr(resource_class, "cleanup", None)):
            raise TypeError(
                f"{resource_class!r} cannot manage a resource: it has no method"
                " `cleanup(self, resource)`. Write one that undoes what `setup(self)` does."
            )
        self.resource_class = resource_class
        self.name = name or getattr(resource_class, "__name__", type(resource_class).__name__)
        self.init_task_kwargs = {"name": self.name} | (init_task_kwargs or {})
        self.setup_task_kwargs = {
            "name": f"{self.name}.setup",
            "checkpoint": False,
        } | (setup_task_kwargs or {})
        self.cleanup_task_kwargs = {
            "name": f"{self.name}.cleanup",
            "checkpoint": False,
            "skip_on_upstream_skip": False,
            "trigger": resource_cleanup,
        } | (cleanup_task_kwargs or {})

    def __call__(self, *args: Any, flow: Any = None, **kwargs: Any) -> ResourceContext:
        """Put the resource's tasks into a flow.

        Parameters:
            args: for the manager's class; tasks or values.
            flow: where to put them; the active flow unless given.
            kwargs: for the manager's class; tasks or values.

        Returns:
            What to use in a `with` statement.

        Raises:
            ValueError: no flow is active or given.
        """
        init = ResourceInitTask(self.resource_class, **self.init_task_kwargs)
        init.bind(*args, flow=flow, **kwargs)
        setup = None
        if hasattr(self.resource_class, "setup"):
            setup = ResourceSetupTask(_setup, **self.setup_task_kwargs)
            setup.bind(mgr=init, flow=flow)
        cleanup = ResourceCleanupTask(_cleanup, **self.cleanup_task_kwargs)
        cleanup.bind(mgr=init, resource=setup, flow=flow)
        return ResourceContext(init, setup, cleanup, flow or context["flow"])


@overload
def resource_manager(
    resource_class: Callable[..., Any],
    *,
    name: str | None = None,
    init_task_kwargs: dict[str, Any] | None = None,
    setup_task_kwargs: dict[str, Any] | None = None,
    cleanup_task_kwargs: dict[str, Any] | None = None,
) -> ResourceManager: ...


@overload
def resource_manager(
    *,
    name: str | None = None,
    init_task_kwargs: dict[str, Any] | None = None,
    setup_task_kwargs: dict[str, Any] | None = None,
    cleanup_task_kwargs: dict[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], ResourceManager]: ...


def resource_manager(
    resource_class: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    init_task_kwargs: dict[str, Any] | None = None,
    setup_task_kwargs: dict[str, Any] | None = None,
    cleanup_task_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Make a class a manager of resources for graphs; a decorator, with options or without.

    Parameters:
        resource_class: has `cleanup(resource)` and, unless there is nothing to set up, `setup()`,
            which gives the resource.
        name: what the tasks are called by; the class's name unless given.
        init_task_kwargs: options of the task that makes the manager.
        setup_task_kwargs: options of the task that calls `setup`.
        cleanup_task_kwargs: options of the task that calls `cleanup`.

    Returns:
        The manager: called in a flow, it gives what a `with` statement takes.

    Raises:
        TypeError: the class has no `cleanup`.

    Example:
        >>> import shutil, tempfile
        >>> from penstock.graph import Flow, task
        >>> @resource_manager
        ... class Workspace:
        ...     def setup(self):
        ...         return tempfile.mkdtemp()
        ...
        ...     def cleanup(self, folder):
        ...         shutil.rmtree(folder)
        >>> @task
        ... def work(folder): ...
        >>> with Flow("in a workspace") as flow:
        ...     with Workspace() as folder:
        ...         worked = work(folder)
    """

    def make(cls: Callable[..., Any]) -> ResourceManager:
        return ResourceManager(
            cls,
            name=name,
            init_task_kwargs=init_task_kwargs,
            setup_task_kwargs=setup_task_kwargs,
            cleanup_task_kwargs=cleanup_task_kwargs,
        )

    return make if resource_class is None else make(resource_class)


def _setup(mgr: Any) -> Any:
    return mgr.setup()


def _cleanup(mgr: Any, resource: Any) -> Any:
    return mgr.cleanup(resource)
