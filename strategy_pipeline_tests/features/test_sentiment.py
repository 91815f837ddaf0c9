"""Scores of market texts, whom they are about, and what streams of them say."""

from __future__ import annotations

import builtins
import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from strategy_pipeline.errors import CorruptFileError, MissingExtraError
from strategy_pipeline.features import EntityMatcher, build, score_text, text_scorer
from strategy_pipeline.features.classifier import TransformerScorer, label_signs
from strategy_pipeline.features.entities import asset_of
from strategy_pipeline.features.finance import rewritten
from strategy_pipeline.features.sentiment import scored, vader_score
from strategy_pipeline.features.streams import DAY, dispersion, surprise, window_moments
from strategy_pipeline_tests.features.test_world import hours
from strategy_pipeline_tests.indicators.conftest import random_walk


@pytest.mark.parametrize(
    "better, worse",
    [
        ("Net loss narrowed to EUR 2 mn", "Net loss widened to EUR 2 mn"),
        ("Operating profit rose to EUR 13 mn", "Operating profit fell to EUR 13 mn"),
        ("Costs decreased", "Costs increased"),
        ("Net sales totalled EUR 12 mn, compared to EUR 10 mn", "Net sales totalled EUR 10 mn, compared to EUR 12 mn"),
        ("Bitcoin breaks out to a new all-time high", "Bitcoin falls below support"),
        ("SEC approves spot bitcoin ETF", "SEC rejects spot bitcoin ETF"),
        ("Token listed, to the moon 🚀", "Devs pulled a rug pull, holders rekt 📉"),
        ("The exchange was not hacked", "The exchange was hacked"),
        ("Exchange outflows reach a record", "Exchange inflows reach a record"),
    ],
)
def test_markets_words_are_read_as_markets_do(better, worse):
    up, down = score_text([better, worse])
    assert up > down and down < 0


def test_neutral_words_of_finance_say_nothing():
    texts = [
        "The company 's share capital is divided into shares",
        "The security of the network uses proof-of-stake",
        "Tax and board matters",
    ]
    np.testing.assert_array_equal(score_text(texts), 0.0)
    assert (vader_score(texts)[:2] != 0).any()


@given(some.text(max_size=200))
def test_any_text_has_a_score_within_one(text):
    score = score_text([text])[0]
    assert np.isnan(score) if not text.strip() else -1 <= score <= 1


def test_rewriting_keeps_what_it_does_not_know():
    assert rewritten("Helsinki is a city in Finland") == "Helsinki is a city in Finland"
    assert "all-time" not in rewritten("an all-time high")


MATCHER = EntityMatcher(["BTC", "ETH", "LINK", "DOT", "ONE", "NEAR", "BCH", "ETC", "AVAX", "SOL", "XRP", "SAND", "ATOM", "ENA"])


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("Bitcoin Cash jumps 5%", ("BCH",)), ("Bitcoin's price", ("BTC",)), ("bitcoin and ether fall", ("BTC", "ETH")),
        ("Ethereum Classic hard fork", ("ETC",)), ("ethernet cables and bitcoiners", ()), ("btc dumps", ("BTC",)),
        ("ONE of the best days for crypto", ()), ("ONE price rallies 20%", ("ONE",)), ("Harmony (ONE) and Polkadot (DOT)", ("ONE", "DOT")),
        ("Click the LINK in bio", ()), ("click the link", ()), ("$link to the moon", ("LINK",)), ("#LINK", ("LINK",)),
        ("LINK/USDT breaks out", ("LINK",)), ("CLICK THE LINK NOW FOR FREE CRYPTO", ()), ("Chainlink's oracle", ("LINK",)),
        ("US DOT probes airlines", ()), ("near the dot", ()), ("NEAR token surges", ("NEAR",)), ("NEAR Protocol launches", ("NEAR",)),
        ("Avalanche kills two skiers", ()), ("Avalanche blockchain hits record", ("AVAX",)), ("the ripple effect of rates", ()),
        ("Ripple wins against SEC over crypto sales", ("XRP",)), ("SAND in my shoes", ()), ("BTCUSDT", ("BTC",)), ("Dogecoin rises", ()),
        ("ETH gains on BTC, then ETH slips", ("ETH", "BTC")), ("", ()),
    ],
)  # fmt: skip
def test_texts_are_about_the_assets_they_name(text, wanted):
    assert MATCHER.match(text) == wanted


def test_names_and_aliases_lead_to_tickers():
    assert [asset_of(name) for name in ("bitcoin", "btc", "BTC/USDT", "Bitcoin Cash", "newcoin")] == ["BTC", "BTC", "BTC", "BCH", "NEWCOIN"]
    mine = EntityMatcher(["NEW"], aliases={"NEW": ["Newcoin Network"]})
    assert mine.match("the newcoin network grows") == ("NEW",) and mine.match("brand new car") == ("NEW",)


