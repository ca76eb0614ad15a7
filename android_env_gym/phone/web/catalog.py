"""What the shop sells: 96 products of 36 brands in 12 categories; a seed sets prices, ratings and orderings.

Names are constant, so that a task can name a product before the phone exists; what is printed beside them is not.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from android_env_gym.phone.web.site import drawn


class Goods(msgspec.Struct, frozen=True):
    """A kind of goods: the icon it is drawn with and its price range in whole dollars."""

    icon: str
    low: int
    high: int


class Category(msgspec.Struct, frozen=True):
    """A category with an icon, its brands and its goods by noun."""

    name: str
    icon: str
    brands: tuple[str, str, str]
    goods: dict[str, Goods]


CATEGORIES: tuple[Category, ...] = (
    Category(
        "Audio",
        "headphones",
        ("Auvio", "Sonelo", "Beatrik"),
        {
            "headphones": Goods("headphones", 29, 199),
            "earbuds": Goods("earbuds", 19, 129),
            "speaker": Goods("speaker", 25, 149),
            "microphone": Goods("microphone", 35, 159),
        },
    ),
    Category(
        "Computers",
        "laptop",
        ("Nuvora", "Keyloft", "Pixtra"),
        {
            "laptop": Goods("laptop", 399, 1299),
            "keyboard": Goods("keyboard", 25, 149),
            "mouse": Goods("mouse", 12, 89),
            "monitor": Goods("monitor", 119, 449),
        },
    ),
    Category(
        "Mobile",
        "cellphone",
        ("Mobira", "Chargit", "Tavvy"),
        {
            "charger": Goods("power_plug", 9, 49),
            "tablet": Goods("tablet", 129, 599),
            "watch": Goods("watch", 49, 349),
            "camera": Goods("camera", 149, 899),
        },
    ),
    Category(
        "Kitchen",
        "pot_steam",
        ("Kettora", "Panello", "Brewmi"),
        {
            "kettle": Goods("kettle", 19, 79),
            "toaster": Goods("toaster", 22, 89),
            "blender": Goods("blender", 29, 139),
            "pot": Goods("pot_steam", 15, 69),
        },
    ),
    Category(
        "Home",
        "lamp",
        ("Lumora", "Casaluz", "Nestiva"),
        {
            "lamp": Goods("lamp", 18, 99),
            "clock": Goods("clock_outline", 12, 59),
            "mirror": Goods("mirror", 24, 119),
            "rug": Goods("rug", 29, 149),
        },
    ),
    Category(
        "Furniture",
        "sofa",
        ("Oakline", "Fjordal", "Sitwell"),
        {
            "chair": Goods("chair_rolling", 49, 249),
            "desk": Goods("desk", 99, 399),
            "sofa": Goods("sofa", 299, 999),
            "shelf": Goods("bookshelf", 35, 149),
        },
    ),
    Category(
        "Clothing",
        "tshirt_crew",
        ("Wollena", "Threadly", "Northam"),
        {
            "shirt": Goods("tshirt_crew", 14, 59),
            "hat": Goods("hat_fedora", 12, 49),
            "tie": Goods("tie", 11, 45),
            "glasses": Goods("sunglasses", 19, 99),
        },
    ),
    Category(
        "Shoes",
        "shoe_sneaker",
        ("Strido", "Pacera", "Walkin"),
        {
            "sneakers": Goods("shoe_sneaker", 45, 149),
            "loafers": Goods("shoe_formal", 59, 189),
            "cleats": Goods("shoe_cleat", 49, 129),
            "heels": Goods("shoe_heel", 39, 139),
        },
    ),
    Category(
        "Sports",
        "basketball",
        ("Goalmax", "Campora", "Velogo"),
        {
            "ball": Goods("soccer", 12, 49),
            "tent": Goods("tent", 79, 349),
            "helmet": Goods("racing_helmet", 25, 109),
            "racket": Goods("tennis", 29, 159),
        },
    ),
    Category(
        "Toys",
        "puzzle",
        ("Pliko", "Toyando", "Funberg"),
        {
            "puzzle": Goods("puzzle", 9, 39),
            "robot": Goods("robot", 24, 119),
            "kite": Goods("kite", 10, 45),
            "teddy": Goods("teddy_bear", 14, 59),
        },
    ),
    Category(
        "Garden",
        "flower",
        ("Verdano", "Gardley", "Sprouta"),
        {
            "shovel": Goods("shovel", 14, 49),
            "sprinkler": Goods("sprinkler", 19, 69),
            "tulips": Goods("flower_tulip", 12, 59),
            "grill": Goods("grill", 89, 449),
        },
    ),
    Category(
        "Bags",
        "bag_personal",
        ("Packeta", "Travio", "Satchelo"),
        {
            "backpack": Goods("bag_personal", 29, 129),
            "suitcase": Goods("bag_suitcase", 59, 249),
            "wallet": Goods("wallet", 14, 69),
            "umbrella": Goods("umbrella", 11, 39),
        },
    ),
)
COLORS: dict[str, str] = {
    "Black": "#2b2d31",
    "Blue": "#3367d6",
    "Red": "#c5221f",
    "Green": "#2e7d4f",
    "Gray": "#8a9099",
    "Orange": "#e8710a",
    "Purple": "#7b4bb7",
    "Teal": "#12858d",
}
DISCOUNTED = 0.3
_CENTS = (0, 49, 95, 99)
_TRAITS = ("lightweight", "sturdy", "compact", "comfortable", "well made")
_FINISHES = ("easy to clean", "made to last", "quick to set up", "nice to look at")
_USES = ("for every day", "for small homes", "for travel", "as a gift", "for beginners", "for the whole family")


class Product(msgspec.Struct, frozen=True):
    """A product as offered on one phone. `rating` is tenths of a star, `options` are colour names."""

    id: str
    brand: str
    noun: str
    category: str
    cents: int
    was_cents: int
    rating: int
    reviews: int
    options: tuple[str, ...]
    icon: str
    blurb: str
    rank: int

    @property
    def name(self) -> str:
        """Return e.g. "Auvio headphones"."""
        return f"{self.brand} {self.noun}"


def product_names() -> tuple[str, ...]:
    """Return the names of all products, the same on every phone."""
    return tuple(f"{brand} {noun}" for _, brand, noun in _articles())


def category_names() -> tuple[str, ...]:
    """Return the names of the categories."""
    return tuple(category.name for category in CATEGORIES)


@lru_cache(maxsize=64)
def products(seed: int) -> tuple[Product, ...]:
    """Return what the shop offers on the phone with this web seed; `rank` is the order of relevance."""
    rng = drawn("catalog", seed)
    articles = _articles()
    # One draw for all: 96 times a dozen scalar draws would make a reset of the phone ten times slower.
    ranks = rng.permutation(len(articles)).tolist()
    shares = rng.random((len(articles), 9)).tolist()
    colors = rng.random((len(articles), len(COLORS))).argsort(axis=1).tolist()
    rows = zip(articles, ranks, shares, colors, strict=True)
    return tuple(_product(*article, rank, share, order) for article, rank, share, order in rows)


def _product(category: Category, brand: str, noun: str, rank: int, share: list[float], order: list[int]) -> Product:
    """Return a product whose nine numbers in [0, 1) are `share` and whose colours come in the order `order`."""
    goods = category.goods[noun]
    cents = 100 * _between(goods.low, goods.high, share[0]) + _CENTS[int(share[1] * len(_CENTS))]
    names = tuple(COLORS)
    trait = _TRAITS[int(share[6] * len(_TRAITS))].capitalize()
    use = _USES[int(share[8] * len(_USES))]
    return Product(
        id=f"{brand}-{noun}".casefold(),
        brand=brand,
        noun=noun,
        category=category.name,
        cents=cents,
        was_cents=round(cents * 1.25) if share[2] < DISCOUNTED else 0,
        rating=_between(28, 50, share[3]),
        reviews=_between(3, 3999, share[4]),
        options=tuple(names[index] for index in order[: _between(2, 4, share[5])]),
        icon=goods.icon,
        blurb=f"{trait} and {_FINISHES[int(share[7] * len(_FINISHES))]}, {use}. From {brand}.",
        rank=rank,
    )


def _between(low: int, high: int, share: float) -> int:
    return low + int(share * (high - low + 1))


@lru_cache(maxsize=64)
def by_id(seed: int) -> dict[str, Product]:
    """Return the products by id."""
    return {product.id: product for product in products(seed)}


def named(seed: int, name: str) -> Product:
    """Return the product called `name`.

    Raises:
        KeyError: The shop has no such product.
    """
    return by_id(seed)[name.casefold().replace(" ", "-")]


def search(seed: int, query: str) -> tuple[Product, ...]:
    """Return the products that match `query`, the best first; the rest of a matching category comes last."""
    words = {_singular(word) for word in query.casefold().split()}
    scored = []
    for product in products(seed):
        score = 4 * (_singular(product.noun) in words) + 3 * (product.brand.casefold() in words)
        score += 2 * (_singular(product.category.casefold()) in words)
        scored.append((score, product))
    direct = {product.category for score, product in scored if score}
    kept = [(score, product) for score, product in scored if score or product.category in direct]
    kept.sort(key=lambda item: (-item[0], item[1].rank))
    return tuple(product for _, product in kept)


def dollars(cents: int) -> str:
    """Return e.g. "$1,299.95"."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


@lru_cache(maxsize=1)
def _articles() -> tuple[tuple[Category, str, str], ...]:
    """Return (category, brand, noun): every noun by two of its category's three brands."""
    found = []
    for category in CATEGORIES:
        for index, noun in enumerate(category.goods):
            for brand in (category.brands[index % 3], category.brands[(index + 1) % 3]):
                found.append((category, brand, noun))
    return tuple(found)
