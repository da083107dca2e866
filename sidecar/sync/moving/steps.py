"""The order of a migration. Whoever dies anywhere in it begins anew, and finds out where it is to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .deployment import Deployment, Progress
from .project import Home, Project

RESTING = "resting"
Deploy = Callable[[], None]


class DeploymentNeeded(Exception):  # noqa: N818 - it is no failure
    """The folder is ready; somebody has to deploy it before this goes on."""


def needed() -> None:
    """Stand for a deployment that nobody told us how to make. Raises DeploymentNeeded."""
    raise DeploymentNeeded


def migrate(
    project: Project, deployment: Deployment, *, to: Home, deploy: Deploy = needed
) -> Iterator[Progress]:
    """Move the rows and the functions to one side; yield every step.

    ``deploy`` deploys the folder: once with sidecars held off, once with the functions of the other side.
    Raises MigrationError, DeploymentNeeded.
    """
    if project.is_held or project.home is not to:
        yield from _moved(project, deployment, to=to, deploy=deploy)
    if not deployment.is_live(project.called):
        yield Progress(phase="switching")
        deploy()
    if to is Home.COMPONENT and project.has_steps:
        yield from deployment.adopt()
    if to is Home.APPLICATION and project.has_steps:
        yield Progress(phase="starting")
        deployment.resume()
        project.finish()
    yield Progress(phase="done")


def _moved(project: Project, deployment: Deployment, *, to: Home, deploy: Deploy) -> Iterator[Progress]:
    project.hold()
    module = project.called
    if not deployment.is_held(module):
        yield Progress(phase="holding")
        deploy()
    if to is Home.APPLICATION:
        yield from deployment.adopt()
    progress = Progress(phase="")
    while progress.phase != RESTING:
        progress = deployment.step(to, module=module)
        yield progress
    project.switch(to)
