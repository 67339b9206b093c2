"""Chat templates as models ship them, written for these tests: each holds constructs that must raise no alarm."""

PLAIN = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] | trim + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

TOOLS = """\
{%- if tools is defined and tools is not none %}
    {{- '<|system|>\\nYou may call these functions, one JSON object per line:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=2, ensure_ascii=False) + '\\n' }}
    {%- endfor %}
    {{- '<|end|>' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' and message.tool_calls %}
        {%- for call in message.tool_calls %}
            {%- set call = call.function if call.function is defined else call %}
            {{- '<call>' ~ call.name.replace('__', '.') | replace('-', '_') ~ ' ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '</call>' }}
        {%- endfor %}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<results>' }}{% endif %}
        {{- message['content'] }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '</results>' }}{% endif %}
    {%- else %}
        {{- '<|%s|>%s<|end|>' | format(message.role, message.content) }}
    {%- endif %}
{%- endfor %}
"""

THINKING = """\
{%- set ns = namespace(last=-1, thinks=false, text='') %}
{%- for message in messages[::-1] if message.role == 'user' %}
    {%- set ns.last = (messages | length - 1) - loop.index0 %}
    {%- break %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{%- continue %}{%- endif %}
    {%- set content = message.content if message.content is string else message.content[0].text %}
    {%- if '</think>' in content %}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- set ns.thinks = true %}
    {%- endif %}
    {{- '[' ~ message.role | upper ~ ']' ~ content.strip() }}
    {%- set ns.text = ns.text ~ content[:20] %}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
"""

