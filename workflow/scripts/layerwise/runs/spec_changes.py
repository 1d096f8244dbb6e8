"""What differs between two specs, in words: settings by dotted key, pins, modules of the code."""

import json
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

SHOWN = 4  # items of a list, unless all are asked for
WIDTH = 40  # characters of a value, unless all are asked for
ABSENT = object()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], full: bool = False) -> list[str]:
    """The differences between two specs, one text each: settings by dotted key, then pins, sources and code modules.

    An element of a list that has a `name` is compared with the element of that name.
    """
    apart = ("pins", "sources", "code")
    before, after = ({key: spec[key] for key in spec if key not in apart} for spec in (old, new))
    texts = _texts(_walk((), before, after, full))
    before, after = (dict(map(_pin, spec.get("pins", ()))) for spec in (old, new))
    texts += [f"pin {text}" for text in _texts(_walk((), before, after, full))]
    for key, words in (("sources", "content of"), ("code", "code of")):
        before, after = old.get(key, {}), new.get(key, {})
        if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
            texts += [key] if before != after else []
        elif names := _changed(before, after):
            texts.append(f"{words} {listed(names, full)}")
    return texts


def _pin(text: str) -> tuple[str, str]:
    name, _, version = text.partition("=")
    return name.strip(), version.lstrip("=") or "any"


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names whose digests differ."""
    names = [name for name in sorted({**old, **new}) if old.get(name) != new.get(name)]
    return [f"{name} (new)" if name not in old else f"{name} (gone)" if name not in new else name for name in names]


# A difference: the keys that lead to it, and a text.
Difference = tuple[tuple[str, ...], str]


def _texts(found: Sequence[Difference]) -> list[str]:
    return [f"{'.'.join(keys)} {text}" for keys, text in found]


def _walk(keys: tuple[str, ...], old: Any, new: Any, full: bool) -> list[Difference]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for name in sorted({**old, **new}):
            found += _walk((*keys, name), old.get(name, ABSENT), new.get(name, ABSENT), full)
        return found
    if isinstance(old, list) and isinstance(new, list):
        if all(isinstance(one, Mapping) and "name" in one for one in [*old, *new]):
            before, after = ({one["name"]: one for one in each} for each in (old, new))
            return _of_named(keys, before, after, full)
        if not any(isinstance(one, list | Mapping) for one in [*old, *new]):
            return [(keys, _listing(old, new, full))]
    return [(keys, _arrow(_shown(old), _shown(new), full))]


def _of_named(keys: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any], full: bool) -> list[Difference]:
    """The differences between two lists, by the names of their elements; those of several elements count once."""
    found = [(keys, _listing(list(old), list(new), full))] if list(old) != list(new) else []
    shared: dict[Difference, list[str]] = {}
    for name in [name for name in old if name in new]:
        for one in _walk((), old[name], new[name], full):
            shared.setdefault(one, []).append(name)
    for (inner, text), names in shared.items():
        if len(names) == 1:
            found.append(((*keys, names[0], *inner), text))
        else:
            found.append(((*keys, "*", *inner), f"{text} (in {len(names)} {keys[-1]})"))
    return found


def _listing(old: Sequence[Any], new: Sequence[Any], full: bool) -> str:
    """What was added to a list and what was removed from it."""
    signs = [("+", [one for one in new if one not in old]), ("−", [one for one in old if one not in new])]
    texts = [f"{sign} {listed([_shown(one) for one in ones], full)}" for sign, ones in signs if ones]
    return ", ".join(texts) or "in another order"


def _arrow(old: str, new: str, full: bool) -> str:
    """Two values that differ; if they are long, only the place where they begin to."""
    if full or max(len(old), len(new)) <= WIDTH:
        return f"{old} → {new}"
    start = max(0, len(commonprefix([old, new])) - WIDTH // 2)
    return " → ".join(
        f"{'…' if start else ''}{one[start : start + WIDTH]}{'…' if len(one) > start + WIDTH else ''}"
        for one in (old, new)
    )


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "unset"
    return value if isinstance(value, str) and value.split() == [value] else json.dumps(value, ensure_ascii=False)


def listed(texts: Sequence[str], full: bool, between: str = ", ") -> str:
    """Texts in a row: all of them, or the first few and the number of others."""
    if full or len(texts) <= SHOWN:
        return between.join(texts)
    return between.join([*texts[:SHOWN], f"and {len(texts) - SHOWN} more"])
