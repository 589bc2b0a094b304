"""AWS Glue tables that Firehose converts by and Athena reads by."""

from __future__ import annotations

import re

from ..limits import HIVE_CHAR_LENGTH, HIVE_DECIMAL_DIGITS, HIVE_VARCHAR_LENGTH

SIMPLE = {
    "bigint", "binary", "boolean", "date", "decimal", "double", "float", "int", "smallint",
    "string", "timestamp", "tinyint",
}  # fmt: skip
LENGTHS = {"char": HIVE_CHAR_LENGTH, "varchar": HIVE_VARCHAR_LENGTH}
MEANT = {
    "bool": "boolean", "byte": "tinyint", "datetime": "timestamp", "integer": "int",
    "json": "string", "list": "array<string>", "long": "bigint", "number": "double",
    "numeric": "decimal", "object": "struct<name:string>", "short": "smallint", "str": "string",
    "text": "string", "time": "timestamp", "uuid": "string",
}  # fmt: skip
KNOWN = (
    "bigint, binary, boolean, char(n), date, decimal(p,s), double, float, int, smallint, string, "
    "timestamp, tinyint, varchar(n), array<…>, map<…,…> or struct<name:…>"
)
_TOKEN = re.compile(r"\w+|\W")
_NAME = re.compile(r"[A-Za-z0-9_]+")


def column_type(name: object, text: str) -> str | None:
    """A column has a type of Hive: with another one, every record goes to the error prefix.

    Source: https://docs.aws.amazon.com/athena/latest/ug/data-types.html
    """
    reader = _Reader(text)
    try:
        reader.read_type()
        reader.skip("")
    except _WrongError as wrong:
        return (
            f"{name} has the type {text!r}, which Hive does not know: {wrong}. Use {KNOWN}, in "
            "lower case and without spaces."
        )
    return None


class _WrongError(Exception):
    """Says what is wrong with a type, and where."""


class _Reader:
    """Reads a type as Hive does."""

    def __init__(self, text: str) -> None:
        self._text, self._position = text, 0

    def read_type(self, *, simple: bool = False) -> None:
        """Read a type to its end; ``simple``: one that has no other types in it.

        Raises:
            _WrongError: it is none.
        """
        word = self._next()
        if word in SIMPLE and not (word == "decimal" and self._next_is("(")):
            self._take(word)
        elif word in ("decimal", *LENGTHS):
            self._take(word)
            self._read_size(word)
        elif word in ("array", "map", "struct") and not simple:
            self._take(word)
            self.skip("<")
            self._read_inner(word)
            self.skip(">")
        else:
            raise self._wrong("a simple type, such as string," if simple else "a type")

    def skip(self, expected: str) -> None:
        """Read one word or sign; "" is the end.

        Raises:
            _WrongError: it is another one.
        """
        if self._next() != expected:
            raise self._wrong(expected or "the end")
        self._take(expected)

    def _read_inner(self, word: str) -> None:
        if word == "map":
            self.read_type(simple=True)
            self.skip(",")
        if word != "struct":
            return self.read_type()
        names = set[str]()
        while True:
            name = self._next()
            if not _NAME.fullmatch(name):
                raise self._wrong("a field's name")
            if name.lower() in names:
                raise self._wrong("another name")
            names.add(name.lower())
            self._take(name)
            self.skip(":")
            self.read_type()
            if self._next() != ",":
                return None
            self.skip(",")

    def _read_size(self, word: str) -> None:
        """Read the digits of a decimal, or the length of a text."""
        self.skip("(")
        most = self._read_number(1, LENGTHS.get(word, HIVE_DECIMAL_DIGITS))
        if word == "decimal" and self._next() == ",":
            self.skip(",")
            self._read_number(0, most)
        self.skip(")")

    def _read_number(self, low: int, high: int) -> int:
        number = self._next()
        if not (number.isascii() and number.isdigit() and low <= int(number) <= high):
            raise self._wrong(f"a number from {low} to {high}")
        self._take(number)
        return int(number)

    def _next(self) -> str:
        found = _TOKEN.match(self._text, self._position)
        return found[0] if found else ""

    def _next_is(self, sign: str) -> bool:
        """Whether a sign follows the word that is next."""
        return self._text.startswith(sign, self._position + len(self._next()))

    def _take(self, word: str) -> None:
        self._position += len(word)

    def _wrong(self, expected: str) -> _WrongError:
        word = self._next()
        lower = MEANT.get(word.lower(), word.lower())
        instead = f" (use {lower})" if word and (word.lower() in MEANT or lower in SIMPLE) else ""
        found = f"{word!r}{instead}" if word else "its end"
        return _WrongError(f"expected {expected} at character {self._position + 1}, not {found}")
