"""Some thirty small sites: each a home page with sections and a templated article behind every link.

A `SmallSite` is data; its layout ("cards", "list", "rows") and topics make it look like itself.
"""

from __future__ import annotations

from android_env_gym.phone.ui.node import Node
from android_env_gym.phone.web import html, prose
from android_env_gym.phone.web.site import Document, Go, Request, Site, drawn, link, slug


class SmallSite(Site, frozen=True):
    """A site about `topics`; `tagline` stands on its home page."""

    layout: str
    tagline: str
    topics: tuple[str, ...]

    def document(self, request: Request) -> Document:
        """Return the home page, an article, or "not found"."""
        steps = request.url.steps()
        if not steps:
            return self._home(request)
        if len(steps) == 2 and steps[0] == "read":
            return self._article(steps[1], request)
        return html.missing(self)

    def article_url(self, topic: str) -> str:
        """Return the address of this site's article on any topic."""
        return link(self.host, f"read/{slug(topic)}")

    def _home(self, request: Request) -> Document:
        order = drawn(self.host, request.seed).permutation(len(self.topics))
        topics = [self.topics[int(index)] for index in order]
        items = tuple(self._item(topic, index, request.seed) for index, topic in enumerate(topics))
        intro = html.block(html.heading(self.tagline), html.note(f"{self.name} · updated today"))
        gap = 0 if self.layout == "list" else 12
        body = (html.header(self), intro, html.block(*items, gap=gap), html.footer(self))
        return Document(self.name, body)

    def _item(self, topic: str, index: int, seed: int) -> Node:
        title = html.heading(prose.headline(topic, self.host, seed), "title")
        event = Go(self.article_url(topic))
        if self.layout == "cards" or index == 0:
            words = Node(
                children=(title, html.note(prose.snippet(topic, self.host), 2)), gap=4, padding=(12, 8, 12, 12)
            )
            card = (html.photo(index * 7 + seed % 97 + len(topic), 120, 0), words)
            return Node(children=card, fill="surface_container_low", radius=12, on_tap=event)
        if self.layout == "rows":
            words = Node(children=(title, html.note(prose.author(topic), 1)), gap=4, grow=1)
            picture = Node(children=(html.photo(index * 11 + seed % 89, 72, 8),), width=96)
            return Node(children=(words, picture), axis="row", gap=12, align="center", on_tap=event)
        words = Node(children=(title, html.note(prose.snippet(topic, self.host), 2)), gap=2, padding=(0, 10, 0, 10))
        return Node(children=(words, html.rule()), on_tap=event)

    def _article(self, topic: str, request: Request) -> Document:
        title = prose.headline(topic, self.host, request.seed)
        texts = tuple(html.paragraph(text) for text in prose.paragraphs(topic, 3, self.host))
        others = [item for item in self.topics if item != topic][:3]
        more = tuple(
            html.anchor(prose.headline(item, self.host, request.seed), self.article_url(item)) for item in others
        )
        body = html.block(
            html.heading(title),
            html.note(f"By {prose.author(topic, self.host)} · {2 + len(topic) % 7} min read"),
            html.photo(len(topic) * 13 + request.seed % 83),
            *texts,
            html.heading("Read next", "title"),
            *more,
            gap=12,
        )
        return Document(f"{title} - {self.name}", (html.header(self), body, html.footer(self)))


def _site(name: str, end: str, icon: str, color: str, layout: str, tagline: str, topics: str) -> SmallSite:
    return SmallSite(f"{name.casefold()}.{end}", name, icon, color, layout, tagline, tuple(topics.split(", ")))


