"""What people write down: the notes of a fresh phone and of the tasks.

`SAMPLES` maps a title to the lines of the note; titles in `LISTS` are checklists.
"""

from __future__ import annotations

import numpy as np

from android_env_gym.phone.apps.notes.palette import COLORS
from android_env_gym.phone.apps.notes.state import Item, Note

SAMPLES: dict[str, tuple[str, ...]] = {
    "Groceries": ("Milk", "Bread", "Tomatoes", "Rice", "Butter"),
    "Packing": ("Passport", "Charger", "Raincoat", "Socks"),
    "Chores": ("Laundry", "Dishes", "Vacuum the stairs"),
    "Errands": ("Post office", "Dry cleaner", "Return the drill"),
    "Books": ("Dune", "Emma", "The Odyssey", "Walden"),
    "Movies": ("Casablanca", "Alien", "Amelie"),
    "Camping": ("Tent", "Lantern", "Matches", "Sleeping bag"),
    "Garden": ("Water the roses", "Plant basil", "Mow the lawn"),
    "Picnic": ("Blanket", "Lemonade", "Sandwiches"),
    "Party": ("Balloons", "Cake", "Candles", "Music"),
    "Breakfast": ("Eggs", "Oatmeal", "Orange juice"),
    "Hardware": ("Screws", "Paint brush", "Light bulbs"),
    "Recipe": ("Two eggs, one cup",),
    "Poem": ("The fog comes",),
    "Dream": ("Flying over a lake",),
    "Meeting": ("Room 204 at noon",),
    "Budget": ("Food below 400",),
    "Rent": ("Due on the first",),
    "Dentist": ("Ask about my tooth",),
    "Doctor": ("Blood test before 9 am, no coffee",),
    "Birthday": ("Mom turns sixty",),
    "Workout": ("Run 5 km",),
    "Yoga": ("Class at seven",),
    "Quotes": ("Well begun is half done",),
    "Jokes": ("Why did the tomato blush?",),
    "School": ("Parents evening",),
    "Spanish": ("Past tense of ir",),
    "Guitar": ("Practice slowly",),
    "Coffee": ("18 grams per cup",),
    "Parking": ("Level 3, row B",),
    "Taxes": ("Find the receipts",),
    "Insurance": ("Ends in October",),
    "Car": ("Oil change in May",),
    "Bike": ("Rear brake squeaks",),
    "Kitchen": ("Shelf is 82 cm",),
    "Paris trip": ("Hotel near the canal, two nights",),
    "Rome trip": ("Book the museum",),
    "Beach trip": ("Leave early, take the coast road",),
    "Gift ideas": ("A scarf for Dad, a puzzle for Leo",),
    "Dinner ideas": ("Curry, lasagna, or fried rice",),
    "Game night": ("Chess at our place",),
    "Movie night": ("Popcorn is on me",),
    "Book club": ("Up to chapter ten",),
    "House rules": ("Shoes off, lights out at ten",),
}
TITLES = tuple(SAMPLES)
LISTS = TITLES[:12]
LABELS = ("Home", "Work", "Travel", "Family", "Ideas", "Health")
LONG_NOTES = {
    "Landlord": "Call about the heating. It has been cold in the bedroom for a week and the radiator makes a knocking "
    "sound at night. Ask when somebody can come, mornings are best.",
    "Friday talk": "Start with the numbers of last year, then the two new projects, then questions. Not more than "
    "fifteen minutes!",
    "Nice places": "The bakery at the corner of Elm Street, the bookshop with the blue door, the little park behind "
    "the station.",
}
MINUTE_MS = 60_000


def draw_note(rng: np.random.Generator, key: int, title: str, now: int, most_lines: int = 8) -> Note:
    """Return the note `title` of `SAMPLES` with at most `most_lines` items, seeded colour, checks and age."""
    lines = SAMPLES[title]
    is_list = title in LISTS
    count = int(rng.integers(min(2, most_lines), min(len(lines), most_lines) + 1)) if is_list else 1
    items = tuple(Item(index, lines[index], bool(rng.random() < 0.2)) for index in range(count)) if is_list else ()
    return Note(
        key=key,
        title=title,
        body="" if is_list else lines[0],
        items=items,
        checklist=is_list,
        color=tuple(COLORS)[int(rng.integers(len(COLORS)))] if rng.random() < 0.5 else "",
        labels=(LABELS[int(rng.integers(3))],) if rng.random() < 0.15 else (),
        edited=now - int(rng.integers(5, 60 * 24 * 40)) * MINUTE_MS,
    )
