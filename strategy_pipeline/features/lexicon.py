"""Words of markets and of crypto that VADER's general lexicon lacks or reads wrongly.

What belongs here: judgements on words and phrases, and why. What does not: how a text is scored with them (`finance`).

Valences are on VADER's scale, -4 to 4: 1 leans, 2 is clear, 3 is strong. They are judgements, made word by word from
general knowledge and not fitted on labelled sentences, along these lines:

- What moves a holder's wealth is good or bad, whoever speaks: a hack, a delisting and a lawsuit are bad; an approval, an
  order won and a listing are good. Traders' slang (moon, rekt, rug pull) is taken as traders use it.
- Everyday words that are neutral in finance lose their valence (T. Loughran and B. McDonald, 2011, "When Is a Liability
  Not a Liability?": tax, liability, cost, board; VADER adds share, interest, security, value, credit and their like).
- Words of direction (rose, fell) say nothing by themselves: what rises decides. They count with the sign of their subject
  (`GOOD_WHEN_HIGHER`, `BAD_WHEN_HIGHER`), and mildly as good (up) or bad (down) when no subject is named.
"""

from __future__ import annotations

# ---- single words -------------------------------------------------------------------------------------------------

# General words that carry no judgement in finance.
NEUTRAL = frozenset(
    """
    accept accepted accepting accepts active actively activity advance advanced advances agree agreed agreement agreements agrees alert
    allow allowed allows ape aped apes argue asset attract attracting attraction attracts ban-free bank banks beautiful bill bitcoins
    blind block blocked blocks board bright burn burned burner burning burns capital care certain chance chances charge charged charges
    clear clearly cold comfort comfortable comfortably commit commitment commitments committed comprehensive convenient cool cost costs
    create created creates creating creative credit credits crude cut cutting dark dear debt debts defense degen demand demanded
    demanding demands desire determined devoted discount discounts dominant dominate dominates drop dropped dropping drops dynamic ease
    eases easier easily easy effective effectively efficient elegant emergency encourage energetic energy engage engaged engages enjoy
    enjoys ensure ensured ensures ensuring entertainment environment exposed fake-proof favor favorite festival fine fire fires foreign
    free freedom fresh friend friendly friends fun game games gift gifts glad grand grant granted granting grants greet gross hard
    harder health healthy heavy hello help helped helping helps hide honest honor hot ideal important innovation innovations innovative
    inspire inspired intelligent interest interested interests intimate invite invited inviting join joined joining joins justice keen
    killer kind leave left legal liabilities liability like like-for-like liked likes limited limits low lower lowest luxury mandatory
    matter matters mine mining miss missed natural no novel numb number opportunities opportunity original outlook paid parties party
    pay play played player playing plays please popular pretty pride prime proof-of-burn proprietary reach ready relevant reserve
    reserved respect respected responsibility responsible restructure safe safely safety secure securities security sentence share
    shared shares sharing shock shorting significance significant significantly smart solution solutions solve solved sophisticated
    special stop stopped stopping stops substantial substantially support supported supporter supporting supports tax taxes top true
    trust trusted trusting trusts united value valued values vice vision want wanted wants war warm warmth weapon weapons well wild
    worth yes
    """.split()  # noqa: SIM905
)

