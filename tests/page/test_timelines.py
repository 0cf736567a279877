"""The timelines as a browser shows them: each text can be read, by day and by night."""

from typing import Literal

import pytest
from playwright.sync_api import Browser

from tools.timelines import PICTURES, TITLES

_BOXES = """() => [...document.querySelectorAll("svg text")].map(text => {
    const {x, y, width, height} = text.getBoundingClientRect();
    return {said: text.textContent, left: x, right: x + width, top: y + 3, bottom: y + height - 3};
})"""
"""Three pixels of a line's height hold no ink."""
_SIZE = "() => document.querySelector('svg').getBoundingClientRect().toJSON()"
_CONTRASTS = """() => {
    const light = colour => {
        const linear = c => c > 0.04045 ? ((c + 0.055) / 1.055) ** 2.4 : c / 12.92;
        const [r, g, b] = colour.match(/[0-9.]+/g).map(c => linear(Number(c) / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const fill = element => light(getComputedStyle(element).fill);
    const ground = fill(document.querySelector(".bg"));
    return [...document.querySelectorAll("svg text")].map(text => {
        const under = text.classList.contains("in") ? fill(text.previousElementSibling) : ground;
        const [a, b] = [fill(text), under].sort((one, other) => one - other);
        return [text.textContent, (b + 0.05) / (a + 0.05)];
    });
}"""
"""Of each text to what lies under it, as WCAG 2 counts it. A text in a bar comes right after its bar."""


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_lies_on_another_or_outside_and_each_has_contrast(browser: Browser, name: str, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 860, "height": 700})
    page = context.new_page()
    page.set_content(f"<body style='margin:0'>{(PICTURES / f'{name}.svg').read_text(encoding='utf-8')}")
    texts, size, contrasts = page.evaluate(_BOXES), page.evaluate(_SIZE), page.evaluate(_CONTRASTS)
    context.close()
    outside = [text["said"] for text in texts if text["left"] < 0 or text["right"] > size["right"] or text["bottom"] > size["bottom"]]
    covered = [
        (one["said"], other["said"])
        for number, one in enumerate(texts)
        for other in texts[:number]
        if one["left"] < other["right"] and other["left"] < one["right"] and one["top"] < other["bottom"] and other["top"] < one["bottom"]
    ]
    assert (outside, covered) == ([], [])
    assert [said for said, contrast in contrasts if contrast < 4.5] == []
