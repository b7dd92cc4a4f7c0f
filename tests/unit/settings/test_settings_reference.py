import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from entrepot.settings import options

TOOL = Path(__file__).resolve().parents[3] / "tools" / "settings_reference.py"


@pytest.fixture(name="tool", scope="module")
def load_tool() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location("settings_reference", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_page_is_what_the_options_say(tool: ModuleType, language: str) -> None:
    """An option that was added, changed or removed shows in the reference, or this fails."""
    made = getattr(tool, language)()
    assert (tool.DOCS / made.page).read_text(encoding="utf-8") == tool.page(made), f"run: python {TOOL}"


def test_every_option_has_a_sentence_in_both_languages(tool: ModuleType) -> None:
    """No option is left without words, and no words without their option."""
    keys = {option.key for option in options()}
    computed = {option.key for option in options() if option.default_words}
    for option in options():
        assert option.description.endswith("."), option.key
    chinese = tool.chinese()
    assert set(chinese.sentences) == keys
    assert set(chinese.defaults) == computed
    assert all(sentence.endswith("。") for sentence in chinese.sentences.values())


def test_numbers_have_bounds() -> None:
    """Every number, size and duration has a smallest and a largest value."""
    numbers = [option for option in options() if option.form.name in {"NUMBER", "SIZE", "RATE", "DURATION"}]
    assert numbers
    assert not [option.key for option in numbers if option.at_least is None or option.at_most is None]


def test_a_stale_page_fails_the_check(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check names the page that differs and how to write it anew; writing makes it pass."""
    monkeypatch.setattr(tool, "DOCS", tmp_path)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    (tmp_path / "settings.zh-CN.md").write_text("old", encoding="utf-8")
    assert tool.main(["--check"]) == 1
