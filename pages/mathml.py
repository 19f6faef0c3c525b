"""Formulas for browsers that have no network: the LaTeX of these pages as MathML.

Only what the pages and notebooks use is known; anything else is an error that names it, so that no formula is shown
wrong.
"""

import re
from collections.abc import Callable
from html import escape

from lib.errors import EaselError

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_]|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
LETTERS = {
    **{"alpha": "α", "beta": "β", "epsilon": "ε", "theta": "θ", "sigma": "σ", "pi": "π", "mu": "μ", "lambda": "λ"},
    **{"ell": "ℓ", "varnothing": "∅", "gamma": "γ", "eta": "η", "varepsilon": "ε"},
}
SIGNS = {
    **{"cdot": "·", "otimes": "⊗", "odot": "⊙", "times": "×", "sim": "∼", "ge": "≥", "le": "≤", "ne": "≠", "in": "∈"},
    **{"mid": "|", "dots": "…", "ldots": "…", "cdots": "⋯", "to": "→", "sum": "∑", "prod": "∏", "approx": "≈"},
    **{"lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "|": "‖", "partial": "∂", "propto": "∝"},
    **{"lfloor": "⌊", "rfloor": "⌋"},
}
NAMES = ("arg", "min", "max", "log", "ln", "exp", "cos", "arccos")
BELOW = ("min", "max", "sum", "prod")  # whose limits stand below, in a displayed formula
SPACES = {"quad": "1em", "qquad": "2em", ",": "0.17em", ";": "0.28em", " ": "0.25em", "!": "-0.17em"}
SIZES = ("big", "Big", "bigl", "bigr")
FENCES = "()[]|"
ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}
SCRIPT = {"L": "ℒ", "N": "𝒩", "U": "𝒰"}


def convert(latex: str, display: bool = False) -> str:
    """A formula as a MathML element; its LaTeX is kept as an annotation.

    Raises:
        EaselError: a command that is not known here, or braces that do not match.
    """
    reader = _Reader(latex, display)
    body = reader.row(lambda token: token is None)
    kind = ' display="block"' if display else ""
    annotation = f'<annotation encoding="application/x-tex">{escape(latex)}</annotation>'
    return f"<math{kind}><semantics><mrow>{body}</mrow>{annotation}</semantics></math>"


class _Reader:
    """Reads a formula token by token."""

    def __init__(self, latex: str, display: bool):
        self.latex, self.display = latex, display
        self.tokens = [token for token in TOKEN.findall(latex) if not token.isspace()]
        self.at = 0

    def look(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> str:
        token = self.look()
        if token is None:
            raise EaselError(f"The formula {self.latex!r} ends too early.")
        self.at += 1
        return token

    def row(self, ends: Callable[[str | None], bool]) -> str:
        """Elements up to a token at which the row ends."""
        found = []
        while not ends(self.look()):
            found.append(self.scripted())
        return "".join(found)

    def group(self) -> str:
        """The next {…}, or the next element, as one element."""
        if self.look() != "{":
            return self.element()
        self.take()
        body = self.row(lambda token: token in ("}", None))
        self.close()
        return f"<mrow>{body}</mrow>"

    def close(self) -> None:
        if self.look() != "}":
            raise EaselError(f"The formula {self.latex!r} lacks a closing brace.")
        self.take()

    def words(self) -> str:
        """The letters of the next {…}."""
        if self.take() != "{":
            raise EaselError(f"The formula {self.latex!r} lacks an opening brace.")
        found = []
        while self.look() not in ("}", None):
            found.append(self.take())
        self.close()
        return "".join(found)

    def scripted(self) -> str:
        """An element with what stands below and above it."""
        token = self.look() or ""
        under = self.display and token.removeprefix("\\") in BELOW
        base, lower, upper = self.element(), None, None
        while self.look() in ("_", "^"):
            if self.take() == "_":
                lower = self.group()
            else:
                upper = self.group()
        if lower and upper:
            tag = "munderover" if under else "msubsup"
            return f"<{tag}>{base}{lower}{upper}</{tag}>"
        if lower:
            return f"<munder>{base}{lower}</munder>" if under else f"<msub>{base}{lower}</msub>"
        return f"<msup>{base}{upper}</msup>" if upper else base

    def element(self) -> str:
        """One element, without its scripts."""
        token = self.take()
        if token == "{":
            self.at -= 1
            return self.group()
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{escape(token)}</mi>"
        if token in "}^_&":
            raise EaselError(f"The formula {self.latex!r} has a {token!r} where nothing can stand.")
        # Without a font for formulas, browsers draw brackets that may stretch far too large.
        still = ' stretchy="false"' if token in FENCES else ""
        return f"<mo{still}>{escape(token.replace('-', '−'))}</mo>"

    def command(self, name: str) -> str:
        """What a command stands for, its arguments read."""
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in SIGNS:
            return f"<mo>{SIGNS[name]}</mo>"
        if name in NAMES:
            return f'<mo rspace="0.17em" lspace="0.17em">{name}</mo>'
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"/>'
        if name in SIZES:
            return self.element()
        if name in ("left", "right"):
            return f"<mo>{escape(self.take())}</mo>"
        if name in ("frac", "tfrac"):
            fraction = f"<mfrac>{self.group()}{self.group()}</mfrac>"
            return fraction if name == "frac" else f'<mstyle displaystyle="false">{fraction}</mstyle>'
        if name == "sqrt":
            return f"<msqrt>{self.group()}</msqrt>"
        if name in ACCENTS:
            return f'<mover accent="true">{self.group()}<mo>{ACCENTS[name]}</mo></mover>'
        if name in ("text", "mathrm"):
            return f"<mtext>{escape(self.words())}</mtext>"
        if name == "mathcal":
            letter = self.words()
            if letter in SCRIPT:
                return f"<mi>{SCRIPT[letter]}</mi>"
        raise EaselError(f"The formula {self.latex!r} uses \\{name}, which pages/mathml.py does not know.")