# Company and economy.
FINANCE: dict[str, float] = {
    # good news
    "profit": 0.6, "profits": 0.6, "profitable": 1.9, "profitability": 1.0, "outperform": 2.0, "outperforms": 2.0, "outperformed": 2.0,
    "outperforming": 2.0, "upgrade": 1.8, "upgraded": 1.8, "upgrades": 1.6, "upgrading": 1.2, "upbeat": 2.0, "upside": 1.7,
    "record-high": 2.4, "record-breaking": 2.4, "breakthrough": 2.2, "milestone": 1.7, "rebound": 1.8, "rebounds": 1.8,
    "rebounded": 1.8, "recover": 1.6, "recovers": 1.6, "recovered": 1.6, "recovery": 1.5, "recovering": 1.5, "turnaround": 1.5,
    "robust": 1.7, "solid": 1.5, "resilient": 1.7, "resilience": 1.5, "strengthen": 1.7, "strengthens": 1.7, "strengthened": 1.7,
    "strengthening": 1.6, "expand": 1.2, "expands": 1.2, "expanded": 1.2, "expanding": 1.2, "expansion": 1.2, "accelerate": 1.3,
    "accelerates": 1.3, "accelerated": 1.3, "dividend": 0.7, "dividends": 0.7, "buyback": 1.2, "buybacks": 1.2, "bonus": 0.7,
    "award": 1.3, "awarded": 1.7, "awards": 1.3, "wins": 2.0, "won": 2.0, "win": 2.0, "winning": 1.9, "secured": 1.3, "secures": 1.5,
    "approval": 1.5, "approved": 1.4, "approves": 1.5, "approve": 1.2, "undervalued": 1.6, "oversubscribed": 1.8, "efficiency": 1.2,
    "efficiencies": 1.2, "synergies": 1.4, "synergy": 1.3, "improve": 1.7, "improves": 1.7, "improved": 1.8, "improvement": 1.6,
    "improvements": 1.5, "improving": 1.6, "exceed": 1.6, "exceeds": 1.7, "exceeded": 1.7, "exceeding": 1.5, "surpass": 1.6,
    "surpasses": 1.7, "surpassed": 1.7, "boost": 1.6, "boosts": 1.6, "boosted": 1.7, "boosting": 1.5, "successfully": 1.6,
    "success": 1.8, "successful": 1.8, "partnership": 1.1, "partnerships": 1.0, "optimistic": 1.8, "optimism": 1.7, "attractive": 1.3,
    "competitive": 1.0, "competitiveness": 1.2, "enhance": 1.2, "enhances": 1.2, "enhanced": 1.2, "enhancing": 1.1, "lucrative": 1.7,
    "bargain": 1.0, "rewarding": 1.5, "pioneer": 1.0, "leading": 0.4, "creditworthy": 1.4, "soundness": 1.3, "windfall": 1.8,
    "outpaced": 1.4, "outpace": 1.4, "upturn": 1.8, "uptick": 1.2, "uptrend": 1.7, "rallied": 2.0, "rally": 1.9, "rallies": 2.0,
    "rallying": 1.9, "breakout": 1.6, "all-time-high": 2.2, "best-ever": 2.2, "growth": 1.2, "grow": 1.2, "grows": 1.4, "grew": 1.6,
    "growing": 1.2, "grown": 1.3, "double-digit": 0.8, "doubled": 1.6, "doubles": 1.6, "tripled": 1.8, "triples": 1.8,
    "quadrupled": 2.0, "inflows": 1.3, "inflow": 1.2, "accretive": 1.3, "new-high": 1.8, "reaffirmed": 0.8, "outstripped": 1.3,
    "favourable": 1.6, "favourably": 1.6, "favorable": 1.6, "favorably": 1.6, "upwards": 1.2, "upward": 1.2, "upswing": 1.6,
    "prosperous": 2.0, "benefits": 1.2, "benefit": 1.1, "benefited": 1.5,
    # bad news
    "loss": -1.6, "losses": -1.7, "loss-making": -2.0, "lossmaking": -2.0, "unprofitable": -2.0, "underperform": -2.0,
    "underperforms": -2.0, "underperformed": -2.0, "downgrade": -2.0, "downgraded": -2.0, "downgrades": -2.0, "downbeat": -1.8,
    "downside": -1.4, "downturn": -2.0, "downtrend": -1.7, "recession": -2.4, "stagflation": -2.4, "slump": -2.2, "slumps": -2.2,
    "slumped": -2.2, "slowdown": -1.8, "slowed": -1.3, "slows": -1.2, "sluggish": -1.6, "weak": -1.6, "weaken": -1.7, "weakens": -1.7,
    "weakened": -1.8, "weakening": -1.7, "weaker": -1.7, "weakness": -1.6, "shortfall": -1.9, "deficit": -1.4, "writedown": -2.0,
    "write-down": -2.0, "writedowns": -2.0, "write-downs": -2.0, "impairment": -1.8, "impairments": -1.8, "bankrupt": -3.0,
    "bankruptcy": -3.0, "bankruptcies": -3.0, "insolvency": -3.0, "insolvent": -3.0, "default": -2.0, "defaults": -2.0,
    "defaulted": -2.4, "layoff": -2.0, "layoffs": -2.0, "lay-off": -2.0, "lay-offs": -2.0, "redundancies": -2.0, "redundancy": -1.8,
    "redundant": -1.6, "dismissal": -1.8, "dismissals": -1.8, "dismissed": -1.4, "dismiss": -1.3, "terminated": -1.3,
    "termination": -1.3, "terminate": -1.2, "terminations": -1.3, "closure": -1.4, "closures": -1.5, "shutdown": -1.6,
    "shutdowns": -1.6, "lawsuit": -1.8, "lawsuits": -1.8, "sued": -1.9, "sues": -1.9, "sue": -1.7, "suing": -1.8, "litigation": -1.6,
    "probe": -1.4, "probes": -1.4, "investigation": -1.3, "investigations": -1.3, "investigated": -1.4, "indicted": -2.4,
    "indictment": -2.3, "fraud": -2.8, "fraudulent": -2.8, "fined": -2.0, "penalty": -1.8, "penalties": -1.8, "sanctions": -1.5,
    "sanctioned": -1.6, "subpoena": -1.7, "subpoenaed": -1.8, "violation": -1.7, "violations": -1.7, "violated": -1.8, "breach": -1.9,
    "breached": -2.0, "recall": -1.2, "recalls": -1.2, "delay": -1.3, "delays": -1.3, "delayed": -1.4, "postponed": -1.3,
    "postpones": -1.3, "postpone": -1.2, "suspended": -1.5, "suspends": -1.5, "suspend": -1.4, "suspension": -1.4, "halt": -1.4,
    "halts": -1.5, "halted": -1.5, "halting": -1.4, "cancelled": -1.4, "canceled": -1.4, "cancels": -1.4, "withdrawn": -1.0,
    "warning": -1.5, "warns": -1.5, "warned": -1.5, "warn": -1.4, "overvalued": -1.6, "dilution": -1.4, "dilutive": -1.4,
    "plunge": -2.4, "plunges": -2.4, "plunged": -2.4, "plunging": -2.3, "plummet": -2.5, "plummets": -2.5, "plummeted": -2.5,
    "plummeting": -2.5, "tumble": -2.1, "tumbles": -2.1, "tumbled": -2.1, "tumbling": -2.0, "sink": -1.7, "sinks": -1.8, "sank": -1.9,
    "crash": -2.6, "crashes": -2.6, "crashed": -2.6, "crashing": -2.5, "collapse": -2.7, "collapses": -2.7, "collapsed": -2.7,
    "collapsing": -2.6, "selloff": -2.0, "sell-off": -2.0, "sell-offs": -2.0, "sold-off": -1.6, "correction": -1.1, "pullback": -1.0,
    "retreat": -1.1, "retreats": -1.2, "retreated": -1.2, "tank": -1.6, "tanks": -1.9, "tanked": -2.1, "nosedive": -2.4,
    "nosedives": -2.4, "slid": -1.6, "slide": -1.3, "slides": -1.6, "slip": -1.2, "slips": -1.4, "slipped": -1.4, "slipping": -1.3,
    "outflow": -1.2, "outflows": -1.4, "headwind": -1.3, "headwinds": -1.4, "adverse": -1.7, "adversely": -1.8, "unfavorable": -1.7,
    "unfavourable": -1.7, "uncertainty": -1.3, "uncertain": -1.2, "turmoil": -2.2, "contagion": -2.3, "crisis": -2.3, "crunch": -1.7,
    "bailout": -1.4, "downsizing": -1.5, "downsize": -1.4, "cutback": -1.3, "cutbacks": -1.3, "scandal": -2.4, "misconduct": -2.1,
    "fears": -1.6, "worsen": -1.9, "worsens": -1.9, "worsened": -2.0, "worsening": -1.9, "deteriorate": -1.9, "deteriorated": -2.0,
    "deteriorating": -1.9, "deterioration": -1.8, "hurt": -1.7, "hurts": -1.7, "suffered": -1.8, "suffer": -1.7, "suffers": -1.8,
    "strike": -1.0, "strikes": -1.0, "unemployment": -1.0, "bearish": -2.0, "downwards": -1.2, "downward": -1.2, "disappoint": -1.8,
    "disappointing": -1.9, "disappoints": -1.9, "pressure": -0.7, "volatile": -0.7, "risk": -0.6, "risks": -0.7, "resigned": -0.9,
    "resigns": -0.9, "stagnant": -1.4, "stagnation": -1.6, "missed": -1.2, "misses": -1.4, "hike": -0.6,
}  # fmt: skip

