"""Exporting: a snapshot as JSON lines that ingest reads back, or as GraphML for graph tools."""

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from .records import Association, Concept
from .snapshot import Snapshot

FORMATS = ("jsonl", "graphml")
VECTORS_AT_ONCE = 1_024


def json_lines(view: Snapshot, *, vectors: bool = True) -> Iterator[str]:
    """Every concept, then every association, one JSON object per line.

    What a line leaves out has its default. `vectors` adds each concept's first one, so that reading
    back needs no embedder and gives the same rows.
    """
    batch: list[Concept] = []
    for concept in view.concepts():
        batch.append(concept)
        if len(batch) == VECTORS_AT_ONCE:
            yield from _concept_lines(view, batch, vectors)
            batch = []
    yield from _concept_lines(view, batch, vectors)
    for association in view.associations():
        yield json.dumps(association_fields(association), ensure_ascii=False)


def _concept_lines(view: Snapshot, batch: list[Concept], vectors: bool) -> Iterator[str]:
    placed = [concept.node for concept in batch if concept.slots] if vectors else []
    rows = dict(zip(placed, view.vectors(placed), strict=True)) if placed else {}
    for concept in batch:
        fields = concept_fields(concept)
        if concept.node in rows:
            fields["vector"] = [float(str(x)) for x in rows[concept.node]]  # Shortest float32.
        yield json.dumps(fields, ensure_ascii=False)


def concept_fields(concept: Concept) -> dict[str, Any]:
    """The fields of a concept as ingest reads them, defaults left out."""
    fields: dict[str, Any] = {
        "id": concept.id,
        "text": concept.text,
        "name": concept.name,
        "aliases": list(concept.aliases),
        "source": concept.source,
        "kind": concept.kind,
        "since": concept.since,
        "until": concept.until,
        "data": dict(concept.data),
        "namespace": concept.namespace or None,
    }
    return {key: value for key, value in fields.items() if value not in (None, [], {})}


def association_fields(association: Association) -> dict[str, Any]:
    """The fields of an association as ingest reads them, defaults left out."""
    fields: dict[str, Any] = {
        "association": association.type,
        "source": association.source,
        "target": association.target,
    }
    if association.source_namespace:
        fields["source_namespace"] = association.source_namespace
    if association.target_namespace:
        fields["target_namespace"] = association.target_namespace
    if association.weight != 1:
        fields["weight"] = float(str(association.weight))
    if association.confidence != 1:
        fields["confidence"] = association.confidence
    content = {
        "origin": association.origin,
        "since": association.since,
        "until": association.until,
        "data": dict(association.data),
    }
    return fields | {key: value for key, value in content.items() if value not in (None, {})}


NODE_KEYS = ("name", "text", "kind", "source", "aliases", "data", "since", "until", "namespace")
EDGE_KEYS = {"type": "string", "weight": "double", "confidence": "double", "origin": "string"} | {
    "since": "long",
    "until": "long",
    "data": "string",
}
NOT_XML = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "\ufffd")
"""Characters that XML 1.0 cannot hold; they become the replacement character."""


def graphml(view: Snapshot) -> Iterator[str]:
    """The concepts and associations as lines of GraphML; aliases and metadata as JSON texts."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    for key in NODE_KEYS:
        kind = "long" if key in ("since", "until") else "string"
        yield f'<key id="n_{key}" for="node" attr.name="{key}" attr.type="{kind}"/>'
    for key, kind in EDGE_KEYS.items():
        yield f'<key id="e_{key}" for="edge" attr.name="{key}" attr.type="{kind}"/>'
    yield '<graph edgedefault="directed">'
    for concept in view.concepts():
        fields = concept_fields(concept)
        inner = "".join(_datum("n", key, fields[key]) for key in NODE_KEYS if key in fields)
        yield f"<node id={_quoted(_graphml_id(concept.namespace, concept.id))}>{inner}</node>"
    for number, association in enumerate(view.associations()):
        fields = {"weight": 1.0, "confidence": 1.0, **association_fields(association)}
        fields["type"] = association.type
        inner = "".join(_datum("e", key, fields[key]) for key in EDGE_KEYS if key in fields)
        start = _graphml_id(association.source_namespace, association.source)
        end = _graphml_id(association.target_namespace, association.target)
        ends = f"source={_quoted(start)} target={_quoted(end)}"
        yield f'<edge id="e{number}" {ends}>{inner}</edge>'
    yield "</graph>"
    yield "</graphml>"


def _graphml_id(namespace: str, id: str) -> str:
    """GraphML knows one space of ids only."""
    return f"{namespace}:{id}" if namespace else id


def _datum(prefix: str, key: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<data key="{prefix}_{key}">{escape(text.translate(NOT_XML))}</data>'


def _quoted(text: str) -> str:
    return quoteattr(text.translate(NOT_XML))
