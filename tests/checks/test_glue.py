"""A column has a type of Hive, or the wrong one is shown by its position."""

from __future__ import annotations

import pytest

from serverless_patterns.patterns.checks import glue

KNOWN = str.split("""
bigint binary boolean date decimal double float int smallint string timestamp tinyint
decimal(38) decimal(10,10) decimal(10,0) char(255) varchar(65535) array<string> map<string,int>
struct<a:int> struct<a:int,b_2:array<struct<c:decimal(9,2),d:map<string,array<char(2)>>>>>
""")
WRONG = {
    "strng": "expected a type at character 1, not 'strng'.",
    "datetime": "at character 1, not 'datetime' (use timestamp)",
    "integer": "not 'integer' (use int)",
    "list": "not 'list' (use array<string>)",
    "STRING": "not 'STRING' (use string)",
    "": "at character 1, not its end",
    "uniontype<int,string>": "not 'uniontype'",
    "int(11)": "expected the end at character 4, not '('",
    "int ": "expected the end at character 4, not ' '",
    "decimal(39,2)": "a number from 1 to 38 at character 9, not '39'",
    "decimal(10,11)": "a number from 0 to 10 at character 12",
    "decimal()": "a number from 1 to 38 at character 9, not ')'",
    "decimal(9,2": "expected ) at character 12, not its end",
    "varchar": "expected ( at character 8",
    "varchar(65536)": "a number from 1 to 65535",
    "char(0)": "a number from 1 to 255",
    "array": "expected < at character 6",
    "array<>": "expected a type at character 7, not '>'",
    "array<int>>": "expected the end at character 11",
    "map<string>": "expected , at character 11",
    "map<array<int>,int>": "expected a simple type, such as string, at character 5",
    "struct<a:int": "expected > at character 13, not its end",
    "struct<>": "expected a field's name at character 8",
    "struct<a:int, b:int>": "expected a field's name at character 14, not ' '",
    "struct<a int>": "expected : at character 9, not ' '",
    "struct<a:int,A:int>": "expected another name at character 14, not 'A'",
    "struct<a:array<map<string,long>>>": "at character 27, not 'long' (use bigint)",
}


@pytest.mark.parametrize("text", KNOWN)
def test_a_type_of_hive_is_accepted_however_deep(text: str) -> None:
    assert glue.column_type("line", text) is None


@pytest.mark.parametrize("text", WRONG)
def test_any_other_type_is_rejected_with_its_position(text: str) -> None:
    said = glue.column_type("line", text) or ""
    assert said.startswith(f"line has the type {text!r}, which Hive does not know: expected ")
    assert WRONG[text] in said