# Crypto's own words.
CRYPTO: dict[str, float] = {
    "bullish": 2.3, "bull": 1.1, "bulls": 1.1, "bullrun": 2.2, "moon": 1.9, "mooning": 2.3, "mooned": 2.3, "hodl": 1.0, "hodling": 1.0,
    "hodler": 0.5, "hodlers": 0.5, "wagmi": 1.9, "gm": 0.3, "ath": 1.9, "aths": 1.8, "lambo": 1.6, "pump": 1.0, "pumps": 1.1,
    "pumping": 1.3, "pumped": 1.1, "gem": 1.4, "gems": 1.2, "alpha": 0.6, "airdrop": 0.9, "airdrops": 0.8, "airdropped": 0.7,
    "listing": 0.8, "listed": 0.5, "relisted": 1.2, "halving": 0.7, "adoption": 1.5, "adopts": 1.6, "adopted": 1.3, "adopt": 1.2,
    "mainnet": 0.8, "integrates": 0.9, "integration": 0.7, "accumulate": 1.1, "accumulates": 1.2, "accumulating": 1.3,
    "accumulation": 1.1, "accumulated": 1.1, "undersupplied": 1.2, "decoupling": 0.4, "diamondhands": 1.5, "outshines": 1.5,
    "flippening": 0.6, "btfd": 1.0, "parabolic": 1.4, "ripping": 1.6, "staking": 0.3, "institutional": 0.5, "oversold": 0.7,
    "legalizes": 1.6, "legalized": 1.5, "legalise": 1.3, "legalize": 1.3, "unbanned": 1.6, "inflated": -0.7, "uncapped": 0.3,
    "interoperable": 0.7, "rekt": -2.5, "rug": -2.2, "rugged": -2.6, "rugpull": -3.0, "rugpulls": -3.0, "scam": -2.8, "scams": -2.7,
    "scammer": -2.8, "scammers": -2.8, "scammed": -2.9, "ponzi": -3.0, "honeypot": -2.4, "exploit": -2.4, "exploits": -2.3,
    "exploited": -2.6, "exploiter": -2.4, "hack": -2.5, "hacks": -2.4, "hacked": -2.8, "hacker": -2.2, "hackers": -2.2, "hacking": -2.3,
    "stolen": -2.4, "steal": -2.2, "steals": -2.3, "drained": -2.3, "drain": -1.6, "drains": -1.9, "phishing": -2.2, "malware": -2.2,
    "ransomware": -2.2, "laundering": -2.2, "launder": -2.1, "laundered": -2.2, "depeg": -2.6, "depegs": -2.6, "depegged": -2.6,
    "de-peg": -2.6, "unpegged": -2.2, "delist": -2.1, "delists": -2.2, "delisted": -2.2, "delisting": -2.1, "liquidated": -1.9,
    "liquidation": -1.6, "liquidations": -1.7, "liquidates": -1.7, "capitulation": -1.9, "capitulate": -1.9, "capitulates": -1.9,
    "fud": -1.5, "ngmi": -1.9, "dump": -1.9, "dumps": -1.9, "dumped": -2.0, "dumping": -2.0, "bear": -1.1, "bears": -1.1,
    "bagholder": -1.7, "bagholders": -1.7, "shitcoin": -2.0, "shitcoins": -2.0, "vaporware": -2.0, "overbought": -0.7, "ban": -2.0,
    "bans": -2.1, "banned": -2.1, "banning": -2.0, "crackdown": -2.0, "crackdowns": -2.0, "outlawed": -2.1, "outlaws": -2.1,
    "restricts": -1.2, "restrict": -1.1, "restrictions": -1.1, "outage": -1.7, "outages": -1.7, "congestion": -1.2, "congested": -1.2,
    "downtime": -1.5, "vulnerability": -1.8, "vulnerabilities": -1.8, "bug": -1.2, "bugs": -1.2, "sybil": -1.2, "wash-trading": -1.9,
    "frozen": -1.5, "freezes": -1.6, "freeze": -1.4, "unstaking": -0.5, "unlock": -0.6, "unlocks": -0.7, "selling": -0.9, "sells": -0.4,
    "bleed": -1.8, "bleeds": -1.9, "bleeding": -1.9, "bloodbath": -2.9, "bubble": -1.4, "winter": -0.5, "arrested": -2.0,
    "arrest": -1.8, "convicted": -2.1, "guilty": -2.0, "sentenced": -1.6, "implodes": -2.6, "imploded": -2.6, "implosion": -2.5,
    "unregistered": -1.5, "seized": -1.5, "seizes": -1.4, "seizure": -1.4, "kidnapped": -2.4, "heist": -2.3, "theft": -2.3,
    "thefts": -2.3, "underwater": -1.4, "plagued": -1.8, "fades": -1.0, "rejected": -1.5, "rejects": -1.5, "rejection": -1.4,
    "denied": -1.4, "denies": -0.8, "stumbles": -1.5,
}  # fmt: skip

