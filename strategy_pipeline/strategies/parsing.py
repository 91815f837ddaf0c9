"""Reading the language: a recursive-descent parser from text to `Strategy`, conditions and values.

Grammar, loosest binding first::

    strategy   = family "on" ("*" | SYMBOL {"," SYMBOL}) ["against" SYMBOL] TIMEFRAME {statement}
    statement  = "enter" ("long" | "short") "when" condition | "exit" ["long" | "short"] "when" condition
               | ("stop" | "take" | "trail" | "breakeven") level
               | "hold" ["at" "most"] NUMBER ["bar" | "bars"] | "cooldown" NUMBER ["bar" | "bars"] | "size" size
    condition  = and-term {"or" and-term};  and-term = not-term {"and" not-term};  not-term = {"not"} comparison
    comparison = sum [(">" | "<" | ">=" | "<=") sum] | "crosses_above(a, b)" | "crosses_below(a, b)" | "between(x, low, high)"
    sum        = product {("+" | "-") product};  product = unary {("*" | "/") unary};  unary = {"-"} term
    term       = NUMBER ["%"] | name ["(" arguments ")"] ["." output] {"@" (TIMEFRAME | SYMBOL)} | "(" condition or sum ")"

Types are not judged here: a sentence that is well formed but means nothing is for `validate`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.canonical import canonical_condition, canonical_value
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not, Or
from strategy_pipeline.strategies.lexer import StrategySyntaxError, Token, decimal_value, tokens
from strategy_pipeline.strategies.naming import PRICE_FIELDS, near
from strategy_pipeline.strategies.strategy import FAMILIES, Level, Size, Strategy
from strategy_pipeline.strategies.vocabulary import CONDITION_FUNCTIONS, FUNCTIONS, call, entry, words

_DEEPEST = 50
_LONGEST = 100_000
STATEMENTS = ("enter", "exit", "stop", "take", "trail", "breakeven", "hold", "cooldown", "size")
_RESERVED = {*STATEMENTS, "and", "or", "not", "when", "on"}
_CONDITION_TYPES = (Compare, Not, And, Or)


def parse(text: str) -> Strategy:
    """The strategy a text describes, in canonical form.

    Raises
    ------
    StrategySyntaxError
        The text is not a sentence of the language: says line, column, what was expected and what was found.
    StrategyError
        It is, but a stop, size or symbol cannot be.
    """
    return _Parser(text).strategy()


def parse_condition(text: str) -> Condition:
    """The canonical condition a text describes, such as ``rsi(close, 14) < 30``. StrategySyntaxError as `parse`."""
    parser = _Parser(text)
    condition = parser.condition()
    parser.finish("'and', 'or' or the end")
    return canonical_condition(condition)


def parse_value(text: str) -> Value:
    """The canonical value a text describes, such as ``ema(close, 12)``. StrategySyntaxError as `parse`."""
    parser = _Parser(text)
    value = parser.value()
    parser.finish("an operator or the end")
    return canonical_value(value)


class _Parser:
    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise StrategyError(f"Expected a strategy as text, was {type(text).__name__}.")
        if len(text) > _LONGEST:
            raise StrategyError(f"Expected a text of at most {_LONGEST} characters, was {len(text)}.")
        self.text = text
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0

    # -- tokens ---------------------------------------------------------------------------------------------
    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def advance(self) -> Token:
        token = self.tokens[self.index]
        self.index += token.kind != "end"
        return token

    def sees(self, *texts: str) -> bool:
        return self.token.text in texts and self.token.kind in ("name", "mark")

    def accept(self, *texts: str) -> Token | None:
        return self.advance() if self.sees(*texts) else None

    def fail(self, message: str, at: Token | None = None) -> NoReturn:
        raise StrategySyntaxError(self.text, (at or self.token).at, message)

    def expected(self, what: str, near_to: tuple[str, ...] = ()) -> NoReturn:
        found = "the end of the text" if self.token.kind == "end" else repr(self.token.text)
        hint = near(self.token.text, near_to) if self.token.kind == "name" else ""
        self.fail(f"Expected {what}, was {found}{hint}.")

    def require(self, *texts: str) -> Token:
        token = self.accept(*texts)
        if token is None:
            self.expected(" or ".join(map(repr, texts)), texts)
        return token

    def finish(self, what: str) -> None:
        if self.token.kind != "end":
            self.expected(what)

    # -- statements -----------------------------------------------------------------------------------------
    def strategy(self) -> Strategy:
        if not self.sees(*FAMILIES):
            self.expected(f"a family ({', '.join(FAMILIES)})", FAMILIES)
        family = self.advance().text
        self.require("on")
        symbols = self.symbols()
        against: str | None = None
        if self.accept("against"):
            if self.token.kind != "symbol":
                self.expected("the second symbol of the pair, such as ETH/USDT, after 'against'")
            against = self.advance().text
        if self.token.kind != "timeframe":
            self.expected("a timeframe such as 1h" + ("" if against else " (or ',' and another symbol, or 'against' and a second leg)"))
        timeframe = self.advance().text
        given: dict[str, Any] = {}
        places: dict[str, Token] = {}
        while self.token.kind != "end":
            if self.accept(",", ";"):
                continue
            if not self.sees(*STATEMENTS):
                self.expected(f"{'and, or, ' if given else ''}a statement ({', '.join(STATEMENTS)})", (*STATEMENTS, "and", "or"))
            start = self.token
            for name, part in self.statement().items():
                if name in given:
                    self.fail(f"Expected {name.replace('_', ' ')} once, was given twice; join conditions with 'or'.", start)
                given[name], places[name] = part, start
        for side in ("long", "short"):
            place = places.get(f"exit_{side}")
            if place is not None and f"enter_{side}" not in given and given.get("exit_long") is not given.get("exit_short"):
                self.fail(f"Expected 'enter {side} when' beside 'exit {side} when', was none: the exit could never apply.", place)
        return Strategy(family, symbols, timeframe, **given, against=against)

    def symbols(self) -> tuple[str, ...]:
        if self.accept("*"):
            return ("*",)
        found: list[str] = []
        while not found or self.accept(","):
            if self.token.kind != "symbol":
                self.expected("a symbol written BASE/QUOTE such as BTC/USDT" + ("" if found else ", or * for all"))
            found.append(self.advance().text)
        return tuple(found)

    def statement(self) -> dict[str, Any]:
        word = self.advance().text
        if word == "enter":
            side = self.require("long", "short").text
            self.require("when")
            return {f"enter_{side}": self.condition()}
        if word == "exit":
            chosen = self.accept("long", "short")
            if not self.accept("when"):
                self.expected("'when'" if chosen else "'when', 'long' or 'short'", ("when", "long", "short"))
            condition = self.condition()
            return {f"exit_{side}": condition for side in ((chosen.text,) if chosen else ("long", "short"))}
        if word in ("hold", "cooldown"):
            if word == "hold" and self.accept("at"):
                self.require("most")
            token = self.token
            number, percent = self.number("a number of bars")
            if percent or number != int(number) or number < 1:
                self.fail(f"Expected a whole number of bars, 1 or more, was {self.text[token.at : self.token.at].strip()!r}.", token)
            self.accept("bars", "bar")
            return {word: int(number)}
        if word == "size":
            return {"size": self.size()}
        return {word: self.level(word)}

    def number(self, what: str) -> tuple[float, bool]:
        """A literal with an optional sign and percent: (value, was percent)."""
        negative = self.accept("-") is not None
        if self.token.kind != "number":
            self.expected(what)
        token = self.advance()
        percent = self.accept("%") is not None
        try:
            value = decimal_value(token.text, percent)
        except ArithmeticError:
            self.fail(f"Expected a number, was {token.text!r}.", token)
        return (-value if negative else value), percent

    def level(self, name: str) -> Level:
        value, percent = self.number(f"a distance after '{name}' such as 3% or 2 atr(14)")
        if percent:
            return Level("percent", value)
        if not self.accept("atr"):
            self.expected(f"'%' or 'atr(14)' after the {name}'s number", ("atr",))
        length = 14.0
        if self.accept("("):
            self.accept("length") and self.require("=")
            length, _ = self.number("a length of the ATR")
            self.require(")")
        if length != int(length):
            self.fail(f"Expected a whole length of the {name}'s ATR, was {length:g}.")
        return Level("atr", value, int(length))

    def size(self) -> Size:
        kinds = ("all_in", "fraction", "volatility_target", "kelly")
        if not self.sees(*kinds):
            self.expected(f"a size ({', '.join(kinds)})", kinds)
        kind: Any = self.advance().text
        if kind == "all_in":
            return Size(kind)
        value, percent = self.number(f"a number after '{kind}', such as {'0.5' if kind == 'kelly' else '25%'}")
        if not percent and value > 1 and kind != "kelly":
            self.fail(f"Expected a percentage after '{kind}', was {value:g}; write {value:g}%.", self.tokens[self.index - 1])
        series = self.value() if kind == "volatility_target" and self.accept("of") else None
        return Size(kind, value, series)

    # -- conditions and values ------------------------------------------------------------------------------
    def condition(self) -> Condition:
        at = self.token
        return self.as_condition(self.disjunction(), at)

    def value(self) -> Value:
        at = self.token
        return self.as_value(self.sum(), at)

    def as_condition(self, node: Condition | Value, at: Token) -> Condition:
        if not isinstance(node, _CONDITION_TYPES):
            self.fail("Expected a condition, was a value; compare it with something, such as '> 0'.", at)
        return node

    def as_value(self, node: Condition | Value, at: Token) -> Value:
        if isinstance(node, _CONDITION_TYPES):
            self.fail("Expected a value, was a condition; a condition has no number to calculate or compare with.", at)
        return node

    def disjunction(self) -> Condition | Value:
        return self.joined("or", Or, self.conjunction)

    def conjunction(self) -> Condition | Value:
        return self.joined("and", And, self.negation)

    def joined(self, word: str, kind: type[And] | type[Or], operand: Any) -> Condition | Value:
        at = self.token
        node = operand()
        if not self.sees(word):
            return node
        terms = [self.as_condition(node, at)]
        while self.accept(word):
            at = self.token
            terms.append(self.as_condition(operand(), at))
        return kind(tuple(terms))

    def negation(self) -> Condition | Value:
        negated, nots = False, 0
        while self.accept("not"):
            negated, nots = not negated, nots + 1
        at = self.token
        node = self.comparison()
        if not nots:
            return node
        condition = self.as_condition(node, at)
        return Not(condition) if negated else condition

    def comparison(self) -> Condition | Value:
        at = self.token
        left = self.sum()
        if self.sees("=", "==", "!="):
            self.fail(f"Expected >, <, >= or <=, was {self.token.text!r}: series of floats are never compared for equality.")
        if not self.sees(">", "<", ">=", "<="):
            return left
        left = self.as_value(left, at)
        op = self.advance().text
        at = self.token
        right = self.as_value(self.sum(), at)
        if self.sees(">", "<", ">=", "<=", "=", "=="):
            self.fail("Expected one comparison at a time, was a chain; write between(x, low, high) or join two with 'and'.")
        return Compare(op, left, right)

    def sum(self) -> Condition | Value:
        return self.chained(("+", "-"), self.product)

    def product(self) -> Condition | Value:
        return self.chained(("*", "/"), self.unary)

    def chained(self, signs: tuple[str, ...], operand: Any) -> Condition | Value:
        at = self.token
        node = operand()
        links = 0
        while self.sees(*signs):
            left = self.as_value(node, at)
            sign = self.advance()
            links += 1
            if links > _DEEPEST:
                self.fail(f"Expected at most {_DEEPEST} operators in a row, was more; shorten it.", sign)
            at_right = self.token
            node = self.settled(Arithmetic(sign.text, (left, self.as_value(operand(), at_right))), sign)
        return node

    def unary(self) -> Condition | Value:
        if not self.sees("-"):
            return self.term()
        self.enter_level()
        self.advance()
        at = self.token
        inner = self.as_value(self.unary(), at)
        self.depth -= 1
        return Number(-inner.value) if isinstance(inner, Number) else Arithmetic("neg", (inner,))

    def enter_level(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"Expected at most {_DEEPEST} levels of nesting, was more; simplify the expression.")

    def term(self) -> Condition | Value:
        token = self.token
        if token.kind == "number":
            return Number(self.number("a number")[0])
        if token.kind == "mark" and token.text == "(":
            self.enter_level()
            self.advance()
            node = self.disjunction()
            self.require(")")
            self.depth -= 1
            if self.token.kind == "suffix":
                self.fail("Expected a suffix right after a series, was after a bracket; put it on each series: close@4h - open@4h.")
            return node
        if token.kind == "suffix" or self.sees("@"):
            self.fail("Expected a series before '@', was nothing; write close@4h or close@BTC/USDT.")
        if token.kind != "name" or token.text in _RESERVED:
            self.expected("a number, a series or '('", words())
        self.enter_level()
        node = self.named()
        self.depth -= 1
        return node

    def named(self) -> Condition | Value:
        token = self.advance()
        name = token.text
        while self.sees(".") and self.token.adjoins:
            self.advance()
            if self.token.kind not in ("name", "number", "timeframe") or not self.token.adjoins:
                self.expected(f"a name after '{name}.'")
            name += "." + self.advance().text
        if name in CONDITION_FUNCTIONS or name in FUNCTIONS:
            return self.function(name, token)
        arguments: list[tuple[Value, Token]] = []
        keywords: dict[str, float] = {}
        called = self.accept("(") is not None
        if called:
            self.arguments(name, arguments, keywords)
        head, _, output = name.partition(".")
        if called and self.sees(".") and self.token.adjoins:
            self.advance()
            if self.token.kind != "name":
                self.expected(f"an output of {name}")
            output = self.advance().text
        timeframe, symbol = self.suffixes()
        if name in PRICE_FIELDS or (output and entry(head) is None):
            if called:
                self.fail(f"Expected no arguments after {name!r}, was '(': it is a series, not an indicator.", token)
            return Series(name, (), (), None, timeframe, symbol)
        inputs = []
        numbers = []
        for value, at in arguments:
            if isinstance(value, Number):
                numbers.append(value.value)
            elif numbers:
                self.fail(f"Expected the series of {head} before its numbers, was a series after one.", at)
            else:
                inputs.append(value)
        try:
            return call(head, inputs, numbers, keywords, output or None, timeframe, symbol)
        except StrategyError as error:
            raise StrategySyntaxError(self.text, token.at, str(error)) from None

    def arguments(self, name: str, values: list[tuple[Value, Token]], keywords: dict[str, float]) -> None:
        """What stands between the brackets of a call, the closing one included."""
        while not self.accept(")"):
            if values or keywords:
                self.require(",", ")")
                if self.tokens[self.index - 1].text == ")":
                    return
            following = self.tokens[min(self.index + 1, len(self.tokens) - 1)]
            if self.token.kind == "name" and following.text == "=":
                keyword = self.token.text
                if keyword in keywords:
                    self.fail(f"Expected {keyword} of {name} once, was given twice.")
                self.index += 2
                keywords[keyword] = self.number(f"a number for {keyword}")[0]
            elif keywords:
                self.expected("a parameter by name (name=number) after the first one by name")
            else:
                at = self.token
                value = self.as_value(self.sum(), at)
                values.append((canonical_value(value), at))

    def suffixes(self) -> tuple[str | None, str | None]:
        found: dict[str, str] = {}
        while self.token.kind == "suffix" or self.sees("@"):
            if self.token.kind != "suffix":
                self.index += 1
                self.expected("a timeframe (4h) or a symbol (BTC/USDT) after '@'")
            text = self.token.text[1:].strip()
            kind = "symbol" if "/" in text else "timeframe"
            if kind in found:
                self.fail(f"Expected one {kind} after '@', was a second.")
            found[kind] = text
            self.advance()
        return found.get("timeframe"), found.get("symbol")

    def function(self, name: str, token: Token) -> Condition | Value:
        self.require("(")
        arguments: list[tuple[Value, Token]] = []
        keywords: dict[str, float] = {}
        self.arguments(name, arguments, keywords)
        wanted = 3 if name == "between" else 1 if name in ("abs", "log", "sqrt", "sign") else 2
        if keywords or len(arguments) != wanted:
            self.fail(
                f"Expected {wanted} {'value' if wanted == 1 else 'values'} in {name}(...), was {len(arguments) + len(keywords)}.", token
            )
        values = tuple(value for value, _ in arguments)
        if name == "between":
            return And((Compare(">=", values[0], values[1]), Compare("<=", values[0], values[2])))
        if name in CONDITION_FUNCTIONS:
            return Compare(name, *values)
        return self.settled(Arithmetic(name, values), token)

    def settled(self, value: Value, at: Token) -> Value:
        """The canonical form, or the place where it has none."""
        try:
            return canonical_value(value)
        except StrategyError as error:
            raise StrategySyntaxError(self.text, at.at, str(error)) from None
