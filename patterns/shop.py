"""The auto-parts shop whose events every scenario sends: the same ones for the same seed.

Each run gives its events ids of their own, so that a stack can be driven again and again. Names
hold what breaks naive code: other scripts, emoji, quotes, and attempts to smuggle parameters.
"""

from __future__ import annotations

import csv
import io
import json
import random
import secrets
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Document = dict[str, Any]

SEED = 20261121
PARTS = {
    "BRK-PAD-F": "Bremsbelag vorn",
    "OIL-FLT-3": "Filtre à huile",
    "WPR-24": "Wischerblatt 24″",
    "SPK-NGK": "点火プラグ",
    "BLT-ALT": "Пас генератора",
    "CLT-KIT": "Kit d'embrayage",
    "TYR-205": "Tyre 205/55 & rim",
    "MIR-L": "Zrcátko levé 🚗",
    "EXH-M": 'Schalldämpfer = "Sport"',
    "SHK-R": "Amortiguador 100 % gas + oil",
    # An attempt to add parameters to an SQS call: it must stay a part's name.
    "LMP-H7": "Лампа H7&MessageGroupId=evil&DelaySeconds=900&Action=DeleteQueue",
}
DIGITS = {"EUR": 2, "USD": 2, "GBP": 2, "CZK": 2, "SEK": 2, "NOK": 2, "JPY": 0, "KWD": 3}
CURRENCIES = ("EUR", "USD", "GBP", "JPY", "KWD")
CURRENCY_OF = {"AT": "EUR", "CZ": "CZK", "DE": "EUR", "FR": "EUR", "JP": "JPY", "SE": "SEK"}
CHANNELS = (["wholesale"], ["retail"], ["wholesale", "retail"])
CLICK_COUNTRIES = ("DE", "FR", "GB", "CZ")
PAGES = (
    "/", "/cart", "/search?q=Bremsbelag+vorn&mail=someone%40example.com", "/parts/oil/OIL-FLT-3",
    "/parts/brakes/BRK-PAD-F?from=newsletter", "/parts/wipers/24/WPR-24#fit", "/teile/öl & filter",
    "/parts/lamps/LMP-H7;v=2", "/部品/スパークプラグ", "/parts/belts/BLT-ALT/",
)  # fmt: skip
REFERRERS = ("", "https://www.google.com/search?q=oil", "https://shop.example/ü", "not a url")
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) Chrome/141.0 Mobile Safari/537.36 🚗",
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.10.1",
    "",
)
ORDER_STATES = ("placed", "packed", "shipped", "delivered")
CUSTOMERS, WAREHOUSE_PARTS, VISITORS = 200, 12, 800


