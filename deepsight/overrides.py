"""``--set NAME=VALUE`` of the command lines: a text, read with the type that its name declares."""

from __future__ import annotations

from deepsight.config import PARAMS, STUDY_PARAMS, UserError, Value, check_value


def parse_set(text: str) -> tuple[str, Value]:
    """Read ``NAME=VALUE`` with the type that the name declares (``optim.lr=1e-4`` is a float).

    Raises:
        UserError: If it has another form.
    """
    name, equals, raw = text.partition("=")
    name, raw = name.strip(), raw.strip()
    if not equals or not name:
        raise UserError(f"--set {text!r} is not NAME=VALUE.", "Example: --set optim.lr=0.01.")
    declared = PARAMS.get(name) or STUDY_PARAMS.get(name)
    kind = type(declared.default) if declared else None
    value: Value = raw
    if kind is bool or kind is None:
        value = {"true": True, "false": False}.get(raw.lower(), raw)
    for number in [k for k in (int, float) if kind is k or kind is None]:
        if isinstance(value, str):
            try:
                value = number(raw)
            except ValueError:
                continue
    if declared:
        check_value(name, value)
    return name, value
