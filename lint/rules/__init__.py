"""The rules, one topic a file. cfn-lint loads them with ``--append-rules lint/rules``."""
