"""The policy file: each mistake is named with file, line and field, and every line of the shipped one counts."""

import re

import pytest
import yaml

from helpers.errors import InvalidPolicy
from helpers.ingestion.policy import Policy, load_policy
from helpers.runtime.workspace import ROOT
from tests.plugins.models import POLICY

SHIPPED = POLICY.read_text()


@pytest.fixture
def changed(tmp_path):
    """Return the path of the shipped policy with one text replaced."""

    def write(old, new):
        assert old in SHIPPED
        path = tmp_path / "policy.yaml"
        path.write_text(SHIPPED.replace(old, new, 1))
        return path

    return write


def line_of(text):
    return SHIPPED[: SHIPPED.index(text)].count("\n") + 1


def test_the_shipped_policy_is_valid_and_known_by_its_digest(tmp_path):
    policy = load_policy(POLICY)
    assert re.fullmatch("sha256:[0-9a-f]{64}", policy.digest)
    copy = tmp_path / "copy.yaml"
    copy.write_text(SHIPPED + "# a note\n")
    assert load_policy(copy).digest != policy.digest
    assert load_policy(copy).model_dump() == policy.model_dump()


def leaves(schema, root, place=()):
    """Yield the path of every field of the policy."""
    for name, field in schema["properties"].items():
        inner = root["$defs"].get(field.get("$ref", "").rpartition("/")[2])
        yield from leaves(inner, root, (*place, name)) if inner else [(*place, name)]


def test_the_shipped_policy_has_every_field_and_each_field_is_read_somewhere():
    shipped = yaml.safe_load(SHIPPED)
    schema = Policy.model_json_schema()
    fields = set(leaves(schema, schema))
    said = {(part, name) for part, inner in shipped.items() if isinstance(inner, dict) for name in inner}
    said |= {(part,) for part, inner in shipped.items() if not isinstance(inner, dict)}
    assert said == fields
    code = "".join(path.read_text() for path in (ROOT / "helpers").rglob("*.py"))
    unread = {field for field in fields if not re.search(rf"\.{field[-1]}\b", code)}
    assert unread == set()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  file_gib: 50", "  file_gib: 0", "  file_gib", "limits.file_gib: Input should be greater than 0"),
        ("  files: 2000", "  files: 2000000", "  files: 2000", "limits.files: Input should be less than or equal to"),
        ("  json_mib: 64", "  json_mb: 64", "limits:", "limits.json_mib: Field required"),
        ("  json_mib: 64", "  json_mb: 64", "  json_mib", "limits.json_mb: Extra inputs are not permitted"),
        ("  folders: true", "  folders: sometimes", "  folders", "sources.folders: Input should be a valid boolean"),
        ("  - mit", "  - [mit]", "  - mit", "licenses.3: Input should be a valid string"),
        ("  method: key ", "  method: gpg ", "  method", "signature.method: Input should be 'key' or 'sigstore'"),
        (
            "  method: key ",
            "  method: sigstore ",
            "signature:",
            "signature: method sigstore needs identity",
        ),
        ("licenses: ", "licences: ", "licenses:", "licences: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(changed, old, new, line, says):
    path = changed(old, new)
    with pytest.raises(InvalidPolicy) as caught:
        load_policy(path)
    assert f"{path}:{line_of(line)}: {says}" in str(caught.value)
    assert str(caught.value).endswith("Repair the policy.")


@pytest.mark.parametrize(
    ("said", "now"),
    [
        (
            "{min_accuracy: 0.4, max_ttft_p95_ms: 900}",
            ['knowledge.acc: {must: ">= 0.4"}', 'chat.ttft_p95_ms: {must: "<= 900"}'],
        ),
        ("{}", ['knowledge.acc: {must: ">= ']),
        ("null", ['knowledge.acc: {must: ">= ']),
    ],
)
def test_thresholds_of_before_are_refused_with_the_lines_that_replace_them(changed, said, now):
    path = changed("signature:\n", f"approval: {said}\nsignature:\n")
    with pytest.raises(InvalidPolicy, match=rf"policy\.yaml:{line_of('signature:')}: approval: ") as caught:
        load_policy(path)
    assert all(line in str(caught.value) for line in now)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"sources: [", "is not YAML"),
        (b"sources: *nothing", "policy.yaml:1: *nothing"),
        (b"!!python/object/apply:os.system ['true']", "policy.yaml:1: the file: holds no fields"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"", "policy.yaml:1: the file: holds no fields"),
        (b"- a list", "policy.yaml:1: the file: holds no fields"),
        (b"? [a]\n: 1\n", "policy.yaml"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, content, says):
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidPolicy, match=re.escape(says)):
        load_policy(path)


def test_a_policy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidPolicy, match=r"nowhere\.yaml cannot be read: No such file or directory\. Give POLICY"):
        load_policy(tmp_path / "nowhere.yaml")


def test_one_field_twice_is_refused(changed):
    path = changed("  adapters: false", "  adapters: false\n  adapters: true")
    line = line_of("  adapters: false") + 1
    with pytest.raises(InvalidPolicy, match=rf"policy\.yaml:{line}: files\.adapters: is there twice"):
        load_policy(path)


# The licenses under which an organization publishes language models, as their cards name them.
PUBLISHED = {
    "ibm-granite": {"apache-2.0"},
    "meta-llama": {"llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"},
    "microsoft": {"mit"},
    "mistralai": {"apache-2.0", "mnpl-0.1", "mrl"},
    "Qwen": {"apache-2.0", "qwen", "qwen-research"},
    "RedHatAI": {"apache-2.0", "mit", "llama3.1", "llama3.3", "gemma"},
}


def test_an_organization_that_is_allowed_has_models_under_a_license_that_is():
    policy = load_policy(POLICY)
    useless = [name for name in policy.sources.organizations if PUBLISHED[name].isdisjoint(policy.licenses)]
    assert useless == []
