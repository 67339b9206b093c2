"""JSON that loads code or breaks its readers, templates that leave their sandbox, licenses and adapters."""

import json
import os
import pickle
import zipfile

from tests.ingestion import clean
from tests.ingestion.attacks import attack

ESCAPE = "{{ cycler.__init__.__globals__.os.popen('id').read() }}"


class _RunsAProgram:
    """Pickled, never loaded."""

    def __reduce__(self):
        return (os.system, ("true",))


def change(path, **entries):
    """Set entries of a JSON file."""
    clean.write_json(path, json.loads(path.read_text()) | entries)


def template(folder, text):
    change(folder / "tokenizer_config.json", chat_template=text)


@attack(rule="remote-code", says=r"auto_map\.AutoTokenizer\.\* names code .*'tokenization_evil\.Tokenizer'")
def auto_map_in_the_tokenizer(folder):
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Tokenizer", None]})


@attack(rule="remote-code", says=r"vision_config\.auto_map\.AutoConfig names code")
def auto_map_in_a_nested_config(folder):
    change(folder / "config.json", vision_config={"auto_map": {"AutoConfig": "evil/repo--configuration.Config"}})


@attack(rule="remote-code", says=r"auto_map\.AutoModel names code")
def auto_map_behind_an_escape(folder):
    text = (folder / "config.json").read_text()
    hidden = '"auto\\u005fmap": {"AutoModel": "modeling.Model"}'
    (folder / "config.json").write_text(text.replace("{", "{" + hidden + ",", 1))


@attack(rule="remote-code", says="asks to run the model's own code")
def trusting_remote_code(folder):
    change(folder / "config.json", text_config={"trust_remote_code": True})


@attack(rule="remote-code", says=r"custom_pipelines\.text-generation\.impl names code")
def a_pipeline_of_its_own(folder):
    change(folder / "config.json", custom_pipelines={"text-generation": {"impl": "pipeline.Evil", "pt": ["AutoModel"]}})


@attack(rule="remote-code", says="custom_generate names code")
def a_generate_of_its_own(folder):
    clean.write_json(folder / "generation_config.json", {"custom_generate": "evil/generate"})


@attack(rule="remote-code", says="tokenizer_class is no plain class name: 'evil/repo--tok.Tokenizer'")
def a_tokenizer_class_from_a_repository(folder):
    change(folder / "tokenizer_config.json", tokenizer_class="evil/repo--tok.Tokenizer")


@attack(rule="remote-code", says=r"architectures\.\* is no plain class name")
def an_architecture_with_a_path(folder):
    change(folder / "config.json", architectures=["..modeling:Evil"])


@attack(rule="remote-code", says="attn_implementation names a repository whose kernel is downloaded and run")
def attention_from_the_hub(folder):
    change(folder / "config.json", _attn_implementation="evil/flash-attention@main:kernel")


@attack(rule="remote-code", says="names a module outside sentence_transformers to import: 'evil.Module'")
def a_sentence_transformers_module_of_its_own(folder):
    clean.write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}])


@attack(rule="remote-code", says="names an activation outside torch.nn to import: 'os.system'")
def an_activation_that_is_a_function_of_the_system(folder):
    change(folder / "config.json", sentence_transformers={"activation_fn": "os.system"})


@attack(rule="remote-code", says="parent_library names a library other than transformers to import")
def an_adapter_that_imports(folder):
    clean.adapter(folder / "lora")
    mapping = {"parent_library": "antigravity", "base_model_class": "LlamaModel"}
    change(folder / "lora" / "adapter_config.json", auto_mapping=mapping)


@attack(rule="path", says="vocab_file names a file outside the model's folder: '/etc/passwd'")
def a_vocabulary_outside_the_folder(folder):
    change(folder / "tokenizer_config.json", vocab_file="/etc/passwd")


@attack(rule="path", says="merges_file names an address from which a file would be loaded")
def merges_from_the_internet(folder):
    change(folder / "tokenizer_config.json", merges_file="https://evil.example/merges.txt")


