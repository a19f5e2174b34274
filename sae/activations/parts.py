"""Parts of a harvest as tasks, for what places tasks on several processes or machines."""

from dataclasses import dataclass
from pathlib import Path

from ...common.files import StrPath
from ...common.tasks import Need, Tools
from .begun import look
from .config import HarvestConfig
from .harvesting import harvest
from .plan import store_folder


@dataclass(frozen=True)
class HarvestPart:
    """One part of a harvest; see `harvest`.

    Args:
        config: what to collect.
        folder: the folder of the stores.
        shard: (i, n): part i of n.
    """

    config: HarvestConfig
    folder: Path
    shard: tuple[int, int] = (1, 1)

    @property
    def name(self) -> str:
        """Of the task."""
        part, parts = self.shard
        which = f" {part}/{parts}" if parts > 1 else ""
        return f"harvest {self.folder.name} {' '.join(self.config.hookpoint)}{which}"

    def is_done(self) -> bool:
        """Return whether this part's shards are there, and nothing is left to do with them.

        Where all parts' are there, but no process has completed the store, each part is to do that.
        Of a pattern of hookpoints it is not known: it is not done, and soon over.
        """
        return all(map(self._is_done, self.config.hookpoint))

    def _is_done(self, hookpoint: str) -> bool:
        found = look(store_folder(self.folder, hookpoint))
        return found.is_complete or (found.missing(self.shard) == [] and found.missing() != [])

    def waits_for(self) -> str | None:
        """Wait for nothing."""
        return None

    def need(self) -> Need:
        """Return what it makes use of; how much memory a model takes is not known beforehand."""
        return Need()

    def run(self, tools: Tools) -> None:
        """Harvest what is missing of this part."""
        harvest(self.config, self.folder, shard=self.shard, progress=tools.progress, say=tools.say)


def harvest_tasks(config: HarvestConfig, out: StrPath, parts: int = 1) -> list[HarvestPart]:
    """Return the parts of a harvest as tasks, in their order; they can be pickled.

    Args:
        config: what to collect.
        out: the folder of the stores.
        parts: how many, at least 1; of more parts than there are shards some have nothing to do.
    """
    return [HarvestPart(config, Path(out), (part + 1, parts)) for part in range(parts)]
