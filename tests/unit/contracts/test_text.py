import msgspec
from hypothesis import given
from hypothesis import strategies as st
from kronik.text import ERROR_LIMIT, TRACEBACK_LIMIT, clean, clean_traceback

ANY_TEXT = st.text(st.characters(codec=None, categories=None))


@given(ANY_TEXT, st.integers(64, 300))
def test_what_is_cleaned_can_be_stored_and_cleaning_it_again_changes_nothing(text: str, limit: int) -> None:
    cleaned = clean(text * 5, limit)
    assert "\0" not in cleaned
    assert msgspec.json.decode(msgspec.json.encode(cleaned)) == cleaned
    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned


def test_ordinary_text_stays_as_it_is() -> None:
    assert clean("Ovnen er kold: 🔥 mangler") == "Ovnen er kold: 🔥 mangler"


def test_nul_and_lone_surrogates_become_the_replacement_character() -> None:
    assert clean("a\0b\ud800c") == "a�b�c"


def test_two_halves_of_a_surrogate_pair_become_the_character_they_meant() -> None:
    assert clean("\ud83d\udd25") == "🔥"


def test_a_long_text_is_cut_with_a_note_of_how_much_is_gone() -> None:
    cleaned = clean("x" * (ERROR_LIMIT + 1))
    kept = len(cleaned) - len(cleaned.lstrip("x"))
    assert cleaned[kept:] == f" … ({ERROR_LIMIT + 1 - kept} more characters)"
    assert clean("x" * ERROR_LIMIT) == "x" * ERROR_LIMIT


def test_of_a_long_traceback_both_ends_are_kept() -> None:
    cut = clean_traceback("first" + "x" * 50_000 + "last\0")
    assert cut is not None
    assert cut.startswith("first")
    assert cut.endswith("last�")
    assert len(cut) <= TRACEBACK_LIMIT
    assert clean_traceback(cut) == cut
    assert clean_traceback(None) is None
