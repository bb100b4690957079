"""Expressions: a feature's formula as a tree of inputs, numbers and operators. Pure facts; nothing is computed here.

A tree is written with plain arithmetic and the functions below. Equal trees are equal values, so what two features share is
computed once. `least`: known values that a window needs; `None`: all of them. Not here: what operators do (`operators.table`).
"""

from dataclasses import dataclass

INPUT, CONSTANT, PART = "input", "constant", "part"
Parameter = float | int | str


@dataclass(frozen=True, slots=True)
class Node:
    """One operator on its arguments, or an input by name, or a number."""

    operator: str
    arguments: tuple["Node", ...] = ()
    parameters: tuple[Parameter, ...] = ()

    def __add__(self, other: "Node | float") -> "Node":
        return Node("add", (self, node(other)))

    def __sub__(self, other: "Node | float") -> "Node":
        return Node("subtract", (self, node(other)))

    def __mul__(self, other: "Node | float") -> "Node":
        return Node("multiply", (self, node(other)))

    def __truediv__(self, other: "Node | float") -> "Node":
        return Node("divide", (self, node(other)))

    def __radd__(self, other: float) -> "Node":
        return Node("add", (node(other), self))

    def __rsub__(self, other: float) -> "Node":
        return Node("subtract", (node(other), self))

    def __rmul__(self, other: float) -> "Node":
        return Node("multiply", (node(other), self))

    def __neg__(self) -> "Node":
        return Node("negative", (self,))

    def __gt__(self, other: "Node | float") -> "Node":
        return Node("greater", (self, node(other)))

    def __lt__(self, other: "Node | float") -> "Node":
        return Node("less", (self, node(other)))

    def __str__(self) -> str:
        """The formula in one line; the same for equal trees."""
        if self.operator in (INPUT, CONSTANT):
            return str(self.parameters[0])
        return f"{self.operator}({', '.join([*map(str, self.arguments), *map(repr, self.parameters)])})"


def node(value: "Node | float") -> Node:
    """A tree as it is; a number as a constant."""
    return value if isinstance(value, Node) else Node(CONSTANT, (), (float(value),))


def given(name: str) -> Node:
    """An input by name."""
    return Node(INPUT, (), (name,))


def each(operator: str, *arguments: Node | float) -> Node:
    """An operator on one session and one instrument (`operators.elementwise`)."""
    return Node(operator, tuple(node(argument) for argument in arguments))


def across(operator: str, *arguments: Node, parameters: tuple[float, ...] = ()) -> Node:
    """An operator across the instruments of one session (`operators.cross_section`)."""
    return Node(operator, arguments, parameters)


def _rolling(operator: str, window: int, least: int | None, *arguments: Node) -> Node:
    return Node(operator, arguments, (window, window if least is None else least))


def mean(x: Node, window: int, least: int | None = None) -> Node:
    """Mean of the known values of a window."""
    return _rolling("mean", window, least, x)


def total(x: Node, window: int, least: int | None = None) -> Node:
    """Sum of the known values of a window."""
    return _rolling("sum", window, least, x)


def count(x: Node, window: int) -> Node:
    """Number of known values of a window."""
    return Node("count", (x,), (window,))


def moment_mean(x: Node, window: int, least: int | None = None) -> Node:
    """The mean from the sums that `deviation` needs anyway."""
    return part(_rolling("moments", window, least, x), 0)


def deviation(x: Node, window: int, least: int | None = None) -> Node:
    """Standard deviation, ddof 1."""
    return part(_rolling("moments", window, least, x), 1)


def skewness(x: Node, window: int, least: int | None = None) -> Node:
    """Unbiased skewness."""
    return part(_rolling("shape", window, least, x), 0)


def kurtosis(x: Node, window: int, least: int | None = None) -> Node:
    """Unbiased excess kurtosis."""
    return part(_rolling("shape", window, least, x), 1)


def ewma(x: Node, window: int, halflife: float, least: int | None = None) -> Node:
    """Exponentially weighted mean of a window."""
    return Node("ewma", (x,), (window, window if least is None else least, halflife))


def corr(x: Node, y: Node, window: int, least: int | None = None, spread_min: float = 0.0) -> Node:
    """Correlation of the sessions on which both are known."""
    return Node("corr", (x, y), (window, window if least is None else least, spread_min))


def beta(x: Node, y: Node, window: int, least: int | None = None) -> Node:
    """Slope of x on y."""
    return _rolling("beta", window, least, x, y)


def residual_deviation(x: Node, y: Node, window: int, least: int | None = None) -> Node:
    """Standard deviation of what the slope of x on y leaves, n - 2."""
    return _rolling("residual_std", window, least, x, y)


def _trend(x: Node, window: int, least: int | None, spread_min: float, which: int) -> Node:
    return part(Node("trend", (x,), (window, window if least is None else least, spread_min)), which)


def slope(x: Node, window: int, least: int | None = None, spread_min: float = 0.0) -> Node:
    """Slope per session of the line through a window."""
    return _trend(x, window, least, spread_min, 0)


def rsquare(x: Node, window: int, least: int | None = None, spread_min: float = 0.0) -> Node:
    """R2 of the line through a window."""
    return _trend(x, window, least, spread_min, 1)


def residual(x: Node, window: int, least: int | None = None, spread_min: float = 0.0) -> Node:
    """The newest value less the line through the window."""
    return _trend(x, window, least, spread_min, 2)


def highest(x: Node, window: int, least: int | None = None) -> Node:
    """Largest value of a window."""
    return _rolling("max", window, least, x)


def lowest(x: Node, window: int, least: int | None = None) -> Node:
    """Smallest value of a window."""
    return _rolling("min", window, least, x)


def place_of_highest(x: Node, window: int, least: int | None = None) -> Node:
    """Place of the first largest value, 1 for the oldest known one."""
    return _rolling("argmax", window, least, x)


def place_of_lowest(x: Node, window: int, least: int | None = None) -> Node:
    """Place of the first smallest value, 1 for the oldest known one."""
    return _rolling("argmin", window, least, x)


def rank(x: Node, window: int, least: int | None = None) -> Node:
    """Average rank of the newest value in its window, over the number of known ones."""
    return _rolling("rank", window, least, x)


def quantiles(x: Node, window: int, low: float, high: float, least: int | None = None) -> tuple[Node, Node]:
    """Two quantiles of a window, which share its ordering."""
    both = Node("quantiles", (x,), (window, window if least is None else least, low, high))
    return part(both, 0), part(both, 1)


def lag(x: Node, sessions: int) -> Node:
    """The value some sessions ago."""
    return Node("lag", (x,), (sessions,))


def basis(returns: Node, last_close: Node, pause: int) -> Node:
    """What brings prices of all sessions to one split and dividend basis (`operators.rows`)."""
    return Node("basis", (returns, last_close), (pause,))


def part(many: Node, which: int) -> Node:
    """One matrix of an operator that gives several."""
    return Node(PART, (many,), (which,))