STRICT = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = 'Today is ' + strftime_now('%d %b %Y') + '.' %}{%- set loop_messages = messages %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{ message['content'] + eos_token }}{%- endgeneration %}
    {%- else %}
        {{- '### ' ~ message['role'].capitalize() ~ ':\\n' ~ message['content'] ~ '\\n' ~ '-' * 40 }}
    {%- endif %}
{%- endfor %}
"""

MACROS = """\
{%- macro kind(schema, depth=0) -%}
    {%- if schema.type is iterable and schema.type is not string -%}
        {{- schema.type | join(' | ') }}
    {%- elif schema.type == 'object' and schema.properties is defined -%}
        {{- '{' }}
        {%- for name, value in schema.properties | dictsort %}
            {{- name ~ ('' if name in schema.get('required', []) else '?') ~ ': ' ~ kind(value, depth + 1) }}
            {%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}
        {{- '}' }}
    {%- else -%}
        {{- schema['type'] | default('any', true) }}
    {%- endif -%}
{%- endmacro -%}
{%- for _ in range(2) %}{{- '\\n' }}{%- endfor %}
{%- set described = tools | selectattr('function.description', 'defined') | map(attribute='function.name') | list %}
{%- for tool in tools | rejectattr('hidden') | sort(attribute='function.name') %}
    {{- 'type ' ~ tool.function.name ~ ' = ' ~ kind(tool.function.parameters) }}
    {%- set sep = ',' if tool.function.name in described else ';' %}{{- sep }}
{%- endfor %}
{%- for item in messages[0].content if item.type in ['image', 'video'] %}
    {{- '<|%s_%d|>' % (item.type, loop.index) }}
{%- endfor %}
{{- {'model': model_identity | default('an assistant'), 'tokens': 4096} | tojson }}
{{- "{} and {}".format(messages | length, 'more') }}
"""

ALL = {"plain": PLAIN, "tools": TOOLS, "thinking": THINKING, "strict": STRICT, "macros": MACROS}

# What the templates of well-known models use, each construct written anew for these tests.
CONSTRUCTS = {
    "loop controls (Qwen3, DeepSeek, GLM)": (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
        "{% if loop.index0 > 3 %}{% break %}{% endif %}{% endfor %}"
    ),
    "generation (SmolLM3, Hermes for training)": (
        "{% if m.role == 'assistant' %}{%- generation -%}{{ m.content }}{%- endgeneration -%}{% endif %}"
    ),
    "raise_exception (Mistral, Gemma, Llama 2)": (
        "{% if messages | length == 0 or messages[0].role == 'tool' %}"
        "{{ raise_exception('There is no user: ' ~ messages[0]['role'] + '; give one') }}"
        "{% endif %}"
    ),
    "strftime_now behind a test (Llama 3.2, 3.3)": (
        "{%- if date_string is not defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}"
        "{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
        "{{ 'Today: ' + date_string }}"
    ),
    "strftime_now within a sum (Granite, Mistral Small)": (
        "{{ 'Today is ' + strftime_now('%B %d, %Y') + '.\\n' }}"
        "{% set text = 'It is {}, \"{}\"'.format(strftime_now('%Y-%m-%d'), name) %}"
    ),
    "tojson with arguments (Llama 3.1, Command R, Kimi)": (
        "{{ tool | tojson(indent=4) }}{{ tool | tojson(ensure_ascii=False) }}"
        "{{ tools | tojson(separators=(',', ':'), sort_keys=true) }}"
    ),
    "tojson and safe (Qwen3-Coder, Nemotron)": "{% set value = v if v is string else v | tojson | safe %}{{ value }}",
    "a macro that calls itself (gpt-oss, Hermes 3)": (
        "{% macro kind(spec, known=[], nullable=false) %}{% if spec.type == 'array' %}"
        "{{ kind(spec['items'], known) ~ '[]' }}{% else %}{{ spec.type | join(' | ') }}"
        "{% endif %}{% endmacro %}{{ kind(tool.parameters) }}"
    ),
    "a table of names (Hermes 2 Pro, Seed-OSS)": (
        "{% set names = {'string': 'str', 'object': 'dict'} %}{{ names[spec.type] }}{{ names.get(spec.type, 'Any') }}"
    ),
    "a namespace that grows (Phi-4-mini, SmolLM3)": (
        "{% set ns = namespace(text='## Tools', seen=false, at=-1, calls=[]) %}"
        "{% for tool in tools[:] %}{% set ns.text = ns.text ~ (tool | string) ~ '\\n' %}"
        "{% set ns.at = ns.at + 1 %}{% set ns.calls = ns.calls + [tool] %}{% endfor %}"
        "{{ ns.text }}"
    ),
    "an empty namespace (Mistral Large)": "{% set ns = namespace() %}{% set ns.index = 0 %}{{ ns.index }}",
    "messages from the end (Qwen3)": (
        "{% for m in messages[::-1] %}{% set at = (messages | length - 1) - loop.index0 %}{% endfor %}"
    ),
    "thoughts cut out (DeepSeek-R1, QwQ)": (
        "{% if '</think>' in text %}{% set text = text.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ text }}"
    ),
    "switches in a prompt (SmolLM3)": "{{ system.replace('/no_think', '').replace('/think', '').rstrip() }}",
    "wide bars in tokens (DeepSeek V3)": (
        "{{ '<\uff5cUser\uff5c>' + m.content + '<\uff5ctool\u2581calls\u2581begin\uff5c>' }}"
    ),
    "roles in turn (Gemma 2, Zephyr)": (
        "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('user and assistant take turns') }}{% endif %}"
    ),
    "filters by role (Mistral, OLMo 2)": (
        "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}"
        "{{ users | length }}{{ tools | map(attribute='function.name') | join(', ') }}"
        "{{ x | rejectattr('hidden') | first }}"
    ),
    "a call's number (Mistral Nemo)": (
        "{% if call.id is not defined or call.id | length != 9 %}"
        "{{ raise_exception('nine letters') }}{% endif %}"
        "{% set out = call.function | tojson %}{{ out[:-1] + ', \"id\": ' }}"
    ),
    "items with a condition (Mistral, GLM-4.5)": (
        "{% for k, v in tool.items() if k != 'return' %}{{ k ~ '=' ~ v }}{% endfor %}"
        "{% for k, v in call.arguments | items %}{{ k }}{% endfor %}"
        "{% set _args = call.arguments %}"
    ),
    "parts of a message (Llama 4, Gemma 3, Pixtral)": (
        "{% if m.content is not string and m.content is iterable %}"
        "{% for part in m.content %}"
        "{{ '[IMG]' if part['type'] == 'image' else part.text | trim }}{% endfor %}"
        "{% endif %}"
    ),
    "what a tool takes (Qwen3-Coder)": (
        "{% if tool is mapping %}{% for key in tool if key not in ['name', 'type'] %}"
        "{{ '<' ~ key ~ '>' ~ tool[key] ~ '</' ~ key ~ '>' }}{% endfor %}{% endif %}"
    ),
    "documents (Granite 3.3, Command R+)": (
        "{% for d in documents %}{{ 'Document ' + d['id'] | string + ': ' + d.text }}"
        "{% endfor %}{{ controls | default({}, true) }}"
    ),
    "a text in a block (Llama 3.1)": "{% set text %}{{ m.content | trim }}{% endset %}{{ text }}",
    "a loop's neighbours (Qwen2.5)": (
        "{% if loop.first or loop.previtem.role != 'tool' %}<{% endif %}"
        "{% if loop.last or loop.nextitem.role != 'tool' %}>{% endif %}"
    ),
    "lines and indents (gpt-oss)": (
        "{{ '// ' + text | replace('\\n', '\\n// ') }}{{ '  ' * (depth + 1) }}"
        "{{ text | indent(4, first=true) }}{% for line in text.splitlines() %}{{ line }}"
        "{% endfor %}"
    ),
}