SMALL_SITES: tuple[SmallSite, ...] = (
    _site(
        "Ledger",
        "com",
        "newspaper",
        "#37474f",
        "rows",
        "Today's news",
        "the harbor bridge, city trees, the night train, school meals, the flower market, a lost violin",
    ),
    _site(
        "Weather",
        "com",
        "weather_partly_cloudy",
        "#1976d2",
        "list",
        "Seven days ahead",
        "spring storms, sunny weekends, first snow, morning fog, warm nights",
    ),
    _site(
        "Travel",
        "com",
        "airplane",
        "#00838f",
        "cards",
        "Where to next?",
        "island ferries, mountain huts, small towns, night trains, quiet beaches",
    ),
    _site(
        "Cookbook",
        "com",
        "chef_hat",
        "#bf360c",
        "cards",
        "Cook something good",
        "apple pie, tomato soup, lemon pasta, bean stew, fresh bread, rice pudding",
    ),
    _site(
        "Music",
        "com",
        "music",
        "#6a1b9a",
        "rows",
        "Listen closer",
        "street choirs, old records, piano lessons, summer festivals, home studios",
    ),
    _site(
        "Movies",
        "com",
        "movie_open",
        "#b71c1c",
        "cards",
        "On the big screen",
        "silent films, space stories, family comedies, short films, film music",
    ),
    _site(
        "Games",
        "com",
        "gamepad_variant",
        "#283593",
        "cards",
        "Play tonight",
        "board games, word puzzles, card tricks, racing games, chess openings",
    ),
    _site(
        "Library",
        "org",
        "bookshelf",
        "#5d4037",
        "list",
        "Books for everyone",
        "sea stories, local history, poems for winter, picture books, crime novels",
    ),
    _site(
        "School",
        "org",
        "school",
        "#00695c",
        "list",
        "Learn at your own pace",
        "fractions, map reading, plant cells, essay writing, the solar system",
    ),
    _site(
        "Health",
        "org",
        "heart_pulse",
        "#ad1457",
        "list",
        "Feel well",
        "better sleep, back pain, healthy snacks, walking more, first aid",
    ),
    _site(
        "Money",
        "com",
        "cash",
        "#2e7d32",
        "rows",
        "Make sense of it",
        "saving early, fair loans, household budgets, index funds, pension plans",
    ),
    _site(
        "Sports",
        "com",
        "soccer",
        "#1b5e20",
        "rows",
        "Scores and stories",
        "the cup final, marathon training, young swimmers, winter cycling, table tennis",
    ),
    _site(
        "Garden",
        "org",
        "sprout",
        "#4f842a",
        "cards",
        "Grow your own",
        "rose pruning, balcony herbs, compost, tomato plants, bird houses",
    ),
    _site(
        "Pets",
        "org",
        "paw",
        "#8d6e63",
        "cards",
        "Friends for life",
        "old dogs, shy cats, rabbit food, parrot talk, puppy school",
    ),
    _site(
        "Cars",
        "com",
        "car",
        "#455a64",
        "rows",
        "On the road",
        "electric vans, winter tires, used cars, city parking, classic engines",
    ),
    _site(
        "Trains",
        "com",
        "train",
        "#c62828",
        "list",
        "Get there by rail",
        "sleeper cars, day passes, bike carriages, coastal lines, steam engines",
    ),
    _site(
        "Hotels",
        "com",
        "bed",
        "#4527a0",
        "cards",
        "Sleep somewhere new",
        "rooms with a view, family hotels, old mills, city hostels, spa weekends",
    ),
    _site(
        "Museum",
        "org",
        "bank",
        "#795548",
        "cards",
        "See it for yourself",
        "bronze tools, glass art, old maps, court dresses, early cameras",
    ),
    _site(
        "Gadgets",
        "com",
        "devices",
        "#0277bd",
        "rows",
        "Tested, not guessed",
        "smart lamps, quiet fans, tiny drones, folding screens, e-readers",
    ),
    _site(
        "Forum",
        "org",
        "forum",
        "#b85300",
        "list",
        "Ask each other",
        "squeaky doors, moving house, bread ovens, learning to swim, old radios",
    ),
    _site(
        "Jobs",
        "com",
        "briefcase",
        "#1565c0",
        "list",
        "Find your next job",
        "bakery work, night shifts, remote offices, first interviews, career breaks",
    ),
    _site(
        "Homes",
        "com",
        "home_city",
        "#00796b",
        "cards",
        "A place to live",
        "attic flats, garden houses, shared kitchens, tiny houses, moving checklists",
    ),
    _site(
        "Yoga",
        "com",
        "yoga",
        "#7b1fa2",
        "cards",
        "Breathe",
        "morning stretches, chair yoga, breathing, balance poses, evening calm",
    ),
    _site(
        "Crafts",
        "com",
        "palette",
        "#d81b60",
        "cards",
        "Made by hand",
        "paper boats, wool socks, clay bowls, wooden toys, linen bags",
    ),
    _site(
        "Oceans",
        "org",
        "waves",
        "#01579b",
        "rows",
        "The deep end",
        "coral reefs, whale songs, tide pools, sea turtles, ice shelves",
    ),
    _site(
        "Stars",
        "org",
        "star_four_points",
        "#1a237e",
        "rows",
        "Look up",
        "meteor showers, new telescopes, moon craters, ring planets, comet tails",
    ),
    _site(
        "Radio",
        "com",
        "radio",
        "#cc4700",
        "list",
        "On air now",
        "morning shows, jazz hours, village news, night talk, listener letters",
    ),
    _site(
        "Coffee",
        "com",
        "coffee",
        "#4e342e",
        "cards",
        "One more cup",
        "hand grinders, latte art, filter brewing, roasting at home, iced coffee",
    ),
)
