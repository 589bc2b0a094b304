"""Check templates for mistakes that lose events: ``python -m serverless_patterns.lint TEMPLATE…``.

A TEMPLATE is a file, a folder (each template in it is checked), or - for standard input. Nested
stacks whose template is a local file are checked too.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shlex
import stat
import sys
from glob import escape
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

try:
    from cfnlint.config import ConfigMixIn, configure_logging
    from cfnlint.exceptions import CfnLintExitException
    from cfnlint.rules import CloudFormationLintRule, Rules
    from cfnlint.runner import Runner
    from cfnlint.runner.template.runner import _run_template
except ModuleNotFoundError:
    sys.exit("The rule pack needs cfn-lint: install serverless-patterns with its extra 'lint'.")

from . import baseline as known
from .files import STDIN, Source, exists, problem, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cfnlint.match import Match

RULES = Path(__file__).parent / "rules"
NOTICE = "I9001"  # what was not checked: printed beside the findings, unless it is one of them
OTHER_WORK = ("listrules", "listtemplates", "update_specs", "patch_specs", "update_documentation")
# cfn-lint's options with one value, and those with many and what such a value looks like: what
# does not is a template.
ONE = {"-f", "--format", "--config-file", "-z", "--custom-rules", "-o", "--override-spec"}
ONE |= {"--output-file", "--non-zero-exit-code"}
OWN = re.compile(r"[EWI]9\d{3}")
CHECKS, PAIRS, REGIONS, FOLDERS = (
    r"[EWI]\d*(,[EWI]\d*)*", r"\w+[:=].*", r"[a-z]+-.*|ALL.*", r"(?!.*\.(ya?ml|json|template)$).*"
)  # fmt: skip
MANY = {
    **dict.fromkeys(("-i", "--ignore-checks", "-c", "--include-checks"), CHECKS),
    **dict.fromkeys(("-m", "--mandatory-checks"), CHECKS),
    **dict.fromkeys(("-x", "--configure-rule", "--parameters"), PAIRS),
    **dict.fromkeys(("-r", "--regions"), REGIONS),
    **dict.fromkeys(("-a", "--append-rules", "-s", "--registry-schemas"), FOLDERS),
    **dict.fromkeys(("--ignore-templates", "--parameter-files", "--deployment-files"), r".*"),
}


class Checker(Runner):
    """cfn-lint, one template at a time: one that breaks it hides no finding of the others.

    Attributes:
        names: What was named.
        sources: What was read of it; None if files of cfn-lint's own kinds name the templates.
    """

    names: list[str]
    sources: list[Source] | None

    def run(self) -> Iterator[Match]:
        """Yield the findings of every template."""
        if self.sources is None:
            yield from super().run()
        for source in self.sources or ():
            yield from source.problems
            yield from self._check(source) if source.template else ()

    def report(self, baseline: Path | None, write: Path | None) -> NoReturn:
        """Print what is found, and exit with cfn-lint's status.

        Raises:
            ValueError: The baseline is none, or cannot be written.
        """
        found = list(self.run())
        told = any(NOTICE.startswith(asked) for asked in self.config.include_checks)
        notices = [] if told else [match for match in found if match.rule.id == NOTICE]
        found = [match for match in found if match not in notices]
        said = [f"{match.filename}: {match.message}" for match in notices]
        if write:
            known.write(write, found)
            said, found = [*said, f"{write} holds {_findings(len(found))}."], []
        if baseline:
            found, gone = known.new(baseline, found)
            said += [f"Gone since {baseline}: {_findings(gone)}. Write it again."] * bool(gone)
        for line in said:
            print(line, file=sys.stderr)
        self._cli_output(found)
        raise AssertionError  # it exits

    def _check(self, source: Source) -> list[Match]:
        try:
            return list(_run_template(source.name, source.template, self.config, self.rules))
        except CfnLintExitException:
            raise  # an option is wrong
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            return [problem(source.name, f"cfn-lint cannot check {source.name} ({why}).")]


class OwnChecker(Checker):
    """The same with this pack alone: E0 rules tell of a template or a rule that broke."""

    def _get_rules(self) -> None:
        self.rules = Rules.create_from_module("cfnlint.rules.errors")
        self.rules.update(Rules.create_from_directory(str(RULES)))


def rules() -> list[CloudFormationLintRule]:
    """Return the rules of this pack, in the order of their ids."""
    loaded = Rules.create_from_directory(str(RULES))
    return [loaded[rule_id] for rule_id in sorted(loaded, key=lambda rule_id: rule_id[1:])]


def runner(
    arguments: Sequence[str], *, everything: bool = False, only_templates: bool = False
) -> Checker:
    """Return cfn-lint, ready to run this pack alone, or everything."""
    options, names = _separated(arguments)
    config = ConfigMixIn([f"--append-rules={RULES}", *options])
    names = names or list(config.templates or [])
    files, sources = names, None
    if not config.deployment_files and not config.parameter_files:
        names = names or [STDIN] * _is_piped()
        left_out = config._ignore_templates()  # type: ignore[no-untyped-call]
        ignored = {os.path.normpath(name) for name in left_out}
        sources = [
            source
            for source in read(names, only_templates=only_templates)
            if os.path.normpath(source.name) not in ignored
        ]
        files = [source.name for source in sources if source.template]
    config = config.evolve(templates=[escape(file) for file in files if file != STDIN])
    made = Checker(config) if everything else OwnChecker(config)
    made.names, made.sources = names, sources
    notice: Any = made.rules[NOTICE]
    notice.always = True
    _check_settings(made)
    return made


def _check_settings(checker: Checker) -> None:
    """Reject a setting that no rule has; cfn-lint leaves it out without a word.

    Raises:
        ValueError: The rule or the setting is not known, or the value is not a whole number.
    """
    for rule_id, given in checker.config.configure_rules.items():
        known = getattr(checker.rules.get(rule_id), "settings", None)
        if known is None and (rule_id in checker.rules or not OWN.fullmatch(rule_id)):
            continue  # a rule of cfn-lint's, or of somebody else's
        for name, value in given.items():
            if name not in (known or ()):
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise ValueError(f"{rule_id} has no setting {name}; {has}.")
            if not re.fullmatch(r"-?\d+", str(value)):
                raise ValueError(f"{rule_id}:{name} must be a whole number (given {value}).")


def _separated(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return cfn-lint's options with their values, and the templates, in whatever order."""
    options: list[str] = []
    names: list[str] = []
    values = ""  # what the values of the last option look like
    for place, argument in enumerate(arguments):
        if argument == "--":
            return options, [*names, *arguments[place + 1 :]]
        if argument in ("-t", "--template"):
            values = ""
        elif argument.startswith("-") and argument != STDIN:
            values = MANY.get(argument, r".*" if argument in ONE else "")
            options.append(argument)
        elif re.fullmatch(values, argument):
            values = "" if options[-1] in ONE else values
            options.append(argument)
        else:
            values = ""
            names.append(argument)
    return options, names


