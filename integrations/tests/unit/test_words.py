"""Each sentence that people read can be translated: none is in a template or a module without a mark for gettext."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import integrations
from integrations.connectors.registry import ConnectorRegistry
from integrations.management import connector_pages
from integrations.management.commands.connector import OURS

HERE = Path(integrations.__file__).parent
TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
MODULES = sorted(
    path
    for pattern in (
        "console/**/*.py", "health/*.py", "jobs/*.py", "forms/*.py", "pages/*.py", "audit/why_not.py",
        "observability/lights.py", "outbox/filters.py", "inbound/by_hand.py", "pull/by_hand.py", "api_keys/keys.py",
        "services/subscription_trial.py", "tenancy/capabilities.py", "connectors/config_check.py", "expressions.py",
        "connections/condition_check.py", "connections/conditions.py", "connections/payloads.py",
        "connections/event_types.py", "delivery/trial.py", "capture/snapshots.py",
    )
    for path in HERE.glob(pattern)
)  # fmt: skip

# -- templates ----------------------------------------------------------------------------------------------

_TAGS = re.compile(
    r"{% comment %}.*?{% endcomment %}|{#.*?#}|{% blocktranslate\b.*?{% endblocktranslate %}|{%.*?%}|{{.*?}}", re.S
)
_READ = ("title", "aria-label", "placeholder", "alt", "data-confirms", "data-text", "data-busy")
_NOT_WORDS = {"HTTP", "ms", "webhook-id", "pid", "p50", "p95", "p99"}  # the same in every language


class _Texts(HTMLParser):
    """Collects what people read of a template without its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in ("script", "style", "code", "pre")
        self.found += [value for name, value in attrs if name in _READ and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("script", "style", "code", "pre")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def unmarked(template: str) -> list[str]:
    """Return the words of a template that stand outside of any tag."""
    parser = _Texts()
    # Attributes that are tags, and tags between attributes, leave nothing behind that looks like words.
    parser.feed(_TAGS.sub("", template))
    words = [word for text in parser.found for word in re.findall(r"[^\W\d_][\w-]+", text)]
    return [word for word in words if word not in _NOT_WORDS]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(HERE / "templates")))
def test_no_template_has_words_without_a_mark(path: Path) -> None:
    text = re.sub(r"{% block bodyclass %}.*?{% endblock %}", "", path.read_text())
    assert unmarked(text) == [], "write {% translate %} or {% blocktranslate %} around them"


def test_words_without_a_mark_are_found() -> None:
    template = '<p title="Look">Not {{ this }} <b>{% translate "but" %}</b></p><a aria-label="x {{ y }}">HTTP</a>'
    assert unmarked(template) == ["Look", "Not"]


# -- modules ------------------------------------------------------------------------------------------------

_MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}
_SENTENCE = re.compile(r"[A-Za-z’']{2,}[,:;.!?]? +[A-Za-z’'“]{2,}")
_MARKUP = re.compile(r"</?[a-z]+[ >/]|^[a-z-]+/[a-z]|SELECT |^default-src|=\$\(|^no-store|^v[A-Z]")
# Words of a protocol, of a database or of the log; or sentences of other libraries.
_NO_SENTENCES = {
    "console/audit/views.py": {"audit trail", 'attachment; filename="audit-{}.csv"'},
    "console/delivery/story.py": {"sent anyway", "gave up: "},
    "console/workbench/actions.py": {"asked the provider for access to"},
    "jobs/replay.py": {"replayed by {} (job {})"},  # kept with the row
    "delivery/trial.py": {"event type"},  # the name of a detail in the audit trail
    "jobs/run.py": {"not due", "gives way"},
    "connections/conditions.py": {"not met", "it was {}", "{} was {}"},  # kept with the row
    "forms/inbound_actions.py": {'python -c "import secrets; print(secrets.token_urlsafe(32))"'},
    "expressions.py": {", for expression"},
    "outbox/filters.py": {"Value error, "},
    "console/jobs/form.py": {"Value error, "},
    "pull/by_hand.py": {"started over"},  # the action of an entry in the audit trail
    "inbound/by_hand.py": {"processed again"},
    "api_keys/keys.py": {"API key"},
    "health/alert.py": {"no alerts of tenant {} for {}"},  # for programmers
}


def sentences(source: str) -> Iterator[str]:
    """Yield the texts of a module that look like sentences and are not marked; values of f-strings are ``{}``."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if isinstance(parents.get(node), ast.JoinedStr):
                continue
            text = node.value
        else:
            continue
        if _SENTENCE.search(text) and not _MARKUP.search(text) and not _is_told_otherwise(node, parents):
            yield text


def _is_told_otherwise(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether a text is marked, a docstring, or a line of the log."""
    while (parent := parents.get(node)) is not None:
        if isinstance(parent, ast.Expr) and isinstance(node, ast.Constant):
            return True
        if isinstance(parent, ast.Call):
            called = parent.func
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            of = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
            if name in _MARKS or of in ("logger", "ours"):
                return True
        node = parent
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HERE)))
def test_no_module_has_sentences_without_a_mark(path: Path) -> None:
    found = set(sentences(path.read_text())) - _NO_SENTENCES.get(str(path.relative_to(HERE)), set())
    assert found == set(), "write gettext(…) around them, gettext_lazy(…) where the module is imported"


def test_sentences_without_a_mark_are_found() -> None:
    source = '"""A docstring of a module."""\nA = f"It is {b} now"\nB = _("It is marked")\nlogger.info("it is a log")'
    assert list(sentences(source)) == ["It is {} now"]


@pytest.mark.parametrize("path", ["integrations/api_keys/scopes.py", "tasks/integrations_api.py"])
def test_what_a_scope_allows_has_a_mark(path: str) -> None:
    """Also where it is no sentence; the form of a new key translates it."""
    calls = [node for node in ast.walk(ast.parse((HERE.parent / path).read_text())) if isinstance(node, ast.Call)]
    words = [call.args[1] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Scope"]
    assert words and [ast.unparse(each) for each in words if not isinstance(each, ast.Call)] == []


def test_the_texts_of_connector_types_are_where_makemessages_finds_them() -> None:
    kinds = [kind for kind in ConnectorRegistry.all() if connector_pages.is_ours(kind)]
    assert OURS.read_text() == connector_pages.texts(kinds), "run: python manage.py connector texts"