def frame(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    columns = pd.DataFrame(rows, columns=["available_at", "asset", "text", "score"])
    times = pd.to_datetime(columns["available_at"], utc=True).astype("datetime64[ns, UTC]")
    return columns.assign(available_at=times, ts=times, title="", source="")


def test_the_sources_asset_and_score_are_kept_and_what_lacks_is_found():
    table = scored(
        frame([("2024-03-02", "", "Bitcoin and Ethereum plunge", np.nan), ("2024-03-01", "SOL", "better than bitcoin", 0.25)]),
        matcher=MATCHER,
    )
    assert table["assets"].tolist() == [("SOL",), ("BTC", "ETH")] and table["score"].iloc[0] == 0.25 and table["score"].iloc[1] < -0.3


def test_a_text_counts_for_every_asset_it_names_and_once_for_the_market():
    bars = random_walk(3, 60, 1)
    names = [symbol.split("/")[0] for symbol in bars.symbols]
    rows = [(str(bars.times[20]), "", f"${names[0]} and ${names[1]} crash", np.nan), (str(bars.times[30]), names[1], "fine", 0.5)]
    matrix = build(bars, "full", observations={"news": frame(rows)})
    means = matrix.column("news_mean_12h")
    assert means[0, 25] < 0 and means[1, 25] == means[0, 25] and (means[2] == 0).all()
    market = matrix.column("market_news_score_1d")
    assert (market[0, 40] == market[2, 40]) and market[0, 25] == pytest.approx(means[0, 25])


def test_dispersion_and_surprise_are_their_definitions():
    rng = np.random.default_rng(3)
    moments = np.sort(hours(*rng.uniform(0, 40 * 24, 400)))
    scores, closes = rng.uniform(-1, 1, 400), hours(*range(24, 40 * 24, 7))
    scores[::9] = np.nan
    spread, shock = dispersion(moments, scores, closes), surprise(moments, scores, closes)
    for k in range(0, len(closes), 11):
        known = np.isfinite(scores) & (moments <= closes[k])
        today = scores[known & (moments > closes[k] - DAY)]
        before = scores[known & (moments <= closes[k] - DAY) & (moments > closes[k] - 31 * DAY)]
        wanted = np.std(today, ddof=1) if len(today) > 1 else np.nan
        np.testing.assert_allclose(spread[k], wanted, rtol=1e-9)
        if len(today) and len(before) >= 5:
            error = np.std(before, ddof=1) * np.sqrt(1 / len(today) + 1 / len(before))
            np.testing.assert_allclose(shock[k], np.clip((today.mean() - before.mean()) / error, -10, 10), rtol=1e-7)
        else:
            assert np.isnan(shock[k])
    count, mean, _ = window_moments(moments[:0], scores[:0], closes, DAY)
    assert (count == 0).all() and np.isnan(mean).all()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A tiny untrained BERT classifier with its tokenizer, as `save_pretrained` leaves them."""
    transformers, torch = (
        pytest.importorskip("transformers", reason="the extra `sentiment` is not installed"),
        pytest.importorskip("torch", reason="the extra `sentiment` is not installed"),
    )
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "profit", "loss", "rose", "fell", "the"]
    tokenizer = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=32,
        num_labels=3, id2label={0: "positive", 1: "negative", 2: "neutral"}, label2id={"positive": 0, "negative": 1, "neutral": 2},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(config)
    folder = tmp_path_factory.mktemp("finbert")
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder, model.eval(), fast


def test_a_classifier_in_a_folder_scores_as_its_probabilities_say(classifier):
    import torch

    folder, model, tokenizer = classifier
    scorer = text_scorer(str(folder))
    texts = ["profit rose", "loss", "", "the profit fell the loss rose", "the " * 200]
    scores = scorer(texts)
    assert scorer.name.startswith("transformers:") and np.isnan(scores[2]) and np.isfinite(np.delete(scores, 2)).all()
    with torch.inference_mode():
        odds = torch.softmax(model(**tokenizer([texts[0]], return_tensors="pt")).logits, -1).numpy()[0]
    assert scores[0] == pytest.approx(odds[0] - odds[1], abs=1e-6)
    np.testing.assert_allclose(TransformerScorer(folder, batch=1)(texts), scores, atol=1e-6, equal_nan=True)
    table = scored(frame([("2024-03-01", "BTC", "profit rose", np.nan)]), scorer=scorer)
    assert table["score"].iloc[0] == pytest.approx(scores[0], abs=1e-6)


def test_labels_are_read_as_sentiment():
    np.testing.assert_array_equal(label_signs({0: "Bearish", 1: "Neutral", 2: "Bullish"}, "m"), [-1, 0, 1])
    np.testing.assert_array_equal(label_signs({0: "1 star", 1: "2 stars", 2: "3 stars"}, "m"), [-1, 0, 1])
    for labels in ({0: "LABEL_0", 1: "LABEL_1"}, {0: "positive", 1: "neutral"}):
        with pytest.raises(CorruptFileError, match="id2label"):
            label_signs(labels, "m")


def test_what_is_no_classifier_is_told(tmp_path, monkeypatch):
    pytest.importorskip("transformers", reason="the extra `sentiment` is not installed")
    with pytest.raises(CorruptFileError, match="save_pretrained"):
        text_scorer(str(tmp_path))
    original = builtins.__import__

    def without(name, *rest, **keywords):
        if name == "transformers":
            raise ImportError(name)
        return original(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="transformers"):
        text_scorer(str(tmp_path))
    assert text_scorer().name == "lexicon"


def test_the_lexicon_beats_plain_vader_on_sentences_labelled_by_people(real_data):
    bank = pd.read_parquet(real_data / "sentiment_phrasebank.parquet")
    # The quarter that was read while rules were written is left out; of the rest every tenth sentence, for time.
    digest = bank["text"].map(lambda text: hashlib.sha256(text.encode()).digest())
    held = bank[[value[0] >= 64 and value[1] < 26 for value in digest]]
    truth = held["label"].map({"negative": -1, "neutral": 0, "positive": 1}).to_numpy()
    ours, plain = (np.where(s >= 0.05, 1, np.where(s <= -0.05, -1, 0)) for s in (score_text(held["text"]), vader_score(held["text"])))
    assert (ours == truth).mean() > (plain == truth).mean() + 0.08