# Emoji as traders use them; the rest stay with VADER.
EMOJI: dict[str, str] = {
    "🚀": "mooning", "🌕": "moon", "🌝": "moon", "📈": "uptrend", "📉": "downtrend", "🐂": "bullish", "🐻": "bearish", "💎": "gem",
    "🩸": "bleeding", "🔥": "ripping", "🟢": "uptick", "🔴": "downtick", "⚠": "warning", "🚨": "alarm_sign",
}  # fmt: skip

# ---- phrases ------------------------------------------------------------------------------------------------------

# Phrases that mean something else than their words; a regular expression of whole words each.
PHRASES: dict[str, float] = {
    # crypto
    r"all[- ]time highs?": 2.3,
    r"all[- ]time lows?": -2.3,
    r"(?:record|new|fresh|\w+-(?:year|month|week)) highs?": 1.9,
    r"(?:record|new|fresh|\w+-(?:year|month|week)) lows?": -1.9,
    r"to the moon": 2.4,
    r"rug[- ]pull(?:s|ed|ing)?": -3.0,
    r"bull(?:ish)? (?:run|market|flag|rally|trend)": 2.2,
    r"bear(?:ish)? (?:market|flag|trend|trap)": -1.7,
    r"golden cross": 1.9,
    r"death cross": -2.0,
    r"dead[- ]cat bounce": -1.6,
    r"short squeeze": 1.3,
    r"long squeeze": -1.6,
    r"buy(?:ing)? the dip": 1.3,
    r"buy signal": 1.7,
    r"sell signal": -1.7,
    r"selling pressure": -1.7,
    r"buying pressure": 1.6,
    r"sell(?:ing)?[- ]off": -2.0,
    r"diamond hands": 1.4,
    r"paper hands": -1.1,
    r"crypto winter": -2.0,
    r"exit scam": -3.0,
    r"pump[- ]and[- ]dump": -2.6,
    r"(?:flash loan|bridge|51%|51 %|sybil|dust(?:ing)?|sandwich) attacks?": -2.3,
    r"double[- ]spend(?:ing)?": -2.2,
    r"money laundering": -2.4,
    r"market manipulation": -2.3,
    r"wash trading": -1.9,
    r"loss of (?:funds|peg)": -2.5,
    r"los(?:es|t|ing) (?:its |the )?(?:\w+ )?peg": -2.6,
    r"bank runs?": -2.6,
    r"proof[- ]of[- ]\w+": 0.0,
    r"hard fork": 0.0,
    r"hot wallets?": 0.0,
    r"cold (?:wallets?|storage)": 0.0,
    r"smart contracts?": 0.0,
    r"stop[- ]loss(?:es)?": 0.0,
    r"token burns?": 0.8,
    r"burns? \d[\d,.]*": 0.6,
    r"(?:halts?|halted|pauses?|paused|suspends?|suspended|freezes?|froze) (?:all )?(?:customer |user )?withdrawals": -2.9,
    r"etf (?:approval|approved|inflows?)": 2.2,
    r"etf (?:rejection|rejected|denied|outflows?)": -2.0,
    r"approv(?:es|ed|al of) (?:\w+ ){0,3}etfs?": 2.3,
    r"(?:reject|rejects|rejected|denies|denied|delays|delayed) (?:\w+ ){0,3}etfs?": -1.9,
    r"legal tender": 1.7,
    r"fire sale": -1.9,
    r"fear (?:and|&) greed": 0.0,
    r"extreme fear": -1.7,
    r"extreme greed": 0.6,
    r"risk[- ]off": -1.3,
    r"risk[- ]on": 1.1,
    r"free ?fall": -2.6,
    r"breaks? (?:above|out)|broke (?:above|out)|breaking out": 1.6,
    r"breaks? (?:below|down)|broke (?:below|down)": -1.6,
    r"(?:holds?|held) above": 0.9,
    r"(?:falls?|fell|drops?|dropped|dips?|dipped|slips?|slipped|slides?|slid) (?:below|under)": -1.8,
    r"(?:rises?|rose|climbs?|climbed|jumps?|jumped|surges?|surged|soars?|soared) (?:above|past|over)": 1.9,
    r"outflows? from exchanges|exchange outflows?": 0.9,
    r"inflows? to exchanges|exchange inflows?": -0.9,
    # companies and the economy
    r"(?:profit|earnings|sales|revenue) warnings?": -2.6,
    r"(?:beats?|topp?(?:s|ed)|above|ahead of|better than) (?:\w+ )?(?:expectations|estimates|forecasts?|expected)": 2.0,
    r"(?:miss(?:es|ed)?|below|short of|worse than|weaker than|lower than) (?:\w+ )?(?:expectations|estimates|forecasts?|expected)": -2.0,
    r"better than (?:in )?(?:the )?(?:previous|last|a year|expected)": 1.7,
    r"laid off|lays? off|laying off": -2.0,
    r"(?:personnel|staff|workforce|job|headcount) (?:reductions?|cuts?|negotiations)|employee negotiations|statutory "
    r"negotiations|(?:cut|cuts|cutting|axe|axes|slash|shed|sheds) (?:\w+ ){0,4}(?:jobs|staff|workforce|personnel|employees|"
    r"positions)|job losses": -2.0,
    r"co-?(?:operation|determination) negotiations": -1.5,
    r"(?:to be|will be|were|was|be) (?:dismissed|terminated|discontinued|closed(?: down)?)": -1.5,
    r"clos(?:e|es|ed|ing)(?: down)? (?:its |the |several |some |one |two )?(?:\w+ ){0,3}(?:operations?|plants?|factory|"
    r"factories|mills?|units?|offices?|stores?|exchange)": -1.5,
    r"counter[- ]?action|legal action": -1.5,
    r"stepp?(?:ed|s|ing)? down": -0.8,
    r"in the red": -1.6,
    r"in the black": 1.5,
    r"back to profit|return(?:ed|s)? to profit": 2.1,
    r"swung to (?:a )?(?:\w+ ){0,2}loss|swing to (?:a )?loss": -2.4,
    r"swung to (?:a )?(?:\w+ ){0,2}profit": 2.2,
    r"turn(?:ed|s)? to (?:a )?(?:\w+ ){0,2}profit": 2.1,
    r"turned to (?:a )?(?:\w+ ){0,2}loss": -2.3,
    r"(?:gain|gains|gained|increase|increased|win|won|grow|grew) (?:\w+ )?market share|market share gains": 1.9,
    r"los(?:e|es|t|ing) (?:\w+ )?market share": -1.9,
    r"(?:received|receives|won|wins|win|bagged|secured|secures|awarded|landed|signed) (?:\w+ ){0,6}(?:order|orders|contract|"
    r"contracts|deal)": 1.7,
    r"has been (?:awarded|selected|chosen)|was (?:awarded|selected|chosen)": 1.6,
    r"(?:orders?|contract|deal) (?:worth|valued)": 0.8,
    r"raised? (?:its |the )?(?:\w+ ){0,2}(?:guidance|outlook|forecast|target|recommendation|rating)": 1.9,
    r"(?:cuts?|lower(?:s|ed)|reduc(?:es|ed)|slash(?:es|ed)|trimmed) (?:its |the |their )?(?:\w+ ){0,2}(?:guidance|outlook|"
    r"forecast|target|recommendation|rating)": -1.9,
    r"cost (?:savings?|cuts|efficiency|reductions?)|save costs|annual savings": 1.3,
    r"cost pressures?|overcapacity|excess capacity": -1.4,
    r"interest rates? (?:hikes?|increases?)|rate hikes?": -1.0,
    r"(?:interest )?rate cuts?": 1.0,
    r"(?:good|strong|solid|healthy|excellent|high) (?:demand|results?|performance|growth|development|position|order book|"
    r"cash flow|quarter|year|sales)": 1.7,
    r"(?:weak|poor|low|soft|slow|slack|sluggish|declining) (?:demand|results?|performance|growth|development|market "
    r"situation|sales|quarter)": -1.8,
    r"market leader|leading (?:provider|supplier|manufacturer|company|position)": 0.4,
    r"net interest|interest income|fair value|credit facility|value added": 0.0,
    r"tax losses|loss carry[- ]?forwards?|profit and loss|profit or loss|risk management|with limited liability": 0.0,
}  # fmt: skip

