"""The organisation department: who holds which post in which unit."""

from __future__ import annotations

from producers.province.scene import Scene
from schemas.catalogue import APPOINTMENT
from schemas.hr.models import Appointment

#: Post codes and ranks of the province's own register.
POSTS = ("POST-11", "POST-12", "POST-21", "POST-22", "POST-31")
RANKS = ("R04", "R05", "R06", "R07", "R08")


def appoint(scene: Scene, *, person: str | None = None) -> Appointment:
    """A person (by default a new one) who has held a post in the scene's unit for years."""
    index = scene.rng.randrange(len(POSTS))
    appointment = Appointment(
        record_id=scene.new_id("AP"),
        person=person or scene.new_person(),
        unit_id=scene.unit,
        post=POSTS[index],
        rank=RANKS[index],
        valid_from=scene.setting.calendar.first_day - scene.rng.randint(100, 3000),
    )
    return scene.stock(APPOINTMENT, appointment)


def officials(scene: Scene, count: int) -> tuple[str, ...]:
    """That many persons in office."""
    return tuple(appoint(scene).person for _ in range(count))
