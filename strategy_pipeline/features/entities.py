"""Which assets a text is about: names, tickers, pairs and cashtags, as whole words.

What belongs here: the names of assets and the rules for reading them. What does not: the sentiment of a text.

The longest name counts, so that "Bitcoin Cash" is not about Bitcoin. A cashtag ($LINK), a hashtag of a ticker (#LINK) and
a pair (LINK/USDT, LINKUSDT) always count. A ticker counts in any case (btc), unless it is also a word (ONE, LINK, DOT,
NEAR, SAND): then only in capitals within a text that is not all capitals, and in brackets, with a word of trading
beside it or, unless it is an everyday word, a word of crypto in the text. A name that is also a word (Avalanche, Cosmos)
counts with a capital and a word of crypto.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

# Ticker -> names. Names in AMBIGUOUS_NAMES are also ordinary words.
NAMES: dict[str, tuple[str, ...]] = {
    "BTC": ("bitcoin", "bitcoins", "xbt"), "ETH": ("ethereum", "ether"), "BNB": ("binance coin", "bnb chain"), "SOL": ("solana",),
    "XRP": ("ripple", "xrp ledger"), "ADA": ("cardano",), "DOGE": ("dogecoin",), "DOT": ("polkadot",), "LTC": ("litecoin",),
    "LINK": ("chainlink",), "AVAX": ("avalanche",), "MATIC": ("polygon",), "POL": ("polygon ecosystem token",), "UNI": ("uniswap",),
    "ATOM": ("cosmos", "cosmos hub"), "NEAR": ("near protocol",), "FIL": ("filecoin",), "TRX": ("tron",),
    "XLM": ("stellar", "stellar lumens"), "ALGO": ("algorand",), "ENA": ("ethena",), "BCH": ("bitcoin cash",),
    "BSV": ("bitcoin sv", "bitcoin satoshi vision"), "BTG": ("bitcoin gold",), "ETC": ("ethereum classic",), "ETHW": ("ethereum pow",),
    "WBTC": ("wrapped bitcoin",), "STETH": ("staked ether", "lido staked ether"), "SHIB": ("shiba inu",), "PEPE": ("pepe coin",),
    "TON": ("toncoin", "the open network"), "APT": ("aptos",), "ARB": ("arbitrum",), "OP": ("optimism",), "SUI": ("sui network",),
    "SEI": ("sei network",), "INJ": ("injective",), "TIA": ("celestia",), "ICP": ("internet computer",),
    "HBAR": ("hedera", "hedera hashgraph"), "VET": ("vechain",), "XMR": ("monero",), "ZEC": ("zcash",), "DASH": ("dash",),
    "EOS": ("eos.io",), "XTZ": ("tezos",), "NEO": ("neo blockchain",), "IOTA": ("miota",), "AAVE": ("aave",),
    "MKR": ("makerdao", "maker dao"), "COMP": ("compound finance",), "CRV": ("curve dao", "curve finance"), "SNX": ("synthetix",),
    "SUSHI": ("sushiswap",), "CAKE": ("pancakeswap",), "YFI": ("yearn finance", "yearn.finance"), "1INCH": ("1inch network",),
    "LDO": ("lido", "lido dao"), "GRT": ("the graph",), "SAND": ("the sandbox",), "MANA": ("decentraland",), "AXS": ("axie infinity",),
    "ENJ": ("enjin coin",), "CHZ": ("chiliz",), "FTM": ("fantom",), "S": ("sonic labs",), "ONE": ("harmony",),
    "EGLD": ("multiversx", "elrond"), "THETA": ("theta network",), "KSM": ("kusama",), "WAVES": ("waves platform",),
    "ZIL": ("zilliqa",), "QTUM": ("qtum",), "ONT": ("ontology",), "RUNE": ("thorchain",), "KAVA": ("kava",), "STX": ("stacks",),
    "FLOW": ("flow blockchain",), "GALA": ("gala games",), "APE": ("apecoin",), "IMX": ("immutable x",), "RNDR": ("render network",),
    "RENDER": ("render token",), "FET": ("fetch.ai",), "AR": ("arweave",), "GMX": ("gmx",), "DYDX": ("dydx",), "LUNA": ("terra luna",),
    "LUNC": ("terra classic", "luna classic"), "UST": ("terrausd",), "USDT": ("tether",), "USDC": ("usd coin",),
    "DAI": ("dai stablecoin",), "BUSD": ("binance usd",), "FTT": ("ftx token",), "CRO": ("crypto.com coin", "cronos"), "OKB": (),
    "LEO": ("unus sed leo",), "WLD": ("worldcoin",), "JUP": ("jupiter exchange",), "PYTH": ("pyth network",), "HYPE": ("hyperliquid",),
    "TAO": ("bittensor",), "KAS": ("kaspa",), "BONK": ("bonk",), "WIF": ("dogwifhat",), "FLOKI": ("floki inu",), "BLUR": (),
    "MASK": ("mask network",), "GAS": (), "HOT": ("holochain", "holo"), "SUN": ("sun.io",), "JST": ("just token",),
    "BAT": ("basic attention token",), "ZRX": ("0x protocol",), "OMG": ("omg network",), "TRUMP": ("official trump",),
    "ENS": ("ethereum name service",), "LPT": ("livepeer",), "CELO": ("celo",), "ROSE": ("oasis network",), "ANKR": ("ankr",),
    "BAND": ("band protocol",), "TRB": ("tellor",), "PENDLE": ("pendle",), "ONDO": ("ondo finance",), "STRK": ("starknet",),
    "ZK": ("zksync",), "ORDI": ("ordinals token",), "QNT": ("quant network",),
}  # fmt: skip

# Tickers that are also words, names of people, or abbreviations of other things.
AMBIGUOUS_TICKERS = frozenset(
    """
    ACE ADA ALGO ALICE ALPHA APE APT AR ARB ARK ATOM AUCTION AUDIO AXS BAKE BAND BAT BEL BICO BIG BLUR BOND BONK CAKE CAT CELO CHESS
    CITY COMP COS COW CREAM CRO DASH DATA DEGO DENT DOCK DOT DUSK EDU ELF ENA ENS ETC FARM FET FIL FIO FIRO FLOW FOR FRONT FUN GALA GAS
    GHST GMT HARD HIGH HOT HYPE ICP ID INJ IOTA IRIS JUP KAS KEEP KEY LAYER LEO LINA LINK LIT LOKA LOOM LUNA MAGIC MANA MASK MDX ME
    MEME MOVE NEAR NEO NOT NULS OMG ONE ONT OP ORCA OXT PEOPLE PEPE PERP PHA PIXEL PLA POL POLS POND PORTAL PROM PYR QUICK RAD RARE RAY
    RED REEF REN RIF ROSE RUNE S SAFE SAND SEI SLP SOL SPELL STEP STORM STRK SUI SUN SUPER SYN THETA TIME TKO TLM TOKEN TON TRUE TRUMP
    UNI UST VET VIC VITE VOXEL WAN WAVES WAXP WIN WING YGG ZK
    """.split()  # noqa: SIM905
)
AMBIGUOUS_NAMES = frozenset(
    {
        "avalanche", "bonk", "celestia", "cosmos", "cronos", "dash", "fantom", "harmony", "holo", "kava", "lido", "ontology",
        "optimism", "pendle", "polygon", "ripple", "stacks", "stellar", "the graph", "the sandbox", "tron",
    }
)  # fmt: skip
# Of those, everyday words that a text on crypto shouts too ("ONE of the best days"): only a word of trading beside them tells.
EVERYDAY_TICKERS = frozenset(
    """
    ALPHA BIG CAT CITY COW CREAM DATA EDU FARM FLOW FOR FRONT FUN GAS HARD HIGH HOT HYPE ID KEEP KEY LINK MASK ME MOVE NOT ONE OP
    PEOPLE PORTAL QUICK RARE RED S SAFE SPELL STEP SUN SUPER TIME TOKEN TRUE WIN
    """.split()  # noqa: SIM905
)
_TRADE_WORDS = frozenset(
    """
    airdrop bearish bears blockchain breakout bullish bulls buy climbed climbs coin coins crashed crashes crypto dips down dropped
    drops eyes falls fell flips futures gained gains hits hodl holder holders jumped jumps listing long loses mainnet network perpetual
    plunged plunges price prices protocol rallied rallies rally reclaims rises rose sell short slides slumps soared soars staking surge
    surged surges tests token tokens traders trades trading up usd usdt volume whale whales
    """.split()  # noqa: SIM905
)
_CRYPTO = re.compile(
    r"\b(?:crypto\w*|blockchain\w*|tokens?|coins?|altcoins?|defi|nfts?|stak(?:e|ing)|mainnet|web3|stablecoins?|bitcoin|btc|ethereum|eth|binance|coinbase|kraken|"
    r"dapps?|dao|smart contracts?|wallets?|on-chain|hodl\w*|ledger|layer[- ][12]|airdrops?|validators?|bull(?:ish|run)|bear(?:ish)?)\b",
    re.IGNORECASE,
)
_QUOTES = "USDT|USDC|FDUSD|BUSD|USD|EUR|BTC|ETH|PERP"
_WORDS = re.compile(r"[A-Za-z0-9$#']+")


def asset_of(name: str) -> str:
    """The ticker that a source's own label means ("bitcoin", "btc", "BTC/USDT" are BTC); in capitals as given if unknown."""
    text = name.strip()
    if text.upper() in NAMES:
        return text.upper()
    return _by_name().get(text.lower(), text.upper().split("/")[0])