@attack(rule="json", says="is nested deeper than 64 levels")
def deep_json(folder):
    (folder / "extra.json").write_text("[" * 1_000_000 + "]" * 1_000_000)


@attack(rule="json", says="has more than 4,000,000 values")
def millions_of_empty_lists(folder):
    (folder / "extra.json").write_text("[" + "[]," * 4_100_000 + "[]]")


@attack(rule="json", says="more than 1,000,000 names")
def millions_of_names(folder):
    (folder / "extra.json").write_text("{" + ",".join(f'"{number}":0' for number in range(1_100_000)) + "}")


@attack(rule="json", says="a text of more than 400,000 characters")
def one_giant_text(folder):
    (folder / "extra.json").write_text('["' + "\\ud83d\\ude00" * 500_000 + '"]')


@attack(rule="json", says=r"Exceeds the limit \(4300 digits\)")
def one_giant_number(folder):
    (folder / "extra.json").write_text("[" + "9" * 5000 + "]")


@attack(rule="json", says="has the name 'model_type' twice in one object")
def one_name_twice(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("{", '{"model_type": "bert",', 1))


@attack(rule="json", says="is not plain UTF-8")
def a_config_in_utf_16(folder):
    (folder / "config.json").write_bytes((folder / "config.json").read_text().encode("utf-16"))


@attack(rule="json", says="begins with a byte order mark")
def a_config_behind_a_mark(folder):
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + (folder / "config.json").read_bytes())


@attack(rule="json", says="is not UTF-8 text")
def a_config_in_latin_1(folder):
    (folder / "generation_config.json").write_bytes('{"author": "José"}'.encode("latin-1"))


@attack(rule="json", says="Extra data")
def two_configs_in_one_file(folder):
    with (folder / "config.json").open("a") as file:
        file.write('{"auto_map": {"AutoModel": "modeling.Model"}}')


@attack(rule="json", says="holds a list where an object belongs")
def a_config_that_is_a_list(folder):
    (folder / "config.json").write_text("[]")


@attack(rule="template-escape", says=r"chat_template: the template reads the attribute '__globals__'")
def a_template_that_walks_to_the_globals(folder):
    template(folder, ESCAPE)


@attack(rule="template-escape", says="builds the name of what it reads from")
def a_template_that_builds_the_name(folder):
    template(folder, "{% set u = '_' * 2 %}{% set g = u ~ 'glo' + 'bals'|trim ~ u %}{{ messages[0][g] }}")


@attack(rule="template-escape", says=r"reads an attribute whose name is built when it runs \(attr\)")
def a_template_that_reverses_the_name(folder):
    template(folder, "{{ messages | attr('__ssalc__'[::-1]) }}")


@attack(rule="template-escape", says="builds the name of what it reads from '%c'")
def a_template_that_spells_the_name(folder):
    template(folder, "{{ messages[('%c' % 95) * 2 ~ 'init' ~ ('%c' % 95) * 2] }}")


@attack(rule="template-escape", says="applies a filter whose name is built when it runs")
def a_template_that_chooses_its_filter(folder):
    template(folder, "{{ messages | map(messages[0].content, messages[1].content) | list }}")


@attack(rule="template-escape", says="takes the method format without calling it")
def a_template_that_keeps_a_method_for_later(folder):
    template(folder, "{% set show = '{0.' ~ tools[0] ~ '}' %}{% set later = show.format %}{{ later(messages) }}")


@attack(rule="template-escape", says=r"loads another template \(include\)")
def a_template_that_loads_another(folder):
    (folder / "chat_template.jinja").write_text("{% include '/etc/passwd' %}")


@attack(rule="template-escape", says=r"chat_template\.\*\.template: the template uses lipsum")
def one_bad_template_of_many(folder):
    named = [{"name": "default", "template": "{{ messages }}"}, {"name": "rag", "template": "{{ lipsum }}"}]
    template(folder, named)


@attack(rule="template-escape", says="reads the attribute '__class__'")
def a_bad_template_beside_a_good_one(folder):
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ ''['__cl' 'ass__'] }}")


