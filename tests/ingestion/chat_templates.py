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
