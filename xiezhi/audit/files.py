"""Names of the files in a log's folder, apart from those of tiles, salts and history."""

from __future__ import annotations

#: The last signed checkpoint; what C2SP tlog-tiles serves under this name.
CHECKPOINT = "checkpoint"
#: The next one, until it is renamed into place.
CHECKPOINT_NEW = "checkpoint.new"
#: Held by the appender.
LOCK = "lock"
TILES = "tile"