# ---- directions and what they are about -----------------------------------------------------------------------------

UP: dict[str, float] = dict.fromkeys(
    """
    rise rises rose risen rising increase increases increased increasing climb climbs climbed climbing gain gained gains gaining up
    higher widened improved lifted expanded grew grows grown
    """.split(),  # noqa: SIM905
    1.5,
) | dict.fromkeys(
    """
    jump jumps jumped jumping surge surges surged surging soar soars soared soaring spike spikes spiked skyrocket skyrockets
    skyrocketed doubled doubles tripled leap leaps leapt swelled
    """.split(),  # noqa: SIM905
    2.1,
)  # fmt: skip

DOWN: dict[str, float] = dict.fromkeys(
    """
    fall falls fell fallen falling decrease decreases decreased decreasing decline declines declined declining drop drops dropped
    dropping down lower lowered reduce reduced reduces narrowed narrows narrowing shrank shrinks shrunk shrinking dip dips dipped eased
    contracted cut cuts dwindled diminished slid slipped halved lost
    """.split(),  # noqa: SIM905
    -1.6,
) | dict.fromkeys(
    """
    plunge plunged plunges plummet plummeted plummets tumble tumbled tumbles crash crashed crashes slump slumped slumps collapse
    collapsed collapses nosedived
    """.split(),  # noqa: SIM905
    -2.3,
)  # fmt: skip

