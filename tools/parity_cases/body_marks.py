"""Bodies with the reasoning of other model families around, before and in the answer."""

from parity_cases.body_extraction import finds, takes

MARKS = (
    "Reasoning marks of other model families are set aside like <think>, in any letter case: "
    "harmony channels, [THINK], <thought>, <seed:think>, ◁think▷, and what the spec's list names."
)
HARMONY = (
    "A harmony message of any channel but final is set aside up to the next mark of the format; "
    "before the first header of final all is thinking."
)
WORDS = "Marks that are plain words count only together."
INSIDE = "Thinking is looked for outside JSON."
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>"
DRAFT = 'Perhaps {"a":0}?'

FAMILIES = [
    *(
        takes(f"marks_{name}", "The draft is thinking.", MARKS, f'{opening}{DRAFT}{closing}{{"a":1}}', '{"a":1}')
        for name, opening, closing in [
            ("upper_case", "<THINK>", "</Think>"),
            ("magistral", "[THINK]", "[/THINK]"),
            ("magistral_lower_case", "[think]", "[/think]"),
            ("reasoning_in_brackets", "[REASONING]", "[/REASONING]"),
            ("exaone", "<thought>", "</thought>"),
            ("seed_oss", "<seed:think>", "</seed:think>"),
            ("kimi", "◁think▷", "◁/THINK▷"),
            ("command_a", "<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
            ("openthoughts", "<|begin_of_thought|>", "<|end_of_thought|>"),
            ("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
            ("solar", "<|think|>", "<|end|><|begin|>assistant<|content|>"),
            ("gemma", "<|channel>thought\n", "<channel|>"),
            ("medgemma", "<unused94>thought\n", "<unused95>"),
            ("longcat", "<longcat_think>", "</longcat_think>"),
            ("scratchpad", "<scratchpad>", "</scratchpad>"),
            ("granite", "Here is my thought process: ", " Here is my response: "),
            ("apriel", "Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
            ("without_tokens", "analysis", "assistantfinal"),
        ]
    ),
    takes("marks_closing_alone", "The opening mark was part of the prompt.", MARKS, f'{DRAFT}[/THINK]{{"a":1}}', '{"a":1}'),
    takes("marks_then_a_scalar", "What is left is JSON as a whole.", MARKS, "[THINK]6 x 7[/THINK]42", "42"),
    takes("marks_then_a_block", "Where thinking ended, a fence may begin.", MARKS, '◁think▷{}◁/think▷```\n{"a":1}\n```', '{"a":1}'),
    finds("marks_not_closed", "The text ended while thinking.", MARKS, f"[THINK]{DRAFT}", "truncated"),
    finds("marks_only", "Nothing is left.", MARKS, f"<seed:think>{DRAFT}</seed:think>", "empty"),
    takes("marks_in_a_text", "Marks inside a JSON string are text.", INSIDE, 'So: {"a":"[/THINK]<|channel|>final<|message|>"}', '{"a":"[/THINK]<|channel|>final<|message|>"}'),
    takes("marks_behind_a_bracket_of_prose", "A bracket of prose hides no mark.", MARKS, '[ [THINK]{"a":0}[/THINK] {"a":1}', '{"a":1}'),
    takes("marks_of_words_not_closed", "A phrase that merely begins like one of them.", WORDS, 'Here is my thought process: it is {"a":1}', '{"a":1}'),
    takes("marks_of_words_not_opened", "The same of the closing one.", WORDS, '{"a":1} Here is my response:', '{"a":1}'),
    takes("harmony", "The final channel holds the answer.", HARMONY, f'{ANALYSIS}{DRAFT}<|end|>{FINAL}{{"a":1}}', '{"a":1}'),
    takes("harmony_whole", "With the token that ends the answer: a scalar.", HARMONY, f"{ANALYSIS}{DRAFT}<|end|>{FINAL}42<|return|>", "42"),
    takes("harmony_without_its_first_header", "The prompt began the analysis.", HARMONY, f'{DRAFT}<|end|>{FINAL}{{"a":1}}', '{"a":1}'),
    takes("harmony_behind_a_lone_brace", "What stands in the analysis opens nothing.", HARMONY, f'Is it {{ {DRAFT}<|end|>{FINAL}{{"a":1}}', '{"a":1}'),
    takes("harmony_constrained", "A header that names the form of the answer, in capital letters.", HARMONY, f'{ANALYSIS}{DRAFT}<|end|><|START|>assistant<|channel|>FINAL <|constrain|>JSON<|message|>{{"a":1}}', '{"a":1}'),
    takes("harmony_commentary", "A call of a tool is no answer.", HARMONY, f'<|channel|>commentary to=functions.x <|constrain|>json<|message|>{{"a":0}}<|call|>{FINAL}```\n{{"a":1}}\n```<|return|>', '{"a":1}'),
    takes("harmony_without_a_channel", "An assistant's message without one is the answer.", HARMONY, f'{ANALYSIS}{DRAFT}<|end|><|start|>assistant<|message|>{{"a":1}}<|end|>', '{"a":1}'),
    takes("harmony_without_messages", "Headers that lack their last token.", HARMONY, f'<|channel|>analysis {DRAFT}<|channel|>final {{"a":1}}', '{"a":1}'),
    takes("harmony_then_another_role", "What the model makes its reader say is no answer.", HARMONY, f'{FINAL}{{"a":1}}<|end|><|start|>user<|message|>{{"a":2}}<|end|>', '{"a":1}'),
    finds("harmony_two_answers", "Two final messages that differ.", HARMONY, f'{FINAL}{{"a":1}}<|end|>{FINAL}{{"a":2}}<|return|>', "ambiguous"),
    finds("harmony_not_ended", "The text ended in the analysis.", HARMONY, f"{ANALYSIS}{DRAFT}", "truncated"),
    finds("harmony_commentary_only", "There is no answer.", HARMONY, '<|channel|>commentary<|message|>{"a":1}<|end|>', "empty"),
]