def main(arguments: Sequence[str]) -> None:
    """Check templates, and exit with cfn-lint's status: 0 without a finding."""
    parser = _parser()
    try:
        options, rest = parser.parse_known_args(list(chain(*map(_words, arguments))))
        if {"-h", "--help"} & set(rest):
            parser.print_help()
        checker = runner(rest, everything=options.all, only_templates=options.only_templates)
        config = checker.config
        if any(getattr(config, name) for name in OTHER_WORK):
            checker.cli()
        elif not checker.names and not config.deployment_files:
            raise ValueError("Name a template, a folder, or - for standard input.")
        elif checker.sources == [] and not options.only_templates:
            raise ValueError(f"No template was found in {', '.join(checker.names)}.")
        configure_logging(config.debug, config.info)  # type: ignore[no-untyped-call]
        if not config.debug:  # nested templates that are not here are told as what is not checked
            logging.getLogger("cfnlint.decode.decode").setLevel(logging.CRITICAL)
        config.validate(allow_stdin=True)
        checker.report(options.baseline, options.write_baseline)
    except (CfnLintExitException, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "Stopped.\n")
    except BrokenPipeError:  # whoever reads has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.format_usage()}{message}\n")  # 2 is for errors in a template


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m serverless_patterns.lint",
        usage="%(prog)s [OPTION…] TEMPLATE…",
        description=__doc__.partition("\n\n")[2],
        epilog="Every other option is cfn-lint's, such as --format, --ignore-checks W9104, or "
        "--include-checks I for advice.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--all", action="store_true", help="run cfn-lint's own rules too")
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="leave out what is in it")
    parser.add_argument("--write-baseline", metavar="FILE", type=Path, help="write such a file")
    parser.add_argument(
        "--only-templates", action="store_true", help="skip named files that are no templates"
    )
    return parser


def _findings(count: int) -> str:
    return f"{count} finding{'s' * (count != 1)}"


def _words(argument: str) -> list[str]:
    """Return what an argument says: several files, if there is none of that name (see Makefile)."""
    if " " not in argument or exists(argument):
        return [argument] * bool(argument)
    try:
        return shlex.split(argument)
    except ValueError:  # an apostrophe
        return [argument]


def _is_piped() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or no file
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


if __name__ == "__main__":
    main(sys.argv[1:])
