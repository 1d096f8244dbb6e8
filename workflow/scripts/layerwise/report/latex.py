"""A table as LaTeX with booktabs rules; a long one as a longtable, which spans pages."""

import re

from pandas import Series

from layerwise.report.text import Table

# Characters that LaTeX reads as commands, and those that its usual fonts lack.
ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"\textquotedbl{}",
    "−": r"$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "–": r"\textendash{}",
    "\N{NO-BREAK SPACE}": "~",
    "\n": " ",
}
TRANSLATION = str.maketrans(ESCAPES)
# Pairs of characters that LaTeX would join into another one, such as -- into a dash.
LIGATURES = re.compile(r"([-'`,])(?=\1)|[?!](?=`)")
MOST_ROWS, LONG_TEXT = 45, 60


def escape(text: object) -> str:
    """Text escaped so that LaTeX prints it letter for letter."""
    return LIGATURES.sub(r"\g<0>{}", str(text).translate(TRANSLATION))


def _alignment(column: str, cells: Series) -> str:
    """Counts are aligned right, long text is wrapped, and everything else is aligned left."""
    return "r" if column == "n" else r"p{0.4\linewidth}" if cells.astype(str).str.len().max() > LONG_TEXT else "l"


def render(table: Table) -> str:
    """The LaTeX of a table. It needs booktabs, T1 fonts (for quotation marks) and, for many rows, longtable."""
    rows = table.rows
    columns = "".join(_alignment(column, rows[column]) for column in rows)
    head = " & ".join(map(escape, rows)) + r" \\"
    body = [" & ".join(map(escape, row)) + r" \\" for row in rows.itertuples(index=False)]
    # LaTeX would read a bracket at the start of a row as the optional argument of the \\ before it.
    body = [f"{{}}{line}" if line.startswith("[") else line for line in body]
    note = ["% " + escape(table.note)] if table.note else []
    if len(rows) > MOST_ROWS:
        opening = [rf"\begin{{longtable}}{{{columns}}}", r"\toprule", head, r"\midrule", r"\endhead"]
        opening += [r"\bottomrule", r"\endfoot"]
        return "\n".join([*note, *opening, *body, r"\end{longtable}", ""])
    opening = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*note, *opening, *body, r"\bottomrule", r"\end{tabular}", ""])