@lru_cache(maxsize=1)
def _by_name() -> dict[str, str]:
    return {name: ticker for ticker, names in NAMES.items() for name in names}


class EntityMatcher:
    """Finds the assets of a universe in texts.

    Parameters
    ----------
    bases : base currencies to look for (BTC, ETH); others are known too, so that their longer names are not mistaken
    aliases : further names by ticker
    """

    def __init__(self, bases: Sequence[str], aliases: dict[str, Sequence[str]] | None = None) -> None:
        self.bases = tuple(base.upper() for base in bases)
        extra = {name.lower(): ticker.upper() for ticker, names in (aliases or {}).items() for name in names}
        self._names = {**_by_name(), **extra}
        self._plain = frozenset(extra)
        tickers = {*NAMES, *self.bases}
        named = "|".join(re.escape(name) for name in sorted(self._names, key=lambda name: (-len(name), name)))
        spelled = "|".join(re.escape(ticker) for ticker in sorted(tickers, key=lambda ticker: (-len(ticker), ticker)))
        self._pattern = re.compile(
            rf"(?<![\w$#/])(?:(?P<name>{named})(?:'s|’s)?(?![\w])|[$#](?P<tag>{spelled})\b|"
            rf"(?P<pair>{spelled})[/\-_]?(?:{_QUOTES})\b|(?P<ticker>{spelled})(?![\w/]))",
            re.IGNORECASE,
        )

    def match(self, text: str) -> tuple[str, ...]:
        """Assets of the universe that the text is about, in order of first mention; () where none is."""
        found: dict[str, None] = {}
        for mention in self._pattern.finditer(text):
            asset = self._asset(mention, text)
            if asset is not None:
                found[asset] = None
        return tuple(asset for asset in found if asset in self.bases)

    def match_all(self, texts: Iterable[str]) -> list[tuple[str, ...]]:
        """`match` of each text."""
        known: dict[str, tuple[str, ...]] = {}
        return [known[text] if text in known else known.setdefault(text, self.match(text)) for text in texts]

    def _asset(self, mention: re.Match[str], text: str) -> str | None:
        kind = mention.lastgroup or ""
        said = mention[kind]
        if kind == "name":
            name = said.lower()
            doubtful = name in AMBIGUOUS_NAMES and name not in self._plain
            if doubtful and not (said[0].isupper() and _elsewhere(_CRYPTO, mention, text)):
                return None
            return self._names[name]
        ticker = said.upper()
        if kind in ("tag", "pair"):
            # A pair written in small letters may be a word (ONE-BTC is a pair, "dot-eth" is none).
            return ticker if kind == "tag" or said.isupper() or ticker not in AMBIGUOUS_TICKERS else None
        if ticker not in AMBIGUOUS_TICKERS and len(ticker) > 2:
            return ticker
        if not said.isupper() or _shouted(text):
            return None
        if _traded(mention, text) or (
            text[mention.start() - 1 : mention.start()] == "(" and text[mention.end() : mention.end() + 1] == ")"
        ):
            return ticker
        return ticker if ticker not in EVERYDAY_TICKERS and _elsewhere(_CRYPTO, mention, text) else None


def _elsewhere(pattern: re.Pattern[str], mention: re.Match[str], text: str) -> bool:
    return any(found.end() <= mention.start() or found.start() >= mention.end() for found in pattern.finditer(text))


def _shouted(text: str) -> bool:
    """Whether most longer words are capitals, so that capitals mark nothing."""
    words = [word for word in _WORDS.findall(text) if word.isalpha() and len(word) > 2]
    return len(words) > 2 and sum(word.isupper() for word in words) > 0.6 * len(words)


def _traded(mention: re.Match[str], text: str) -> bool:
    """Whether a word of trading stands within two words of the mention."""
    before = _WORDS.findall(text[: mention.start()])[-2:]
    after = _WORDS.findall(text[mention.end() :])[:2]
    return any(word.lower().removesuffix("'s") in _TRADE_WORDS for word in (*before, *after))
