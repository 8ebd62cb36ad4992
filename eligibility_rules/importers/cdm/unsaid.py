"""What a document says and a schedule has no word for: a criterion that only the firm's own column can decide."""

from __future__ import annotations

from eligibility_rules.importers.cdm import words
from eligibility_rules.importers.cdm.documents import Node
from eligibility_rules.importers.cdm.forms import Form, one_of


def unknown(node: Node, what: str, *texts: str) -> Form:
    """A criterion that only a column of the firm's own can decide."""
    column = f"taxonomy_{words.snake(what)}"
    node.skip()
    node.find(
        f"a schedule has no word for it: asked of the column {column}, and refused where the asset table lacks it",
        "stricter",
        ", ".join(texts),
        either_way=True,
    )
    return one_of(column, [text[:200] for text in texts])


def unknown_part(node: Node, path: str, name: str, value: object) -> Form:
    """The same for one attribute that no function asked for."""
    part = Node(node.reading, value, path)
    texts = [text for item in part.items() if (text := item.text())]
    return unknown(part, name, *texts or [shown_node(part)])


def shown_node(node: Node) -> str:
    """What stands in a node in one line: `sovereignRecourse true`."""
    said = [f"{key} {text}" for key in node.names() if (text := Node(node.reading, node.value[key], "").text())]
    return ", ".join(said or node.names()) or "empty"