class Shop:
    """Makes events, a list at a time.

    Args:
        prefix: What the ids of this run begin with: 1 to 20 letters, digits or dashes.

    Attributes:
        run: What the ids of this run begin with, unlike those of any other run.
        parts: Ids of the parts in the warehouse, of this run alone.
        customers: Ids of the customers with an account, of this run alone.
    """

    def __init__(self, prefix: str) -> None:
        self.run = f"{prefix}-{secrets.token_hex(4)}"
        self.parts = [f"{self.run}-part-{number:02}" for number in range(WAREHOUSE_PARTS)]
        self.customers = [f"{self.run}-customer-{number:02}" for number in range(30)]
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._count = 0
        self._versions = Counter[str]()
        self._opened = datetime.now(UTC) - timedelta(days=2)

    def orders(self, count: int) -> list[Document]:
        """Return orders of the web shop, with amounts as decimal text in several currencies."""
        return [self._order(self._random.choice(CURRENCIES)) for _ in range(count)]

    def invoice_requests(self, count: int, country: str = "", lines: int = 0) -> list[Document]:
        """Return orders to invoice.

        Args:
            count: How many.
            country: Where the customers live. Default: anywhere the shop sells.
            lines: Lines of each. Default: 1 to 6.
        """
        requests = []
        for _ in range(count):
            chosen = country or self._random.choice(list(CURRENCY_OF))
            order = self._order(CURRENCY_OF.get(chosen, "NOK"), lines)
            requests.append(order | {"country": chosen, "requested_at": time.time_ns() // 10**6})
        return requests

    def order_changes(self, orders: int, each: int) -> list[list[Document]]:
        """Return the changes of each of several orders, in the order they must take effect."""
        return [self._changes_of(self._id(), each) for _ in range(orders)]

    def state_changes(self, orders: int, each: int) -> list[Document]:
        """Return the changes of state of orders: each order's in turn, all orders side by side."""
        ids = [self._id() for _ in range(orders)]
        return [
            {
                "change_id": f"{order_id}-{version + 1}",
                "order_id": order_id,
                "version": version + 1,
                "state": ORDER_STATES[version],
                "customer_id": f"customer-{self._random.randint(1, CUSTOMERS)}",
            }
            for version in range(each)
            for order_id in ids
        ]

    def purchases(self, count: int, **fields: Any) -> list[Document]:
        """Return orders in whole cents, for parts in the warehouse, by customers with an account.

        Args:
            count: How many. Without ``ship_to`` each is a sale over the counter, too.
            fields: Replace what the orders say; ``total`` follows ``lines`` unless given.
        """
        return [self._purchase(fields) for _ in range(count)]

    def price_changes(self, parts: Iterable[str], each: int = 1, **fields: Any) -> list[Document]:
        """Return the next price changes of each part: parts interleaved, each part's in order.

        Args:
            parts: Names of parts; their ids are this run's.
            each: Changes of each part.
            fields: Replace what the changes say.
        """
        turns = [part for part in parts for _ in range(each)]
        self._random.shuffle(turns)
        return [self._price_change(f"{self.run}-{part}") | fields for part in turns]

    def movements(self, parts: Iterable[str], each: int) -> list[Document]:
        """Return movements of parts in the warehouse: interleaved, each part's in order."""
        turns = [part for part in parts for _ in range(each)]
        self._random.shuffle(turns)
        return [self._movement(f"{self.run}-{part}") for part in turns]

    def clicks(self, count: int, **fields: Any) -> list[Document]:
        """Return clicks of visitors within the last day; one visitor makes half of them.

        Args:
            count: How many.
            fields: Replace what the clicks say.
        """
        return [self._click() | fields for _ in range(count)]

    def bot_clicks(self, count: int) -> list[Document]:
        """Return clicks of programs, told by their user agent."""
        return [self._click() | {"user_agent": self._random.choice(BOTS)} for _ in range(count)]

    def malformed_clicks(self) -> dict[str, bytes]:
        """Return records that are not valid clicks, by an id that says what is wrong with each."""
        [click] = self.clicks(1)
        text, line = json.dumps(click), as_csv(click)
        number = int(self.run[-8:], 16)  # also a blank record is of this run alone
        wrong = {
            "number": f"{number} ".encode(),
            "not-json": b'{"click_id": ' + self.run.encode(),
            "truncated": text[:-7].encode(),
            "array": json.dumps([click]).encode(),
            "two-in-one": (text + text).encode(),
            "not-text": b"\xff\xfe" + text.encode("utf-16-le"),
            "blank": f"{number:032b}\n".translate({ord("0"): " ", ord("1"): "\t"}).encode(),
            "half-surrogate": text.replace("/", r"/\ud83d", 1).encode(),
            "csv-of-seven": line.rsplit(b",", 1)[0],
            "csv-open-quote": b'"' + line,
            "half-a-mebibyte": as_json(click | {"page": "/" + "x" * 500_000}),
        }
        now = datetime.now(UTC)
        fields: dict[str, Document] = {
            "no-id": {"click_id": ""},
            "id-to-inject": {"click_id": "x' OR '1'='1"},
            "user-is-a-number": {"user_id": 17},
            "user-is-an-object": {"user_id": {"$ne": None}},
            "no-time-zone": {"clicked_at": "2026-11-21T07:00:00"},
            "no-such-day": {"clicked_at": "2026-02-30T07:00:00Z"},
            "in-the-future": {"clicked_at": (now + timedelta(days=2)).isoformat()},
            "too-old": {"clicked_at": (now - timedelta(days=40)).isoformat()},
            "page-of-another": {"page": "https://evil.example/"},
            "control-character": {"user_agent": "Mozilla\u0000"},
            "no-country": {"country": None},
        }
        wrong |= {
            name: json.dumps(self._click() | field).encode() for name, field in fields.items()
        }
        return {f"{self.run}-{name}": record for name, record in wrong.items()}

    def price_list(self, lines: int = 5) -> bytes:
        """Return a supplier's price list: CSV of SKU, price and currency, unlike any other one."""
        name = self._id()
        return b"".join(
            as_csv(
                {"sku": f"{name}-{n}", "price": f"{self._random.randint(1, 900)}.50", "in": "EUR"}
            )
            for n in range(lines)
        )

    def _id(self) -> str:
        self._count += 1
        return f"{self.run}-{self._count:05}"

    def _order(self, currency: str, lines: int = 0) -> Document:
        items, total, digits = [], Decimal(0), DIGITS[currency]
        for _ in range(lines or self._random.randint(1, 6)):
            sku, name = self._random.choice(list(PARTS.items()))
            price = Decimal(self._random.randint(100, 90_000)).scaleb(-digits)
            quantity = self._random.randint(1, 9)
            total += price * quantity
            items.append(
                {"sku": sku, "name": name, "quantity": quantity, "unit_price": f"{price:f}"}
            )
        return {
            "order_id": self._id(),
            "customer_id": f"customer-{self._random.randint(1, CUSTOMERS)}",
            "currency": currency,
            "lines": items,
            "total": f"{total:f}",
        }

    def _changes_of(self, order_id: str, count: int) -> list[Document]:
        return [
            {
                "order_id": order_id,
                "change_id": f"{order_id}-{number:03}",
                "kind": "quantity",
                "sku": self._random.choice(list(PARTS)),
                "quantity": self._random.randint(1, 9),
            }
            for number in range(count)
        ]

    def _purchase(self, fields: Document) -> Document:
        pick, number = self._random.choice, self._random.randint
        made = [
            {"sku": sku, "quantity": number(1, 9), "unit_price": number(100, 90_000)}
            for sku in self._random.sample(self.parts, number(1, 3))
        ]
        lines: Sequence[Document] = fields.get("lines", made)
        order: Document = {"order_id": self._id(), "customer_id": pick(self.customers)}
        order |= {"lines": lines, "ship_to": "DE"}
        order["total"] = sum(line["quantity"] * line["unit_price"] for line in lines)
        return order | fields

    def _price_change(self, part_id: str) -> Document:
        self._versions[part_id] += 1
        version = self._versions[part_id]
        currency = self._random.choice(CURRENCIES)
        digits = DIGITS[currency]
        moment = self._opened + timedelta(seconds=90 * self._versions.total())
        return {
            "event_id": f"{part_id}-{version:03}",
            "part_id": part_id,
            "version": version,
            "price": f"{self._random.randint(1, 90_000)}" + (f".{5:0{digits}}" if digits else ""),
            "currency": currency,
            "channels": self._random.choice(CHANNELS),
            "changed_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _movement(self, part_id: str) -> Document:
        self._versions[part_id] += 1
        return {
            "movement_id": f"{part_id}-{self._versions[part_id]:05}",
            "part_id": part_id,
            "direction": self._random.choice(("in", "out", "out")),
            "quantity": self._random.randint(1, 20),
        }

    def _click(self) -> Document:
        pick, number = self._random.choice, self._random.randint
        hot = self._random.random() < 0.5
        return {
            "click_id": self._id(),
            "user_id": "hot" if hot else f"user-{number(1, VISITORS)}",
            "session_id": f"s-{number(1, 10_000)}",
            "clicked_at": (datetime.now(UTC) - timedelta(seconds=number(0, 86_400))).isoformat(),
            "page": pick(PAGES),
            "referrer": pick(REFERRERS),
            "user_agent": pick(BROWSERS),
            "country": pick(CLICK_COUNTRIES),
        }


def as_json(document: Any, **options: Any) -> bytes:
    """Return an event as the shop sends it: JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, **options).encode()


def as_csv(document: Mapping[str, Any]) -> bytes:
    """Return an event as the older trackers send it: a line of CSV."""
    line = io.StringIO()
    csv.writer(line).writerow(document.values())
    return line.getvalue().encode()
