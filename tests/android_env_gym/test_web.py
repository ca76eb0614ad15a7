from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.phone.state import Page
from android_env_gym.phone.ui.node import Event, Node
from android_env_gym.phone.web import catalog, internet, lookup, shop, till
from android_env_gym.phone.web.almanac import TOWNS, town
from android_env_gym.phone.web.session import Address, CartLine, ShopSession
from android_env_gym.phone.web.site import Document, Go, Post, Request, link, parse

SHOP = "https://shoply.com/"


def request(url: str, *, seed: int = 3, session: ShopSession | None = None, **fields: str) -> Request:
    page = Page("browser", "main", arg=url, fields=tuple(fields.items()))
    return Request(parse(url), seed, page, session or ShopSession())


def events(node: Node) -> list[Event]:
    own = [event for event in (node.on_tap, node.on_submit) if event is not None]
    return own + [event for child in node.children for event in events(child)]


def links(document: Document) -> list[str]:
    return [event.url for node in document.body for event in events(node) if isinstance(event, Go)]


def test_there_is_a_web_of_at_least_two_dozen_sites_with_distinct_hosts() -> None:
    assert len(internet.SITES) >= 24
    assert len(internet.SITE_BY_HOST) == len(internet.SITES)
    assert len({site.name for site in internet.SITES}) == len(internet.SITES)


@pytest.mark.parametrize("host", sorted(internet.SITE_BY_HOST))
def test_every_link_of_every_home_page_leads_to_a_page(host: str) -> None:
    document = internet.load(request(link(host)))
    found = links(document)
    assert found
    for url in found:
        title = internet.load(request(url)).title
        assert title
        assert not title.startswith("Page not found")


def test_unknown_hosts_and_unknown_pages_are_told_apart() -> None:
    assert internet.load(request("https://nowhere.com/")).title == "nowhere.com"
    assert internet.load(request("https://music.com/nothing/here/at/all")).title.startswith("Page not found")
    assert internet.load(request(SHOP + "product/no-such-thing")).title.startswith("Page not found")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("shoply.com", "https://shoply.com/"),
        ("  Shoply.com ", "https://shoply.com/"),
        ("https://www.ledger.com/", "https://ledger.com/"),
        ("apple pie", "https://lookup.com/search?q=apple+pie"),
        ("weather", "https://lookup.com/search?q=weather"),
        ("how old is shoply.com", "https://lookup.com/search?q=how+old+is+shoply.com"),
        ("shoply.com/cart", "https://shoply.com/cart"),
        ("...", "https://lookup.com/search?q=..."),
    ],
)
def test_what_is_typed_is_an_address_or_a_search(typed: str, url: str) -> None:
    assert internet.address(typed) == url


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_any_text_typed_leads_to_a_page_with_results_or_an_error_page(text: str) -> None:
    assert internet.load(request(internet.address(text))).title


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=40).filter(str.strip), st.integers(0, 10**6))
def test_every_search_finds_several_pages_always_the_same(query: str, seed: int) -> None:
    found = lookup.results(query, seed)
    assert len(found) == lookup.RESULTS
    assert found == lookup.results(query, seed)
    assert len({item.url for item in found}) == len(found)


def test_the_search_engine_puts_a_named_site_first() -> None:
    assert lookup.results("weather", 1)[0].url == "https://weather.com/"
    assert lookup.results("shoply.com", 1)[0].url == SHOP
    titles = [item.title for item in lookup.results("Sonelo headphones", 5)]
    assert any("Sonelo headphones" in title for title in titles)


def test_facts_of_towns_differ_between_phones_and_stay_on_one() -> None:
    assert town(1, TOWNS[0]) == town(1, TOWNS[0])
    assert len({town(seed, TOWNS[0]).population for seed in range(20)}) > 15


def test_the_catalog_has_constant_names_and_seeded_prices() -> None:
    one, two = catalog.products(1), catalog.products(2)
    assert [item.name for item in one] == [item.name for item in two] == list(catalog.product_names())
    assert len({item.id for item in one}) == len(one) == 96
    assert sum(a.cents != b.cents for a, b in zip(one, two, strict=True)) > 80
    assert all(10 <= item.rating <= 50 and len(item.options) >= 2 for item in one)
    goods = {noun: entry for category in catalog.CATEGORIES for noun, entry in category.goods.items()}
    assert all(goods[item.noun].low * 100 <= item.cents < (goods[item.noun].high + 1) * 100 for item in one)


def test_search_prefers_brand_and_noun_over_noun_over_the_rest() -> None:
    names = [item.name for item in catalog.search(7, "Sonelo headphones")]
    assert names[:2] == ["Sonelo headphones", "Auvio headphones"]
    assert {item.category for item in catalog.search(7, "kettle")} == {"Kitchen"}
    assert catalog.search(7, "submarine") == ()


def test_sorting_and_filters_of_a_listing() -> None:
    url = parse(SHOP + "category/Kitchen?sort=low")
    prices = [item.cents for item in shop.listed(url, 5)]
    assert prices == sorted(prices) and len(prices) == 8
    rated = shop.listed(parse(url.but(sort="rating", stars="4")), 5)
    assert [item.rating for item in rated] == sorted((item.rating for item in rated), reverse=True)
    assert all(item.rating >= 40 for item in rated)
    assert all(item.cents < 5000 for item in shop.listed(parse(url.but(max="50")), 5))


def test_adding_twice_makes_one_line_of_two_and_options_make_their_own() -> None:
    add = Post("add", ("auvio-headphones", "Red"))
    session = internet.post(request(SHOP), add).shop
    session = internet.post(request(SHOP, session=session), add).shop
    session = internet.post(request(SHOP, session=session), Post("add", ("auvio-headphones", "Blue"))).shop
    assert session.cart == (CartLine("auvio-headphones", "Red", 2), CartLine("auvio-headphones", "Blue", 1))
    fewer = Post("quantity", ("auvio-headphones", "Blue", "0"))
    assert internet.post(request(SHOP, session=session), fewer).shop.cart == session.cart[:1]
    assert internet.post(request(SHOP, session=session), Post("unheard_of")).shop == session


def test_an_order_needs_the_whole_address_and_empties_the_cart() -> None:
    session = ShopSession(cart=(CartLine("panello-toaster", "Red", 1),))
    place = Post("place_order")
    typed = {"name": "Ann Holt", "street": "4 Elm Street", "city": "Milford"}
    refused = internet.post(request(SHOP + "checkout", session=session, **typed), place)
    assert refused.shop == session and refused.message == "Postcode is required"

    answer = internet.post(
        request(SHOP + "checkout", session=session, **typed, postcode="12345", delivery="Express"), place
    )
    order = answer.shop.orders[0]
    assert answer.shop.cart == () and answer.url.endswith(order.number)
    assert order.address == Address("Ann Holt", "4 Elm Street", "Milford", "12345") == answer.shop.address
    price = catalog.by_id(3)["panello-toaster"].cents
    assert order.cents == price + till.FEES["Express"]
    assert internet.load(request(answer.url, session=answer.shop)).title == f"Order {order.number} - Shoply"


def test_standard_delivery_is_free_from_fifty_dollars() -> None:
    assert till.fee(4999, "Standard") == 499
    assert till.fee(5000, "Standard") == 0
    assert till.fee(90_000, "Express") == 999


def test_a_session_survives_json() -> None:
    session = ShopSession(cart=(CartLine("a", "Red", 1),), saved=("b",), address=Address("Ann"))
    assert msgspec.json.decode(msgspec.json.encode(session), type=ShopSession) == session