@attack(rule="template-cost", says="loops 81,000,000 times")
def a_template_that_never_ends(folder):
    template(folder, "{% for a in range(9000) %}{% for b in range(9000) %}{{ a }}{% endfor %}{% endfor %}")


@attack(rule="template-cost", says="repeats something 8,100,000 times")
def a_template_that_fills_the_memory(folder):
    template(folder, "{{ ('x' * 900) * 9000 }}")


@attack(rule="template-cost", says="repeats something 18,000,000 times")
def a_template_that_repeats_a_long_text(folder):
    template(folder, f"{{{{ '{'x' * 2000}' * 9000 }}}}")


@attack(rule="template-cost", says=r"has a number of 1e\+10")
def a_template_that_pads(folder):
    template(folder, "{{ messages[0].content.center(10000000000) }}")


@attack(rule="hidden-text", says=r"invisible character U\+202E")
def a_template_that_reads_backwards(folder):
    template(folder, "{{ 'user\u202e' ~ messages[0].content }}")


@attack(rule="template", says=r"cannot be parsed, line 1")
def a_broken_template(folder):
    template(folder, "{% for message in messages %}{{ message }}")


@attack(rule="template", says="nested too deeply")
def a_deep_template(folder):
    template(folder, "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}")


@attack(rule="license", says="names the license 'gpl-3.0'; allowed are apache-2.0, ")
def another_license(folder):
    (folder / "README.md").write_text("---\nlicense: gpl-3.0\n---\n")


@attack(rule="license", says="names no license; allowed are")
def no_license(folder):
    (folder / "README.md").write_text("# License: MIT\n")


@attack(rule="license", says="names several licenses as license")
def two_licenses(folder):
    (folder / "README.md").write_text("---\nlicense: [mit, proprietary]\n---\n")


@attack(rule="license", says="has license twice")
def one_license_for_each_reader(folder):
    (folder / "README.md").write_text("---\nlicense: mit\nlicense: proprietary\n---\n")


@attack(rule="license", says=r"has front matter with aliases")
def a_bomb_of_aliases(folder):
    bomb = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    (folder / "README.md").write_text(f"---\na0: &a0 x\n{bomb}license: mit\n---\n")


@attack(rule="license", says="nested deeper than 32 levels")
def front_matter_without_end(folder):
    (folder / "README.md").write_text("---\nlicense: mit\nx: " + "[" * 500_000 + "\n---\n")


@attack(rule="license", says="has an object as license")
def a_license_that_is_an_object(folder):
    (folder / "README.md").write_text("---\nlicense: {mit: gpl-3.0}\n---\n")


@attack(rule="license", says="names the license 'llama3.1'")
def another_license_by_its_name(folder):
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: llama3.1\n---\n")


@attack(rule="adapter", says="the policy refuses adapters")
def an_adapter_within(folder):
    clean.adapter(folder / "speech-lora")


@attack(rule="missing", says="is missing")
def no_config(folder):
    (folder / "config.json").unlink()


@attack(rule="modelscan", says=r"would use (posix|nt)\.system, says modelscan")
def a_pickle_named_json(folder):
    (folder / "extra.json").write_bytes(pickle.dumps(_RunsAProgram()))


@attack(rule="modelscan", says=r"would use posix\.system in 'archive/data\.pkl'")
def a_pickle_in_an_archive_named_json(folder):
    with zipfile.ZipFile(folder / "extra.json", "w") as packed:
        packed.writestr("archive/data.pkl", pickle.dumps(_RunsAProgram()))


@attack(rule="template-escape", says="reads the attribute '__globals__'")
def many_tricks_at_once(folder):
    """A clean-looking template for people, another one for the reader, in a file with a name of its own."""
    text = "{{ messages }}" + "{#" + "\\n" * 40 + "#}" + ESCAPE.replace("__", "\\u005f\\u005f")
    (folder / "chat_template.json").write_text(f'{{"chat\\u005ftemplate": "{text}"}}')
    change(folder / "config.json", auto_map={"AutoModel": "evil/repo--modeling.Model"}, trust_remote_code="true")
    clean.write_json(folder / "generation_config.json", {"_from_model_config": True})