# More of these is good for who holds the asset or the company.
GOOD_WHEN_HIGHER = frozenset(
    """
    profit profits profitability earnings ebit ebitda eps sales turnover revenue revenues income margin margins orders order intake
    volume volumes price prices share shares stock stocks dividend demand result results cash production deliveries output
    exports traffic passengers backlog market markets index bitcoin btc ether ethereum eth crypto coin coins token tokens altcoins
    altcoin tvl hashrate inflows users adoption addresses liquidity value value-added capitalization cap assets nav holdings growth
    performance efficiency productivity capacity rating support guidance outlook transactions revenue's ratio
    solana sol xrp cardano dogecoin polkadot litecoin chainlink avalanche bnb
    """.split()  # noqa: SIM905
)
# More of these is bad.
BAD_WHEN_HIGHER = frozenset(
    """
    loss losses cost costs expense expenses expenditure debt debts deficit unemployment joblessness inflation fee fees outflow
    outflows liquidations withdrawals defaults impairments claims risk risks volatility pressure delays hacks exploits scams theft
    crime fraud bankruptcies insolvencies layoffs tax taxes tariff tariffs emissions leverage redundancies absences shorts
    """.split()  # noqa: SIM905
)


def word_valences() -> dict[str, float]:
    """Every single word that replaces or adds to VADER's own, with its valence; neutral ones are 0."""
    return dict.fromkeys(NEUTRAL, 0.0) | FINANCE | CRYPTO
